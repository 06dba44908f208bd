#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "strategies/actor_critic.hpp"
#include "strategies/episodic_search.hpp"
#include "strategies/ordinal_walk.hpp"
#include "strategies/policy_gradient.hpp"

namespace espalier {

struct DdpgOptions : StartOptions {
  int warmup = 100;     ///< trials with random actions, >= 1
  double noise = 0.5;   ///< standard deviation of the actions after that, at first, > 0
  double decay = 0.95;  ///< what the noise is multiplied by after each trial, in (0, 1]
  ActorCriticOptions networks;
  RewardKind reward = RewardKind::rank;
};
OptionTable<DdpgOptions> ddpg_option_table();

/// A number of the normal distribution within [0, 1]; deviation > 0.
double truncated_normal(double mean, double deviation, Rng& rng);

/// Deep deterministic policy gradient for ordinal decisions, above all channel ratios and bits:
/// decision after decision an actor gives a continuous action of [0, 1] for the state of
/// OrdinalWalk, truncated normal noise is added, and the option is taken whose place is the nearest
/// (the first of equals). Where macs, params or storage_bytes have an upper bound, the nearest of
/// the options is taken with which the bound can still be kept; the action is then that option's
/// place, else it stays as it was, between the places. The network's reward, less a moving average
/// of rewards, is that of each of its steps; there is no discount. An update follows for each step
/// of a told network, once `warmup` trials are told. Steps of inactive decisions are left out. A
/// network that is drawn again is remembered once: one update follows, and the noise is doubled, up
/// to that at first, until a new one is told.
///
/// An update takes O(batch hidden (hidden + decisions)) operations: with the defaults about 3 ms.
///
/// Source: Y. He et al.: AMC: AutoML for model compression and acceleration on mobile devices,
/// ECCV 2018, arXiv 1802.03494, sections 3.1 to 3.3, algorithm 1; bits: K. Wang et al.: HAQ:
/// hardware-aware automated quantization with mixed precision, CVPR 2019, arXiv 1811.08886,
/// section 3. Differs from the sources: options instead of any ratio; the states of OrdinalWalk,
/// which count decisions one-hot, too; bounds are kept before the network is evaluated, by macs,
/// params and storage_bytes, not latency; rewards are ranks by default; 64 hidden units, not 300;
/// nothing is evaluated twice; a random new architecture may break the bounds once 20 random ones
/// that keep them were known.
/// Test: Ddpg.ActionsAreContinuousUpToTheNearestOption,
/// Ddpg.NoiseFadesAndRewardsCountLessTheirAverage.
class Ddpg : public EpisodicSearch {
 public:
  /// Throws ConfigError as EpisodicSearch and OrdinalWalk do.
  Ddpg(const RunContext& context, const DdpgOptions& options);

  const ActorCritic& networks() const { return networks_; }

 protected:
  Episode draw(Rng& rng) override;
  std::optional<Episode> explore(Rng& rng) override;
  Episode recall(const Architecture& a) override;
  void learn(const Episode& episode, std::uint64_t trial_id) override;

 private:
  // With the actor's actions and noise, or random ones.
  Episode walk(Rng& rng, std::optional<double> deviation);

  DdpgOptions options_;
  OrdinalWalk walk_;
  ActorCritic networks_;
  RewardBaseline baseline_;
  std::uint64_t remembered_ = 0;  // trials
  int known_draws_ = 0;           // since the last of these
};

}  // namespace espalier
