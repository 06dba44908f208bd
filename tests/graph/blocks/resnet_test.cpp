#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "graph/blocks.hpp"
#include "tests/graph/blocks/blocks.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;

TEST(Blocks, BasicBlock) {
  GraphBuilder b;
  const auto x = b.input(16, 8, 8);
  const auto y = basic_block(b, x, 16, {}, "plain");
  const std::int64_t conv = 16 * 16 * 9, bn = 32;
  EXPECT_EQ(b.shape(y), Shape({16, 8, 8}));
  EXPECT_EQ(params(b.graph()), 2 * (conv + bn));
  EXPECT_EQ(b.graph().scope(b.graph().node(y).scope).kind, "basic_block");

  const auto z = basic_block(b, y, 32, {.kernel = 5, .stride = 2, .mid_channels = 24}, "down");
  EXPECT_EQ(b.shape(z), Shape({32, 4, 4}));
  EXPECT_EQ(params(b.graph()),
            2 * (conv + bn) + 16 * 24 * 25 + 48 + 24 * 32 * 25 + 64 + 16 * 32 + 64);
  const ScopeId scope = b.graph().node(z).scope;
  EXPECT_EQ(b.graph().scope_attribute(scope, "stride"), 2);
  EXPECT_EQ(b.graph().scope_attribute(scope, "kernel"), 5);
}

TEST(Blocks, ShortcutsAreProjectedByStrideToo) {
  GraphBuilder b;  // 1x1 stays 1x1 with stride 2
  basic_block(b, b.input(8, 1, 1), 8, {.stride = 2}, "block");
  EXPECT_EQ(b.shape(block_node(b.graph(), "shortcut.conv")), Shape({8, 1, 1}));
}

TEST(Blocks, Bottleneck) {
  GraphBuilder b;
  const auto y = bottleneck(b, b.input(64, 8, 8), 256, {.stride = 2}, "block");
  EXPECT_EQ(b.shape(y), Shape({256, 4, 4}));
  EXPECT_THAT(node_names(b.graph(), "block"),
              ElementsAre("conv1", "bn1", "act1", "conv2", "bn2", "act2", "conv3", "bn3",
                          "shortcut.conv", "shortcut.bn", "add", "act"));
  EXPECT_EQ(params(b.graph()),
            64 * 64 + 64 * 64 * 9 + 2 * 64 * 2 + 64 * 256 + 2 * 256 + 64 * 256 + 2 * 256);
  EXPECT_EQ(b.shape(block_node(b.graph(), "conv1")), Shape({64, 8, 8}));  // v1.5
  EXPECT_EQ(b.graph().scope_attribute(b.graph().node(y).scope, "mid_channels"), 64);

  GraphBuilder c;  // ResNeXt's second block, whose shortcut is the input
  const auto z =
      bottleneck(c, c.input(256, 8, 8), 256, {.mid_channels = 128, .group_width = 4}, "block");
  EXPECT_EQ(node_names(c.graph(), "block").size(), 10u);
  EXPECT_EQ(params(c.graph()), 2 * 256 * 128 + 128 * 4 * 9 + 2 * (128 + 128 + 256));
  EXPECT_EQ(c.graph().scope_attribute(c.graph().node(z).scope, "group_width"), 4);

  GraphBuilder d;  // RegNet Y's: the squeeze is a quarter of the block's input channels
  bottleneck(d, d.input(48, 8, 8), 104,
             {.mid_channels = 104,
              .stride = 2,
              .group_width = 8,
              .squeeze_excitation = SqueezeExcitationOptions{.gate = ActivationKind::sigmoid}},
             "block");
  EXPECT_EQ(d.shape(block_node(d.graph(), "se.reduce")), Shape({12, 1, 1}));
  EXPECT_EQ(d.graph().inputs(block_node(d.graph(), "se.pool"))[0], block_node(d.graph(), "act2"));
  GraphBuilder e;
  bottleneck(e, e.input(16, 8, 8), 16, {.mid_channels = 32, .group_width = 1}, "block");
  EXPECT_EQ(params(e.graph()), 2 * 16 * 32 + 32 * 9 + 2 * (32 + 32 + 16));

  GraphBuilder odd;
  const auto x = odd.input(48, 8, 8);
  EXPECT_THROW(bottleneck(odd, x, 48, {.group_width = 5}, "block"), ShapeError);
  expect_searchable({16, 8, 8}, [](GraphBuilder& g, NodeId in, Dim width, Dim kernel) {
    return bottleneck(g, in, 64,
                      {.mid_channels = width, .kernel = kernel, .stride = 2, .group_width = 8},
                      "block");
  });
  expect_searchable({16, 8, 8}, [](GraphBuilder& g, NodeId in, Dim width, Dim kernel) {
    return bottleneck(
        g, in, width,
        {.kernel = kernel, .stride = 2, .squeeze_excitation = SqueezeExcitationOptions{}}, "block");
  });
}

}  // namespace
}  // namespace espalier
