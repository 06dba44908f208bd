// An architecture as a row of single picks, one option at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "search_spaces/search_space.hpp"

namespace espalier {

/// One pick: member `slot` of what a decision picks.
struct DecisionStep {
  DecisionId decision = 0;
  std::uint32_t slot = 0;
  std::uint32_t options = 0;
};

/// The steps that make an architecture: one for each decision, `pick` of them for a subset
/// decision, whose members are picked in ascending order; none for a decision without a choice.
class DecisionSteps {
 public:
  explicit DecisionSteps(const SearchSpace& space);

  std::size_t size() const { return steps_.size(); }
  const DecisionStep& operator[](std::size_t step) const { return steps_[step]; }
  /// The steps of a decision are [first(d), first(d + 1)).
  std::size_t first(DecisionId d) const { return first_[d]; }
  std::size_t decisions() const { return decisions_.size(); }

  /// For each option of a step the logarithm of the number of subsets that go on with it, given the
  /// option taken one step before (not read at a decision's first step): 0 where one option is
  /// picked, minus infinity where there is none.
  void log_completions(std::size_t step, std::uint32_t before, std::span<double> out) const;

  /// The option taken at each step. The architecture must be in range.
  std::vector<std::uint32_t> options_of(const Architecture& a) const;
  /// Inverse of options_of().
  Architecture architecture_of(std::span<const std::uint32_t> options) const;

 private:
  std::vector<Decision> decisions_;
  std::vector<DecisionStep> steps_;
  std::vector<std::size_t> first_;
  std::vector<double> log_factorial_;
};

}  // namespace espalier
