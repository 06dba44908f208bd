#include "core/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

enum class Mode { slow_start, steady };

struct Inner {
  int width = 8;
  std::string name = "inner";
  friend bool operator==(const Inner&, const Inner&) = default;
};

struct Outer {
  bool flag = false;
  int count = 3;
  std::int64_t large = -5;
  std::uint64_t seed = 1;
  double rate = 0.5;
  std::string text = "x";
  std::string rule = "sum";
  Mode mode = Mode::steady;
  std::optional<double> limit;
  std::vector<int> sizes = {1, 2};
  std::vector<std::string> rules;
  Inner inner;
  std::vector<Inner> inners;
  std::optional<Inner> maybe;
  std::map<std::string, double> weights;
  Json raw = nullptr;
  friend bool operator==(const Outer&, const Outer&) = default;
};

OptionTable<Inner> inner_table() {
  return OptionTable<Inner>("an inner part")
      .add("width", &Inner::width, "channels", at_least(1))
      .add("name", &Inner::name, "its name");
}

OptionTable<Outer> outer_table() {
  return OptionTable<Outer>("a component with everything")
      .add("flag", &Outer::flag, "a switch")
      .add("count", &Outer::count, "how many", between(1, 10))
      .add("large", &Outer::large, "any integer")
      .add("seed", &Outer::seed, "of the generator")
      .add("rate", &Outer::rate, "of learning", greater_than(0), unit("1/s"))
      .add("text", &Outer::text, "any text")
      .add("rule", &Outer::rule, "how to add", one_of({"sum", "mean"}))
      .add("mode", &Outer::mode, "how to start",
           named<Mode>({{"slow_start", Mode::slow_start}, {"steady", Mode::steady}}))
      .add("limit", &Outer::limit, "an upper bound", at_most(9))
      .add("sizes", &Outer::sizes, "a few numbers", at_least(1), Items{1, 3})
      .add("rules", &Outer::rules, "several rules", one_of({"sum", "mean"}))
      .add("inner", &Outer::inner, "one part", inner_table())
      .add("inners", &Outer::inners, "parts", inner_table(), Items{.most = 2})
      .add("maybe", &Outer::maybe, "a part or none", inner_table())
      .add("weights", &Outer::weights, "by name", at_least(0))
      .add("raw", &Outer::raw, "anything");
}

Outer read(const std::string& text) {
  return outer_table().read(parse_json(text, "test"), "/strategy");
}

std::string error_of(const std::string& text) {
  return throws<ConfigError>([&] { read(text); });
}

TEST(OptionsTest, AnEmptyObjectGivesTheDefaults) { EXPECT_EQ(read("{}"), Outer{}); }

TEST(OptionsTest, AStructsOptionsMayStandBesideItsOwnersOwn) {
  struct Owner {
    int count = 1;
    Inner inner;
  };
  const auto inner = inner_table().check([](const Inner& options) {
    if (options.width == 7) throw ConfigError("/width", "is 7");
  });
  const auto table = OptionTable<Owner>("an owner")
                         .add("count", &Owner::count, "how many")
                         .beside(&Owner::inner, inner);
  const Owner owner = table.read({{"count", 2}, {"width", 5}}, "/strategy");
  EXPECT_EQ(owner.count, 2);
  EXPECT_EQ(owner.inner.width, 5);
  EXPECT_EQ(table.write(owner), (Json{{"count", 2}, {"width", 5}, {"name", owner.inner.name}}));
  EXPECT_EQ(table.describe()[1]["name"], "width");
  EXPECT_TRUE(table.schema()["properties"].contains("width"));
  const auto error = [&](const Json& json) {
    return throws<ConfigError>([&] { table.read(json, "/strategy"); });
  };
  EXPECT_THAT(error({{"width", 0}}), HasSubstr("/strategy/width: "));
  EXPECT_THAT(error({{"width", 7}}), HasSubstr("/strategy/width: is 7"));
  EXPECT_THAT(error({{"widht", 7}}), HasSubstr("did you mean \"width\""));
}

