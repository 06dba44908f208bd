#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <vector>

#include "core/rng.hpp"
#include "strategies/adam.hpp"
#include "strategies/dense_net.hpp"

namespace espalier {

struct ActorCriticOptions {
  int hidden = 64;            ///< units of each of the two hidden layers, >= 1
  int batch = 64;             ///< transitions of an update, >= 1
  int memory = 2000;          ///< transitions that are kept, the latest ones, >= 1
  double actor_rate = 1e-4;   ///< learning rate, > 0
  double critic_rate = 1e-3;  ///< learning rate, > 0
  double target_rate = 0.01;  ///< by which the targets follow, in (0, 1]
};

/// One step of an episode.
struct Transition {
  std::vector<double> state;
  double action = 0;           ///< in [0, 1], continuous
  std::uint64_t trial_id = 0;  ///< whose reward counts
  std::vector<double> next;    ///< the state after it; empty at the end of the episode
};

/// An actor, which maps a state to an action of [0, 1], and a critic, which maps both to a value,
/// with targets that follow slowly: deep deterministic policy gradient.
/// Source: T. Lillicrap et al.: Continuous control with deep reinforcement learning, ICLR 2016,
/// arXiv 1509.02971, algorithm 1. Differs from the source: the noise is the caller's; Adam without
/// weight decay; no batch norm. Test: ActorCritic.AnUpdateIsThatOfThePaper.
class ActorCritic {
 public:
  ActorCritic(std::size_t state_size, const ActorCriticOptions& options, Rng rng);

  /// The actor's action.
  double act(std::span<const double> state);
  /// The critic's value.
  double value(std::span<const double> state, double action);

  void remember(Transition transition);
  const std::deque<Transition>& memory() const { return memory_; }

  /// Draws a batch of the memory, with replacement; moves the critic's values of its actions
  /// towards reward(trial_id) plus the target's value of the target actor's action in the next
  /// state (mean squared error), then the actor up the mean of the critic's values of its actions,
  /// then the targets. Does nothing while the memory is empty.
  void update(const std::function<double(std::uint64_t trial_id)>& reward);

 private:
  ActorCriticOptions options_;
  std::size_t state_size_;
  DenseNet actor_, critic_, actor_target_, critic_target_;
  Adam actor_adam_, critic_adam_;
  Rng rng_;
  std::deque<Transition> memory_;
};

}  // namespace espalier
