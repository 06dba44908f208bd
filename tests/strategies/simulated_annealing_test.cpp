#include "strategies/simulated_annealing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

SimulatedAnnealingOptions annealing(int samples, double temperature, double cooling) {
  SimulatedAnnealingOptions options;
  options.samples = samples;
  options.temperature = temperature;
  options.cooling = cooling;
  return options;
}

// The first half of all options costs 1, the other 0.
Trial two_levels(const Candidate& candidate) {
  Trial trial{.candidate = candidate, .metrics = Metrics(test_metrics())};
  trial.metrics[0] = candidate.architecture.choices[0] < 5000 ? 0 : 1;
  trial.metrics[1] = 0;
  return trial;
}

// One more trial, which is added, and what became of it.
struct Step {
  std::uint64_t before;  // the current one
  bool accepted;
};
Step take_step(SimulatedAnnealing& strategy, std::vector<Trial>& trials, const Outcome& outcome) {
  const Candidate candidate = strategy.ask(1).at(0);
  const std::uint64_t before = *strategy.current();
  trials.push_back(outcome(candidate));
  strategy.tell(trials.back());
  return {.before = before, .accepted = *strategy.current() == candidate.trial_id};
}

TEST(SimulatedAnnealing, AcceptsAsMetropolisDoes) {
  SimulatedAnnealing strategy(test_context(test_space({10000})), annealing(200, 3, 1));
  double square = 0, mean = 0;
  std::vector<Trial> trials = drive(strategy, 200, 1, two_levels);
  for (const Trial& trial : trials) mean += trial.metrics[0] / 200;
  for (const Trial& trial : trials) square += std::pow(trial.metrics[0] - mean, 2) / 200;
  const double expected = std::exp(-1 / std::sqrt(square) / 3);
  int worse = 0, accepted = 0;
  for (int i = 0; i < 2000; ++i) {
    const Step step = take_step(strategy, trials, two_levels);
    if (trials.back().metrics[0] < trials[step.before].metrics[0]) {
      ++worse;
      accepted += step.accepted;
    } else {
      EXPECT_TRUE(step.accepted);
    }
  }
  EXPECT_GT(worse, 400);
  EXPECT_NEAR(static_cast<double>(accepted) / worse, expected, 0.06);  // three standard errors
}

TEST(SimulatedAnnealing, CoolsDown) {
  SimulatedAnnealing strategy(test_context(test_space({10000})), annealing(200, 3, 0.99));
  std::vector<Trial> trials = drive(strategy, 200, 1, two_levels);
  int early = 0, late = 0;
  for (int i = 0; i < 800; ++i) {
    const Step step = take_step(strategy, trials, two_levels);
    if (!step.accepted || trials.back().metrics[0] >= trials[step.before].metrics[0]) continue;
    if (i < 100) ++early;
    if (i >= 400) ++late;
  }
  EXPECT_GT(early, 5);
  EXPECT_EQ(late, 0);  // from step 400 on a worse one has a chance of exp(-37)
}

TEST(SimulatedAnnealing, ACoolOneOnlyClimbs) {
  SimulatedAnnealing strategy(test_context(test_space({9, 9, 9, 9})), annealing(5, 1e-9, 1));
  double best = 0;
  for (const Trial& trial : drive(strategy, 5)) best = std::max(best, trial.metrics[0]);
  for (int i = 0; i < 200; ++i) {
    const Trial trial = complete_trial(strategy.ask(1).at(0));
    strategy.tell(trial);
    EXPECT_EQ(*strategy.current() == trial.candidate.trial_id, trial.metrics[0] >= best) << i;
    best = std::max(best, trial.metrics[0]);
  }
}

TEST(SimulatedAnnealing, BeginsWithTheBestSample) {
  SimulatedAnnealing strategy(test_context(test_space({9, 9, 9, 9})), annealing(20, 1, 1));
  double best = 0;
  std::uint64_t its = 0;
  for (const Trial& trial : drive(strategy, 20)) {
    if (trial.metrics[0] > best) best = trial.metrics[0], its = trial.candidate.trial_id;
  }
  EXPECT_EQ(strategy.current(), its);
}

