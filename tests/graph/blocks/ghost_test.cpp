#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "graph/blocks.hpp"
#include "tests/graph/blocks/blocks.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;

TEST(Blocks, GhostModule) {
  GraphBuilder b;
  const auto y = ghost_module(b, b.input(16, 8, 8), 24, {}, "block");
  EXPECT_EQ(b.shape(y), Shape({24, 8, 8}));
  EXPECT_THAT(node_names(b.graph(), "block"),
              ElementsAre("primary.conv", "primary.bn", "primary.act", "cheap.conv", "cheap.bn",
                          "cheap.act", "concat"));
  EXPECT_EQ(params(b.graph()), 16 * 12 + 24 + 12 * 9 + 24);
  EXPECT_EQ(b.graph().inputs(block_node(b.graph(), "cheap.conv"))[0],
            block_node(b.graph(), "primary.act"));
  GraphBuilder c;
  ghost_module(c, c.input(16, 8, 8), 24, {.activation = std::nullopt}, "block");
  EXPECT_EQ(node_names(c.graph(), "block").size(), 5u);
  expect_searchable({16, 8, 8}, [](GraphBuilder& g, NodeId x, Dim width, Dim kernel) {
    return ghost_module(g, x, width, {.cheap_kernel = kernel}, "block");
  });
}

TEST(Blocks, GhostModulesHaveEvenWidths) {
  GraphBuilder b;
  const auto x = b.input(16, 8, 8);
  EXPECT_THAT([&] { ghost_module(b, x, 25, {}, "block"); },
              testing::ThrowsMessage<ShapeError>(testing::HasSubstr("makes 25 channels")));
  const Dim open = Dim::select(0, std::array{Dim(24), Dim(27)});
  EXPECT_THROW(ghost_module(b, x, open, {}, "block"), ShapeError);
}

TEST(Blocks, GhostBottleneck) {
  GraphBuilder b;
  const auto x = b.input(16, 8, 8);
  const auto y = ghost_bottleneck(b, x, 16, {.expanded_channels = 48}, "block");
  EXPECT_EQ(b.shape(y), Shape({16, 8, 8}));
  EXPECT_EQ(b.graph().inputs(y)[1], x);
  EXPECT_EQ(node_names(b.graph(), "block").size(), 13u);  // two modules and the sum
  EXPECT_EQ(params(b.graph()), 16 * 24 + 48 + 24 * 9 + 48 + 48 * 8 + 16 + 8 * 9 + 16);

  GraphBuilder c;
  const auto z = ghost_bottleneck(c, c.input(16, 8, 8), 24,
                                  {.expanded_channels = 72,
                                   .kernel = 5,
                                   .stride = 2,
                                   .squeeze_excitation = SqueezeExcitationOptions{}},
                                  "block");
  EXPECT_EQ(c.shape(z), Shape({24, 4, 4}));
  EXPECT_EQ(c.shape(block_node(c.graph(), "se.reduce")), Shape({20, 1, 1}));  // divisible by 4
  EXPECT_EQ(c.graph().inputs(block_node(c.graph(), "se.pool"))[0],
            block_node(c.graph(), "depthwise.bn"));
  EXPECT_EQ(params(c.graph()), 16 * 36 + 72 + 36 * 9 + 72 + (72 * 25 + 144) +
                                   (72 * 20 + 20 + 20 * 72 + 72) + 72 * 12 + 24 + 12 * 9 + 24 +
                                   (16 * 25 + 32 + 16 * 24 + 48));
  GraphBuilder d;  // another width needs the projection too
  ghost_bottleneck(d, d.input(16, 8, 8), 24, {.expanded_channels = 48}, "block");
  EXPECT_EQ(d.shape(block_node(d.graph(), "shortcut_depthwise.conv")), Shape({16, 8, 8}));
  expect_searchable({16, 8, 8}, [](GraphBuilder& g, NodeId in, Dim width, Dim kernel) {
    return ghost_bottleneck(
        g, in, width, {.expanded_channels = width * 3, .kernel = kernel, .stride = 2}, "block");
  });
}

}  // namespace
}  // namespace espalier
