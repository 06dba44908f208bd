#include "search_spaces/relu_blocks.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "graph/cost.hpp"

namespace espalier {
namespace {

TEST(ReluBlocks, TheReductionHalvesTheMapAndHasAPooledShortcut) {
  GraphBuilder b;
  b.output(residual_reduction(b, b.input(8, 6, 4), 16, "reduction"));
  const Graph g = b.build();
  EXPECT_EQ(g.node(static_cast<NodeId>(g.size() - 1)).shape.to_string(), "{16, 3, 2}");
  // two 3x3 convolutions with batch norm and a 1x1 one without, on pooled maps
  EXPECT_EQ(cost(g).params, 9 * 8 * 16 + 32 + 9 * 16 * 16 + 32 + 8 * 16);
  EXPECT_EQ(cost(g).macs, (9 * 8 * 16 + 9 * 16 * 16 + 8 * 16) * 6);
}

TEST(ReluBlocks, OddMapsHaveNoReduction) {
  GraphBuilder b;
  const NodeId x = b.input(8, 5, 4);
  EXPECT_THROW(residual_reduction(b, x, 16, "reduction"), ShapeError);
}

TEST(ReluBlocks, TheActivationComesFirst) {
  GraphBuilder b;
  b.output(relu_conv_bn(b, b.input(2, 4, 4), 4, 1, 2, "conv"));
  const Graph g = b.build();
  ASSERT_EQ(g.size(), 5u);
  EXPECT_TRUE(std::holds_alternative<op::Activation>(g.node(1).op));
  EXPECT_TRUE(std::holds_alternative<op::Conv2d>(g.node(2).op));
  EXPECT_TRUE(std::holds_alternative<op::BatchNorm2d>(g.node(3).op));
}

}  // namespace
}  // namespace espalier
