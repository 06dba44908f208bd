#include "graph/blocks/convnext.hpp"

#include <gtest/gtest.h>

#include "graph/cost.hpp"
#include "tests/graph/blocks/blocks.hpp"
#include "tests/graph/blocks/operators.hpp"

namespace espalier {
namespace {

Graph block(const ConvnextBlockOptions& options) {
  GraphBuilder b;
  b.output(convnext_block(b, b.input(8, 6, 6), options, "block"));
  return b.build();
}

TEST(ConvnextBlocks, TheBlockIsAsInTheFigure) {
  const Graph graph = block({});
  EXPECT_EQ(operators(graph), "input conv2d layer_norm conv2d activation conv2d scale add output ");
  EXPECT_EQ(cost(graph).params, 49 * 8 + 8 + 16 + 8 * 32 + 32 + 32 * 8 + 8 + 8);
  EXPECT_EQ(cost(graph).macs, 36 * (49 * 8 + 2 * 8 * 32));
}

TEST(ConvnextBlocks, WidthKernelAndScaleAreOptions) {
  const Graph graph = block({.kernel = 3, .expanded_channels = 16, .layer_scale = std::nullopt});
  EXPECT_EQ(operators(graph), "input conv2d layer_norm conv2d activation conv2d add output ");
  EXPECT_EQ(cost(graph).params, 9 * 8 + 8 + 16 + 8 * 16 + 16 + 16 * 8 + 8);
}

TEST(ConvnextBlocks, WidthsAndKernelMayBeOpen) {
  expect_searchable({8, 6, 6}, [](GraphBuilder& b, NodeId x, Dim width, Dim kernel) {
    return convnext_block(b, b.conv(x, width), {.kernel = kernel}, "block");
  });
}

}  // namespace
}  // namespace espalier
