#include "hw_models/hardware_model.hpp"

#include <algorithm>
#include <utility>

#include "core/error.hpp"

namespace espalier {

HardwareModel::HardwareModel(std::string name) : name_(std::move(name)) {
  constexpr std::string_view allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
  if (name_.empty() || name_.find_first_not_of(allowed) != std::string::npos) {
    throw ConfigError("/name",
                      "the name of a hardware model is made of letters, digits, '_', '-' "
                      "and '.', not \"" +
                          name_ + "\"");
  }
}

std::vector<ScopeCost> HardwareModel::breakdown(const Graph&, int) const { return {}; }

HardwareCost sum(const std::vector<ScopeCost>& parts, const std::vector<HardwareMetric>& metrics) {
  HardwareCost total;
  for (const HardwareMetric& metric : metrics) {
    double value = 0;
    for (const ScopeCost& part : parts) value += (part.cost.*metric.member).value();
    total.*metric.member = value;
  }
  return total;
}

void check_estimate_arguments(const Graph& graph, int batch_size) {
  if (batch_size < 1) {
    throw ConfigError("", "batch_size must be at least 1, got " + std::to_string(batch_size));
  }
  if (!graph.concrete()) {
    throw InvalidArchitecture(
        "a hardware model needs a network without open decisions; build one "
        "from an architecture");
  }
}

}  // namespace espalier
