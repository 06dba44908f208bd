#include "strategies/bayesian.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/stats.hpp"
#include "predictors/gaussian_process.hpp"
#include "predictors/normal_scores.hpp"
#include "search_spaces/sampling.hpp"
#include "strategies/surrogate.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

constexpr EncodingOptions decisions_only{.patterns = Patterns::none, .costs = false};

BayesianOptions options_of(int samples, int candidates) {
  BayesianOptions options;
  options.samples = samples;
  options.candidates = candidates;
  options.features = decisions_only;
  return options;
}

// Smooth, without two equal values, and with one that is far worse than all others.
Trial smooth_trial(const Candidate& candidate) {
  Trial trial{.candidate = candidate, .metrics = Metrics(test_metrics())};
  double score = 0;
  for (std::size_t d = 0; d < candidate.architecture.choices.size(); ++d) {
    score -= std::pow(candidate.architecture.choices[d] - 1.3, 2) * static_cast<double>(d + 1);
  }
  trial.metrics[0] = candidate.trial_id == 3 ? -1e6 : score;
  trial.metrics[1] = 0;
  return trial;
}

// The expected improvement on the cost `best`.
double improvement(const Prediction& p, double best) {
  const double deviation = std::sqrt(p.variance), u = (best - p.mean) / deviation;
  return deviation * (u * 0.5 * std::erfc(-u / std::sqrt(2)) +
                      std::exp(-u * u / 2) / std::sqrt(2 * std::acos(-1.0)));
}

TEST(Bayesian, AsksForTheLargestExpectedImprovement) {
  // So many candidates and climbs that all 256 architectures are looked at.
  const auto space = test_space({4, 4, 4, 4});
  const auto strategy = bayesian(test_context(space, 2), options_of(8, 4000));
  GaussianProcess model;
  Encoder encoder(space, decisions_only);
  std::vector<Trial> told = drive(*strategy, 8, 1, smooth_trial);
  for (int step = 0; step < 25; ++step) {
    std::vector<Architecture> known, others;
    std::vector<double> costs;
    for (const Trial& trial : told) {
      known.push_back(trial.candidate.architecture);
      costs.push_back(-trial.metrics[0]);
    }
    // Normal scores.
    const std::vector<double> places = ranks(costs);
    for (std::size_t i = 0; i < costs.size(); ++i) {
      costs[i] = normal_quantile((places[i] - 0.5) / static_cast<double>(costs.size()));
    }
    const double best = *std::ranges::min_element(costs);
    model.fit(encoder.encode(known), costs);
    enumerate(*space, [&](const Architecture& a) {
      if (std::ranges::find(known, a) == known.end()) others.push_back(a);
      return true;
    });
    const auto its = [&](const Architecture& a) {
      return improvement(model.predict(encoder.encode({&a, 1}))[0], best);
    };
    double largest = 0;
    for (const Architecture& a : others) largest = std::max(largest, its(a));
    const Candidate candidate = strategy->ask(1).at(0);
    EXPECT_NEAR(its(candidate.architecture), largest, 1e-6 * largest) << step;
    told.push_back(smooth_trial(candidate));
    strategy->tell(told.back());
  }
}

TEST(Bayesian, CandidatesInFlightCountAsPredicted) {
  const auto space = test_space({4, 4, 4});
  const auto strategy = bayesian(test_context(space, 2), options_of(8, 4000));
  const std::vector<Trial> told = drive(*strategy, 8, 1, smooth_trial);
  std::vector<Architecture> known;
  std::vector<double> costs;
  for (const Trial& trial : told) {
    known.push_back(trial.candidate.architecture);
    costs.push_back(-trial.metrics[0]);
  }
  costs = normal_scores(costs);
  GaussianProcess model;
  Encoder encoder(space, decisions_only);
  for (int i = 0; i < 6; ++i) {
    model.fit(encoder.encode(std::span(known).first(8)), std::span(costs).first(8));
    if (known.size() > 8) {
      // What is in flight has the values that the model of the told ones predicts.
      costs.resize(8);
      for (const Prediction& p : model.predict(encoder.encode(std::span(known).subspan(8)))) {
        costs.push_back(p.mean);
      }
      model.fit_again(encoder.encode(known), costs);
    }
    const double best = *std::ranges::min_element(costs);
    const auto its = [&](const Architecture& a) {
      return improvement(model.predict(encoder.encode({&a, 1}))[0], best);
    };
    double largest = 0;
    enumerate(*space, [&](const Architecture& a) {
      if (std::ranges::find(known, a) == known.end()) largest = std::max(largest, its(a));
      return true;
    });
    known.push_back(strategy->ask(1).at(0).architecture);
    EXPECT_NEAR(its(known.back()), largest, 1e-6 * largest) << i;
  }
}

