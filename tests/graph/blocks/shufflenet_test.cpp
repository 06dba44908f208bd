#include "graph/blocks/shufflenet.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "graph/cost.hpp"
#include "tests/core/throws.hpp"
#include "tests/graph/blocks/blocks.hpp"
#include "tests/graph/blocks/operators.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

template <class Unit, class Options>
Graph built(Unit unit, std::int64_t in, std::int64_t out, const Options& options) {
  GraphBuilder b;
  b.output(unit(b, b.input(in, 8, 8), out, options, "unit"));
  return b.build();
}

TEST(ShuffleBlocks, TheFirstUnitIsAsInTheFigure) {
  const Graph same = built(shuffle_v1_unit, 24, 24, ShuffleV1UnitOptions{});
  EXPECT_EQ(operators(same),
            "input conv2d batch_norm2d activation channel_shuffle conv2d batch_norm2d conv2d "
            "batch_norm2d add activation output ");
  EXPECT_EQ(cost(same).params, 8 * 6 + 12 + 9 * 6 + 12 + 2 * 24 + 48);
  // Strided, the branch gives the channels that the pooled input does not; its ReLU comes first.
  const Graph strided =
      built(shuffle_v1_unit, 12, 24, ShuffleV1UnitOptions{.stride = 2, .first_grouped = false});
  EXPECT_EQ(operators(strided),
            "input conv2d batch_norm2d activation channel_shuffle conv2d batch_norm2d conv2d "
            "batch_norm2d activation pool2d concat output ");
  EXPECT_EQ(cost(strided).params, 12 * 6 + 12 + 9 * 6 + 12 + 2 * 12 + 24);
  EXPECT_EQ(strided.node(strided.output()).shape, Shape({24, 4, 4}));
  EXPECT_THROW(built(shuffle_v1_unit, 25, 24, ShuffleV1UnitOptions{}), ShapeError);
  EXPECT_THAT(throws<ShapeError>([] { built(shuffle_v1_unit, 26, 26, ShuffleV1UnitOptions{}); }),
              HasSubstr("cannot divide 26 channels by 4; give it a multiple"));
}

TEST(ShuffleBlocks, TheSecondUnitPassesHalfOfTheChannels) {
  const Graph same = built(shuffle_v2_unit, 16, 16, ShuffleV2UnitOptions{});
  EXPECT_EQ(operators(same),
            "input slice slice conv2d batch_norm2d activation conv2d batch_norm2d conv2d "
            "batch_norm2d activation concat channel_shuffle output ");
  EXPECT_EQ(cost(same).params, 8 * 8 + 16 + 9 * 8 + 16 + 8 * 8 + 16);
  const Graph strided = built(shuffle_v2_unit, 12, 32, ShuffleV2UnitOptions{.stride = 2});
  EXPECT_EQ(cost(strided).params,
            (9 * 12 + 24 + 12 * 16 + 32) + (12 * 16 + 32 + 9 * 16 + 32 + 16 * 16 + 32));
  EXPECT_EQ(strided.node(strided.output()).shape, Shape({32, 4, 4}));
  EXPECT_THAT(throws<ShapeError>([] { built(shuffle_v2_unit, 15, 15, ShuffleV2UnitOptions{}); }),
              HasSubstr("cannot divide 15 channels by 2"));
  EXPECT_THAT(throws<ShapeError>([] { built(shuffle_v2_unit, 16, 32, ShuffleV2UnitOptions{}); }),
              HasSubstr("it cannot turn 16 into 32; give it a stride"));
}

TEST(ShuffleBlocks, TheOneShotUnitDealsOutItsChannels) {
  const Graph same = built(spos_unit, 16, 16, SposUnitOptions{.kernel = 5, .mid_channels = 4});
  EXPECT_EQ(operators(same),
            "input channel_shuffle slice slice conv2d batch_norm2d activation conv2d batch_norm2d "
            "conv2d batch_norm2d activation concat output ");
  // Groups of two channels: those with even numbers come first.
  EXPECT_EQ(std::get<op::ChannelShuffle>(same.node(1).op).groups, Dim(8));
  EXPECT_EQ(cost(same).params, 8 * 4 + 8 + 25 * 4 + 8 + 4 * 8 + 16);
  // The projection keeps the 12 channels, the branch gives the other 20.
  const Graph strided = built(spos_unit, 12, 32, SposUnitOptions{.stride = 2});
  EXPECT_EQ(cost(strided).params,
            (9 * 12 + 24 + 12 * 12 + 24) + (12 * 16 + 32 + 9 * 16 + 32 + 16 * 20 + 40));
  EXPECT_EQ(strided.node(strided.output()).shape, Shape({32, 4, 4}));
}

TEST(ShuffleBlocks, TheXceptionLikeBranchHasThreeSeparableConvolutions) {
  const Graph graph = built(spos_unit, 16, 16, SposUnitOptions{.kernel = 7, .xception = true});
  EXPECT_EQ(operators(graph),
            "input channel_shuffle slice slice "
            "conv2d batch_norm2d conv2d batch_norm2d activation "
            "conv2d batch_norm2d conv2d batch_norm2d activation "
            "conv2d batch_norm2d conv2d batch_norm2d activation concat output ");
  EXPECT_EQ(cost(graph).params, 3 * (9 * 8 + 16 + 8 * 8 + 16));
}

TEST(ShuffleBlocks, WidthAndKernelMayBeOpen) {
  // Groups cannot divide an open width.
  expect_searchable({8, 8, 8}, [](GraphBuilder& b, NodeId x, Dim, Dim kernel) {
    x = shuffle_v1_unit(b, x, 24, {.kernel = kernel, .stride = 2, .groups = 2}, "block1");
    return shuffle_v1_unit(b, x, 24, {.kernel = kernel, .groups = 2}, "block2");
  });
  expect_searchable({8, 8, 8}, [](GraphBuilder& b, NodeId x, Dim width, Dim kernel) {
    x = shuffle_v2_unit(b, x, width, {.kernel = kernel, .stride = 2}, "block1");
    return shuffle_v2_unit(b, x, width, {.kernel = kernel}, "block2");
  });
  expect_searchable({8, 8, 8}, [](GraphBuilder& b, NodeId x, Dim width, Dim kernel) {
    x = spos_unit(b, x, width, {.kernel = kernel, .stride = 2}, "block1");
    return spos_unit(b, x, width, {.xception = true}, "block2");
  });
}

}  // namespace
}  // namespace espalier
