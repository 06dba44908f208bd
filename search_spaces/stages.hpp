#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

/// `block(x, i)` for i = 1, 2, ... up to the largest depth, and a choice "NAME.depth" over the taps
/// after each of `depths` blocks (ascending; a single depth opens no decision).
NodeId elastic_depth(SupergraphBuilder& builder, NodeId x, const std::string& name,
                     const std::vector<std::int64_t>& depths,
                     const std::function<NodeId(NodeId, std::int64_t)>& block);

/// Checks of option lists. Throw ConfigError at `pointer`.
template <class T>
void check_distinct(const std::string& pointer, std::vector<T> values) {
  std::ranges::sort(values);
  const auto twice = std::ranges::adjacent_find(values);
  if (twice != values.end()) {
    throw ConfigError(pointer, fmt::format("lists {} twice; write each value once", *twice));
  }
}
void check_ascending(const std::string& pointer, const std::vector<std::int64_t>& values);
void check_odd_distinct(const std::string& pointer, const std::vector<std::int64_t>& values);

}  // namespace espalier
