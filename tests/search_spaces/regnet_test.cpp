#include "search_spaces/regnet.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "graph/fingerprint.hpp"
#include "graph/nets.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

RegnetOptions published(std::int64_t depth, std::int64_t initial_width, double slope,
                        double multiplier, std::int64_t group_width, double se_ratio) {
  return {.depths = {depth},
          .initial_widths = {initial_width},
          .slopes = {slope},
          .multipliers = {multiplier},
          .group_widths = {group_width},
          .bottleneck_ratios = {1},
          .se_ratios = {se_ratio}};
}

TEST(Regnet, PublishedNetworksHaveTheirCounts) {
  const auto cost_of = [](const RegnetOptions& options) {
    const auto space = make_regnet(options);
    EXPECT_TRUE(space->decisions().empty());
    const Graph graph = space->build({});
    verify(graph);
    return cost(graph);
  };
  // RegNetX and RegNetY, as torchvision counts them; SE's width follows the block's input.
  const Cost x_400mf = cost_of(published(22, 24, 24.48, 2.54, 16, 0));
  EXPECT_EQ(x_400mf.params, 5495976);
  EXPECT_EQ(x_400mf.macs, 413812608);
  const Cost y_400mf = cost_of(published(16, 48, 27.89, 2.09, 8, 0.25));
  EXPECT_EQ(y_400mf.params, 4344144);
  EXPECT_EQ(y_400mf.macs, 401842848);
  EXPECT_EQ(cost_of(published(16, 56, 35.73, 2.28, 16, 0)).params, 7259656);      // x_800mf
  EXPECT_EQ(cost_of(published(14, 56, 38.84, 2.4, 16, 0.25)).params, 6432512);    // y_800mf
  EXPECT_EQ(cost_of(published(18, 80, 34.01, 2.25, 24, 0)).params, 9190136);      // x_1_6gf
  EXPECT_EQ(cost_of(published(27, 48, 20.71, 2.65, 24, 0.25)).params, 11202430);  // y_1_6gf
  EXPECT_EQ(cost_of(published(25, 88, 26.31, 2.25, 48, 0)).params, 15296552);     // x_3_2gf
  EXPECT_EQ(cost_of(published(21, 80, 42.63, 2.66, 24, 0.25)).params, 19436338);  // y_3_2gf
}

TEST(Regnet, PublishedNetworksAreTheReferenceNetworks) {
  const auto x = make_regnet(published(22, 24, 24.48, 2.54, 16, 0))->build({});
  EXPECT_EQ(fingerprint(x).to_string(), fingerprint(build_net("regnet_x_400mf")).to_string());
  const auto y = make_regnet(published(16, 48, 27.89, 2.09, 8, 0.25))->build({});
  EXPECT_EQ(fingerprint(y).to_string(), fingerprint(build_net("regnet_y_400mf")).to_string());
}

TEST(Regnet, TheDefaultGridsContainThe400MfNetworks) {
  const auto space = make_regnet();
  const auto params = [&](const char* text) {
    return cost(space->build(parse_architecture(*space, text))).params;
  };
  EXPECT_EQ(params("depth=22,initial_width=24,slope=24.48,multiplier=2.54,group_width=16,"
                   "bottleneck_ratio=1,se_ratio=0"),
            5495976);
  EXPECT_EQ(params("depth=16,initial_width=48,slope=27.89,multiplier=2.09,group_width=8,"
                   "bottleneck_ratio=1,se_ratio=0.25"),
            4344144);
}

TEST(Regnet, ValidMeansFourStages) {
  const auto space = make_regnet({.input = {3, 64, 64}});
  Rng rng(7);
  int valid = 0;
  for (int i = 0; i < 300; ++i) {
    Architecture a;
    for (std::uint32_t n : space->choice_counts()) {
      a.choices.push_back(static_cast<std::uint32_t>(rng.below(n)));
    }
    if (!space->valid(a)) {
      ASSERT_THROW(space->build(a), InvalidArchitecture);
      continue;
    }
    ++valid;
    const Graph graph = space->build(a);
    if (valid % 10 == 0) verify(graph);
    std::string last_map;
    for (const Node& n : graph.nodes()) {
      if (std::holds_alternative<op::Add>(n.op)) last_map = n.shape.to_string();
    }
    EXPECT_TRUE(last_map.ends_with(", 2, 2}")) << last_map;  // the stem and four stages halve
  }
  EXPECT_GT(valid, 50);
  EXPECT_LT(valid, 300);
}

TEST(Regnet, OptionsAreChecked) {
  const auto pointer_of = [](const RegnetOptions& options) {
    try {
      make_regnet(options);
    } catch (const ConfigError& e) {
      return e.pointer();
    }
    return std::string("no error");
  };
  EXPECT_EQ(pointer_of({.depths = {}}), "/depths");
  EXPECT_EQ(pointer_of({.depths = {12, 12}}), "/depths");
  EXPECT_EQ(pointer_of({.initial_widths = {8, 8}}), "/initial_widths");
  EXPECT_EQ(pointer_of({.slopes = {8, 8}}), "/slopes");
  EXPECT_EQ(pointer_of({.multipliers = {2, 2}}), "/multipliers");
  EXPECT_EQ(pointer_of({.multipliers = {1}}), "/multipliers/0");
  EXPECT_EQ(pointer_of({.group_widths = {8, 8}}), "/group_widths");
  EXPECT_EQ(pointer_of({.bottleneck_ratios = {1, 1}}), "/bottleneck_ratios");
  EXPECT_EQ(pointer_of({.se_ratios = {0, 0}}), "/se_ratios");
}

}  // namespace
}  // namespace espalier
