#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/blocks.hpp"
#include "tests/graph/blocks/blocks.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;

TEST(Blocks, Fire) {
  GraphBuilder b;
  const auto y = fire(b, b.input(96, 8, 8), {.squeeze = 16, .expand1 = 64, .expand3 = 48}, "block");
  EXPECT_EQ(b.shape(y), Shape({112, 8, 8}));
  EXPECT_THAT(node_names(b.graph(), "block"),
              ElementsAre("squeeze", "squeeze_activation", "expand1x1", "expand1x1_activation",
                          "expand3x3", "expand3x3_activation", "concat"));
  EXPECT_EQ(params(b.graph()), 96 * 16 + 16 + 16 * 64 + 64 + 16 * 48 * 9 + 48);
  EXPECT_EQ(b.graph().inputs(block_node(b.graph(), "expand3x3"))[0],
            block_node(b.graph(), "squeeze_activation"));
  expect_searchable({16, 8, 8}, [](GraphBuilder& g, NodeId x, Dim width, Dim) {
    return fire(g, x, {.squeeze = width, .expand1 = width * 4, .expand3 = width * 2}, "block");
  });
}

}  // namespace
}  // namespace espalier
