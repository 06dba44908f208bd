// Features as rows of numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "predictors/normal_scores.hpp"
#include "predictors/predictor.hpp"

namespace espalier {

/// Throws Error unless a network has as many features of each kind.
void check_sizes(const Features& network, std::size_t decisions, std::size_t costs,
                 std::size_t scores);

/// Makes rows of equal length from features: the decisions, how often each pattern occurs that the
/// networks it was made from have (others are left out), the costs, and two numbers for each score:
/// its normal score among those of these networks, 0 where it is NaN, and whether it is NaN.
class DenseFeatures {
 public:
  DenseFeatures() = default;
  /// Of at least 1 network.
  explicit DenseFeatures(std::span<const Features> networks);

  /// Of a row.
  std::size_t width() const { return width_; }
  /// One row after the other. Throws Error for networks that have another number of decisions,
  /// costs or scores.
  std::vector<double> rows(std::span<const Features> networks) const;

 private:
  std::size_t decisions_ = 0, costs_ = 0, width_ = 0;
  std::unordered_map<std::uint64_t, std::size_t> columns_;  // of patterns, from decisions_ on
  std::vector<NormalScale> scores_;
};

}  // namespace espalier
