#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/blocks.hpp"
#include "tests/graph/blocks/blocks.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;

TEST(Blocks, EffectiveSqueezeExcitation) {
  GraphBuilder b;
  const auto x = b.input(24, 8, 8);
  const auto y = effective_squeeze_excitation(b, x);
  EXPECT_EQ(b.shape(y), Shape({24, 8, 8}));
  EXPECT_THAT(node_names(b.graph(), "ese"), ElementsAre("pool", "fc", "gate", "scale"));
  EXPECT_EQ(params(b.graph()), 24 * 24 + 24);  // one layer, no squeeze
  EXPECT_EQ(b.graph().node(3).op, Op(op::Activation{ActivationKind::hard_sigmoid}));
  EXPECT_EQ(b.graph().inputs(y)[0], x);
}

TEST(Blocks, Osa) {
  GraphBuilder b;
  const auto x = b.input(24, 8, 8);
  const auto y = osa(b, x, 32, {.layer_channels = 16, .layers = 2}, "block");
  EXPECT_EQ(b.shape(y), Shape({32, 8, 8}));
  EXPECT_THAT(
      node_names(b.graph(), "block"),
      ElementsAre("layer1.conv", "layer1.bn", "layer1.act", "layer2.conv", "layer2.bn",
                  "layer2.act", "concat", "aggregate.conv", "aggregate.bn", "aggregate.act"));
  EXPECT_EQ(b.shape(block_node(b.graph(), "concat")), Shape({56, 8, 8}));  // the input too
  EXPECT_EQ(b.graph().inputs(block_node(b.graph(), "layer2.conv"))[0],
            block_node(b.graph(), "layer1.act"));  // not the joined ones
  EXPECT_EQ(params(b.graph()), 24 * 16 * 9 + 16 * 16 * 9 + 2 * 32 + 56 * 32 + 64);

  const auto last = [](std::int64_t out, const OsaOptions& options) {
    GraphBuilder g;
    osa(g, g.input(24, 8, 8), out, options, "block");
    return node_names(g.graph(), "block").back();
  };
  EXPECT_EQ(last(24, {}), "aggregate.act");
  EXPECT_EQ(last(24, {.residual = true}), "add");
  EXPECT_EQ(last(32, {.residual = true}), "aggregate.act");
  EXPECT_EQ(last(32, {.effective_squeeze_excitation = true}), "ese.scale");
  EXPECT_EQ(last(24, {.effective_squeeze_excitation = true, .residual = true}), "add");
  expect_searchable({16, 8, 8}, [](GraphBuilder& g, NodeId in, Dim width, Dim kernel) {
    return osa(g, in, width * 2, {.layer_channels = width, .layers = 3, .kernel = kernel}, "block");
  });
}

}  // namespace
}  // namespace espalier
