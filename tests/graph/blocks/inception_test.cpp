#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/blocks.hpp"
#include "tests/graph/blocks/blocks.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;

TEST(Blocks, Inception) {
  GraphBuilder b;
  const auto x = b.input(192, 8, 8);
  const auto y = inception(b, x, {}, "block");
  EXPECT_EQ(b.shape(y), Shape({256, 8, 8}));
  EXPECT_EQ(params(b.graph()), 192 * 64 + 192 * 96 + 96 * 128 * 9 + 192 * 16 + 16 * 32 * 25 +
                                   192 * 32 + 2 * (64 + 96 + 128 + 16 + 32 + 32));
  EXPECT_EQ(b.graph().node(block_node(b.graph(), "branch4.0")).op,
            Op(op::Pool2d{.kernel = 3, .padding = 1}));
  EXPECT_EQ(b.graph().node(block_node(b.graph(), "branch1.bn")).op,
            Op(op::BatchNorm2d{.eps = 1e-3f}));
  EXPECT_EQ(b.graph().scope_attribute(b.graph().node(y).scope, "out_channels"), 256);
  expect_searchable({16, 8, 8}, [](GraphBuilder& g, NodeId in, Dim width, Dim kernel) {
    return inception(g, in, {.conv1 = width, .conv5 = width * 2, .conv5_kernel = kernel}, "block");
  });
}

TEST(Blocks, InceptionV3) {
  GraphBuilder b;
  NodeId x = b.input(192, 35, 35);
  const auto expect = [&](NodeId y, const Shape& shape, std::string_view kind) {
    EXPECT_EQ(b.shape(y), shape);
    const ScopeId scope = b.graph().node(y).scope;
    EXPECT_EQ(b.graph().scope(scope).kind, kind);
    EXPECT_EQ(Dim(*b.graph().scope_attribute(scope, "out_channels")), shape[0]);
    x = y;
  };
  expect(inception_a(b, x, {}, "a"), {256, 35, 35}, "inception_a");
  expect(inception_b(b, x, {}, "b"), {736, 17, 17}, "inception_b");
  expect(inception_c(b, x, {}, "c"), {768, 17, 17}, "inception_c");
  expect(inception_d(b, x, {}, "d"), {1280, 8, 8}, "inception_d");
  expect(inception_e(b, x, {}, "e"), {2048, 8, 8}, "inception_e");
  const Graph& g = b.graph();
  const auto named = [&](const std::string& name) {
    for (NodeId i = 0; i < g.size(); ++i) {
      if (g.name(i) == name) return i;
    }
    ADD_FAILURE() << "no node " << name;
    return NodeId{0};
  };
  // The mean counts the padding.
  EXPECT_EQ(g.node(named("a.pool")).op,
            Op(op::Pool2d{
                .kind = PoolKind::average, .kernel = 3, .padding = 1, .count_include_pad = true}));
  EXPECT_EQ(g.node(named("b.pool")).op, Op(op::Pool2d{.kernel = 3, .stride = 2}));
  const auto conv = [&](const std::string& name) {
    return std::get<op::Conv2d>(g.node(named(name + ".conv")).op);
  };
  // Rows come first on one branch of C, columns on the other; the last one widens.
  EXPECT_EQ(conv("c.branch7x7_2").kernel, Extent(1, 7));
  EXPECT_EQ(conv("c.branch7x7_2").padding, Extent(0, 3));
  EXPECT_EQ(conv("c.branch7x7_3").kernel, Extent(7, 1));
  EXPECT_EQ(conv("c.branch7x7dbl_2").kernel, Extent(7, 1));
  EXPECT_EQ(conv("c.branch7x7dbl_5").kernel, Extent(1, 7));
  EXPECT_EQ(conv("c.branch7x7dbl_4").out_channels, Dim(128));
  EXPECT_EQ(conv("c.branch7x7dbl_5").out_channels, Dim(192));
  EXPECT_EQ(conv("d.branch7x7x3_4").padding, Extent(0));
  EXPECT_EQ(conv("e.branch3x3_2a").kernel, Extent(1, 3));
  EXPECT_EQ(g.inputs(named("e.branch3x3_2b.conv"))[0], g.inputs(named("e.branch3x3_2a.conv"))[0]);
}

TEST(Blocks, InceptionV3IsSearchable) {
  expect_searchable({16, 9, 9}, [](GraphBuilder& g, NodeId x, Dim width, Dim kernel) {
    x = inception_a(g, x, {.conv1 = width, .pool = width * 2}, "a");
    x = inception_b(g, x, {.conv3 = width}, "b");
    x = inception_c(g, x, {.mid_channels = width, .kernel = kernel}, "c");
    x = inception_d(g, x, {.conv3 = width, .kernel = kernel}, "d");
    return inception_e(g, x, {.conv3 = width}, "e");
  });
}

}  // namespace
}  // namespace espalier
