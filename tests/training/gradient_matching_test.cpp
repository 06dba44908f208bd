#include "training/gradient_matching.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "nets/supernet.hpp"
#include "search_spaces/supergraph.hpp"
#include "tests/training/images.hpp"
#include "tests/training/module_state.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;

TEST(SplitOptions, KeepsTogetherWhatIsClose) {
  // Two pairs, {0, 3} and {1, 2}.
  const std::vector<std::vector<double>> pairs{
      {0, 1, 1, 0.1}, {1, 0, 0.2, 1}, {1, 0.2, 0, 1}, {0.1, 1, 1, 0}};
  const OptionGroups two = split_options(pairs);
  EXPECT_THAT(two.first, ElementsAre(1, 2));
  EXPECT_THAT(two.second, ElementsAre(0, 3));
  EXPECT_DOUBLE_EQ(two.score, 1);
  // Of five options, two go apart.
  std::vector<std::vector<double>> five(5, std::vector<double>(5, 1.0));
  for (const auto& [i, j] : {std::pair{0, 4}, {1, 2}, {1, 3}, {2, 3}}) five[i][j] = five[j][i] = 0;
  five[0][1] = five[1][0] = 0.4;
  const OptionGroups groups = split_options(five);
  EXPECT_THAT(groups.first, ElementsAre(0, 4));
  EXPECT_THAT(groups.second, ElementsAre(1, 2, 3));
  EXPECT_DOUBLE_EQ(groups.score, 0.9);
  EXPECT_THAT(split_options({{0, 1}, {1, 0}}).second, ElementsAre(1));
}

// Four ways to scale what a convolution gives: by 1 twice and by -1 twice.
Supergraph scales() {
  SupergraphBuilder b;
  const NodeId x = b.conv(b.input(1, 8, 8), 4, {.kernel = 3});
  const DecisionId d = b.decide({.name = "scale", .options = {"plus", "minus", "also", "again"}});
  const std::array<NodeId, 4> scaled{b.scale(x, 1), b.scale(x, -1), b.scale(x, 1), b.scale(x, -1)};
  b.output(b.linear(b.flatten(b.global_avg_pool(b.choice(d, scaled))), 4));
  return b.finish();
}

TEST(GradientMatching, OptionsThatPullApartAreSeparated) {
  const SupergraphSpace space(scales());
  Supernet net(*space.supergraph());
  net.reset_parameters(Rng(1));
  // Small outputs: what the labels pull at is then the same for all options, but for the sign.
  net.tensor("linear.weight").detach().mul_(0.01);
  const auto before = copy_of(net);
  SupernetOptions options{.train = {.batch_size = 32}};
  options.split.batches = 3;
  const auto data = small_data();
  const auto distances = gradient_distances(net, space, 0, *data, options, Rng(2));
  EXPECT_TRUE(equal(before, copy_of(net)));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(distances[i][i], 0);
  // The classifier's bias agrees for all, and the rest is alike or opposite.
  EXPECT_LT(distances[0][2], 0.1);
  EXPECT_LT(distances[1][3], 0.1);
  EXPECT_GT(distances[0][1], distances[0][2] + 0.01);
  EXPECT_EQ(distances[0][1], distances[1][0]);
  const OptionGroups groups = split_options(distances);
  EXPECT_THAT(groups.first, ElementsAre(0, 2));
  EXPECT_THAT(groups.second, ElementsAre(1, 3));
  EXPECT_EQ(gradient_distances(net, space, 0, *data, options, Rng(2)), distances);
}

// Two options that are alike, behind a dropout and before operators with quantized inputs: whatever
// is drawn or learned between their passes would set them apart.
TEST(GradientMatching, OptionsThatAreAlikeHaveNoDistance) {
  SupergraphBuilder b;
  NodeId x = b.conv(b.input(1, 8, 8), 4, {.kernel = 3});
  const DecisionId d = b.decide({.name = "same", .options = {"one", "other"}});
  const std::array<NodeId, 2> alike{b.scale(x, 1), b.scale(x, 1)};
  x = b.dropout(b.flatten(b.global_avg_pool(b.choice(d, alike))), 0.5);
  x = b.append(op::Linear{.out_features = 4}, std::array{x}, "classifier",
               {Quantization{.activation_bits = 4}});
  b.output(x);
  const SupergraphSpace space(b.finish());
  Supernet net(*space.supergraph());
  net.reset_parameters(Rng(1));
  SupernetOptions options{.train = {.batch_size = 32}};
  options.split.batches = 4;
  const auto before = copy_of(net);
  const auto distances = gradient_distances(net, space, 0, *small_data(), options, Rng(2));
  EXPECT_LT(distances[0][1], 1e-4);
  EXPECT_TRUE(equal(before, copy_of(net)));
}

}  // namespace
}  // namespace espalier