TEST(Bayesian, FindsWhatKeepsTightConstraints) {
  // 35 of 4096 architectures keep it.
  const Goals goals(*test_metrics(), {{"score", Direction::maximize}},
                    {{.metric = "size", .lower = 4, .upper = 4}});
  const auto space = test_space({8, 8, 8, 8});
  const auto strategy = bayesian(test_context(space, 1, goals), options_of(10, 100));
  double best = 0;
  for (const Trial& trial : drive(*strategy, 60)) {
    if (goals.feasible(trial)) best = std::max(best, trial.metrics[0]);
  }
  EXPECT_EQ(best, 20);  // all four on the decision of weight 5
}

TEST(Bayesian, SeveralObjectivesFindAFront) {
  const Goals goals(*test_metrics(),
                    {{"score", Direction::maximize}, {"size", Direction::minimize}});
  const auto strategy =
      bayesian(test_context(test_space({4, 4, 4, 4}), 3, goals), options_of(10, 60));
  std::vector<double> best(13, 0), truth(13, 0);
  for (const Trial& trial : drive(*strategy, 90)) {
    double& its = best[static_cast<std::size_t>(trial.metrics[1])];
    its = std::max(its, trial.metrics[0]);
  }
  const double weights[] = {5, 3, 2, 1};  // of the decisions, the largest first
  for (std::size_t size = 1; size < truth.size(); ++size) {
    truth[size] = truth[size - 1] + weights[(size - 1) / 3];
  }
  int found = 0;
  for (std::size_t size = 0; size < truth.size(); ++size) found += best[size] == truth[size];
  EXPECT_GE(found, 11);
}

TEST(Bayesian, WaitsForTwoTrialsThatDidNotFail) {
  const auto strategy = bayesian(test_context(test_space({5, 5, 5, 5})), options_of(4, 20));
  EXPECT_EQ(strategy->ask(10).size(), 4u);
  EXPECT_TRUE(strategy->ask(1).empty());
}

TEST(Smac, EverySecondCandidateIsRandom) {
  // So many random candidates that all 256 architectures are looked at.
  const auto space = test_space({4, 4, 4, 4});
  const RunContext context = test_context(space, 2);
  SmacOptions options;
  options.samples = 8;
  options.candidates = 4000;
  options.forest.trees = 20;
  options.features = decisions_only;
  const auto strategy = smac(context, options);
  Surrogate model(context, {.features = decisions_only, .make = [&](const Rng& rng) {
                              return std::make_unique<RandomForest>(options.forest, rng);
                            }});
  std::set<Architecture> asked;
  const auto step = [&] {
    const Candidate candidate = strategy->ask(1).at(0);
    const Trial trial = smooth_trial(candidate);
    strategy->tell(trial);
    model.tell(trial);
    asked.insert(candidate.architecture);
    return candidate.architecture;
  };
  for (int i = 0; i < 8; ++i) step();
  int best_by_chance = 0;
  for (int round = 0; round < 15; ++round) {
    model.fit({}, context.rng.fork("fit").fork(asked.size()));
    std::vector<Architecture> others;
    enumerate(*space, [&](const Architecture& a) {
      if (!asked.contains(a)) others.push_back(a);
      return true;
    });
    const auto improvements = model.expected_improvements(others, Rng(0));
    const double largest = std::ranges::max(improvements);
    const auto improvement_of = [&](const Architecture& a) {
      return improvements[static_cast<std::size_t>(std::ranges::find(others, a) - others.begin())];
    };
    EXPECT_EQ(improvement_of(step()), largest) << round;
    best_by_chance += improvement_of(step()) > 0.9 * largest;
  }
  EXPECT_LT(best_by_chance, 5);
}

TEST(SmacOptionTable, ReadsAndChecks) {
  const auto table = smac_option_table();
  EXPECT_EQ(table.read({{"forest", {{"trees", 7}}}}, "").forest.trees, 7);
  EXPECT_THROW(table.read({{"samples", 1}}, ""), ConfigError);
  EXPECT_THROW(table.read({{"candidates", 0}}, ""), ConfigError);
}

TEST(BayesianOptionTable, ReadsAndChecks) {
  const auto table = bayesian_option_table();
  EXPECT_EQ(table.read({{"features", {{"patterns", "none"}}}}, "").features.patterns,
            Patterns::none);
  EXPECT_THROW(table.read({{"samples", 1}}, ""), ConfigError);
  EXPECT_THROW(table.read({{"candidates", 1}}, ""), ConfigError);
}

}  // namespace
}  // namespace espalier
