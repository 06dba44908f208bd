// What a strategy asks to have evaluated.
#pragma once

#include <cstdint>
#include <optional>

#include "search_spaces/architecture.hpp"

namespace espalier {

/// An architecture to be evaluated as trial `trial_id`.
struct Candidate {
  std::uint64_t trial_id = 0;
  Architecture architecture;
  /// The fraction of a full evaluation, in (0, 1].
  double fidelity = 1.0;
  /// The trial whose weights it may inherit, or whose evaluation it continues.
  std::optional<std::uint64_t> parent = std::nullopt;

  friend bool operator==(const Candidate&, const Candidate&) = default;
};

}  // namespace espalier
