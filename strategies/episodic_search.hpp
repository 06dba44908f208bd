// What strategies have in common that make architectures decision by decision and learn from a
// reward at the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "strategies/asked_architectures.hpp"
#include "strategies/rewards.hpp"
#include "strategies/start.hpp"
#include "strategies/strategy.hpp"

namespace espalier {

/// One architecture made: as drawn, in range, and canonical.
struct Episode {
  Architecture drawn;
  Architecture canonical = {};
  /// What the strategy keeps of how it was drawn, a number or more for each decision.
  std::vector<double> values = {};
};

/// Asks for what draw() gives and passes what it was worth to learn(). Nothing is evaluated twice:
/// an architecture that was told before is learned from again and costs no trial, and one that is
/// in flight is drawn again. After 20 draws that are known, or 1000 that are not valid, a random
/// new architecture takes their place, one of explore() where it has any, which is learned from,
/// too, as are the known architectures, that come first. It never waits: candidates in flight are
/// learned from once they are told.
class EpisodicSearch : public Strategy {
 public:
  std::vector<Candidate> ask(std::size_t max_count) final;
  void tell(const Trial& trial) final;
  bool finished() const final { return finished_; }

 protected:
  /// Throws ConfigError as Start and Rewards do.
  EpisodicSearch(const RunContext& context, const StartOptions& start, RewardKind reward);

  /// An architecture in range, and the values.
  virtual Episode draw(Rng& rng) = 0;
  /// A random one, where draw() keeps to more than the space's constraints.
  virtual std::optional<Episode> explore(Rng&) { return std::nullopt; }
  /// The same of an architecture, in range, that was not drawn.
  virtual Episode recall(const Architecture& a) = 0;
  /// Learns from an episode, told as trial `trial_id`: rewards() has it.
  virtual void learn(const Episode& episode, std::uint64_t trial_id) = 0;

  const SearchSpace& space() const { return *space_; }
  Rewards& rewards() { return rewards_; }

 private:
  std::optional<Episode> next_episode();

  std::shared_ptr<const SearchSpace> space_;
  Rng rng_;
  Start start_;
  Rewards rewards_;
  AskedArchitectures asked_;
  std::uint64_t next_id_ = 0;
  bool finished_ = false;
  std::deque<Episode> in_flight_;
  std::unordered_map<Architecture, std::uint64_t, ArchitectureHash> told_ids_;
};

}  // namespace espalier
