#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "graph/dim.hpp"

namespace espalier {

/// One named axis of a search space: `pick` of its options are chosen at once.
struct Decision {
  std::string name;
  std::vector<std::string> options;  ///< labels, distinct, at least `pick` of them
  int pick = 1;                      ///< options chosen at once, >= 1
  bool ordinal = false;              ///< the options are numbers on one scale

  friend bool operator==(const Decision&, const Decision&) = default;
};

/// Number of values a decision can take: C(options, pick). Throws ConfigError where pick does not
/// fit the options or the number passes 2^32.
std::uint32_t choice_count(const Decision& decision);

/// The `rank`-th subset of `pick` of `options`, ascending, in colexicographic order.
std::vector<std::uint32_t> unrank_subset(std::uint32_t rank, std::uint32_t options,
                                         std::uint32_t pick);
/// Inverse of unrank_subset: `subset` ascending.
std::uint32_t rank_subset(std::span<const std::uint32_t> subset);

/// The options (ascending) that a choice picks.
std::vector<std::uint32_t> picked_options(const Decision& decision, std::uint32_t choice);

/// The label of a choice: the option, or the options of a subset joined by '+'.
std::string choice_label(const Decision& decision, std::uint32_t choice);
/// Inverse of choice_label. Throws InvalidArchitecture naming the nearest label.
std::uint32_t choice_from_label(const Decision& decision, const std::string& label);

}  // namespace espalier
