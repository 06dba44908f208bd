#include "graph/blocks/vision_transformer.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "graph/cost.hpp"
#include "tests/graph/blocks/blocks.hpp"
#include "tests/graph/blocks/operators.hpp"

namespace espalier {
namespace {

TEST(TransformerBlocks, PatchesBecomeTokens) {
  GraphBuilder b;
  b.output(patch_embedding(b, b.input(3, 19, 8), 6, 4));
  const Graph graph = b.build();
  EXPECT_EQ(operators(graph), "input conv2d tokens class_token position_embedding output ");
  EXPECT_EQ(graph.node(graph.output()).shape, Shape({4 * 2 + 1, 6}));
  EXPECT_EQ(cost(graph).params, 3 * 16 * 6 + 6 + 6 + 9 * 6);
}

/// A block on 5 tokens of 6 channels.
template <class Block, class Options>
Graph built(Block block, const Options& options) {
  GraphBuilder b;
  b.output(block(b, b.tokens(b.input(6, 5, 1)), options, "block"));
  return b.build();
}

TEST(TransformerBlocks, AttentionMayBeNarrowerThanItsInput) {
  const Graph graph = built(self_attention, SelfAttentionOptions{.heads = 2, .head_width = 2});
  EXPECT_EQ(operators(graph), "input tokens linear linear linear attention linear output ");
  EXPECT_EQ(graph.node(graph.output()).shape, Shape({5, 6}));
  EXPECT_EQ(cost(graph).params, 3 * (6 * 4 + 4) + 4 * 6 + 6);
}

TEST(TransformerBlocks, TheBlockNormalizesBeforeBothParts) {
  VitBlockOptions options{.attention = {.heads = 3, .head_width = 2}, .mlp_width = 24};
  const Graph graph = built(vit_block, options);
  EXPECT_EQ(operators(graph),
            "input tokens layer_norm linear linear linear attention linear add "
            "layer_norm linear activation linear add output ");
  EXPECT_EQ(cost(graph).params, 2 * 12 + 4 * (6 * 6 + 6) + 6 * 24 + 24 + 24 * 6 + 6);
  options.dropout = 0.1;
  EXPECT_EQ(operators(built(vit_block, options)),
            "input tokens layer_norm linear linear linear attention linear dropout add "
            "layer_norm linear activation dropout linear dropout add output ");
}

TEST(TransformerBlocks, WidthsAndHeadsMayBeOpen) {
  expect_searchable({3, 8, 8}, [](GraphBuilder& b, NodeId x, Dim width, Dim heads) {
    x = patch_embedding(b, x, width, 4);
    return vit_block(b, x, {.attention = {.heads = heads, .head_width = 4}, .mlp_width = width * 2},
                     "block");
  });
}

}  // namespace
}  // namespace espalier