TEST(OptionsTest, ReadsEveryType) {
  Outer expected;
  expected.flag = true;
  expected.count = 10;
  expected.large = 1LL << 40;
  expected.seed = ~std::uint64_t{0};
  expected.rate = 2;
  expected.text = "y";
  expected.rule = "mean";
  expected.mode = Mode::slow_start;
  expected.limit = 8.5;
  expected.sizes = {7};
  expected.rules = {"sum", "sum"};
  expected.inner = {.width = 2, .name = "z"};
  expected.inners = {{.width = 5}, {}};
  expected.maybe = Inner{.name = "m"};
  expected.weights = {{"a", 1}, {"b", 0.5}};
  expected.raw = {1, "two"};
  EXPECT_EQ(read(R"({"flag": true, "count": 10, "large": 1099511627776,
                     "seed": 18446744073709551615, "rate": 2, "text": "y", "rule": "mean",
                     "mode": "slow_start", "limit": 8.5, "sizes": [7], "rules": ["sum", "sum"],
                     "inner": {"width": 2, "name": "z"}, "inners": [{"width": 5}, {}],
                     "maybe": {"name": "m"}, "weights": {"b": 0.5, "a": 1}, "raw": [1, "two"]})"),
            expected);
}

TEST(OptionsTest, WhatIsWrittenIsReadBackAndComplete) {
  const Outer options = read(R"({"limit": 1, "inners": [{}], "mode": "slow_start"})");
  const Json written = outer_table().write(options);
  EXPECT_EQ(outer_table().read(written, ""), options);
  EXPECT_EQ(written["inner"].dump(), R"({"width":8,"name":"inner"})");
  EXPECT_FALSE(written.contains("maybe"));
  EXPECT_TRUE(written.contains("flag"));
}

TEST(OptionsTest, WholeNumbersAreIntegers) {
  EXPECT_EQ(read(R"({"count": 2.0, "seed": 1e3})").count, 2);
  EXPECT_EQ(read(R"({"seed": 1e3})").seed, 1000u);
}

TEST(OptionsTest, UnknownKeysNamePlaceAndNearest) {
  EXPECT_EQ(error_of(R"({"cuont": 3})"),
            "/strategy/cuont: unknown key \"cuont\"; did you mean \"count\"?");
  EXPECT_THAT(error_of(R"({"inner": {"with": 3}})"),
              HasSubstr("/strategy/inner/with: unknown key \"with\"; did you mean \"width\"?"));
  EXPECT_THAT(error_of(R"({"inners": [{}, {"a/b": 3}]})"),
              HasSubstr("/strategy/inners/1/a~1b: unknown key \"a/b\"; known: width, name"));
}

TEST(OptionsTest, WrongTypesNameBoth) {
  EXPECT_EQ(error_of(R"({"count": "3"})"),
            "/strategy/count: expected an integer, got string \"3\"");
  EXPECT_THAT(error_of(R"({"count": 2.5})"), HasSubstr("expected an integer, got number 2.5"));
  EXPECT_THAT(error_of(R"({"seed": null})"), HasSubstr("expected an integer, got null"));
  EXPECT_THAT(error_of(R"({"flag": 1})"), HasSubstr("expected a boolean, got integer 1"));
  EXPECT_THAT(error_of(R"({"rate": [1]})"), HasSubstr("/rate: expected a number, got array"));
  EXPECT_THAT(error_of(R"({"text": true})"), HasSubstr("expected a string, got boolean true"));
  EXPECT_THAT(error_of(R"({"limit": null})"), HasSubstr("expected a number, got null"));
  EXPECT_THAT(error_of(R"({"sizes": 3})"), HasSubstr("expected an array, got integer 3"));
  EXPECT_THAT(error_of(R"({"sizes": [1, "a"]})"), HasSubstr("/strategy/sizes/1: expected an int"));
  EXPECT_THAT(error_of(R"({"inner": 3})"), HasSubstr("expected an object, got integer 3"));
  EXPECT_THAT(error_of(R"({"weights": [3]})"), HasSubstr("expected an object, got array"));
  EXPECT_THAT(error_of(R"({"weights": {"a": "b"}})"), HasSubstr("/strategy/weights/a: expected"));
  EXPECT_THAT(error_of("[]"), HasSubstr("/strategy: expected an object, got array"));
}

