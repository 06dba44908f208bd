#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/blocks.hpp"
#include "tests/graph/blocks/blocks.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;

TEST(Blocks, DenseLayer) {
  GraphBuilder b;
  const auto x = b.input(24, 8, 8);
  const auto y = dense_layer(b, x, {.growth = 12}, "block");
  EXPECT_EQ(b.shape(y), Shape({36, 8, 8}));
  EXPECT_THAT(node_names(b.graph(), "block"),
              ElementsAre("norm1", "relu1", "conv1", "norm2", "relu2", "conv2", "concat"));
  EXPECT_EQ(b.graph().inputs(y)[0], x);  // the input comes first
  EXPECT_EQ(params(b.graph()), 48 + 24 * 48 + 96 + 48 * 12 * 9);
  expect_searchable({16, 8, 8}, [](GraphBuilder& g, NodeId in, Dim width, Dim kernel) {
    return dense_layer(g, in, {.growth = width, .bottleneck = 2, .kernel = kernel}, "block");
  });
}

TEST(Blocks, DenseBlock) {
  GraphBuilder b;
  const auto y = dense_block(b, b.input(24, 8, 8), 3, {.growth = 12}, "block");
  EXPECT_EQ(b.shape(y), Shape({60, 8, 8}));
  // Each layer reads all before it.
  EXPECT_EQ(b.shape(block_node(b.graph(), "denselayer3.norm1")), Shape({48, 8, 8}));
  const ScopeId scope = b.graph().scope(b.graph().node(y).scope).parent;
  EXPECT_EQ(b.graph().scope(scope).kind, "dense_block");
  EXPECT_EQ(b.graph().scope_attribute(scope, "out_channels"), 60);
}

TEST(Blocks, Transition) {
  GraphBuilder b;
  const auto y = transition(b, b.input(24, 9, 8), 12, "block");
  EXPECT_EQ(b.shape(y), Shape({12, 4, 4}));
  EXPECT_THAT(node_names(b.graph(), "block"), ElementsAre("norm", "relu", "conv", "pool"));
  EXPECT_EQ(params(b.graph()), 48 + 24 * 12);
  EXPECT_EQ(b.graph().node(y).op,
            Op(op::Pool2d{.kind = PoolKind::average, .kernel = 2, .stride = 2}));
}

}  // namespace
}  // namespace espalier
