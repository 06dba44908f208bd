#include "exporters/architecture_file.hpp"

#include <gmock/gmock.h>

#include "core/error.hpp"
#include "graph/json.hpp"
#include "graph/nets.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using ::testing::HasSubstr;

ArchitectureFile example() {
  return {.space = Json{{"type", "chain"}},
          .architecture = Json{{"stage1.depth", "2"}},
          .graph = mobilenet_v3_small({.input = {1, 28, 28}, .classes = 10})};
}

TEST(ArchitectureFile, RoundTrips) {
  const Json json = to_json(example());
  EXPECT_EQ(json["format"], 1);
  EXPECT_EQ(json["space"]["type"], "chain");
  EXPECT_EQ(json["architecture"]["stage1.depth"], "2");
  EXPECT_EQ(json["graph"], to_json(example().graph));
  EXPECT_EQ(to_json(architecture_file_from_json(json)), json);
}

TEST(ArchitectureFile, SpaceAndArchitectureMayBeAbsent) {
  const Json json = to_json(ArchitectureFile{.graph = example().graph});
  EXPECT_FALSE(json.contains("space"));
  EXPECT_FALSE(json.contains("architecture"));
  EXPECT_FALSE(architecture_file_from_json(json).space);
}

TEST(ArchitectureFile, RefusesWhatItDoesNotWrite) {
  const auto error = [](auto&& change) {
    Json json = to_json(example());
    change(json);
    return throws<ConfigError>([&] { architecture_file_from_json(json, "/file"); });
  };
  EXPECT_THAT(error([](Json& j) { j["format"] = 2; }),
              HasSubstr("/file/format: this version reads format 1, got 2"));
  EXPECT_THAT(error([](Json& j) { j["grahp"] = 1; }), HasSubstr("/file/grahp"));
  EXPECT_THAT(error([](Json& j) { j.erase("graph"); }), HasSubstr("graph"));
  EXPECT_THAT(error([](Json& j) { j["space"] = "chain"; }), HasSubstr("/file/space: "));
  EXPECT_THAT(error([](Json& j) { j["architecture"] = 1; }), HasSubstr("/file/architecture: "));
  EXPECT_THAT(error([](Json& j) { j["graph"]["nodes"][1]["op"] = "conv3d"; }),
              HasSubstr("/file/graph/nodes/1/op"));
}

TEST(ArchitectureFile, MissingFileIsAnIoError) {
  EXPECT_THROW(read_architecture_file("no/such/file.json"), IoError);
}

}  // namespace
}  // namespace espalier
