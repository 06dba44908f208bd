#include "graph/blocks/deformable.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "graph/cost.hpp"
#include "tests/graph/blocks/blocks.hpp"
#include "tests/graph/blocks/operators.hpp"

namespace espalier {
namespace {

Graph block(const DeformConvOptions& options) {
  GraphBuilder b;
  b.output(deform_conv(b, b.input(8, 9, 9), 4, options, "block"));
  return b.build();
}

TEST(DeformableBlocks, OffsetsAndFactorsComeFromOneConvolution) {
  const Graph plain = block({});
  EXPECT_EQ(operators(plain), "input conv2d deform_conv2d output ");
  EXPECT_EQ(cost(plain).params, 9 * 8 * 18 + 18 + 9 * 8 * 4);
  const Graph modulated = block({.modulated = true});
  EXPECT_EQ(operators(modulated), "input conv2d slice slice activation deform_conv2d output ");
  EXPECT_EQ(cost(modulated).params, 9 * 8 * 27 + 27 + 9 * 8 * 4);
  EXPECT_EQ(modulated.node(2).shape, Shape({18, 9, 9}));
  EXPECT_EQ(modulated.node(3).shape, Shape({9, 9, 9}));
}

TEST(DeformableBlocks, TheOffsetConvolutionFollowsTheWindow) {
  const Graph graph = block({.conv = {.kernel = {3, 1}, .stride = 2, .dilation = 2, .padding = 1},
                             .offset_groups = 4,
                             .modulated = true});
  EXPECT_EQ(graph.node(graph.output()).shape, Shape({4, 4, 6}));
  EXPECT_EQ(cost(graph).params, 3 * 8 * (3 * 3 * 4) + 36 + 3 * 8 * 4);
  EXPECT_THROW(block({.offset_groups = 3}), ShapeError);
}

TEST(DeformableBlocks, TheWidthMayBeOpen) {
  expect_searchable({8, 6, 6}, [](GraphBuilder& b, NodeId x, Dim width, Dim kernel) {
    x = b.conv(x, width, {.kernel = kernel});
    return deform_conv(b, x, width, {.modulated = true}, "block");
  });
}

}  // namespace
}  // namespace espalier