TEST(SimulatedAnnealing, SeveralObjectivesCountWhoDominates) {
  // At a temperature near 0 the current one moves along and towards the front, never behind what
  // more of it dominate.
  const Goals goals(*test_metrics(),
                    {{"score", Direction::maximize}, {"size", Direction::minimize}});
  SimulatedAnnealing strategy(test_context(test_space({9, 9, 9, 9}), 1, goals),
                              annealing(10, 1e-9, 1));
  auto trials = drive(strategy, 300);
  const auto dominators = [&](const Trial& of) {
    int count = 0;
    for (const Trial& other : trials) {
      count += other.metrics[0] >= of.metrics[0] && other.metrics[1] <= of.metrics[1] &&
               !(other.metrics == of.metrics);
    }
    return count;
  };
  EXPECT_EQ(dominators(trials[*strategy.current()]), 0);
}

TEST(SimulatedAnnealing, AStepBackCountsByTheShareOfTheFrontThatDominatesIt) {
  // Four points on a front, and one that all of them dominate.
  const Goals goals(*test_metrics(),
                    {{"score", Direction::maximize}, {"size", Direction::minimize}});
  const auto outcome = [](const Candidate& c) {
    const double place = c.architecture.choices[0] % 5;
    Trial trial{.candidate = c, .metrics = Metrics(test_metrics())};
    trial.metrics[0] = place < 4 ? place : -9;
    trial.metrics[1] = place < 4 ? place : 9;
    return trial;
  };
  SimulatedAnnealing strategy(test_context(test_space({10000}), 1, goals), annealing(100, 0.7, 1));
  std::vector<Trial> trials = drive(strategy, 100, 1, outcome);
  // The first of each point is in the front; another one counts beside it.
  const auto in_front = [&](std::uint64_t id) {
    return std::ranges::find(trials, trials[id].metrics, &Trial::metrics)->candidate.trial_id == id;
  };
  double accepted = 0, expected = 0, variance = 0;
  for (int i = 0; i < 2000; ++i) {
    const Step step = take_step(strategy, trials, outcome);
    if (trials.back().metrics[1] < 9 || trials[step.before].metrics[1] == 9) continue;
    const double dominate = in_front(step.before) ? 4 : 5;
    const double probability = std::exp(-dominate / (dominate + 1) / 0.7);
    accepted += step.accepted;
    expected += probability;
    variance += probability * (1 - probability);
  }
  EXPECT_GT(expected, 50);
  EXPECT_NEAR(accepted, expected, 3 * std::sqrt(variance));
}

TEST(SimulatedAnnealing, NeverAcceptsWhatBreaksTheConstraintsMore) {
  const Goals goals(*test_metrics(), {{"score", Direction::maximize}},
                    {{.metric = "size", .upper = 6}});
  SimulatedAnnealing strategy(test_context(test_space({9, 9, 9, 9}), 1, goals),
                              annealing(2, 1e9, 1));
  auto trials = drive(strategy, 2);
  double violation = 1e9;
  for (int i = 0; i < 300; ++i) {
    trials.push_back(complete_trial(strategy.ask(1).at(0)));
    strategy.tell(trials.back());
    const double its = goals.violation(trials[*strategy.current()].metrics);
    EXPECT_LE(its, violation);
    violation = its;
  }
  EXPECT_EQ(violation, 0);
}

TEST(SimulatedAnnealingOptionTable, ReadsAndChecks) {
  const auto table = simulated_annealing_option_table();
  EXPECT_EQ(table.read({{"cooling", 0.5}}, "").cooling, 0.5);
  EXPECT_THROW(table.read({{"cooling", 0}}, ""), ConfigError);
  EXPECT_THROW(table.read({{"cooling", 1.5}}, ""), ConfigError);
  EXPECT_THROW(table.read({{"temperature", 0}}, ""), ConfigError);
  EXPECT_THROW(table.read({{"samples", 1}}, ""), ConfigError);
}

}  // namespace
}  // namespace espalier
