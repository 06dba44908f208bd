// The metrics that every run has without an evaluator.
#pragma once

#include <string_view>
#include <vector>

#include "objectives/metric.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

/// params, macs, storage_bytes, peak_memory_bytes: the members of Cost.
const std::vector<MetricInfo>& cost_metrics();

bool is_cost_metric(std::string_view name);

/// One of them. params and macs come from SearchSpace::quick_cost, without building the network.
/// Throws ConfigError for another name.
double cost_metric(std::string_view name, const Network& network);

/// Unit and direction of a metric of a user's table or program, as its name tells: "accuracy" and
/// "..._accuracy" are percentages to be maximized, "..._ms", "..._mj", "..._bytes" (also with a
/// device, "..._ms@pixel1"), params and macs are to be minimized.
MetricInfo metric_info(std::string_view name);

}  // namespace espalier
