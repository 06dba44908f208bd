#include "strategies/decision_steps.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace espalier {

DecisionSteps::DecisionSteps(const SearchSpace& space) : decisions_(space.decisions()) {
  std::size_t most_options = 0;
  for (DecisionId d = 0; d < decisions_.size(); ++d) {
    first_.push_back(steps_.size());
    if (space.choice_counts()[d] == 1) continue;
    const auto options = static_cast<std::uint32_t>(decisions_[d].options.size());
    most_options = std::max<std::size_t>(most_options, options);
    for (int slot = 0; slot < decisions_[d].pick; ++slot) {
      steps_.push_back(
          {.decision = d, .slot = static_cast<std::uint32_t>(slot), .options = options});
    }
  }
  first_.push_back(steps_.size());
  log_factorial_.assign(most_options + 1, 0);
  for (std::size_t n = 2; n <= most_options; ++n) {
    log_factorial_[n] = log_factorial_[n - 1] + std::log(static_cast<double>(n));
  }
}

void DecisionSteps::log_completions(std::size_t step, std::uint32_t before,
                                    std::span<double> out) const {
  const auto& [decision, slot, options] = steps_[step];
  assert(out.size() == options);
  const auto pick = static_cast<std::uint32_t>(decisions_[decision].pick);
  if (pick == 1) {
    std::ranges::fill(out, 0.0);
    return;
  }
  const std::uint32_t to_come = pick - 1 - slot;
  for (std::uint32_t option = 0; option < options; ++option) {
    const std::uint32_t above = options - 1 - option;
    out[option] =
        (slot > 0 && option <= before) || above < to_come
            ? -std::numeric_limits<double>::infinity()
            : log_factorial_[above] - log_factorial_[to_come] - log_factorial_[above - to_come];
  }
}

std::vector<std::uint32_t> DecisionSteps::options_of(const Architecture& a) const {
  std::vector<std::uint32_t> options;
  options.reserve(steps_.size());
  for (DecisionId d = 0; d < decisions_.size(); ++d) {
    if (first_[d] == first_[d + 1]) continue;
    if (decisions_[d].pick == 1) {
      options.push_back(a.choices[d]);
    } else {
      for (const std::uint32_t option : picked_options(decisions_[d], a.choices[d])) {
        options.push_back(option);
      }
    }
  }
  return options;
}

Architecture DecisionSteps::architecture_of(std::span<const std::uint32_t> options) const {
  assert(options.size() == steps_.size());
  Architecture a;
  a.choices.resize(decisions_.size());
  for (DecisionId d = 0; d < decisions_.size(); ++d) {
    const std::size_t count = first_[d + 1] - first_[d];
    if (count == 0) continue;
    a.choices[d] = decisions_[d].pick == 1 ? options[first_[d]]
                                           : rank_subset(options.subspan(first_[d], count));
  }
  return a;
}

}  // namespace espalier
