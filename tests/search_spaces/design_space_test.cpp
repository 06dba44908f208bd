#include "search_spaces/design_space.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using Values = std::vector<double>;

constexpr double infinity = std::numeric_limits<double>::infinity();

Values uniform(std::size_t count, double low, double high, Rng rng) {
  Values values(count);
  for (double& v : values) v = low + (high - low) * rng.uniform();
  return values;
}

TEST(SampleInRanges, KeepsToTheRangesAndStaysUniform) {
  const auto space = make_nasbench201();
  Rng rng(5);
  // The costs that the table of NAS-Bench-201 names for its smallest and largest networks.
  const CostRanges ranges{.params_min = 300'000, .params_max = 700'000, .macs_max = 100'000'000};
  const auto sample = sample_in_ranges(*space, 400, ranges, rng);
  ASSERT_EQ(sample.size(), 400u);
  int all = 0, with_none = 0, in_all = 0;
  for (const Architecture& a : sample) {
    const Cost c = space->quick_cost(a);
    ASSERT_TRUE(space->valid(a));
    EXPECT_GE(c.params, 300'000);
    EXPECT_LE(c.params, 700'000);
    EXPECT_LE(c.macs, 100'000'000);
    with_none += a.choices[0] == 0;
  }
  enumerate(*space, [&](const Architecture& a) {
    const Cost c = space->quick_cost(a);
    if (c.params < 300'000 || c.params > 700'000 || c.macs > 100'000'000) return true;
    ++all, in_all += a.choices[0] == 0;
    return true;
  });
  const double share = static_cast<double>(in_all) / all;
  EXPECT_NEAR(with_none, 400 * share, 5 * std::sqrt(400 * share * (1 - share)));
}

TEST(SampleInRanges, BoundsAreIncludedAndNoneAreNeeded) {
  const ChainStage stage{.widths = {8, 16}, .depths = {1}, .kernels = {3}};
  const auto space = make_chain({.stages = {stage}});
  const std::int64_t small = space->quick_cost({{0}}).params;
  Rng rng(1);
  for (const Architecture& a :
       sample_in_ranges(*space, 20, {.params_min = small, .params_max = small}, rng)) {
    EXPECT_EQ(a, (Architecture{{0}}));
  }
  EXPECT_EQ(sample_in_ranges(*space, 3, {}, rng).size(), 3u);
  EXPECT_TRUE(sample_in_ranges(*space, 0, {}, rng).empty());
}

TEST(SampleInRanges, AnErrorSaysWhatThereIs) {
  const ChainStage stage{.widths = {8, 16}, .depths = {1}, .kernels = {3}};
  const auto space = make_chain({.stages = {stage}});
  const Cost small = space->quick_cost({{0}}), large = space->quick_cost({{1}});
  Rng rng(1);
  const auto error = [&](const CostRanges& ranges) {
    return throws<ConfigError>([&] { sample_in_ranges(*space, 5, ranges, rng); });
  };
  const std::string found = "; they have params of " + std::to_string(small.params) + " to " +
                            std::to_string(large.params) + " and macs of " +
                            std::to_string(small.macs) + " to " + std::to_string(large.macs);
  EXPECT_EQ(error({.params_max = 10}),
            "none of 10000 random networks in a row has params of at most 10" + found);
  EXPECT_EQ(
      error({.params_max = 9, .macs_min = 7}),
      "none of 10000 random networks in a row has params of at most 9 and macs of at least 7" +
          found);
  EXPECT_EQ(error({.macs_min = 1, .macs_max = 2}),
            "none of 10000 random networks in a row has macs of 1 to 2" + found);
  EXPECT_EQ(error({.params_min = 5, .params_max = 4}),
            "/params_min: 5 is above the largest allowed value, 4");
  EXPECT_EQ(error({.macs_min = 5, .macs_max = 4}),
            "/macs_min: 5 is above the largest allowed value, 4");
  EXPECT_THAT(error({.macs_max = -1}), HasSubstr("/macs_max"));
}

TEST(ErrorDistribution, CountsScoresStrictlyBelow) {
  const ErrorDistribution f({3, 1, 2, 2});
  EXPECT_EQ(f.at(1), 0);  // not the score itself
  EXPECT_EQ(f.at(1.5), 0.25);
  EXPECT_EQ(f.at(2), 0.25);
  EXPECT_EQ(f.at(2.1), 0.75);
  EXPECT_EQ(f.at(9), 1);
  EXPECT_EQ(f.mean(), 2);
  EXPECT_THAT(f.scores(), ElementsAre(1, 2, 2, 3));
}

TEST(ErrorDistribution, QuantilesInvertIt) {
  const ErrorDistribution f({4, 1, 3, 2}, {1, 1, 1, 5});
  EXPECT_EQ(f.quantile(0), 1);
  EXPECT_EQ(f.quantile(0.125), 1);
  EXPECT_EQ(f.quantile(0.126), 2);
  EXPECT_EQ(f.quantile(0.75), 2);
  EXPECT_EQ(f.quantile(0.875), 3);
  EXPECT_EQ(f.quantile(1), 4);
  EXPECT_EQ(f.at(2.5), 0.75);
  EXPECT_EQ(f.mean(), (4 + 1 + 3 + 10) / 8.0);
}

TEST(ErrorDistribution, OfAPlantedScoreIsKnown) {
  // The number of convolutions of a NAS-Bench-201 cell: binomial with 6 edges and p = 2/5.
  const auto space = make_nasbench201();
  Rng rng(12);
  Values scores;
  for (const Architecture& a : sample_in_ranges(*space, 4000, {}, rng)) {
    scores.push_back(static_cast<double>(std::ranges::count_if(
        a.choices, [](std::uint32_t choice) { return choice == 2 || choice == 3; })));
  }
  const ErrorDistribution f(scores);
  double expected = 0;
  for (int k = 0; k <= 6; ++k) {
    EXPECT_NEAR(f.at(k), expected, 4 * std::sqrt(0.25 / 4000)) << k;
    const double ways[] = {1, 6, 15, 20, 15, 6, 1};
    expected += ways[k] * std::pow(0.4, k) * std::pow(0.6, 6 - k);
  }
  EXPECT_NEAR(f.mean(), 2.4, 4 * 1.2 / std::sqrt(4000.0));
}

TEST(ErrorDistribution, TheAreaIsTheIntegral) {
  const ErrorDistribution f({0.2, 0.7, 5}, {1, 2, 1});
  constexpr int steps = 100'000;
  double sum = 0;
  for (int i = 0; i < steps; ++i) sum += f.at(0.1 + (i + 0.5) / steps * 0.8);
  EXPECT_NEAR(f.area(0.1, 0.9), sum / steps, 1e-4);
  EXPECT_NEAR(f.area(0, 5), (5 - f.mean()) / 5, 1e-12);
}

TEST(ErrorDistribution, RefusesWhatIsNoDistribution) {
  const auto error = [](Values scores, Values weights = {}) {
    return throws<NumericalError>([&] { ErrorDistribution(scores, weights); });
  };
  EXPECT_EQ(error({}), "a distribution needs at least 1 score");
  EXPECT_EQ(error({1, 2}, {1}), "2 scores with 1 weights");
  EXPECT_EQ(error({1, infinity}), "score 1 is inf");
  EXPECT_EQ(error({1}, {infinity}), "weight 0 is inf");
  EXPECT_EQ(error({1, 2}, {1, -1}), "weight 1 is -1");
  EXPECT_EQ(error({1, 2}, {0, 0}), "all weights of a distribution are 0");
  const ErrorDistribution f({1, 2});
  EXPECT_EQ(throws<NumericalError>([&] { f.quantile(1.5); }), "a quantile at 1.5, not 0 to 1");
  EXPECT_EQ(throws<NumericalError>([&] { f.area(2, 2); }),
            "an area from 2 to 2, which is no range");
}

TEST(ComplexityWeights, MakeTheComplexityUniform) {
  // Complexities crowd at the low end; the score is the complexity itself.
  const Values crowded = [] {
    Values values = uniform(20'000, 0, 1, Rng(3));
    for (double& v : values) v *= v * v;
    return values;
  }();
  const auto weights = complexity_weights(std::vector<Values>{crowded}, 50);
  const ErrorDistribution normalized(crowded, weights[0]);
  for (const double x : {0.1, 0.3, 0.5, 0.8}) {
    EXPECT_NEAR(normalized.at(x), x, 0.02);
    EXPECT_GT(ErrorDistribution(crowded).at(x), x + 0.1);
  }
}

TEST(ComplexityWeights, FollowTheSourceInEveryBin) {
  // Common range 1 to 5, four bins of width 1: [1,2) has 1 and 2 networks, [2,3) only the first
  // space's, [3,4) 1 and 1, [4,5] 2 and 1.
  const std::vector<Values> complexities{{0, 1.5, 2.5, 3.5, 4.5, 5}, {1, 1.9, 3, 4.9, 7}};
  const auto weights = complexity_weights(complexities, 4);
  const double third = 1.0 / 3;
  const auto near = [](double x) { return DoubleNear(x, 1e-15); };
  EXPECT_THAT(weights[0], ElementsAre(near(0), near(third), near(0), near(third), near(third / 2),
                                      near(third / 2)));
  EXPECT_THAT(weights[1],
              ElementsAre(near(third / 2), near(third / 2), near(third), near(third), near(0)));
  // One complexity only.
  EXPECT_THAT(complexity_weights(std::vector<Values>{{3, 3}}, 10)[0], ElementsAre(0.5, 0.5));
}

TEST(ComplexityWeights, SpacesMustMeet) {
  const auto error = [](std::vector<Values> complexities) {
    return throws<NumericalError>([&] { complexity_weights(complexities, 4); });
  };
  EXPECT_THAT(error({{1, 2}, {3, 4}}), HasSubstr("has networks of every space"));
  EXPECT_THAT(error({{1, 2}, {}}), HasSubstr("at least 1 complexity"));
  EXPECT_EQ(error({{1, infinity}}), "complexity 1 is inf");
  EXPECT_EQ(throws<ConfigError>([] { complexity_weights(std::vector<Values>{{1}}, 0); }),
            "needs at least 1 bin, got 0");
}

TEST(CompareSpaces, StatisticsEqualTheirDefinitions) {
  Rng rng(9);
  Values a, b, weights;
  for (int i = 0; i < 40; ++i) a.push_back(static_cast<double>(rng.below(12)));
  for (int i = 0; i < 25; ++i) b.push_back(static_cast<double>(rng.below(10) + 1));
  for (int i = 0; i < 40; ++i) weights.push_back(rng.uniform());
  double total = 0, wins = 0, losses = 0, distance = 0;
  for (const double w : weights) total += w;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (const double y : b) {
      const double p = weights[i] / total / 25;
      wins += a[i] > y ? p : a[i] == y ? p / 2 : 0;
      losses += a[i] < y ? p : a[i] == y ? p / 2 : 0;
    }
  }
  const ErrorDistribution f(a, weights), g(b);
  for (double x = 0; x < 13; x += 0.5) distance = std::max(distance, std::abs(f.at(x) - g.at(x)));
  const SpaceComparison c = compare_spaces(f, g, {.levels = {4, 7.5}}, Rng(1));
  EXPECT_NEAR(c.mean_difference.value, f.mean() - g.mean(), 1e-12);
  EXPECT_NEAR(c.win_probability.value, wins, 1e-12);
  EXPECT_NEAR(c.kolmogorov_smirnov.value, distance, 1e-12);
  EXPECT_NEAR(c.levels[0].a, f.at(4), 1e-12);
  EXPECT_NEAR(c.levels[0].b, g.at(4), 1e-12);
  EXPECT_NEAR(c.levels[1].difference.value, f.at(7.5) - g.at(7.5), 1e-12);
  const SpaceComparison lower = compare_spaces(f, g, {.better = Better::lower}, Rng(1));
  EXPECT_NEAR(lower.win_probability.value, losses, 1e-12);
  EXPECT_NEAR(wins + losses, 1, 1e-12);
}

TEST(CompareSpaces, ABetterSpaceWins) {
  const ErrorDistribution better(uniform(500, 2, 12, Rng(1))), worse(uniform(400, 0, 10, Rng(2)));
  const SpaceComparison c = compare_spaces(better, worse, {.levels = {6}}, Rng(3));
  EXPECT_GT(c.mean_difference.interval.low, 1);
  EXPECT_LT(c.mean_difference.interval.high, 3);
  EXPECT_GT(c.win_probability.interval.low, 0.5);
  EXPECT_NEAR(c.win_probability.value, 1 - 0.8 * 0.8 / 2, 0.04);
  EXPECT_NEAR(c.kolmogorov_smirnov.value, 0.2, 0.06);
  EXPECT_LT(c.levels[0].difference.interval.high, 0);
}

TEST(CompareSpaces, IntervalsCoverTheTruthAsOftenAsTheySay) {
  // The same two spaces sampled again and again: mean difference 0.25, P(a > b) = 23/32, and the
  // shares of scores below 0.5 are 1/4 and 1/2.
  int means = 0, wins = 0, levels = 0, spurious = 0;
  constexpr int repetitions = 300;
  for (std::uint64_t r = 0; r < repetitions; ++r) {
    const Rng rng = Rng(31).fork(r);
    const ErrorDistribution a(uniform(80, 0.25, 1.25, rng.fork("a")));
    const ErrorDistribution b(uniform(60, 0, 1, rng.fork("b")));
    const ErrorDistribution b2(uniform(80, 0, 1, rng.fork("b2")));
    const ComparisonOptions options{.levels = {0.5},
                                    .bootstrap = {.resamples = 300, .confidence = 0.9}};
    const SpaceComparison c = compare_spaces(a, b, options, rng.fork("bootstrap"));
    const auto covers = [](const Estimate& e, double truth) {
      return e.interval.low <= truth && truth <= e.interval.high;
    };
    means += covers(c.mean_difference, 0.25);
    wins += covers(c.win_probability, 1 - 0.75 * 0.75 / 2);
    levels += covers(c.levels[0].difference, -0.25);
    const SpaceComparison same = compare_spaces(b2, b, options, rng.fork("bootstrap"));
    spurious += !covers(same.win_probability, 0.5);
  }
  for (const int covered : {means, wins, levels, repetitions - spurious}) {
    EXPECT_GT(covered, 0.85 * repetitions);
    EXPECT_LT(covered, 0.95 * repetitions);
  }
}

TEST(CompareSpaces, ComplexityCanExplainADifference) {
  // The score is the complexity with noise; one space is larger on the whole.
  const Values small = uniform(3000, 0, 8, Rng(1)), large = uniform(3000, 2, 10, Rng(2));
  const auto score = [](Values values, Rng rng) {
    for (double& v : values) v += rng.normal();
    return values;
  };
  const Values a = score(large, Rng(3)), b = score(small, Rng(4));
  const auto mean_difference = [](const ErrorDistribution& x, const ErrorDistribution& y) {
    return compare_spaces(x, y, {}, Rng(5)).mean_difference;
  };
  EXPECT_GT(mean_difference(ErrorDistribution(a), ErrorDistribution(b)).interval.low, 1.5);
  const auto weights = complexity_weights(std::vector<Values>{large, small}, 20);
  const Estimate e =
      mean_difference(ErrorDistribution(a, weights[0]), ErrorDistribution(b, weights[1]));
  EXPECT_LT(e.interval.low, 0);
  EXPECT_GT(e.interval.high, 0);
  EXPECT_LT(std::abs(e.value), 0.1);
}

TEST(CompareSpaces, RefusesOptionsOutOfRange) {
  const ErrorDistribution f({1, 2});
  EXPECT_THAT(
      throws<ConfigError>([&] { compare_spaces(f, f, {.bootstrap = {.resamples = 0}}, Rng(1)); }),
      HasSubstr("/resamples"));
  EXPECT_EQ(throws<NumericalError>([&] { compare_spaces(f, f, {.levels = {infinity}}, Rng(1)); }),
            "level 0 is inf");
}

}  // namespace
}  // namespace espalier
