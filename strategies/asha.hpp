#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "strategies/rungs.hpp"
#include "strategies/strategy.hpp"

namespace espalier {

struct AshaOptions : FidelityOptions {};
OptionTable<AshaOptions> asha_option_table();

/// Asynchronous successive halving: nothing waits for a rung to be full. Each time one is asked
/// for, the rungs are looked at from the highest below the last down to the lowest: of the n trials
/// that were told of a rung, the floor(n / eta) best may go on, and the first of them in
/// best_first() that has not, goes on to the next rung, as a child of its trial. Where there is
/// none, a new architecture begins in the lowest rung. Failed trials count, and go no further. No
/// architecture begins twice; in a space that is exhausted, only promotions are left.
///
/// An ask takes O(rungs * n) and a tell O(n log n) for the n trials of a rung, with several
/// objectives more.
///
/// Source: L. Li et al.: A system for massively parallel hyperparameter tuning, MLSys 2020, arXiv
/// 1810.05934, algorithm 2.
/// Differs from the source: trials are told in the order of their ids, not in that in which they
/// end, so that a run can be repeated: of several in flight, one that takes long keeps back those
/// that were asked for after it. Rungs are counted down from a full evaluation, and none starts
/// above the lowest (s = 0). Constraints and several objectives.
/// Test: Asha.PromotesByHand.
class Asha : public Strategy {
 public:
  /// Throws ConfigError as Start does.
  Asha(const RunContext& context, const AshaOptions& options);

  std::vector<Candidate> ask(std::size_t max_count) override;
  void tell(const Trial& trial) override;
  bool finished() const override { return exhausted_ && running_.empty() && !promotable(); }

 private:
  struct Rung {
    std::vector<Individual> told;
    std::vector<bool> promoted;
    std::vector<std::size_t> order;  // best_first() of told
  };
  struct Place {
    std::size_t rung, trial;
  };
  std::optional<Place> promotable() const;

  Goals goals_;
  Rng rng_;
  Start start_;
  AskedArchitectures asked_;
  std::vector<double> fidelities_;
  std::size_t eta_;
  std::vector<Rung> rungs_;
  std::deque<std::size_t> running_;  // the rungs of those in flight
  std::uint64_t next_id_ = 0;
  bool exhausted_ = false;
};

}  // namespace espalier
