#include "core/rng.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "core/error.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

// Chi-squared of observed counts against equal expected ones, for n cells.
double chi_squared(const std::vector<std::size_t>& counts, double expected) {
  double sum = 0;
  for (const std::size_t count : counts) {
    const double difference = static_cast<double>(count) - expected;
    sum += difference * difference / expected;
  }
  return sum;
}

// xoshiro256** itself, as its authors' program prints it for the state {1, 2, 3, 4}.
TEST(RngTest, TheGeneratorIsXoshiro256StarStar) {
  Rng rng = Rng::from_string(
      "0000000000000000-0000000000000001000000000000000200000000000000030000000000000004");
  const std::uint64_t expected[] = {
      11520, 0, 1509978240, 1215971899390074240, 1216172134540287360, 607988272756665600};
  for (const std::uint64_t value : expected) EXPECT_EQ(rng.next(), value);
}

// splitmix64 from the state 1234567 begins with these.
TEST(RngTest, TheSeedingIsSplitmix64) {
  EXPECT_EQ(Rng(1234567).to_string().substr(17, 32), "599ed017fb08fc852c73f08458540fa5");
}

// Runs are replayed from their seeds, so these values may never change.
TEST(RngTest, GoldenValues) {
  Rng rng(42);
  EXPECT_EQ(rng.next(), 0x15780b2e0c2ec716u);
  EXPECT_EQ(rng.below(1000), 378u);
  EXPECT_EQ(rng.uniform_int(-5, 5), 2);
  EXPECT_EQ(rng.uniform(), 0x1.d9715a8e0766cp-1);
  EXPECT_EQ(rng.normal(), 0x1.33355276ffe49p+1);
  EXPECT_EQ(rng.fork("strategy").next(), 0x3dafa0c9de1c9637u);
  EXPECT_EQ(rng.fork(7).next(), 0x60be083242369fb2u);
  std::vector<int> items = {0, 1, 2, 3, 4, 5, 6, 7};
  rng.shuffle(items);
  EXPECT_THAT(items, testing::ElementsAre(1, 0, 4, 2, 3, 7, 5, 6));
  EXPECT_THAT(rng.sample_without_replacement(100, 4), testing::ElementsAre(80, 32, 71, 88));
  EXPECT_EQ(rng.weighted(std::vector<double>{1, 2, 3, 4}), 3u);
}

TEST(RngTest, AForkDependsOnTheKeyAndTheIdOnly) {
  Rng rng(1);
  const Rng early = rng.fork(3);
  for (int i = 0; i < 100; ++i) rng.next();
  EXPECT_EQ(rng.fork(3), early);
  EXPECT_NE(rng.fork(4), early);
  EXPECT_NE(Rng(2).fork(3), early);
  EXPECT_NE(rng.fork("3"), early);
  EXPECT_NE(rng.fork(3).fork(3), early);
}

TEST(RngTest, ForksAreUncorrelated) {
  const Rng parent(9);
  double sum = 0;
  constexpr int n = 20000;
  for (int i = 0; i < n; ++i) {
    const auto id = static_cast<std::uint64_t>(i);
    sum += (parent.fork(id).uniform() - 0.5) * (parent.fork(id + 1).uniform() - 0.5);
  }
  EXPECT_NEAR(sum / n * 12, 0, 0.04);  // 5.6 standard errors
}

TEST(RngTest, TheStateIsSavedAndRestored) {
  Rng rng(5);
  rng.next();
  Rng restored = Rng::from_string(rng.to_string());
  EXPECT_EQ(restored, rng);
  EXPECT_EQ(restored.fork(1), rng.fork(1));
  EXPECT_EQ(restored.next(), rng.next());
}

TEST(RngTest, ABadStateIsRefused) {
  const std::string good = Rng(5).to_string();
  for (const std::string& bad : {std::string(), good + "0", good.substr(1), "x" + good.substr(1),
                                 good.substr(0, 16) + " " + good.substr(17),
                                 good.substr(0, 16) + "-ABCDEF" + good.substr(23),
                                 good.substr(0, 16) + "-" + std::string(64, '0')}) {
    EXPECT_THAT(throws<Error>([&] { Rng::from_string(bad); }),
                testing::HasSubstr("is not the state of a random generator"));
  }
}

