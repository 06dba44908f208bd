#include "search_spaces/proxylessnas.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/search_spaces/labels.hpp"

namespace espalier {
namespace {

ProxylessnasOptions with_widths(int stem, int first, const std::vector<int>& widths, int last) {
  ProxylessnasOptions options{
      .stem_channels = stem, .first_channels = first, .last_channels = last};
  for (std::size_t i = 0; i < widths.size(); ++i) options.stages[i].channels = widths[i];
  return options;
}

TEST(Proxylessnas, PublishedNetworksHaveThePublishedParams) {
  const std::string mobile =
      "k5_e3 k3_e3 skip skip k7_e3 k3_e3 k5_e3 k5_e3 k7_e6 k5_e3 k5_e3 k5_e3 "
      "k5_e6 k5_e3 k5_e3 k5_e3 k7_e6 k7_e6 k7_e3 k7_e3 k7_e6";
  const std::string gpu =
      "k5_e3 skip skip skip k7_e3 skip skip k3_e3 k7_e6 skip skip k5_e3 "
      "k5_e6 skip k3_e3 k5_e3 k7_e6 k7_e6 k7_e6 k5_e6 k7_e6";
  const std::string cpu =
      "k3_e6 k3_e3 k3_e3 k3_e3 k3_e6 k3_e3 k3_e3 k5_e3 k3_e6 skip skip k3_e3 "
      "k5_e6 k3_e3 k3_e3 k3_e3 k5_e6 k5_e3 k5_e3 k3_e3 k5_e6";
  const auto space = make_proxylessnas();
  const Cost cost_of_mobile = cost(space->build(labelled(*space, mobile)));
  EXPECT_EQ(cost_of_mobile.params, 4080512);
  EXPECT_EQ(cost_of_mobile.macs / 1000000, 320);  // 320M as Once-for-All quotes it
  const auto params = [&](const ProxylessnasOptions& options, const std::string& labels) {
    const auto other = make_proxylessnas(options);
    return cost(other->build(labelled(*other, labels))).params;
  };
  EXPECT_EQ(params(with_widths(40, 24, {32, 56, 112, 128, 256, 432}, 1728), gpu), 7119848);
  EXPECT_EQ(params(with_widths(40, 24, {32, 48, 88, 104, 216, 360}, 1432), cpu), 4361648);
  EXPECT_EQ(params(with_widths(48, 24, {40, 56, 112, 136, 256, 448}, 1792), mobile), 6857568);
}

TEST(Proxylessnas, OnlyBlocksThatKeepTheShapeMayBeSkipped) {
  const auto space = make_proxylessnas();
  ASSERT_EQ(space->decisions().size(), 21u);
  int skippable = 0;
  for (const Decision& d : space->decisions()) {
    const bool skips = d.options.back() == "skip";
    skippable += skips;
    EXPECT_EQ(skips, !d.name.ends_with("block1")) << d.name;
    EXPECT_EQ(d.options.size(), skips ? 7u : 6u);
  }
  EXPECT_EQ(skippable, 15);
  EXPECT_EQ(space_size(*space).decimal, "221502229807900608");  // 6^6 * 7^15
}

TEST(Proxylessnas, TheWidthMultiplierWidensTheHeadOnlyAboveOne) {
  const auto head = [](double width) {
    const auto space = make_proxylessnas({.width = width});
    const Graph graph = space->build({std::vector<std::uint32_t>(21, 0)});
    for (NodeId id = 0; id < graph.size(); ++id) {
      if (graph.name(id) == "head.conv") return graph.node(id).shape[0].value();
    }
    return std::int64_t{0};
  };
  EXPECT_EQ(head(0.5), 1280);
  EXPECT_EQ(head(1.4), 1792);
}

TEST(Proxylessnas, OneCandidateIsNoDecision) {
  const auto space = make_proxylessnas(
      {.input = {1, 8, 8}, .kernels = {3}, .expansions = {3}, .stages = {{.channels = 8}}});
  ASSERT_EQ(space->decisions().size(), 3u);
  EXPECT_EQ(space->decisions()[0].name, "stage1.block2");
}

TEST(Proxylessnas, ErrorsNameThePlace) {
  const auto pointer_of = [](const ProxylessnasOptions& options) {
    try {
      make_proxylessnas(options);
    } catch (const ConfigError& e) {
      return e.pointer();
    }
    return std::string("no error");
  };
  EXPECT_EQ(pointer_of({.input = {3, 32}}), "/input");
  EXPECT_EQ(pointer_of({.kernels = {3, 4}}), "/kernels");
  EXPECT_EQ(pointer_of({.expansions = {6, 6}}), "/expansions");
  EXPECT_EQ(pointer_of({.stages = {{.blocks = 0}}}), "/stages/0/blocks");
}

}  // namespace
}  // namespace espalier
