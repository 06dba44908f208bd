#include "graph/decision.hpp"

#include <string_view>

#include "core/error.hpp"

namespace espalier {

namespace {
/// C(n, k), saturated at 2^32.
std::uint64_t binomial(std::uint64_t n, std::uint64_t k) {
  if (k > n) return 0;
  constexpr std::uint64_t limit = std::uint64_t{1} << 32;
  std::uint64_t result = 1;
  for (std::uint64_t i = 1; i <= k; ++i) {
    result = result * (n - k + i) / i;
    if (result > limit) return limit;
  }
  return result;
}
}  // namespace

std::uint32_t choice_count(const Decision& decision) {
  const std::size_t n = decision.options.size();
  if (decision.pick < 1 || static_cast<std::size_t>(decision.pick) > n) {
    throw ConfigError("", "decision '" + decision.name + "' picks " +
                              std::to_string(decision.pick) + " of " + std::to_string(n) +
                              " options; pick 1 to " + std::to_string(n));
  }
  if (decision.pick == 1) return static_cast<std::uint32_t>(n);
  const std::uint64_t count = binomial(n, static_cast<std::uint64_t>(decision.pick));
  if (count >= (std::uint64_t{1} << 32)) {
    throw ConfigError("", "decision '" + decision.name + "' has more than 2^32 combinations of " +
                              std::to_string(decision.pick) + " of " + std::to_string(n) +
                              " options; use fewer options");
  }
  return static_cast<std::uint32_t>(count);
}

std::vector<std::uint32_t> unrank_subset(std::uint32_t rank, std::uint32_t options,
                                         std::uint32_t pick) {
  std::vector<std::uint32_t> subset(pick);
  std::uint64_t rest = rank;
  std::uint32_t upper = options;
  for (std::uint32_t k = pick; k > 0; --k) {
    std::uint32_t value = upper - 1;
    while (binomial(value, k) > rest) --value;
    subset[k - 1] = value;
    rest -= binomial(value, k);
    upper = value;
  }
  return subset;
}

std::uint32_t rank_subset(std::span<const std::uint32_t> subset) {
  std::uint64_t rank = 0;
  for (std::size_t k = 0; k < subset.size(); ++k) rank += binomial(subset[k], k + 1);
  return static_cast<std::uint32_t>(rank);
}

std::vector<std::uint32_t> picked_options(const Decision& decision, std::uint32_t choice) {
  if (decision.pick == 1) return {choice};
  return unrank_subset(choice, static_cast<std::uint32_t>(decision.options.size()),
                       static_cast<std::uint32_t>(decision.pick));
}

std::string choice_label(const Decision& decision, std::uint32_t choice) {
  if (choice >= choice_count(decision)) {
    throw InvalidArchitecture("decision '" + decision.name + "' has " +
                              std::to_string(choice_count(decision)) + " choices, not choice " +
                              std::to_string(choice));
  }
  if (decision.pick == 1) return decision.options[choice];
  std::string label;
  for (std::uint32_t i : picked_options(decision, choice)) {
    if (!label.empty()) label += '+';
    label += decision.options[i];
  }
  return label;
}

namespace {
/// Completes `subset`, ascending, so that its options joined by '+' spell `rest`. Options may
/// contain
/// '+' themselves, hence the search.
bool match_subset(const Decision& decision, std::string_view rest,
                  std::vector<std::uint32_t>& subset) {
  const bool last = subset.size() + 1 == static_cast<std::size_t>(decision.pick);
  for (std::size_t i = subset.empty() ? 0 : subset.back() + 1; i < decision.options.size(); ++i) {
    const std::string& option = decision.options[i];
    if (!rest.starts_with(option)) continue;
    const std::string_view after = rest.substr(option.size());
    subset.push_back(static_cast<std::uint32_t>(i));
    if (last ? after.empty()
             : after.starts_with('+') && match_subset(decision, after.substr(1), subset)) {
      return true;
    }
    subset.pop_back();
  }
  return false;
}
}  // namespace

std::uint32_t choice_from_label(const Decision& decision, const std::string& label) {
  if (decision.pick == 1) {
    for (std::size_t i = 0; i < decision.options.size(); ++i) {
      if (decision.options[i] == label) return static_cast<std::uint32_t>(i);
    }
  } else {
    std::vector<std::uint32_t> subset;
    if (match_subset(decision, label, subset)) return rank_subset(subset);
  }
  std::vector<std::string> known = decision.options;
  if (decision.pick > 1) known = {choice_label(decision, 0)};  // as an example
  throw InvalidArchitecture("decision '" + decision.name + "' has no option '" + label + "'" +
                            suggestion(label, known));
}

}  // namespace espalier
