#include "graph/blocks/fbnet.hpp"

#include <gtest/gtest.h>

#include <string>

#include "graph/cost.hpp"
#include "tests/graph/blocks/blocks.hpp"
#include "tests/graph/blocks/operators.hpp"

namespace espalier {
namespace {

Graph block(const FbnetBlockOptions& options, std::int64_t out_channels) {
  GraphBuilder b;
  b.output(fbnet_block(b, b.input(16, 8, 8), out_channels, options, "block"));
  return b.build();
}

TEST(FbnetBlocks, GroupsShuffleAndTheFirstConvolutionStays) {
  const Graph plain = block({.kernel = 5}, 16);
  EXPECT_EQ(operators(plain),
            "input conv2d batch_norm2d activation conv2d batch_norm2d activation conv2d "
            "batch_norm2d add output ");
  EXPECT_EQ(cost(plain).params, 16 * 16 + 32 + 25 * 16 + 32 + 16 * 16 + 32);
  const Graph grouped = block({.kernel = 5, .groups = 2}, 16);
  EXPECT_EQ(operators(grouped),
            "input conv2d batch_norm2d activation channel_shuffle conv2d batch_norm2d activation "
            "conv2d batch_norm2d add output ");
  EXPECT_EQ(cost(grouped).params, 8 * 16 + 32 + 25 * 16 + 32 + 8 * 16 + 32);
}

TEST(FbnetBlocks, TheShortcutNeedsTheSameShape) {
  EXPECT_EQ(operators(block({.expansion = 3}, 24)).find("add"), std::string::npos);
  EXPECT_EQ(operators(block({.expansion = 3, .stride = 2}, 16)).find("add"), std::string::npos);
  EXPECT_NE(operators(block({.expansion = 3}, 16)).find("add"), std::string::npos);
}

TEST(FbnetBlocks, WidthAndKernelMayBeOpen) {
  expect_searchable({16, 8, 8}, [](GraphBuilder& b, NodeId x, Dim width, Dim kernel) {
    x = fbnet_block(b, x, 16, {.kernel = kernel, .stride = 2, .groups = 2}, "block1");
    return fbnet_block(b, x, width, {.expansion = 3, .kernel = kernel, .stride = 2}, "block2");
  });
}

}  // namespace
}  // namespace espalier