TEST(OptionsTest, ValuesOutOfRangeNameTheRange) {
  EXPECT_EQ(error_of(R"({"count": 11})"), "/strategy/count: expected a value 1 to 10, got 11");
  EXPECT_THAT(error_of(R"({"count": 0})"), HasSubstr("1 to 10"));
  EXPECT_THAT(error_of(R"({"rate": 0})"), HasSubstr("expected a value > 0, got 0"));
  EXPECT_THAT(error_of(R"({"limit": 9.5})"), HasSubstr("expected a value <= 9, got 9.5"));
  EXPECT_THAT(error_of(R"({"sizes": [1, 0]})"),
              HasSubstr("/strategy/sizes/1: expected a value >="));
  EXPECT_THAT(error_of(R"({"seed": -1})"), HasSubstr("expected a value >= 0, got -1"));
  EXPECT_THAT(error_of(R"({"seed": 1e30})"), HasSubstr("expected an integer"));
  EXPECT_THAT(error_of(R"({"count": 3000000000})"), HasSubstr("-2147483648 to 2147483647"));
  EXPECT_THAT(error_of(R"({"large": 9223372036854775808})"), HasSubstr("9223372036854775807, got"));
  EXPECT_THAT(error_of(R"({"sizes": []})"),
              HasSubstr("/strategy/sizes: expected an array of 1 to 3 elements, got 0"));
  EXPECT_THAT(error_of(R"({"inners": [{}, {}, {}]})"), HasSubstr("0 to 2 elements, got 3"));
}

TEST(OptionsTest, UnknownNamesNameTheNearest) {
  EXPECT_EQ(error_of(R"({"rule": "maen"})"),
            "/strategy/rule: unknown value \"maen\"; did you mean \"mean\"?");
  EXPECT_THAT(error_of(R"({"mode": "stedy"})"), HasSubstr("did you mean \"steady\"?"));
  EXPECT_THAT(error_of(R"({"rules": ["sum", "x"]})"),
              HasSubstr("/strategy/rules/1: unknown value \"x\"; known: sum, mean"));
}

TEST(OptionsTest, ItemsSayHowManyTheyTake) {
  struct Lists {
    std::vector<int> some = {1};
    std::vector<int> three = {1, 2, 3};
  };
  const auto table = OptionTable<Lists>("lists")
                         .add("some", &Lists::some, "one or more", non_empty())
                         .add("three", &Lists::three, "exactly three", Items{3, 3});
  EXPECT_THAT(throws<ConfigError>([&] {
                table.read({{"some", Json::array()}}, "");
              }),
              HasSubstr("/some: expected an array of 1 or more elements, got 0"));
  EXPECT_THAT(throws<ConfigError>([&] {
                table.read({{"three", {1}}}, "");
              }),
              HasSubstr("/three: expected an array of 3 elements, got 1"));
}

struct Sampled {
  std::string file;
  int population = 10;
  int sample = 3;
};

OptionTable<Sampled> sampled_table() {
  return OptionTable<Sampled>("a population")
      .add("file", &Sampled::file, "the table", required())
      .add("population", &Sampled::population, "individuals", at_least(2))
      .add("sample", &Sampled::sample, "drawn", at_least(1))
      .check([](const Sampled& options) {
        if (options.sample > options.population) {
          throw ConfigError("/sample", "is larger than the population");
        }
      });
}

TEST(OptionsTest, RequiredKeysMustBeThere) {
  EXPECT_EQ(throws<ConfigError>([] { sampled_table().read(Json::object(), "/space"); }),
            "/space: the key \"file\" (the table) is missing");
}

TEST(OptionsTest, ChecksOfTheWholeArePlaced) {
  const Json bad = {{"file", "f"}, {"sample", 11}};
  EXPECT_EQ(throws<ConfigError>([&] { sampled_table().read(bad, "/strategy"); }),
            "/strategy/sample: is larger than the population");

  struct Nest {
    Sampled part;
  };
  const auto nest = OptionTable<Nest>("a nest").add("part", &Nest::part, "p", sampled_table());
  EXPECT_EQ(throws<ConfigError>([&] {
              nest.read({{"part", bad}}, "/a");
            }),
            "/a/part/sample: is larger than the population");
}

TEST(OptionsTest, OptionsMadeInCodeAreCheckedToo) {
  const auto error_of = [](const Sampled& options) {
    return throws<ConfigError>([&] { sampled_table().validate(options); });
  };
  EXPECT_NO_THROW(sampled_table().validate({.file = "f"}));
  EXPECT_EQ(error_of({.file = "f", .population = 1}), "/population: expected a value >= 2, got 1");
  EXPECT_EQ(error_of({.file = "f", .sample = 11}), "/sample: is larger than the population");
}

