#include "strategies/ddpg.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/stats.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

// A network whose widths are open, in eighths.
std::shared_ptr<const SearchSpace> pruned() {
  const ChainStage stage{
      .blocks = {"residual"}, .widths = {64}, .depths = {2}, .kernels = {3}, .stride = 2};
  return make_chain({.input = {3, 16, 16},
                     .stages = {stage, stage},
                     .compression = CompressionOptions{
                         .channels = {0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0}}});
}

DdpgOptions small(int warmup) {
  DdpgOptions options;
  options.warmup = warmup;
  options.networks = {.hidden = 16, .batch = 16, .actor_rate = 3e-3, .critic_rate = 5e-3};
  return options;
}

std::size_t nearest(std::span<const double> places, double action) {
  return static_cast<std::size_t>(
      std::ranges::min_element(places, {}, [&](double p) { return std::abs(p - action); }) -
      places.begin());
}

TEST(TruncatedNormal, HasItsMomentsAndItsRange) {
  Rng rng(1);
  for (const auto& [mean, deviation] : {std::pair(0.5, 0.1), std::pair(0.1, 0.5)}) {
    // Of the density on [0, 1], by the midpoint rule.
    double mass = 0, first = 0, second = 0;
    for (int i = 0; i < 10000; ++i) {
      const double x = (i + 0.5) / 10000;
      const double p = std::exp(-(x - mean) * (x - mean) / (2 * deviation * deviation));
      mass += p, first += p * x, second += p * x * x;
    }
    std::vector<double> drawn;
    for (int i = 0; i < 20000; ++i) drawn.push_back(truncated_normal(mean, deviation, rng));
    EXPECT_GE(std::ranges::min(drawn), 0);
    EXPECT_LE(std::ranges::max(drawn), 1);
    EXPECT_NEAR(espalier::mean(drawn), first / mass, 0.01);
    EXPECT_NEAR(standard_deviation(drawn), std::sqrt(second / mass - first / mass * first / mass),
                0.01);
  }
  EXPECT_NEAR(truncated_normal(0.3, 1e-6, rng), 0.3, 1e-4);
  EXPECT_NEAR(truncated_normal(1, 1e-6, rng), 1, 1e-4);
}

TEST(Ddpg, ActionsAreContinuousUpToTheNearestOption) {
  const auto space = pruned();
  Ddpg strategy(test_context(space), small(10));
  const auto trials = drive(strategy, 40);
  const OrdinalWalk walk(*space, {});
  const auto& memory = strategy.networks().memory();
  ASSERT_GE(memory.size(), 40 * walk.size());
  // What the critic learns from are actions between the places of the options, of which the nearest
  // was asked for; with discrete actions all would lie at places.
  std::size_t between = 0, i = 0;
  for (const Trial& trial : trials) {
    // Learned from in the order told; repeats come after it.
    while (memory[i].trial_id != trial.candidate.trial_id) ++i;
    for (std::size_t t = 0; t < walk.size(); ++t, ++i) {
      const std::span places = walk.places(t);
      const double action = memory[i].action;
      ASSERT_EQ(memory[i].trial_id, trial.candidate.trial_id);
      EXPECT_EQ(nearest(places, action), trial.candidate.architecture.choices[walk.decision(t)]);
      EXPECT_EQ(memory[i].state, walk.state(t, trial.candidate.architecture));
      EXPECT_EQ(memory[i].next.empty(), t + 1 == walk.size());
      between += std::abs(places[nearest(places, action)] - action) > 1e-3;
    }
  }
  EXPECT_GT(between, 40 * walk.size() * 9 / 10);
}

