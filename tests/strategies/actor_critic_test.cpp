#include "strategies/actor_critic.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace espalier {
namespace {

const std::vector<double> first{1, 0}, second{0, 1};

TEST(ActorCritic, TheCriticLearnsRewardsAndWhatFollows) {
  // Each step has the episode's reward, and what follows counts in full: 2 + 2, and 2.
  ActorCritic networks(
      2, {.hidden = 16, .batch = 16, .actor_rate = 1e-9, .critic_rate = 0.01, .target_rate = 0.1},
      Rng(1));
  networks.remember({.state = second, .action = networks.act(second), .trial_id = 7, .next = {}});
  networks.remember({.state = first, .action = 0.3, .trial_id = 7, .next = second});
  for (int i = 0; i < 1500; ++i) {
    networks.update([](std::uint64_t id) { return id == 7 ? 2.0 : 0.0; });
  }
  EXPECT_NEAR(networks.value(second, networks.act(second)), 2, 0.05);
  EXPECT_NEAR(networks.value(first, 0.3), 4, 0.1);
}

TEST(ActorCritic, TheActorFindsActionsBetweenThoseSeen) {
  // The best actions are 0.62 and 0.25; seen are 0, 0.1, ..., 1.
  ActorCritic networks(2, {.hidden = 64, .batch = 64, .actor_rate = 1e-3, .critic_rate = 2e-3},
                       Rng(1));
  std::vector<double> rewards;
  for (int i = 0; i <= 10; ++i) {
    for (const auto& [state, best] : {std::pair(first, 0.62), std::pair(second, 0.25)}) {
      networks.remember(
          {.state = state, .action = 0.1 * i, .trial_id = rewards.size(), .next = {}});
      rewards.push_back(-4 * (0.1 * i - best) * (0.1 * i - best));
    }
  }
  for (int i = 0; i < 6000; ++i) {
    networks.update([&](std::uint64_t id) { return rewards[id]; });
  }
  EXPECT_NEAR(networks.act(first), 0.62, 0.06);
  EXPECT_NEAR(networks.act(second), 0.25, 0.06);
}

TEST(ActorCritic, AnUpdateIsThatOfThePaper) {
  // One transition: every batch is the same. Networks of the same seeds, updated by hand.
  const ActorCriticOptions options{
      .hidden = 4, .batch = 3, .actor_rate = 0.01, .critic_rate = 0.02, .target_rate = 0.25};
  ActorCritic networks(2, options, Rng(9));
  DenseNet actor({2, 4, 4}, DenseOutput::sigmoid, Rng(9).fork("actor")), actor_target = actor;
  DenseNet critic({3, 4, 4}, DenseOutput::linear, Rng(9).fork("critic")), critic_target = critic;
  Adam actor_adam(actor.parameters().size()), critic_adam(critic.parameters().size());
  networks.remember({.state = first, .action = 0.4, .trial_id = 0, .next = second});
  const auto row = [](const std::vector<double>& state, double action) {
    return std::vector<double>{state[0], state[1], action};
  };
  const auto slopes = [](std::span<double> parameters, const auto& objective) {
    std::vector<double> result;
    for (double& parameter : parameters) {
      const double kept = parameter, step = 1e-5;
      parameter = kept + step;
      const double above = objective();
      parameter = kept - step;
      result.push_back((above - objective()) / (2 * step));
      parameter = kept;
    }
    return result;
  };
  for (int i = 0; i < 5; ++i) {
    networks.update([](std::uint64_t) { return 0.8; });
    const double target =
        0.8 + critic_target.forward(row(second, actor_target.forward(second, 1)[0]), 1)[0];
    critic_adam.descend(critic.parameters(),
                        slopes(critic.parameters(),
                               [&] {
                                 const double error =
                                     critic.forward(row(first, 0.4), 1)[0] - target;
                                 return error * error;
                               }),
                        0.02);
    actor_adam.descend(
        actor.parameters(),
        slopes(actor.parameters(),
               [&] { return -critic.forward(row(first, actor.forward(first, 1)[0]), 1)[0]; }),
        0.01);
    for (auto [slow, fast] :
         {std::pair(&actor_target, &actor), std::pair(&critic_target, &critic)}) {
      for (std::size_t p = 0; p < fast->parameters().size(); ++p) {
        slow->parameters()[p] = 0.75 * slow->parameters()[p] + 0.25 * fast->parameters()[p];
      }
    }
    EXPECT_NEAR(networks.act(first), actor.forward(first, 1)[0], 1e-5) << i;
    EXPECT_NEAR(networks.value(first, 0.9), critic.forward(row(first, 0.9), 1)[0], 1e-5) << i;
  }
}

TEST(ActorCritic, TheMemoryKeepsTheLatest) {
  ActorCritic networks(2, {.memory = 2}, Rng(1));
  networks.update([](std::uint64_t) { return 0.0; });  // nothing to learn from
  for (std::uint64_t id = 0; id < 3; ++id) {
    networks.remember({.state = first, .action = 0, .trial_id = id, .next = {}});
  }
  ASSERT_EQ(networks.memory().size(), 2u);
  EXPECT_EQ(networks.memory().front().trial_id, 1u);
}

}  // namespace
}  // namespace espalier
