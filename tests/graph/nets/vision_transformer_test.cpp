#include <gtest/gtest.h>

#include "graph/cost.hpp"
#include "graph/nets.hpp"

namespace espalier {
namespace {

TEST(VisionTransformerNets, AttentionCountsItsTwoProducts) {
  const Graph graph = vit_b_16();
  std::int64_t layers = 0;  // convolutions and linear layers
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (op_name(graph.node(id).op) != "attention") layers += node_macs(graph, id);
  }
  // 196 patches, then 197 tokens through 12 blocks, then the classifier.
  EXPECT_EQ(layers, 196ll * 3 * 256 * 768 + 197ll * 12 * 12 * 768 * 768 + 768 * 1000);
  EXPECT_EQ(cost(graph).macs - layers, 12ll * 2 * 197 * 197 * 768);
}

TEST(VisionTransformerNets, OtherSizesHaveOtherPositions) {
  const Graph graph = vit_b_16({.input = {1, 32, 40}, .classes = 10});
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (graph.name(id) == "pos_embedding") {
      EXPECT_EQ(graph.node(id).shape, Shape({5, 768}));
      return;
    }
  }
  FAIL() << "no positions";
}

}  // namespace
}  // namespace espalier
