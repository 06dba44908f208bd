// Metrics that are read off a network without evaluating it.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "hw_models/hardware_model.hpp"
#include "objectives/metric.hpp"
#include "search_spaces/search_space.hpp"
#include "strategies/run_context.hpp"

namespace espalier {

/// A metric that is a function of the network alone. `value` is thread-safe.
struct NetworkMetric {
  MetricInfo info;
  std::function<double(const Network&)> value;
  /// Empty where the metric is not a sum over a network's scopes.
  CostParts parts = {};
};

/// params, macs, storage_bytes, peak_memory_bytes: there in every run.
std::vector<NetworkMetric> cost_network_metrics();

/// What a hardware model estimates at batch size 1: "latency_ms@name", "energy_mj@name".
std::vector<NetworkMetric> hardware_network_metrics(std::shared_ptr<const HardwareModel> model);

}  // namespace espalier
