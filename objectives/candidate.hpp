// What a strategy asks to have evaluated.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/json_fwd.hpp"
#include "search_spaces/architecture.hpp"

namespace espalier {

/// What a strategy says of a candidate: for people, not for evaluators.
struct Notes {
  std::vector<std::pair<std::string, double>> numbers = {};  ///< finite, by name
  std::string warning = "";

  bool empty() const { return numbers.empty() && warning.empty(); }
  friend bool operator==(const Notes&, const Notes&) = default;
};

/// {name: number, ..., "warning": text}, the last one where there is a warning.
Json to_json(const Notes& notes);
/// Throws Json::exception for what to_json() did not write.
Notes notes_from_json(const Json& json);

/// An architecture to be evaluated as trial `trial_id`.
struct Candidate {
  std::uint64_t trial_id = 0;
  Architecture architecture;
  /// The fraction of a full evaluation, in (0, 1].
  double fidelity = 1.0;
  /// The trial whose weights it may inherit, or whose evaluation it continues.
  std::optional<std::uint64_t> parent = std::nullopt;
  Notes notes = {};

  friend bool operator==(const Candidate&, const Candidate&) = default;
};

}  // namespace espalier
