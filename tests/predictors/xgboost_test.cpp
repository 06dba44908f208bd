#include "predictors/xgboost.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/predictors/cells.hpp"

namespace espalier {
namespace {

#ifdef ESPALIER_WITH_XGBOOST

// Without anything random.
XgBoostOptions plain(int rounds, double learning_rate, int depth) {
  return {.rounds = rounds,
          .learning_rate = learning_rate,
          .depth = depth,
          .subsample = 1,
          .columns = 1};
}

double mean_square(const std::vector<double>& predicted, const std::vector<double>& values) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    sum += std::pow(predicted[i] - values[i], 2) / static_cast<double>(values.size());
  }
  return sum;
}

TEST(XgBoost, IsAStumpByHand) {
  // One split of two values, -1 and 1 in standard deviations but for n - 1; XGBoost adds 1 to the
  // number of values in a leaf.
  XgBoost predictor(plain(1, 1, 1), Rng(1));
  predictor.fit(networks_of({{0}, {0}, {1}, {1}}), std::vector<double>{10, 10, 20, 20});
  const auto means = means_of(predictor.predict(networks_of({{0}, {1}})));
  EXPECT_NEAR(means[0], 15 - 5 * 2.0 / 3, 1e-4);
  EXPECT_NEAR(means[1], 15 + 5 * 2.0 / 3, 1e-4);
}

TEST(XgBoost, EachRoundLearnsWhatIsLeft) {
  const auto all = sample_cells(100, 5);
  const auto features = encode_cells(all);
  const auto values = accuracies_of(all);
  double before = mean_square(std::vector<double>(100, mean(values)), values);
  for (const int rounds : {1, 2, 4, 8, 16, 64}) {
    XgBoost predictor(plain(rounds, 0.3, 4), Rng(1));
    predictor.fit(features, values);
    const double left = mean_square(means_of(predictor.predict(features)), values);
    EXPECT_LT(left, before) << rounds;
    before = left;
  }
  XgBoost deep(plain(300, 0.5, 20), Rng(1));
  deep.fit(features, values);
  const auto learned = means_of(deep.predict(features));
  for (std::size_t i = 0; i < 100; ++i) EXPECT_NEAR(learned[i], values[i], 0.05);
}

TEST(XgBoost, LearnsTheOrderOfEachTwo) {
  const auto all = sample_cells(100, 5);
  const auto features = encode_cells(all);
  const auto values = accuracies_of(all);
  XgBoostOptions options = plain(100, 0.3, 6);
  options.objective = BoostingObjective::pairwise_rank;
  XgBoost predictor(options, Rng(1));
  predictor.fit(features, values);
  const auto learned = means_of(predictor.predict(features));
  EXPECT_GT(kendall_tau_b(learned, values), 0.9);
  EXPECT_NEAR(mean(learned), mean(values), 1e-3);
  EXPECT_NEAR(standard_deviation(learned), standard_deviation(values), 1e-3);
  // Only the order counts: what keeps it changes nothing in it.
  std::vector<double> cubes;
  for (const double value : values) cubes.push_back(value * value * value);
  XgBoost other(options, Rng(1));
  other.fit(features, cubes);
  EXPECT_EQ(ranks(means_of(other.predict(features))), ranks(learned));
}

TEST(XgBoost, RanksCellsFromFewOfThem) {
  for (const auto objective :
       {BoostingObjective::squared_error, BoostingObjective::pairwise_rank}) {
    double tau = 0;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      XgBoost predictor({.objective = objective}, Rng(seed));
      tau += tau_on_cells(predictor, seed) / 3;
    }
    EXPECT_GT(tau, 0.6);
  }
}

TEST(XgBoost, DrawsFromItsGenerator) {
  const auto all = sample_cells(50, 5);
  const auto features = encode_cells(all);
  const auto values = accuracies_of(all);
  XgBoost one({}, Rng(1)), same({}, Rng(1)), other({}, Rng(2));
  for (XgBoost* predictor : {&one, &same, &other}) predictor->fit(features, values);
  one.fit(features, values);
  EXPECT_EQ(means_of(one.predict(features)), means_of(same.predict(features)));
  EXPECT_NE(means_of(one.predict(features)), means_of(other.predict(features)));
}

#else

TEST(XgBoost, ABuildWithoutItSaysSo) {
  EXPECT_FALSE(has_xgboost());
  EXPECT_THAT(throws<UnsupportedError>([] { XgBoost({}, Rng(1)); }),
              testing::HasSubstr("libxgboost-dev"));
}

#endif

TEST(XgBoost, RefusesOptionsOutOfRange) {
  for (const Json& wrong : {Json{{"rounds", 0}}, Json{{"learning_rate", 0}}, Json{{"depth", 31}},
                            Json{{"subsample", 0}}, Json{{"columns", 1.5}}}) {
    EXPECT_THROW(xgboost_option_table().read(wrong, ""), ConfigError) << wrong;
  }
}

}  // namespace
}  // namespace espalier
