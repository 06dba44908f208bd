// Where two JSON documents differ.
#pragma once

#include <optional>
#include <string>

#include "core/json.hpp"

namespace espalier {

/// One place in which two documents differ.
struct JsonDifference {
  std::string pointer;
  Json before, after;  ///< discarded where the place is missing
};

/// The first difference in the order of `before`; keys of objects may stand in any order.
std::optional<JsonDifference> first_difference(const Json& before, const Json& after,
                                               const std::string& pointer = "");

/// A value for messages: its text, shortened, or "nothing" when discarded.
std::string brief(const Json& json);

}  // namespace espalier
