#include "evaluators/hardware.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.hpp"

namespace espalier {

HardwareEvaluator::HardwareEvaluator(std::vector<std::shared_ptr<const HardwareModel>> models)
    : models_(std::move(models)) {
  for (const auto& model : models_) {
    for (const HardwareMetric& metric : model->metrics()) {
      std::string name = fmt::format("{}@{}", metric.name, model->name());
      if (std::ranges::find(metrics_, name, &MetricInfo::name) != metrics_.end()) {
        throw ConfigError("", fmt::format("two hardware models are named \"{}\"", model->name()));
      }
      metrics_.push_back({std::move(name), std::string(metric.unit), Direction::minimize});
    }
  }
}

std::vector<double> HardwareEvaluator::evaluate(const Candidate&, const Network& network, Rng&) {
  std::vector<double> values;
  values.reserve(metrics_.size());
  for (const auto& model : models_) {
    const HardwareCost cost = model->estimate(network.graph(), 1);
    for (const HardwareMetric& metric : model->metrics()) {
      values.push_back((cost.*metric.member).value());
    }
  }
  return values;
}

}  // namespace espalier
