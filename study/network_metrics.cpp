#include "study/network_metrics.hpp"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "evaluators/cost_metrics.hpp"
#include "graph/cost.hpp"

namespace espalier {
namespace {

CostParts parts_of(const std::string& metric) {
  const auto by_node = [](auto value) -> CostParts {
    return [value](const Graph& graph) {
      std::vector<CostPart> parts;
      for (NodeId id = 0; id < graph.size(); ++id) {
        parts.push_back({graph.node(id).scope, static_cast<double>(value(graph, id))});
      }
      return parts;
    };
  };
  if (metric == "params") return by_node(node_params);
  if (metric == "macs") return by_node(node_macs);
  if (metric == "storage_bytes") return by_node(node_storage_bytes);
  return {};
}

CostParts parts_of(std::shared_ptr<const HardwareModel> model,
                   std::optional<double> HardwareCost::*member) {
  return [model = std::move(model), member](const Graph& graph) {
    std::vector<CostPart> parts;
    for (const ScopeCost& part : model->breakdown(graph, 1)) {
      parts.push_back({part.scope, (part.cost.*member).value_or(0), !part.node});
    }
    if (parts.empty()) {
      throw UnsupportedError(fmt::format(
          "the hardware model '{}' is no sum over the parts of a network, so that it has no "
          "expectation over a relaxation; take a lookup_table or a roofline",
          model->name()));
    }
    return parts;
  };
}

}  // namespace

std::vector<NetworkMetric> cost_network_metrics() {
  std::vector<NetworkMetric> metrics;
  for (const MetricInfo& info : cost_metrics()) {
    metrics.push_back({
        .info = info,
        .value = [name = info.name](const Network& n) { return cost_metric(name, n); },
        .parts = parts_of(info.name),
    });
  }
  return metrics;
}

std::vector<NetworkMetric> hardware_network_metrics(std::shared_ptr<const HardwareModel> model) {
  std::vector<NetworkMetric> metrics;
  for (const HardwareMetric& metric : model->metrics()) {
    metrics.push_back({
        .info = {.name = std::string(metric.name) + "@" + model->name(),
                 .unit = std::string(metric.unit),
                 .direction = Direction::minimize},
        .value = [model, member = metric.member](
                     const Network& n) { return *(model->estimate(n.graph(), 1).*member); },
        .parts = parts_of(model, metric.member),
    });
  }
  return metrics;
}

}  // namespace espalier
