#include "strategies/tpe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;

TEST(ParzenEstimate, IsThatOfThePaper) {
  const std::vector<std::uint32_t> chosen{2, 0, 2};
  EXPECT_THAT(parzen_estimate(chosen, 4, false), ElementsAre(DoubleEq(2.0 / 7), DoubleEq(1.0 / 7),
                                                             DoubleEq(3.0 / 7), DoubleEq(1.0 / 7)));
  // Places -0.5 to 3.5. About 0: the larger of 0.5 and 2; about 2, twice: of 2 and 1.5.
  const auto part = [](double at, int option) {
    const auto below = [&](double x) { return 0.5 * std::erfc(-(x - at) / 2 / std::sqrt(2.0)); };
    return (below(option + 0.5) - below(option - 0.5)) / (below(3.5) - below(-0.5));
  };
  const std::vector<double> ordinal = parzen_estimate(chosen, 4, true);
  for (int option = 0; option < 4; ++option) {
    EXPECT_NEAR(ordinal[static_cast<std::size_t>(option)],
                (0.25 + part(0, option) + 2 * part(2, option)) / 4, 1e-12);
  }
  EXPECT_THAT(parzen_estimate({}, 2, true), ElementsAre(0.5, 0.5));
  EXPECT_THAT(parzen_estimate({}, 2, false), ElementsAre(0.5, 0.5));
}

// Which share of many candidates has each option of the first decision.
std::vector<double> shares(Tpe& strategy, int asks) {
  std::vector<double> result(5, 0.0);
  for (const Candidate& candidate : strategy.ask(static_cast<std::size_t>(asks))) {
    result[candidate.architecture.choices[0]] += 1.0 / asks;
  }
  return result;
}

TEST(Tpe, DrawsFromTheGoodOnes) {
  // 5 of 20 are good: those of the first decision's last options. With one candidate, what is asked
  // for is a draw.
  TpeOptions options;
  options.candidates = 1;
  options.quantile = 0.25;
  for (int i = 0; i < 20; ++i) {
    options.initial.push_back("d1=" + std::to_string(i % 5) + ",d2=" + std::to_string(i));
  }
  Tpe strategy(test_context(test_space({5, 100000})), options);
  const auto outcome = [](const Candidate& c) {
    Trial trial{.candidate = c, .metrics = Metrics(test_metrics())};
    trial.metrics[0] = c.architecture.choices[0] + 1e-3 * static_cast<double>(c.trial_id);
    trial.metrics[1] = 0;
    return trial;
  };
  drive(strategy, 20, 20, outcome);
  // The four with option 4, and the best with option 3: (1, 1, 1, 2, 5) / 10.
  const std::vector<double> drawn = shares(strategy, 1000);
  EXPECT_NEAR(drawn[4], 0.5, 0.047);  // three standard errors
  EXPECT_NEAR(drawn[3], 0.2, 0.038);
  EXPECT_NEAR(drawn[0], 0.1, 0.028);
}

TEST(Tpe, AsksForTheBestRatioOfItsDraws) {
  // Good: (1, 1, 1, 3, 4) / 10; the others: (4, 4, 3, 1, 8) / 20: option 4 is the most frequent
  // good one, option 3 has the best ratio, and of very many draws one has it in each ask.
  TpeOptions options;
  options.candidates = 500;
  options.quantile = 0.25;
  int i = 0;
  for (const int option : {4, 4, 4, 3, 3, 4, 4, 4, 4, 4, 4, 4, 0, 0, 0, 1, 1, 1, 2, 2}) {
    options.initial.push_back("d1=" + std::to_string(option) + ",d2=" + std::to_string(i++));
  }
  Tpe strategy(test_context(test_space({5, 5000})), options);
  drive(strategy, 20, 20, [](const Candidate& c) {
    Trial trial{.candidate = c, .metrics = Metrics(test_metrics())};
    trial.metrics[0] = -static_cast<double>(c.trial_id);  // the first five are the good ones
    trial.metrics[1] = 0;
    return trial;
  });
  EXPECT_NEAR(shares(strategy, 50)[3], 1, 1e-9);
}

TEST(Tpe, InactiveDecisionsDoNotCount) {
  // The last decision is active only while the first is not 0, which the good ones have: nothing is
  // known of its options, though all of these have the first. With one candidate, what is asked for
  // is a draw.
  TpeOptions options;
  options.candidates = 1;
  options.quantile = 0.25;
  for (int i = 0; i < 20; ++i) {
    options.initial.push_back(fmt::format("d1={},d2={},d3={}", i < 5 ? 0 : 1, i, i % 5));
  }
  Tpe strategy(test_context(test_space({2, 100000, 5}, true)), options);
  drive(strategy, 20, 20, [](const Candidate& c) {
    Trial trial{.candidate = c, .metrics = Metrics(test_metrics())};
    trial.metrics[0] = -static_cast<double>(c.trial_id);
    trial.metrics[1] = 0;
    return trial;
  });
  double active = 0, first = 0;
  for (const Candidate& candidate : strategy.ask(4000)) {
    const auto& choices = candidate.architecture.choices;
    if (choices[0] == 0) continue;
    ++active;
    first += choices[2] == 0;
  }
  EXPECT_GT(active, 300);
  EXPECT_NEAR(first / active, 0.2, 3 * std::sqrt(0.2 * 0.8 / active));
}

TEST(Tpe, FailedTrialsAreTheWorst) {
  TpeOptions options;
  options.samples = 30;
  Tpe strategy(test_context(test_space({5, 1000})), options);
  // All that fail have the first option.
  const auto outcome = [](const Candidate& c) {
    return c.architecture.choices[0] == 0 ? failed_trial(c) : complete_trial(c);
  };
  drive(strategy, 30, 1, outcome);
  int first = 0;
  for (const Trial& trial : drive(strategy, 100, 1, outcome)) {
    first += trial.candidate.architecture.choices[0] == 0;
  }
  EXPECT_LE(first, 5);  // of 100, where 20 would be chance
}

TEST(TpeOptionTable, ReadsAndChecks) {
  const auto table = tpe_option_table();
  EXPECT_EQ(table.read({{"quantile", 0.1}}, "").quantile, 0.1);
  EXPECT_THROW(table.read({{"quantile", 0}}, ""), ConfigError);
  EXPECT_THROW(table.read({{"quantile", 1}}, ""), ConfigError);
  EXPECT_THROW(table.read({{"samples", 1}}, ""), ConfigError);
  EXPECT_THROW(table.read({{"candidates", 0}}, ""), ConfigError);
}

}  // namespace
}  // namespace espalier
