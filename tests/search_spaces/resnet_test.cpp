#include "search_spaces/resnet.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "core/json.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

/// The first or last option of every decision.
Json first_options(const SearchSpace& space) {
  Json json = Json::object();
  for (const Decision& d : space.decisions()) json[d.name] = d.options.front();
  return json;
}
Json last_options(const SearchSpace& space) {
  Json json = Json::object();
  for (const Decision& d : space.decisions()) json[d.name] = d.options.back();
  return json;
}

TEST(Resnet, ContainsResnet50D) {
  const auto space = make_resnet();
  // ResNet-50 (25,557,032 params, 4,089,184,256 macs) with three 3x3 convolutions (32, 32 and 64
  // channels) for the 7x7 one, and shortcuts that pool before they project.
  Json json = last_options(*space);
  for (const auto& [name, label] : json.items()) {
    if (name.ends_with(".expansion")) json[name] = "0.25";
  }
  json["stage1.depth"] = "3";
  json["stage2.depth"] = "4";
  json["stage3.depth"] = "6";
  json["stage4.depth"] = "3";
  const Graph graph = space->build(architecture_from_json(*space, json));
  verify(graph);
  const std::int64_t deep_stem = 3 * 32 * 9 + 32 * 32 * 9 + 32 * 64 * 9;
  EXPECT_EQ(cost(graph).params, 25557032 - (147 * 64 + 128) + deep_stem + 2 * (32 + 32 + 64));
  EXPECT_EQ(cost(graph).params, 25576264);
  EXPECT_EQ(cost(graph).macs, 4089184256 + (deep_stem - 147 * 64) * 112 * 112);
  int pools = 0;
  for (const Node& n : graph.nodes()) {
    const auto* pool = std::get_if<op::Pool2d>(&n.op);
    pools += pool != nullptr && pool->kind == PoolKind::average;
  }
  EXPECT_EQ(pools, 3);  // one in each stage that halves the map
}

TEST(Resnet, SmallestAndLargestNetworks) {
  const auto space = make_resnet({.resolutions = {128, 224}});
  const Cost small = cost(space->build(architecture_from_json(*space, first_options(*space))));
  const Cost large = cost(space->build(architecture_from_json(*space, last_options(*space))));
  // Counted by hand from the reference code's rules.
  EXPECT_EQ(small.params, 6539280);
  EXPECT_EQ(small.macs, 315079552);
  EXPECT_EQ(large.params, 48105992);
  EXPECT_EQ(large.macs, 7491643904);
}

TEST(Resnet, SizeIsTheProductOfTheRules) {
  const SpaceSize size = space_size(*make_resnet());
  // stem 2 x 2 x 3; stages 3 widths x (3^b + 3^(b+1) + 3^(b+2)) expansions for b = 2, 2, 4, 2
  EXPECT_EQ(size.decimal, "1639276531308");
  EXPECT_FALSE(size.estimate);
}

TEST(Resnet, DecisionsAndTheirNames) {
  const auto space = make_resnet();
  const auto& d = space->decisions();
  EXPECT_EQ(d[0].name, "stem.inner_width");
  EXPECT_EQ(d[0].options, (std::vector<std::string>{"24", "32"}));
  EXPECT_EQ(d[1].name, "stem.residual");
  EXPECT_EQ(d[2].name, "stem.width");
  EXPECT_EQ(d[2].options, (std::vector<std::string>{"40", "48", "64"}));
  EXPECT_EQ(d[3].name, "stage1.width");
  EXPECT_EQ(d[4].name, "stage1.depth");
  EXPECT_EQ(d[5].name, "stage1.block1.expansion");
}

TEST(Resnet, QuickCostsEqualBuiltCosts) {
  const auto space = make_resnet(
      {.input = {3, 65, 65},
       .compression = CompressionOptions{.channels = {0.5, 1.0}, .weight_bits = {4, 8}}});
  Rng rng(5);
  for (int i = 0; i < 60; ++i) {
    const Architecture a = sample_uniform(*space, rng);
    const Graph graph = space->build(a);
    if (i < 10) verify(graph);
    const Cost exact = cost(graph);
    const Cost quick = space->quick_cost(a);
    ASSERT_EQ(quick.params, exact.params) << space->to_string(a);
    ASSERT_EQ(quick.macs, exact.macs) << space->to_string(a);
  }
}

TEST(Resnet, OptionsAreChecked) {
  const auto pointer_of = [](const ResnetOptions& options) {
    try {
      make_resnet(options);
    } catch (const ConfigError& e) {
      return e.pointer();
    }
    return std::string("no error");
  };
  EXPECT_EQ(pointer_of({.resolutions = {96, 96}}), "/resolutions");
  EXPECT_EQ(pointer_of({.widths = {1, 1}}), "/widths");
  EXPECT_EQ(pointer_of({.expansions = {0.25, 0.25}}), "/expansions");
  EXPECT_EQ(pointer_of({.stages = {{.depths = {2, 1}}}}), "/stages/0/depths");
}

}  // namespace
}  // namespace espalier
