#include "core/stats.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "core/rng.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using Values = std::vector<double>;

// Tau-b by its definition: all pairs.
double kendall_by_pairs(const Values& x, const Values& y) {
  double sum = 0, pairs_x = 0, pairs_y = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const int sign_x = (x[i] > x[j]) - (x[i] < x[j]);
      const int sign_y = (y[i] > y[j]) - (y[i] < y[j]);
      sum += sign_x * sign_y;
      pairs_x += sign_x != 0;
      pairs_y += sign_y != 0;
    }
  }
  return sum / std::sqrt(pairs_x * pairs_y);
}

// The rank by its definition: one plus the smaller ones, plus half of the other equal ones.
Values ranks_by_counting(const Values& values) {
  Values ranks;
  for (const double a : values) {
    double rank = 0.5;
    for (const double b : values) rank += b < a ? 1 : b == a ? 0.5 : 0;
    ranks.push_back(rank);
  }
  return ranks;
}

TEST(StatsTest, MomentsAndQuantiles) {
  const Values values = {4, 1, 3, 2};
  EXPECT_DOUBLE_EQ(mean(values), 2.5);
  EXPECT_DOUBLE_EQ(standard_deviation(values), std::sqrt(5.0 / 3));
  EXPECT_DOUBLE_EQ(quantile(values, 0), 1);
  EXPECT_DOUBLE_EQ(quantile(values, 1), 4);
  EXPECT_DOUBLE_EQ(quantile(values, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(quantile(values, 0.9), 3.7);
  EXPECT_DOUBLE_EQ(quantile(Values{7}, 0.3), 7);
}

TEST(StatsTest, TiesShareTheirAverageRank) {
  EXPECT_EQ(ranks(Values{10, 20, 10, 5, 20, 20}), (Values{2.5, 5, 2.5, 1, 5, 5}));
  EXPECT_TRUE(ranks({}).empty());
}

TEST(StatsTest, CorrelationsAgreeWithTheirDefinitionsOnRandomDataWithTies) {
  Rng rng(1);
  for (int round = 0; round < 300; ++round) {
    const std::size_t n = 2 + rng.below(40);
    const std::int64_t levels = rng.uniform_int(2, 30);
    Values x(n), y(n);
    for (std::size_t i = 0; i < n; ++i) {
      x[i] = static_cast<double>(rng.uniform_int(0, levels));
      y[i] = static_cast<double>(rng.uniform_int(0, levels)) + 0.3 * x[i];
    }
    EXPECT_EQ(ranks(x), ranks_by_counting(x));
    const double tau = kendall_tau_b(x, y);
    const double expected = kendall_by_pairs(x, y);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(tau));
      EXPECT_TRUE(std::isnan(spearman(x, y)));
    } else {
      EXPECT_NEAR(tau, expected, 1e-12);
      EXPECT_NEAR(spearman(x, y), pearson(ranks_by_counting(x), ranks_by_counting(y)), 1e-12);
    }
  }
}

TEST(StatsTest, KnownCorrelations) {
  const Values x = {1, 2, 3, 4, 5};
  const Values y = {2, 4, 6, 8, 10};
  const Values falling = {5, 4, 3, 2, 1};
  EXPECT_DOUBLE_EQ(pearson(x, y), 1);
  EXPECT_DOUBLE_EQ(pearson(x, falling), -1);
  EXPECT_DOUBLE_EQ(kendall_tau_b(x, falling), -1);
  EXPECT_DOUBLE_EQ(kendall_tau_b(x, y), 1);
  // Anscombe's first data set, a published value.
  const Values ax = {10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5};
  const Values ay = {8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68};
  EXPECT_NEAR(pearson(ax, ay), 0.81642, 5e-6);
}

TEST(StatsTest, CorrelationWithAConstantIsUndefined) {
  const Values x = {0.1, 0.1, 0.1}, y = {1, 2, 3};
  EXPECT_TRUE(std::isnan(pearson(x, y)));
  EXPECT_TRUE(std::isnan(spearman(y, x)));
  EXPECT_TRUE(std::isnan(kendall_tau_b(x, y)));
  EXPECT_TRUE(std::isnan(kendall_tau_b(y, x)));
}

TEST(StatsTest, PrecisionAtTheTopCountsTheBestThatAreFound) {
  const Values scores = {9, 8, 7, 1, 2, 3}, values = {60, 50, 10, 20, 40, 30};
  EXPECT_DOUBLE_EQ(precision_at_top(scores, values, 1), 1);
  EXPECT_DOUBLE_EQ(precision_at_top(scores, values, 2), 1);
  EXPECT_DOUBLE_EQ(precision_at_top(scores, values, 3), 2.0 / 3);
  EXPECT_DOUBLE_EQ(precision_at_top(scores, values, 6), 1);
  EXPECT_DOUBLE_EQ(precision_at_top(values, scores, 3), 2.0 / 3);
  const Values falling = {1, 2, 3, 4, 5, 6}, rising = {6, 5, 4, 3, 2, 1};
  EXPECT_DOUBLE_EQ(precision_at_top(falling, rising, 3), 0);
  // A score that knows nothing finds as much as chance, in any order of the candidates.
  const Values constant(6, 1.0);
  EXPECT_DOUBLE_EQ(precision_at_top(constant, values, 2), 2.0 / 6);
  // One sure hit, and two of three for the other place, of which one is among the best two.
  const Values tied = {5, 4, 4, 4, 0, 0};
  EXPECT_DOUBLE_EQ(precision_at_top(tied, values, 2), (1 + 1.0 / 3) / 2);
  EXPECT_THAT(throws<NumericalError>([&] { precision_at_top(scores, values, 7); }),
              testing::HasSubstr("the top 7 of 6 values"));
  throws<NumericalError>([&] { precision_at_top(scores, values, 0); });
}

TEST(StatsTest, BadInputIsRefused) {
  const Values two = {1, 2}, three = {1, 2, 3}, none;
  const Values infinite = {1, std::numeric_limits<double>::infinity()};
  const Values not_a_number = {std::nan(""), 1};
  for (const auto correlation : {pearson, spearman, kendall_tau_b}) {
    EXPECT_THAT(throws<NumericalError>([&] { correlation(two, three); }),
                testing::HasSubstr("2 values with 3 values"));
    throws<NumericalError>([&] { correlation(infinite, two); });
    throws<NumericalError>([&] { correlation(two, not_a_number); });
    throws<NumericalError>([&] { correlation(Values{1}, Values{1}); });
  }
  EXPECT_THAT(throws<NumericalError>([&] { mean(none); }),
              testing::HasSubstr("0 values needs at least 1"));
  throws<NumericalError>([] { standard_deviation(Values{1}); });
  throws<NumericalError>([&] { quantile(none, 0.5); });
  EXPECT_THAT(throws<NumericalError>([&] { quantile(two, 1.5); }), testing::HasSubstr("1.5"));
  throws<NumericalError>([&] { quantile(two, std::nan("")); });
  EXPECT_THAT(throws<NumericalError>([&] { ranks(not_a_number); }),
              testing::HasSubstr("value 0 of a statistic is nan"));
}

}  // namespace
}  // namespace espalier