TEST(RngTest, BelowIsUniform) {
  Rng rng(3);
  for (const std::uint64_t n : {1u, 2u, 3u, 7u, 100u}) {
    std::vector<std::size_t> counts(n);
    for (std::uint64_t i = 0; i < 1000 * n; ++i) ++counts[rng.below(n)];
    const double degrees = static_cast<double>(n) - 1;
    EXPECT_LE(chi_squared(counts, 1000), degrees + 5 * std::sqrt(2 * degrees) + 1) << n;
  }
}

// With a plain multiplication the middle third would be hit 3/2 times too often or too seldom.
TEST(RngTest, BelowIsUnbiasedForHugeRanges) {
  Rng rng(4);
  const std::uint64_t n = (std::uint64_t{1} << 63) + (std::uint64_t{1} << 62);
  std::vector<std::size_t> counts(3);
  for (int i = 0; i < 30000; ++i) {
    const std::uint64_t value = rng.below(n);
    ASSERT_LT(value, n);
    ++counts[value / (n / 3)];
  }
  EXPECT_LE(chi_squared(counts, 10000), 20);
}

TEST(RngTest, UniformIntCoversBothEndsAndTheWholeRange) {
  Rng rng(6);
  std::set<std::int64_t> seen;
  for (int i = 0; i < 200; ++i) seen.insert(rng.uniform_int(-2, 2));
  EXPECT_THAT(seen, testing::ElementsAre(-2, -1, 0, 1, 2));
  constexpr auto low = std::numeric_limits<std::int64_t>::min();
  constexpr auto high = std::numeric_limits<std::int64_t>::max();
  int negative = 0;
  for (int i = 0; i < 1000; ++i) negative += rng.uniform_int(low, high) < 0 ? 1 : 0;
  EXPECT_NEAR(negative, 500, 80);
  EXPECT_EQ(rng.uniform_int(high, high), high);
}

TEST(RngTest, UniformStaysBelowOne) {
  Rng rng(7);
  double sum = 0, squares = 0;
  constexpr int n = 100000;
  for (int i = 0; i < n; ++i) {
    const double value = rng.uniform();
    ASSERT_GE(value, 0);
    ASSERT_LT(value, 1);
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / n, 0.5, 0.005);
  EXPECT_NEAR(squares / n, 1.0 / 3, 0.005);
}

TEST(RngTest, NormalHasTheMomentsOfTheNormalDistribution) {
  Rng rng(8);
  double sum = 0, squares = 0, fourth = 0;
  constexpr int n = 200000;
  for (int i = 0; i < n; ++i) {
    const double value = rng.normal();
    sum += value;
    squares += value * value;
    fourth += value * value * value * value;
  }
  EXPECT_NEAR(sum / n, 0, 0.01);
  EXPECT_NEAR(squares / n, 1, 0.015);
  EXPECT_NEAR(fourth / n, 3, 0.12);
}

// The distribution function is the oracle: Phi(quantile(p)) = p.
TEST(RngTest, FillNormalIsAsManyCallsOfNormal) {
  for (const std::size_t count : {0u, 1u, 255u, 256u, 257u, 5000u}) {
    Rng at_once(7), one_by_one(7);
    std::vector<double> values(count);
    at_once.fill_normal(values);
    for (const double value : values) EXPECT_EQ(value, one_by_one.normal());
    EXPECT_EQ(at_once, one_by_one);
  }
}

