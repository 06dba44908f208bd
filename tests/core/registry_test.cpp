#include "core/registry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Shape {
  virtual ~Shape() = default;
  virtual double area() const = 0;
};

struct CircleOptions {
  double radius = 1;
};
struct Circle : Shape {
  explicit Circle(double area) : value(area) {}
  double area() const override { return value; }
  double value;
};

struct BoxOptions {
  int width = 2;
  int height = 3;
};

using Shapes = Registry<std::unique_ptr<Shape>(const double&)>;

Shapes shapes() {
  Shapes registry("shape");
  registry.add("circle",
               OptionTable<CircleOptions>("a disc").add("radius", &CircleOptions::radius,
                                                        "its size", at_least(0)),
               [](const CircleOptions& options, const double& scale) {
                 return std::make_unique<Circle>(3 * options.radius * options.radius * scale);
               });
  registry.add("box",
               OptionTable<BoxOptions>("a rectangle")
                   .add("width", &BoxOptions::width, "its width")
                   .add("height", &BoxOptions::height, "its height", required()),
               [](const BoxOptions& options, const double& scale) -> std::unique_ptr<Shape> {
                 if (options.width < 0) throw ConfigError("/width", "is negative here");
                 return std::make_unique<Circle>(options.width * options.height * scale);
               });
  return registry;
}

TEST(RegistryTest, MakesWhatTheTypeNames) {
  const Shapes registry = shapes();
  EXPECT_THAT(registry.names(), ElementsAre("circle", "box"));
  EXPECT_TRUE(registry.contains("box"));
  EXPECT_FALSE(registry.contains("cube"));
  EXPECT_EQ(registry.create({{"type", "circle"}, {"radius", 2}}, "", 10)->area(), 120);
  EXPECT_EQ(registry.create({{"height", 5}, {"type", "box"}}, "", 1)->area(), 10);
}

TEST(RegistryTest, ResolveFillsInTheDefaults) {
  EXPECT_EQ(shapes().resolve({{"height", 5}, {"type", "box"}}, "").dump(),
            R"({"type":"box","width":2,"height":5})");
  EXPECT_EQ(shapes().sample("circle").dump(), R"({"type":"circle","radius":1.0})");
}

TEST(RegistryTest, ErrorsArePlaced) {
  const Shapes registry = shapes();
  const auto error_of = [&](const Json& json) {
    const std::string text = throws<ConfigError>([&] { registry.create(json, "/space", 1); });
    return text;
  };
  EXPECT_EQ(error_of({{"type", "cirle"}}),
            "/space/type: unknown shape \"cirle\"; did you mean \"circle\"?");
  EXPECT_EQ(error_of(Json::object()),
            "/space: the key \"type\" (which shape) is missing; known: circle, box");
  EXPECT_EQ(error_of({{"type", 3}}), "/space/type: expected a string, got integer 3");
  EXPECT_EQ(error_of("circle"), "/space: expected an object, got string \"circle\"");
  EXPECT_EQ(error_of({{"type", "circle"}, {"radius", -1}}),
            "/space/radius: expected a value >= 0, got -1");
  EXPECT_EQ(error_of({{"type", "circle"}, {"width", 1}}),
            "/space/width: unknown key \"width\"; known: radius");
  EXPECT_EQ(error_of({{"type", "box"}, {"height", 1}, {"width", -1}}),
            "/space/width: is negative here");
  EXPECT_THAT(throws<ConfigError>([&] { registry.describe("cone"); }), HasSubstr("unknown shape"));
  EXPECT_THAT(throws<ConfigError>([&] { registry.sample("cone"); }), HasSubstr("unknown shape"));
  EXPECT_EQ(throws<ConfigError>([&] {
              registry.resolve({{"type", "x"}}, "/a");
            }).substr(0, 8),
            "/a/type:");
}

