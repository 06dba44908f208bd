#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/blocks.hpp"
#include "tests/graph/blocks/blocks.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;

TEST(Blocks, Repvgg) {
  GraphBuilder b;
  const auto x = b.input(24, 8, 8);
  const auto y = repvgg(b, x, 24, {}, "block");
  EXPECT_THAT(node_names(b.graph(), "block"),
              ElementsAre("dense.conv", "dense.bn", "pointwise.conv", "pointwise.bn", "identity",
                          "add", "act"));
  EXPECT_EQ(params(b.graph()), 24 * 24 * 10 + 3 * 48);
  EXPECT_EQ(b.graph().inputs(block_node(b.graph(), "identity"))[0], x);
  EXPECT_EQ(b.graph().scope(b.graph().node(y).scope).kind, "repvgg");
  for (const auto& [out, stride] : {std::pair{24, 2}, {32, 1}}) {  // no identity
    GraphBuilder c;
    const auto z = repvgg(c, c.input(24, 8, 8), out, {.stride = stride}, "block");
    EXPECT_EQ(c.shape(z), Shape({out, 8 / stride, 8 / stride}));
    EXPECT_EQ(node_names(c.graph(), "block").size(), 6u);
  }
  expect_searchable({3, 8, 8}, [](GraphBuilder& g, NodeId in, Dim width, Dim) {
    return repvgg(g, repvgg(g, in, width, {.stride = 2}, "down"), width, {}, "block");
  });
}

}  // namespace
}  // namespace espalier
