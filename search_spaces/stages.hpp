#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "search_spaces/supergraph.hpp"

namespace espalier {

/// `block(x, i)` for i = 1, 2, ... up to the largest depth, and a choice "NAME.depth" over the taps
/// after each of `depths` blocks (ascending; a single depth opens no decision).
NodeId elastic_depth(SupergraphBuilder& builder, NodeId x, const std::string& name,
                     const std::vector<std::int64_t>& depths,
                     const std::function<NodeId(NodeId, std::int64_t)>& block);

/// Checks of option lists. Throw ConfigError at `pointer`.
void check_distinct(const std::string& pointer, const std::vector<std::int64_t>& values);
void check_ascending(const std::string& pointer, const std::vector<std::int64_t>& values);
void check_odd_distinct(const std::string& pointer, const std::vector<std::int64_t>& values);

}  // namespace espalier