TEST(OptionsTest, ComponentsAreResolvedWhereTheyStand) {
  struct Holder {
    Json part = {{"type", "a"}};
    std::vector<Json> parts;
  };
  const Component component = {
      .resolve =
          [](const Json& json, const std::string& pointer) {
            if (!json.contains("type")) throw ConfigError(pointer, "no type");
            Json resolved = json;
            resolved["filled"] = true;
            return resolved;
          },
      .schema = {{"$ref", "#/$defs/part"}},
  };
  const auto table = OptionTable<Holder>("a holder")
                         .add("part", &Holder::part, "one", component)
                         .add("parts", &Holder::parts, "many", component);
  const Holder holder = table.read(parse_json(R"({"parts": [{"type": "b"}]})", ""), "");
  EXPECT_EQ(holder.parts[0].dump(), R"({"type":"b","filled":true})");
  EXPECT_EQ(throws<ConfigError>([&] {
              table.read({{"parts", {Json::object()}}}, "/x");
            }),
            "/x/parts/0: no type");
  EXPECT_EQ(table.schema()["properties"]["parts"]["items"]["$ref"], "#/$defs/part");
}

TEST(OptionsTest, DescribesItself) {
  const Json list = outer_table().describe();
  const auto find = [&](const std::string& name) {
    for (const Json& entry : list) {
      if (entry["name"] == name) return entry;
    }
    return Json();
  };
  EXPECT_EQ(list.size(), 16u);
  EXPECT_EQ(find("count").dump(),
            R"({"name":"count","type":"integer","doc":"how many","default":3,"range":"1 to 10"})");
  EXPECT_EQ(find("rate")["unit"], "1/s");
  EXPECT_EQ(find("rate")["range"], "> 0");
  EXPECT_EQ(find("mode")["choices"], Json({"slow_start", "steady"}));
  EXPECT_EQ(find("rules")["choices"], Json({"sum", "mean"}));
  EXPECT_FALSE(find("sizes").contains("choices"));
  EXPECT_EQ(find("mode")["default"], "steady");
  EXPECT_FALSE(find("limit").contains("default"));
  EXPECT_EQ(find("inners")["type"], "array of object");
  EXPECT_EQ(find("inners")["options"][0]["name"], "width");
  EXPECT_EQ(find("weights")["type"], "object of number");
  EXPECT_EQ(find("raw")["type"], "any");
  EXPECT_EQ(sampled_table().describe()[0].dump(),
            R"({"name":"file","type":"string","doc":"the table","required":true})");
}

TEST(OptionsTest, TheSchemaStatesWhatIsRead) {
  const Json schema = outer_table().schema();
  EXPECT_EQ(schema["type"], "object");
  EXPECT_EQ(schema["additionalProperties"], false);
  EXPECT_FALSE(schema.contains("required"));
  const Json& properties = schema["properties"];
  EXPECT_EQ(properties["count"].dump(),
            R"({"type":"integer","minimum":1,"maximum":10,"description":"how many","default":3})");
  EXPECT_EQ(properties["rate"]["exclusiveMinimum"], 0);
  EXPECT_EQ(properties["rate"]["description"], "of learning (1/s)");
  EXPECT_EQ(properties["seed"]["minimum"], 0);
  EXPECT_EQ(properties["rule"]["enum"], Json({"sum", "mean"}));
  EXPECT_EQ(properties["sizes"]["items"]["minimum"], 1);
  EXPECT_EQ(properties["sizes"]["minItems"], 1);
  EXPECT_EQ(properties["sizes"]["maxItems"], 3);
  EXPECT_EQ(properties["inner"]["additionalProperties"], false);
  EXPECT_EQ(properties["weights"]["additionalProperties"]["type"], "number");
  EXPECT_EQ(sampled_table().schema()["required"], Json({"file"}));
}

TEST(OptionsTest, RangesSayWhatTheyContain) {
  EXPECT_EQ(at_least(2).to_string(), ">= 2");
  EXPECT_EQ(at_most(0.5).to_string(), "<= 0.5");
  EXPECT_EQ((Range{.low = 0, .high = 1, .low_open = true}).to_string(), "0 to 1, 0 excluded");
  EXPECT_EQ((Range{.low = 0, .high = 1, .high_open = true}).to_string(), "0 to 1, 1 excluded");
  EXPECT_EQ((Range{.high = 1, .high_open = true}).to_string(), "< 1");
  EXPECT_TRUE(between(0, 1).contains(1));
  EXPECT_FALSE((Range{.low = 0, .high = 1, .high_open = true}).contains(1));
  EXPECT_FALSE(greater_than(0).contains(0));
}

TEST(OptionsTest, AnEnumeratorWithoutANameCannotBeWritten) {
  struct Holder {
    Mode mode = Mode::steady;
  };
  const auto table = OptionTable<Holder>("h").add("mode", &Holder::mode, "m",
                                                  named<Mode>({{"slow_start", Mode::slow_start}}));
  throws<Error>([&] { table.write(Holder{}); });
}

}  // namespace
}  // namespace espalier
