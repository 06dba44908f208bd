#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "strategies/rungs.hpp"
#include "strategies/strategy.hpp"

namespace espalier {

struct MedianStoppingOptions : FidelityOptions {
  int startup = 5;  ///< full evaluations before any evaluation is stopped, >= 1
};
OptionTable<MedianStoppingOptions> median_stopping_option_table();

/// Random search whose evaluations go from rung to rung, each a child of the trial before, and are
/// stopped where they are behind. After each rung but the last, the best that the architecture has
/// had so far is compared with all that were evaluated fully, each by the mean of what it had up
/// to this rung: where more than half of these are better, it is stopped. What goes on, goes on
/// before anything new begins. An architecture whose trial failed goes no further; none begins
/// twice.
///
/// Constraints come before the objective, in best values and means, too. With several objectives,
/// the best so far is that of each objective, and better is by rank_and_crowding() among all that
/// are compared.
///
/// Source: D. Golovin et al.: Google Vizier: a service for black-box optimization, KDD 2017,
/// section 3.2.1.
/// Differs from the source: the steps are the rungs; architectures are random; none is stopped
/// before `startup` full evaluations; of an even number, the median is the worse of the two in the
/// middle. Constraints and several objectives.
/// Test: MedianStopping.StopsByHand.
class MedianStopping : public Strategy {
 public:
  /// Throws ConfigError as Start does.
  MedianStopping(const RunContext& context, const MedianStoppingOptions& options);

  std::vector<Candidate> ask(std::size_t max_count) override;
  void tell(const Trial& trial) override;
  bool finished() const override { return exhausted_ && running_.empty() && going_on_.empty(); }

 private:
  // What was told of an architecture, rung by rung.
  using Curve = std::vector<Individual>;
  bool behind(const Curve& curve) const;

  Goals goals_;
  Rng rng_;
  Start start_;
  AskedArchitectures asked_;
  std::vector<double> fidelities_;
  std::size_t startup_;
  std::deque<Curve> going_on_;  // those to be continued
  std::deque<Curve> running_;   // in flight
  std::vector<Curve> means_;    // of those that were evaluated fully, up to each rung
  std::uint64_t next_id_ = 0;
  bool exhausted_ = false;
};

}  // namespace espalier
