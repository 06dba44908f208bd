#include "study/network_metrics.hpp"

#include <string>

#include "evaluators/cost_metrics.hpp"

namespace espalier {

std::vector<NetworkMetric> cost_network_metrics() {
  std::vector<NetworkMetric> metrics;
  for (const MetricInfo& info : cost_metrics()) {
    metrics.push_back({
        .info = info,
        .value = [name = info.name](const Network& n) { return cost_metric(name, n); },
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
    });
  }
  return metrics;
}

}  // namespace espalier
