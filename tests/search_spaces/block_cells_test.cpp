#include "search_spaces/block_cells.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.hpp"
#include "search_spaces/sampling.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {
namespace {

BlockCellOptions identities() {
  return {.operators = {"max", "average"},
          .apply =
              [](GraphBuilder& builder, NodeId x, std::size_t op, std::int64_t stride) {
                const PoolOptions pool{.kernel = 3, .stride = stride};
                return op == 0 ? builder.max_pool(x, pool) : builder.avg_pool(x, pool);
              },
          .input = {3, 8, 8},
          .channels = 2,
          .cells = 1};
}

TEST(BlockCells, DecisionsAreThoseOfTheBlocksInOrder) {
  const BlockCellSpace space(identities());
  ASSERT_EQ(space.decisions().size(), 40u);
  EXPECT_EQ(space.decisions()[0].name, "normal.block1.input1");
  EXPECT_EQ(space.decisions()[0].options.size(), 2u);
  EXPECT_EQ(space.decisions()[3].name, "normal.block1.op2");
  EXPECT_EQ(space.decisions()[18].name, "normal.block5.input2");
  EXPECT_EQ(space.decisions()[18].options.size(), 6u);
  EXPECT_EQ(space.decisions()[20].name, "reduce.block1.input1");
}

TEST(BlockCells, WhatNoBlockReadsIsJoined) {
  BlockCellOptions options = identities();
  Architecture a{std::vector<std::uint32_t>(40, 0)};
  a.choices[2] = 1;
  a.choices[38] = 4;
  {
    const BlockCellSpace space(options);
    EXPECT_EQ(space.joined(a, 0), (std::vector<std::int64_t>{2, 3, 4, 5, 6}));
    EXPECT_EQ(space.joined(a, 1), (std::vector<std::int64_t>{1, 2, 3, 5, 6}));
  }
  options.also_joined = {{{0, 6}, {4}}};
  const BlockCellSpace space(options);
  EXPECT_EQ(space.joined(a, 0), (std::vector<std::int64_t>{0, 2, 3, 4, 5, 6}));
  EXPECT_EQ(space.joined(a, 1), (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}));
  // Three stages with 2, 4 and 8 channels on 8x8, 4x4 and 2x2 pixels.
  const Graph graph = space.build(a);
  EXPECT_NO_THROW(verify(graph));
  const auto shape_of = [&](std::string_view scope) {
    NodeId last = 0;
    for (NodeId id = 0; id < graph.size(); ++id) {
      if (graph.name(id).starts_with(std::string(scope) + ".")) last = id;
    }
    return graph.node(last).shape.to_string();
  };
  EXPECT_EQ(shape_of("stage1_cell1"), "{12, 8, 8}");
  EXPECT_EQ(shape_of("stage2_reduction"), "{24, 4, 4}");
  EXPECT_EQ(shape_of("stage3_cell1"), "{48, 2, 2}");
  EXPECT_THROW(space.build({{1, 2}}), InvalidArchitecture);
}

// All decisions are always active: mutation changes exactly one, and neighbours are symmetric.
TEST(BlockCells, NeighboursDifferInOneDecision) {
  const BlockCellSpace space(identities());
  Rng rng(7);
  const Architecture a = sample_uniform(space, rng);
  std::size_t others = 0;
  for (std::uint32_t count : space.choice_counts()) others += count - 1;
  const std::vector<Architecture> near = neighbours(space, a);
  EXPECT_EQ(near.size(), others);
  for (const Architecture& b : near) {
    int changed = 0;
    for (std::size_t d = 0; d < 40; ++d) changed += a.choices[d] != b.choices[d];
    EXPECT_EQ(changed, 1);
  }
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(std::ranges::find(near, mutate(space, a, rng)) != near.end());
  }
}

TEST(BlockCells, HeightAndWidthAreHalvedTwice) {
  EXPECT_NO_THROW(check_multiples({3, 4, 8}, 4));
  EXPECT_THROW(check_multiples({3, 6, 8}, 4), ConfigError);
  EXPECT_THROW(check_multiples({3, 8, 6}, 4), ConfigError);
}

}  // namespace
}  // namespace espalier