TEST(RegistryTest, CopiesAreExtendedByTheUser) {
  const Shapes ours = shapes();
  Shapes theirs = ours;
  theirs.add("point", OptionTable<CircleOptions>("no area"),
             [](const CircleOptions&, const double&) { return std::make_unique<Circle>(0); });
  theirs.add("circle", OptionTable<CircleOptions>("their own"),
             [](const CircleOptions&, const double&) { return std::make_unique<Circle>(-1); });
  EXPECT_THAT(theirs.names(), ElementsAre("circle", "box", "point"));
  EXPECT_EQ(theirs.create({{"type", "circle"}}, "", 1)->area(), -1);
  EXPECT_EQ(theirs.describe("circle")["doc"], "their own");
  EXPECT_EQ(ours.names().size(), 2u);
}

struct PaintOptions {
  std::optional<std::string> color = {};
};

TEST(RegistryTest, OptionsOfAllAreReadBesidesTheEntrysOwn) {
  Shapes registry = shapes();
  registry.add_to_all(
      OptionTable<PaintOptions>("a coat").add("color", &PaintOptions::color, "all over",
                                              one_of({"red"})),
      [](std::unique_ptr<Shape> shape, const PaintOptions& options) -> std::unique_ptr<Shape> {
        if (!options.color) return shape;
        if (shape->area() == 0) throw ConfigError("/color", "nothing to paint");
        return std::make_unique<Circle>(shape->area() + 1000);
      });
  registry.add("dot", OptionTable<CircleOptions>("added later"),
               [](const CircleOptions&, const double&) { return std::make_unique<Circle>(0); });
  const Json red = {{"color", "red"}, {"type", "circle"}, {"radius", 2}};
  EXPECT_EQ(registry.create(red, "", 1)->area(), 1012);
  EXPECT_EQ(registry.create({{"type", "circle"}, {"radius", 2}}, "", 1)->area(), 12);
  EXPECT_EQ(registry.resolve(red, "").dump(), R"({"type":"circle","radius":2.0,"color":"red"})");
  EXPECT_EQ(registry.sample("circle").dump(), R"({"type":"circle","radius":1.0})");
  EXPECT_EQ(registry.describe("circle")["options"][1]["name"], "color");
  EXPECT_TRUE(registry.schema()["oneOf"][2]["properties"].contains("color"));
  const auto error_of = [&](const Json& json) {
    return throws<ConfigError>([&] { registry.create(json, "/shape", 1); });
  };
  EXPECT_EQ(error_of({{"type", "dot"}, {"color", "red"}}), "/shape/color: nothing to paint");
  EXPECT_THAT(error_of({{"type", "dot"}, {"color", "blue"}}), HasSubstr("/shape/color: unknown"));
  EXPECT_EQ(error_of({{"type", "circle"}, {"colour", "red"}}),
            "/shape/colour: unknown key \"colour\"; did you mean \"color\"?");
}

TEST(RegistryTest, DescribesItsEntries) {
  const Json list = shapes().describe();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[1]["name"], "box");
  EXPECT_EQ(list[1]["doc"], "a rectangle");
  EXPECT_EQ(list[1]["options"][1]["required"], true);
  EXPECT_EQ(shapes().kind(), "shape");
}

TEST(RegistryTest, TheSchemaHasOneAlternativeForEachType) {
  const Json schema = shapes().schema();
  ASSERT_EQ(schema["oneOf"].size(), 2u);
  const Json& box = schema["oneOf"][1];
  EXPECT_EQ(box["properties"]["type"]["const"], "box");
  EXPECT_EQ(box["required"], Json({"type", "height"}));
  EXPECT_EQ(box["additionalProperties"], false);
}

TEST(RegistryTest, AnOptionMayHoldAComponent) {
  struct Holder {
    Json shape = {{"type", "circle"}};
  };
  const auto table = OptionTable<Holder>("a holder")
                         .add("shape", &Holder::shape, "what it holds",
                              shapes().as_option({{"$ref", "#/$defs/shape"}}));
  EXPECT_EQ(table.read({{"shape", {{"type", "circle"}}}}, "").shape.dump(),
            R"({"type":"circle","radius":1.0})");
  EXPECT_EQ(throws<ConfigError>([&] {
              table.read({{"shape", {{"type", "cone"}}}}, "/h");
            }).substr(0, 14),
            "/h/shape/type:");
}

}  // namespace
}  // namespace espalier
