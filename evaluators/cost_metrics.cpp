#include "evaluators/cost_metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "core/error.hpp"

namespace espalier {

const std::vector<MetricInfo>& cost_metrics() {
  static const std::vector<MetricInfo> metrics{
      {"params", "", Direction::minimize},
      {"macs", "", Direction::minimize},
      {"storage_bytes", "B", Direction::minimize},
      {"peak_memory_bytes", "B", Direction::minimize},
  };
  return metrics;
}

bool is_cost_metric(std::string_view name) {
  return std::ranges::find(cost_metrics(), name, &MetricInfo::name) != cost_metrics().end();
}

double cost_metric(std::string_view name, const Network& network) {
  const auto quick = [&] { return network.space().quick_cost(network.architecture()); };
  if (name == "params") return static_cast<double>(quick().params);
  if (name == "macs") return static_cast<double>(quick().macs);
  if (name == "storage_bytes") return static_cast<double>(network.cost().storage_bytes);
  if (name == "peak_memory_bytes") return static_cast<double>(network.cost().peak_memory_bytes);
  std::vector<std::string> known;
  for (const MetricInfo& metric : cost_metrics()) known.push_back(metric.name);
  throw ConfigError("", fmt::format("\"{}\" is no cost metric{}", name, suggestion(name, known)));
}

MetricInfo metric_info(std::string_view name) {
  MetricInfo info{.name = std::string(name)};
  const std::string_view stem = name.substr(0, name.find('@'));
  if (stem == "accuracy" || stem.ends_with("_accuracy")) {
    info.unit = "%";
    info.direction = Direction::maximize;
  } else if (stem == "params" || stem == "macs") {
    info.direction = Direction::minimize;
  }
  for (const auto& [suffix, unit] :
       {std::pair{"_ms", "ms"}, std::pair{"_mj", "mJ"}, std::pair{"_bytes", "B"}}) {
    if (stem.ends_with(suffix)) {
      info.unit = unit;
      info.direction = Direction::minimize;
    }
  }
  return info;
}

}  // namespace espalier
