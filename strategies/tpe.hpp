#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "strategies/asked_architectures.hpp"
#include "strategies/individual.hpp"
#include "strategies/start.hpp"
#include "strategies/strategy.hpp"

namespace espalier {

/// How likely each option of a decision is, given those that were chosen before, each in its range.
/// Nominal: proportional to 1 + how often it was chosen. Ordinal: an even mixture of a uniform
/// distribution and of a normal one about each chosen place, whose standard deviation is the larger
/// distance from the chosen places beside it, or from the ends of the range; of a normal one an
/// option has the part within half a place, as a share of that within the range.
/// Source: J. Bergstra et al.: Algorithms for hyper-parameter optimization, NeurIPS 2011, section
/// 4.1. Test: ParzenEstimate.IsThatOfThePaper.
std::vector<double> parzen_estimate(std::span<const std::uint32_t> chosen, std::uint32_t options,
                                    bool ordinal);

struct TpeOptions : StartOptions {
  int samples = 20;        ///< random architectures at first, >= 2
  double quantile = 0.15;  ///< share of the told that are the good ones, in (0, 1)
  int candidates = 24;     ///< drawn from the good ones' distribution, >= 1
};
OptionTable<TpeOptions> tpe_option_table();

/// The tree-structured Parzen estimator. The first candidates are the known architectures and
/// random ones. Then each decision has two distributions, of the options that the good
/// architectures chose and of those that the others chose, of those alone in which it is active;
/// candidates are drawn from the first, and the one is asked for whose likelihood under the first
/// is the most times that under the second. Subset decisions are nominal ones of as many options as
/// there are subsets.
///
/// The good ones come first by rank_and_crowding(), so that constraints count before objectives.
/// Failed trials are the worst. Candidates in flight do not count. Nothing is asked for twice:
/// after 20 rounds of candidates that were all asked for, a random new architecture takes their
/// place.
///
/// An ask takes O(n log n) for n trials, with several objectives more.
///
/// Source: as parzen_estimate(), sections 4 and 4.1; several objectives: Y. Ozaki et al.:
/// Multiobjective tree-structured Parzen estimator, JAIR 2022, which cuts the last front by
/// hypervolume. Differs from the sources: that cut is by crowding distance; ordinal decisions are
/// places, not values. Test: Tpe.AsksForTheBestRatioOfItsDraws.
class Tpe : public Strategy {
 public:
  /// Throws ConfigError as Start does.
  Tpe(const RunContext& context, const TpeOptions& options);

  std::vector<Candidate> ask(std::size_t max_count) override;
  void tell(const Trial& trial) override;
  bool finished() const override { return finished_; }

 private:
  std::optional<Candidate> proposal();
  void estimate();

  std::shared_ptr<const SearchSpace> space_;
  Rng rng_;
  Goals goals_;
  Start start_;
  TpeOptions options_;
  AskedArchitectures asked_;
  std::uint64_t next_id_ = 0, told_count_ = 0, first_count_;
  bool finished_ = false;

  std::vector<Individual> told_;  // those that did not fail
  std::vector<Individual> failed_;
  bool estimated_ = false;                        // of what is told now
  std::vector<std::vector<double>> good_, rest_;  // of each decision and option
};

}  // namespace espalier
