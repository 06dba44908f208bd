#include "graph/builder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(GraphBuilder, ScopesNestAndCloseWithTheirGuards) {
  GraphBuilder b;
  const auto x = b.input(3, 8, 8);
  NodeId inner = 0, outer = 0;
  {
    const auto stage = b.scope("stage", "group", {{"depth", 2}});
    {
      const auto block = b.scope("block", "mbconv");
      inner = b.conv(x, 4);
    }
    {
      const auto block = b.scope("block", "mbconv");
      EXPECT_EQ(b.graph().name(b.conv(x, 4)), "stage.block_2.conv");
    }
    outer = b.conv(x, 4, {}, "tail");
  }
  const auto root = b.conv(x, 4);
  const Graph& g = b.graph();
  EXPECT_EQ(g.name(inner), "stage.block.conv");
  EXPECT_EQ(g.name(outer), "stage.tail");
  EXPECT_EQ(g.name(root), "conv");
  EXPECT_EQ(g.node(root).scope, no_scope);
  const Scope& block = g.scope(g.node(inner).scope);
  EXPECT_EQ(block.name, "stage.block");
  EXPECT_EQ(block.kind, "mbconv");
  EXPECT_EQ(g.scope(block.parent).name, "stage");
  EXPECT_EQ(g.scope(block.parent).kind, "group");
  EXPECT_EQ(g.scope_attribute(block.parent, "depth"), 2);
}

TEST(GraphBuilder, PaddingIsSameForOddKernelsUnlessGiven) {
  GraphBuilder b;
  const auto x = b.input(3, 11, 9);
  EXPECT_EQ(b.shape(b.conv(x, 4, {.kernel = {5, 3}})), Shape({4, 11, 9}));
  EXPECT_EQ(b.shape(b.conv(x, 4, {.kernel = 3, .dilation = 2})), Shape({4, 11, 9}));
  EXPECT_EQ(b.shape(b.conv(x, 4, {.kernel = 3, .padding = Extent(0)})), Shape({4, 9, 7}));
  EXPECT_EQ(b.shape(b.conv(x, 4, {.kernel = 3, .stride = 2})), Shape({4, 6, 5}));
  EXPECT_EQ(b.shape(b.depthwise(x, {.kernel = 7})), Shape({3, 11, 9}));
  EXPECT_EQ(b.shape(b.max_pool(x, {.kernel = 3, .stride = 2})), Shape({3, 6, 5}));
  EXPECT_EQ(b.shape(b.max_pool(x, {})), Shape({3, 5, 4}));
  EXPECT_EQ(b.shape(b.avg_pool(x, {.kernel = 4, .stride = 1})), Shape({3, 10, 8}));
  EXPECT_EQ(b.shape(b.avg_pool(x, {.kernel = 2, .stride = 2, .padding = Extent(1)})),
            Shape({3, 6, 5}));
  const Dim kernel = Dim::select(0, std::array{Dim(3), Dim(5), Dim(7)});
  EXPECT_EQ(b.shape(b.conv(x, 4, {.kernel = kernel})), Shape({4, 11, 9}));
}

TEST(GraphBuilder, EveryMethodAppendsItsOperator) {
  GraphBuilder b;
  const auto x = b.input(4, 6, 6);
  const auto op = [&](NodeId id) { return b.graph().node(id).op; };
  EXPECT_EQ(op(x), Op(op::Input{4, 6, 6}));
  EXPECT_EQ(op(b.conv(x, 8, {.stride = 2, .group_width = 2, .bias = true})),
            Op(op::Conv2d{.out_channels = 8, .stride = 2, .group_width = 2, .bias = true}));
  EXPECT_EQ(op(b.depthwise(x, {.kernel = 3})),
            Op(op::Conv2d{.kernel = 3, .padding = 1, .group_width = 1}));
  EXPECT_EQ(op(b.batch_norm(x, {.eps = 1e-3f})), Op(op::BatchNorm2d{.eps = 1e-3f}));
  EXPECT_EQ(op(b.activation(x, ActivationKind::gelu)), Op(op::Activation{ActivationKind::gelu}));
  EXPECT_EQ(op(b.max_pool(x, {})), Op(op::Pool2d{PoolKind::max, 2, 2, 0, false, false}));
  EXPECT_EQ(op(b.avg_pool(x, {.kernel = 3, .ceil_mode = true, .count_include_pad = true})),
            Op(op::Pool2d{PoolKind::average, 3, 2, 1, true, true}));
  const auto pooled = b.global_avg_pool(x);
  EXPECT_EQ(op(pooled), Op(op::GlobalAvgPool{}));
  EXPECT_EQ(op(b.add(x, x)), Op(op::Add{}));
  EXPECT_EQ(op(b.add(std::array{x, x, x})), Op(op::Add{}));
  EXPECT_EQ(op(b.multiply(x, pooled)), Op(op::Multiply{}));
  EXPECT_EQ(op(b.concat(std::array{x, x})), Op(op::Concat{}));
  EXPECT_EQ(op(b.dropout(x, 0.5f)), Op(op::Dropout{0.5f}));
  EXPECT_EQ(op(b.zero(x, 2)), Op(op::Zero{2}));
  const auto flat = b.flatten(pooled);
  EXPECT_EQ(op(flat), Op(op::Flatten{}));
  const auto logits = b.linear(flat, 10, {.bias = false});
  EXPECT_EQ(op(logits), Op(op::Linear{10, false}));
  b.output(logits);
  const Graph graph = b.build();
  verify(graph);
  EXPECT_EQ(graph.size(), 17u);
  EXPECT_EQ(b.graph().size(), 0u);  // ready for the next one
  b.output(b.input(1, 1, 1));
  EXPECT_EQ(b.build().size(), 2u);
}

TEST(GraphBuilder, BuildThrows) {
  GraphBuilder b;
  EXPECT_THAT([&] { b.build(); }, ThrowsMessage<ShapeError>(HasSubstr("no output node")));
  b.input(3, 4, 4);
  EXPECT_THROW(b.build(), ShapeError);
  EXPECT_EQ(b.graph().size(), 1u);  // and keeps what is there
}

}  // namespace
}  // namespace espalier
