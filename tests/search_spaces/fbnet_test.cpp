#include "search_spaces/fbnet.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/search_spaces/labels.hpp"

namespace espalier {
namespace {

/// Of convolutions and the classifier, without batch norms and biases, which is what the reference
/// code publishes.
std::int64_t weights(const Graph& graph) {
  std::int64_t sum = 0;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const auto name = op_name(graph.node(id).op);
    if (name == "conv2d") sum += node_params(graph, id);
    if (name == "linear") sum += node_params(graph, id) - graph.node(id).shape[0].value();
  }
  return sum;
}

TEST(Fbnet, PublishedNetworksHaveThePublishedCosts) {
  const std::string a =
      "skip "
      "k3_e3 k3_e1 skip skip "
      "k5_e6 k3_e3 k5_e1 k3_e3 "
      "k5_e6 k5_e3 k5_e1_g2 k5_e6 "
      "k3_e6 k5_e1_g2 k5_e3 k3_e1_g2 "
      "k5_e6 k5_e6 k5_e3 k5_e6 k5_e6";
  const std::string b =
      "k3_e1 "
      "k3_e6 k5_e1 k3_e1 k3_e1 "
      "k5_e6 k5_e3 k3_e6 k5_e6 "
      "k5_e6 k5_e1 skip k5_e3 "
      "k5_e6 k3_e1 k5_e1 k5_e3 "
      "k5_e6 k5_e1 k5_e6 k5_e6 k3_e6";
  const std::string c =
      "k3_e1 "
      "k3_e6 skip k3_e1 k3_e1 "
      "k5_e6 k5_e3 k5_e6 k3_e6 "
      "k5_e6 k5_e3 k5_e6 k5_e6 "
      "k5_e6 k5_e6 k5_e6 k5_e3 "
      "k5_e6 k5_e6 k5_e6 k5_e6 k3_e6";
  // The released B and C have 5x5 depthwise convolutions made of two 3x3 ones: 7 weights less for
  // each of its channels, 6 x 32 at 28x28 and 6 x 112 at 14x14.
  constexpr std::int64_t at28 = 7 * 6 * 32, at14 = 7 * 6 * 112;
  const auto with_head = [](int channels) { return make_fbnet({.last_channels = channels}); };
  const auto small = with_head(1504), large = with_head(1984);
  const Graph graph_a = small->build(labelled(*small, a));
  EXPECT_EQ(weights(graph_a), 4286480);
  EXPECT_EQ(cost(graph_a).macs, 249921848);
  const Graph graph_b = large->build(labelled(*large, b));
  EXPECT_EQ(weights(graph_b) - at28, 4777296);
  EXPECT_EQ(cost(graph_b).macs - at28 * 28 * 28, 295561032);
  const Graph graph_c = large->build(labelled(*large, c));
  EXPECT_EQ(weights(graph_c) - at28 - at14, 5520784);
  EXPECT_EQ(cost(graph_c).macs - at28 * 28 * 28 - at14 * 14 * 14, 382984480);
}

TEST(Fbnet, NineCandidatesInTwentyTwoBlocks) {
  const auto space = make_fbnet();
  EXPECT_EQ(space->decisions().size(), 22u);
  const SpaceSize size = space_size(*space);
  EXPECT_EQ(size.decimal, "984770902183611232881");  // 9^22
  EXPECT_FALSE(size.estimate);
}

TEST(Fbnet, ASkipIsAConvolutionOnlyWhereTheShapeChanges) {
  const auto space = make_fbnet({.input = {1, 8, 8}, .stages = {{.blocks = 2}}});
  const Graph graph = space->build(labelled(*space, "skip skip"));
  std::string convolutions;
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (op_name(graph.node(id).op) == "conv2d") convolutions += graph.name(id) + " ";
  }
  EXPECT_EQ(convolutions, "stem.conv stage1.block1.skip.conv head.conv ");
}

TEST(Fbnet, WidthsDivideIntoTheGroups) {
  for (double width : {0.05, 0.35, 1.37}) {
    EXPECT_NO_THROW(make_fbnet({.width = width})) << width;
  }
}

TEST(Fbnet, ErrorsNameThePlace) {
  const auto pointer_of = [](const FbnetOptions& options) {
    try {
      make_fbnet(options);
    } catch (const ConfigError& e) {
      return e.pointer();
    }
    return std::string("no error");
  };
  EXPECT_EQ(pointer_of({.input = {3, 32}}), "/input");
  EXPECT_EQ(pointer_of({.width = 0}), "/width");
  EXPECT_EQ(pointer_of({.stages = {{.blocks = 0}}}), "/stages/0/blocks");
}

}  // namespace
}  // namespace espalier
