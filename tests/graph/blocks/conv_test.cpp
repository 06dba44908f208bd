#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "graph/blocks.hpp"
#include "tests/graph/blocks/blocks.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;

TEST(Blocks, MakeDivisible) {
  EXPECT_EQ(make_divisible(4), 8);
  EXPECT_EQ(make_divisible(18), 24);  // 16 would be 11% less
  EXPECT_EQ(make_divisible(20), 24);
  EXPECT_EQ(make_divisible(168), 168);
  EXPECT_EQ(make_divisible(10, 4), 12);
  EXPECT_EQ(make_divisible(10, 4, 16), 16);
  EXPECT_EQ(make_divisible(1, 8, 4), 4);
  for (int i = 1; i < 4000; ++i) {
    const double value = i / 4.0;
    const std::int64_t rounded = make_divisible(value);
    EXPECT_EQ(rounded % 8, 0);
    EXPECT_GE(rounded, 8);
    EXPECT_GE(static_cast<double>(rounded), 0.9 * value);
    EXPECT_LE(static_cast<double>(rounded), std::max(8.0, value + 8));
  }
}

TEST(Blocks, ConvBnAct) {
  GraphBuilder b;
  const auto x = b.input(3, 8, 8);
  const auto y = conv_bn_act(b, x, 16, {.conv = {.kernel = 3, .stride = 2}});
  EXPECT_EQ(b.shape(y), Shape({16, 4, 4}));
  EXPECT_EQ(b.graph().node(y).op, Op(op::Activation{ActivationKind::relu}));
  const auto z = conv_bn_act(b, x, 16, {.activation = std::nullopt, .batch_norm = {.eps = 1e-3f}});
  EXPECT_EQ(b.graph().node(z).op, Op(op::BatchNorm2d{.eps = 1e-3f}));
}

TEST(Blocks, SqueezeExcitation) {
  GraphBuilder b;
  const auto y = squeeze_excitation(b, b.input(72, 7, 7));
  EXPECT_EQ(b.shape(y), Shape({72, 7, 7}));
  EXPECT_THAT(node_names(b.graph(), "se"),
              ElementsAre("pool", "reduce", "act", "expand", "gate", "scale"));
  EXPECT_EQ(b.shape(2), Shape({24, 1, 1}));  // make_divisible(18)
  EXPECT_EQ(b.graph().node(5).op, Op(op::Activation{ActivationKind::hard_sigmoid}));
  EXPECT_EQ(params(b.graph()), 72 * 24 + 24 + 24 * 72 + 72);

  GraphBuilder c;
  squeeze_excitation(c, c.input(72, 7, 7),
                     {.squeeze_channels = 10,
                      .activation = ActivationKind::swish,
                      .gate = ActivationKind::sigmoid});
  EXPECT_EQ(params(c.graph()), 72 * 10 + 10 + 10 * 72 + 72);
  EXPECT_EQ(c.graph().node(3).op, Op(op::Activation{ActivationKind::swish}));
  EXPECT_EQ(c.graph().node(5).op, Op(op::Activation{ActivationKind::sigmoid}));
}

TEST(Blocks, VggBlock) {
  GraphBuilder b;
  const auto y = vgg_block(b, b.input(3, 9, 8), 16, {.convs = 2}, "block");
  EXPECT_EQ(b.shape(y), Shape({16, 4, 4}));
  EXPECT_THAT(node_names(b.graph(), "block"),
              ElementsAre("conv1", "act1", "conv2", "act2", "pool"));
  EXPECT_EQ(params(b.graph()), 3 * 16 * 9 + 16 + 16 * 16 * 9 + 16);
  EXPECT_EQ(b.graph().scope_attribute(b.graph().node(y).scope, "convs"), 2);

  GraphBuilder c;
  vgg_block(c, c.input(3, 8, 8), 16, {.convs = 1, .kernel = 5, .batch_norm = op::BatchNorm2d{}},
            "block");
  EXPECT_THAT(node_names(c.graph(), "block"), ElementsAre("conv1", "bn1", "act1", "pool"));
  EXPECT_EQ(params(c.graph()), 3 * 16 * 25 + 16 + 32);
  GraphBuilder d;
  const auto x = d.input(3, 1, 1);
  EXPECT_THROW(vgg_block(d, x, 16, {}, "block"), ShapeError);
  expect_searchable({3, 8, 8}, [](GraphBuilder& g, NodeId in, Dim width, Dim kernel) {
    return vgg_block(g, in, width, {.kernel = kernel}, "block");
  });
}

TEST(Blocks, AttributesNameBothShapes) {
  GraphBuilder b;
  const ScopeAttributes attributes =
      block_attributes(b, b.input(3, 9, 8), 16, {{"kernel", 5}, {"stride", 2}});
  EXPECT_THAT(
      attributes,
      ElementsAre(testing::Pair("in_channels", Dim(3)), testing::Pair("out_channels", Dim(16)),
                  testing::Pair("kernel", Dim(5)), testing::Pair("stride", Dim(2)),
                  testing::Pair("in_height", Dim(9)), testing::Pair("in_width", Dim(8))));
}

}  // namespace
}  // namespace espalier