TEST(RngTest, NormalQuantileInvertsTheDistributionFunction) {
  const auto distribution = [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); };
  for (int exponent = -300; exponent <= -1; ++exponent) {
    const double p = std::pow(10.0, exponent) * 3.7;
    EXPECT_NEAR(distribution(normal_quantile(p)) / p, 1, 1e-12) << p;
  }
  for (int i = 1; i < 1000; ++i) {
    const double p = i / 1000.0;
    EXPECT_NEAR(distribution(normal_quantile(p)), p, 1e-15) << p;
    EXPECT_NEAR(normal_quantile(p), -normal_quantile(1 - p), 1e-13) << p;
  }
  EXPECT_EQ(normal_quantile(0.5), 0);
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 2e-15);
  EXPECT_EQ(normal_quantile(0), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(normal_quantile(1), std::numeric_limits<double>::infinity());
}

TEST(RngTest, BernoulliDrawsWithItsProbability) {
  Rng rng(9);
  int hits = 0;
  for (int i = 0; i < 10000; ++i) hits += rng.bernoulli(0.3) ? 1 : 0;
  EXPECT_NEAR(hits, 3000, 230);  // 5 standard deviations
  EXPECT_FALSE(rng.bernoulli(0));
  EXPECT_TRUE(rng.bernoulli(1));
}

TEST(RngTest, ShuffleDrawsEveryOrderEquallyOften) {
  Rng rng(10);
  std::map<std::vector<int>, std::size_t> counts;
  for (int i = 0; i < 24000; ++i) {
    std::vector<int> items = {0, 1, 2, 3};
    rng.shuffle(items);
    ++counts[items];
  }
  ASSERT_EQ(counts.size(), 24u);
  std::vector<std::size_t> cells;
  for (const auto& [order, count] : counts) cells.push_back(count);
  EXPECT_LE(chi_squared(cells, 1000), 23 + 5 * std::sqrt(46.0));
}

TEST(RngTest, SampleWithoutReplacementDrawsEverySequenceEquallyOften) {
  Rng rng(11);
  std::map<std::vector<std::size_t>, std::size_t> counts;
  for (int i = 0; i < 20000; ++i) ++counts[rng.sample_without_replacement(5, 2)];
  ASSERT_EQ(counts.size(), 20u);
  std::vector<std::size_t> cells;
  for (const auto& [sample, count] : counts) {
    EXPECT_NE(sample[0], sample[1]);
    cells.push_back(count);
  }
  EXPECT_LE(chi_squared(cells, 1000), 19 + 5 * std::sqrt(38.0));
}

TEST(RngTest, SampleWithoutReplacementTakesAllOrNone) {
  Rng rng(12);
  std::vector<std::size_t> all = rng.sample_without_replacement(50, 50);
  std::ranges::sort(all);
  for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(all[i], i);
  EXPECT_TRUE(rng.sample_without_replacement(50, 0).empty());
  const std::vector<std::size_t> few = rng.sample_without_replacement(std::size_t{1} << 60, 3);
  EXPECT_EQ(std::set<std::size_t>(few.begin(), few.end()).size(), 3u);
}

TEST(RngTest, WeightedDrawsInProportionAndNeverAnEmptyWeight) {
  Rng rng(13);
  const std::vector<double> weights = {0, 1, 0, 3, 0};
  std::vector<int> counts(5);
  for (int i = 0; i < 10000; ++i) ++counts[rng.weighted(weights)];
  EXPECT_EQ(counts[0] + counts[2] + counts[4], 0);
  EXPECT_NEAR(counts[3], 7500, 220);  // 5 standard deviations
}

TEST(RngTest, BadWeightsAreRefused) {
  Rng rng(14);
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_THAT(throws<NumericalError>([&] {
                rng.weighted(std::vector<double>{1, -1});
              }),
              testing::HasSubstr("weight 1 of a draw is -1, not >= 0"));
  throws<NumericalError>([&] { rng.weighted(std::vector<double>{std::nan("")}); });
  EXPECT_THAT(throws<NumericalError>([&] {
                rng.weighted(std::vector<double>{0, 0});
              }),
              testing::HasSubstr("the 2 weights of a draw have the sum 0"));
  throws<NumericalError>([&] { rng.weighted(std::vector<double>{infinity}); });
  throws<NumericalError>([&] { rng.weighted({}); });
}

}  // namespace
}  // namespace espalier
