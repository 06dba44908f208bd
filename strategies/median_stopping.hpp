#pragma once

#include <cstddef>
#include <vector>

#include "strategies/early_stopping.hpp"

namespace espalier {

struct MedianStoppingOptions : FidelityOptions {
  int startup = 5;  ///< full evaluations before any evaluation is stopped, >= 1
};
OptionTable<MedianStoppingOptions> median_stopping_option_table();

/// Random search whose evaluations go from rung to rung: see EarlyStopping. After each rung but the
/// last, the best that the architecture has had so far is compared with all that were evaluated
/// fully, each by the mean of what it had up to this rung: where more than half of these are
/// better, it is stopped.
///
/// Constraints come before the objective, in best values and means, too. With several objectives,
/// the best so far is that of each objective, and better is a lower constrained non-domination rank
/// among all that are compared.
///
/// Source: D. Golovin et al.: Google Vizier: a service for black-box optimization, KDD 2017,
/// section 3.2.1.
/// Differs from the source: the steps are the rungs; architectures are random; none is stopped
/// before `startup` full evaluations; of an even number, the median is the worse of the two in the
/// middle. Constraints and several objectives.
/// Test: MedianStopping.StopsByHand.
class MedianStopping : public EarlyStopping {
 public:
  /// Throws ConfigError as Start does.
  MedianStopping(const RunContext& context, const MedianStoppingOptions& options);

 protected:
  bool behind(const Curve& curve) override;
  void complete(const Curve& curve) override;

 private:
  std::size_t startup_;
  std::vector<Curve> means_;  // of those that were evaluated fully, up to each rung
};

}  // namespace espalier