TEST(Ddpg, BoundedActionsKeepTheBudget) {
  const auto space = pruned();
  const auto least = static_cast<double>(space->quick_cost(smallest_architecture(*space)).macs);
  const auto most = static_cast<double>(space->quick_cost(largest_architecture(*space)).macs);
  const double bound = least + 0.3 * (most - least);
  const auto table = std::make_shared<const MetricTable>(
      std::vector<MetricInfo>{{"accuracy", "", Direction::maximize}, {"macs"}});
  const auto run = [&](std::vector<Constraint> constraints) {
    RunContext context = test_context(space);
    context.goals = Goals(*table, {{"accuracy", Direction::maximize}}, std::move(constraints));
    Ddpg strategy(context, small(20));
    // The wider the better: only the bound is in the way.
    return drive(strategy, 80, 1, [&](const Candidate& c) {
      const auto macs = static_cast<double>(space->quick_cost(c.architecture).macs);
      return Trial{.candidate = c, .metrics = Metrics(table, {macs, macs})};
    });
  };
  std::size_t near = 0;
  for (const Trial& trial : run({{.metric = "macs", .upper = bound}})) {
    EXPECT_LE(trial.metrics[1], bound);
    near += trial.metrics[1] > 0.8 * bound;
  }
  EXPECT_GT(near, 40u);  // the budget is used
  const auto free = run({});
  EXPECT_GT(std::ranges::count_if(free, [&](const Trial& t) { return t.metrics[1] > bound; }), 40);
}

TEST(Ddpg, LearnsActionsAfterTheWarmup) {
  // The best shares lie in the middle.
  const auto space = pruned();
  Ddpg strategy(test_context(space), small(40));
  const auto trials = drive(strategy, 140, 1, [&](const Candidate& c) {
    Trial trial = complete_trial(c);
    trial.metrics[0] = 0;
    for (const std::uint32_t choice : c.architecture.choices) {
      trial.metrics[0] -= (choice - 5.0) * (choice - 5.0);
    }
    return trial;
  });
  std::vector<double> early, late;
  for (std::size_t i = 0; i < 40; ++i) early.push_back(trials[i].metrics[0]);
  for (std::size_t i = 100; i < 140; ++i) late.push_back(trials[i].metrics[0]);
  EXPECT_GT(mean(late), 0.5 * mean(early));  // of negative numbers
}

TEST(Ddpg, NoiseFadesAndRewardsCountLessTheirAverage) {
  DdpgOptions options = small(10);
  options.decay = 0.9;
  options.reward = RewardKind::value;
  options.networks.actor_rate = 1e-12;  // it stays as it is
  Ddpg strategy(test_context(pruned()), options);
  drive(strategy, 90, 1, [](const Candidate& c) {
    Trial trial = complete_trial(c);
    trial.metrics[0] = 70;
    return trial;
  });
  ActorCritic networks = strategy.networks();
  std::vector<double> early, noise, values;
  for (const Transition& step : networks.memory()) {
    noise.push_back(std::abs(step.action - networks.act(step.state)));
    if (step.trial_id >= 10 && step.trial_id < 20) early.push_back(noise.back());
    values.push_back(networks.value(step.state, step.action));
  }
  EXPECT_GT(mean(early), 0.1);
  // Each network is remembered once. In the end the noise is as small as new ones allow.
  EXPECT_EQ(noise.size(), 90 * OrdinalWalk(*pruned(), {}).size());
  EXPECT_LT(quantile(std::vector(noise.end() - 200, noise.end()), 0.5), 0.3 * mean(early));
  // All are worth the same: nothing is better than the average.
  EXPECT_LT(std::abs(mean(values)), 1);
}

TEST(Ddpg, RefusesNominalDecisions) {
  EXPECT_THAT(throws<ConfigError>([] { Ddpg(test_context(test_space({3})), DdpgOptions()); }),
              testing::StartsWith("/type: "));
}

TEST(DdpgOptionTable, ReadsAndChecks) {
  const auto table = ddpg_option_table();
  EXPECT_EQ(table.read({{"hidden", 300}}, "").networks.hidden, 300);
  for (const Json& wrong :
       {Json{{"warmup", 0}}, Json{{"noise", 0}}, Json{{"decay", 0}}, Json{{"decay", 1.1}},
        Json{{"hidden", 0}}, Json{{"batch", 0}}, Json{{"memory", 0}}, Json{{"actor_rate", 0}},
        Json{{"critic_rate", 0}}, Json{{"target_rate", 0}}, Json{{"target_rate", 2}}}) {
    EXPECT_THROW(table.read(wrong, ""), ConfigError) << wrong;
  }
}

}  // namespace
}  // namespace espalier
