#include "predictors/random_forest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/predictors/cells.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

struct Rows {
  std::vector<double> numbers, values;
  std::size_t width;
  double at(std::size_t i, std::size_t v) const { return numbers[i * width + v]; }
};

// Few different numbers in the first columns, many in the last one.
Rows random_rows(std::size_t count, std::size_t width, std::uint64_t seed) {
  Rng rng(seed);
  Rows rows{.numbers = {}, .values = {}, .width = width};
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t v = 0; v < width; ++v) {
      rows.numbers.push_back(v + 1 < width ? static_cast<double>(rng.below(v + 2)) : rng.normal());
    }
    rows.values.push_back(rng.normal() + 3 * rows.at(i, 0) * rows.at(i, 1) + rows.at(i, width - 1));
  }
  return rows;
}

double squares(const Rows& rows, const std::vector<std::size_t>& members) {
  double mean = 0, sum = 0;
  for (const std::size_t i : members) mean += rows.values[i] / static_cast<double>(members.size());
  for (const std::size_t i : members) sum += std::pow(rows.values[i] - mean, 2);
  return sum;
}

using Parts = std::pair<std::vector<std::size_t>, std::vector<std::size_t>>;
Parts divide(const Rows& rows, const std::vector<std::size_t>& members, std::size_t variable,
             double threshold) {
  Parts parts;
  for (const std::size_t i : members) {
    (rows.at(i, variable) <= threshold ? parts.first : parts.second).push_back(i);
  }
  return parts;
}

TEST(RegressionTree, SplitsAsBruteForceWould) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const Rows rows = random_rows(60, 5, seed);
    std::vector<std::size_t> all(60);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = i % 50;  // some of them twice
    Rng rng(seed);
    const RegressionTree tree(rows.numbers, rows.width, rows.values, all,
                              {.variables = 1, .split_size = 4}, rng);
    std::size_t leaves = 0;
    const std::function<void(std::size_t, const std::vector<std::size_t>&)> check =
        [&](std::size_t at, const std::vector<std::size_t>& members) {
          const RegressionTree::Node& node = tree.nodes()[at];
          ASSERT_EQ(node.size, members.size());
          EXPECT_NEAR(node.variance * static_cast<double>(node.size), squares(rows, members), 1e-9);
          double best = squares(rows, members);
          for (std::size_t v = 0; v < rows.width; ++v) {
            for (const std::size_t i : members) {
              const auto [left, right] = divide(rows, members, v, rows.at(i, v));
              if (right.empty()) continue;
              best = std::min(best, squares(rows, left) + squares(rows, right));
            }
          }
          if (node.leaf()) {
            ++leaves;
            EXPECT_TRUE(members.size() < 4 || squares(rows, members) < 1e-12);
            return;
          }
          const auto [left, right] = divide(rows, members, node.variable, node.threshold);
          ASSERT_FALSE(left.empty() || right.empty());
          EXPECT_NEAR(squares(rows, left) + squares(rows, right), best, 1e-9);
          check(node.left, left);
          check(node.right, right);
        };
    check(0, all);
    EXPECT_GT(leaves, 15u);
  }
}

TEST(RegressionTree, ThresholdsAreDrawnFromBetweenNeighbours) {
  const std::vector<double> rows{0, 1}, values{0, 1};
  double low = 1, high = 0, mean = 0;
  Rng rng(1);
  for (int i = 0; i < 400; ++i) {
    const RegressionTree tree(rows, 1, values, {0, 1}, {.split_size = 2}, rng);
    const double threshold = tree.nodes()[0].threshold;
    low = std::min(low, threshold);
    high = std::max(high, threshold);
    mean += threshold / 400;
  }
  EXPECT_LT(low, 0.02);
  EXPECT_GT(high, 0.98);
  EXPECT_NEAR(mean, 0.5, 0.05);
  // So that many trees interpolate, where one has a step.
  RandomForest forest({.trees = 400, .bootstrap = false, .tree = {.split_size = 2}}, Rng(1));
  forest.fit(networks_of({{0}, {1}}), values);
  EXPECT_NEAR(forest.predict(networks_of({{0.25}}))[0].mean, 0.25, 0.08);
}

TEST(RegressionTree, LooksFurtherWhereItsShareOfNumbersIsConstant) {
  const std::size_t width = 50;
  std::vector<double> rows(2 * width, 7.0);
  rows[width + 31] = 8;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    Rng rng(seed);
    const RegressionTree tree(rows, width, std::vector<double>{1, 2}, {0, 1},
                              {.variables = 0.02, .split_size = 2}, rng);
    ASSERT_EQ(tree.nodes().size(), 3u);
    EXPECT_EQ(tree.nodes()[0].variable, 31u);
  }
}

TEST(RandomForest, VarianceIsThatOfMeansPlusThatInLeaves) {
  RandomForest forest({.trees = 7, .tree = {.split_size = 8}}, Rng(3));
  const Rows rows = random_rows(80, 4, 9);
  std::vector<std::vector<double>> costs;
  for (std::size_t i = 0; i < 80; ++i) {
    costs.emplace_back(rows.numbers.begin() + 4 * i, rows.numbers.begin() + 4 * (i + 1));
  }
  forest.fit(networks_of(costs), rows.values);
  const auto predictions = forest.predict(networks_of(costs));
  bool means_differ = false, leaves_vary = false;
  for (std::size_t i = 0; i < 80; ++i) {
    // E[X^2] - E[X]^2 of a leaf's values in a tree that is drawn.
    double mean = 0, square = 0;
    for (const RegressionTree& tree : forest.trees()) {
      const auto& leaf = tree.leaf_of(costs[i]);
      mean += leaf.mean / 7;
      square += (leaf.variance + leaf.mean * leaf.mean) / 7;
      means_differ |= std::abs(leaf.mean - predictions[i].mean) > 0.1;
      leaves_vary |= leaf.variance > 0.1;
    }
    EXPECT_NEAR(predictions[i].mean, mean, 1e-9);
    EXPECT_NEAR(predictions[i].variance, square - mean * mean, 1e-9);
  }
  EXPECT_TRUE(means_differ && leaves_vary);
}

TEST(RandomForest, WithoutAnythingRandomItLearnsByHeart) {
  RandomForest forest({.trees = 3, .bootstrap = false, .tree = {.variables = 1, .split_size = 2}},
                      Rng(1));
  const auto all = sample_cells(40, 2);
  std::vector<double> values;
  for (const Architecture& a : all) values.push_back(double(cells()->quick_cost(a).params));
  forest.fit(encode_cells(all), values);
  const auto predictions = forest.predict(encode_cells(all));
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_DOUBLE_EQ(predictions[i].mean, values[i]);
    EXPECT_EQ(predictions[i].variance, 0);
  }
}

TEST(RandomForest, TreesLearnFromBootstrapSamples) {
  RandomForest forest({.trees = 20, .tree = {.split_size = 1000}}, Rng(1));  // only roots
  const std::vector<double> values{0, 0, 0, 8};
  forest.fit(networks_of({{1}, {2}, {3}, {4}}), values);
  std::set<double> means;
  for (const RegressionTree& tree : forest.trees()) means.insert(tree.nodes()[0].mean);
  EXPECT_GT(means.size(), 2u);
  EXPECT_TRUE(std::ranges::all_of(
      means, [](double mean) { return mean == 0 || mean == 2 || mean == 4 || mean == 6; }));
}

TEST(RandomForest, RanksCellsFromFewOfThem) {
  double forest = 0, tree = 0;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    RandomForest many({}, Rng(seed)), one({.trees = 1}, Rng(seed));
    forest += tau_on_cells(many, seed) / 3;
    tree += tau_on_cells(one, seed) / 3;
  }
  EXPECT_GT(forest, 0.6);
  EXPECT_GT(forest, tree + 0.05);
}

TEST(RandomForest, IsAFunctionOfItsGeneratorAndOfWhatItWasFittedToLast) {
  const auto all = encode_cells(sample_cells(30, 4));
  const auto values = accuracies_of(sample_cells(30, 4));
  RandomForest once({.trees = 5}, Rng(1)), again({.trees = 5}, Rng(1)), other({.trees = 5}, Rng(2));
  again.fit(std::span(all).first(7), std::span(values).first(7));
  once.fit(all, values);
  again.fit(all, values);
  other.fit(all, values);
  EXPECT_EQ(means_of(once.predict(all)), means_of(again.predict(all)));
  EXPECT_NE(means_of(once.predict(all)), means_of(other.predict(all)));
}

TEST(RandomForest, OneNetworkAndEqualValues) {
  RandomForest forest({}, Rng(1));
  forest.fit(networks_of({{1}}), std::vector<double>{4});
  EXPECT_EQ(forest.predict(networks_of({{2}}))[0].mean, 4);
  forest.fit(networks_of({{1}, {2}, {5}}), std::vector<double>{3, 3, 3});
  EXPECT_DOUBLE_EQ(forest.predict(networks_of({{2}}))[0].mean, 3);
  EXPECT_EQ(forest.predict(networks_of({{2}}))[0].variance, 0);
  EXPECT_TRUE(forest.predict({}).empty());
}

TEST(RandomForest, RefusesWhatItCannotLearnFrom) {
  RandomForest forest({}, Rng(1));
  EXPECT_THAT(throws<Error>([&] { forest.predict(networks_of({{1}})); }),
              HasSubstr("before it was fitted"));
  EXPECT_THROW(forest.fit(networks_of({{1}}), {}), Error);
  const double infinite = std::numeric_limits<double>::infinity();
  EXPECT_THROW(forest.fit(networks_of({{1}}), std::vector<double>{infinite}), NumericalError);
  EXPECT_THROW(random_forest_option_table().read({{"trees", 0}}, ""), ConfigError);
  EXPECT_THROW(random_forest_option_table().read({{"split_size", 1}}, ""), ConfigError);
  EXPECT_THROW(random_forest_option_table().read({{"variables", 0}}, ""), ConfigError);
}

}  // namespace
}  // namespace espalier
