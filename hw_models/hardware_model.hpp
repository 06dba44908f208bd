#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.hpp"

namespace espalier {

/// What one run of a network, or of a part of it, costs on a device. Empty: the model does not
/// know.
struct HardwareCost {
  std::optional<double> latency_ms = {};  ///< of the whole batch, >= 0
  std::optional<double> energy_mj = {};   ///< of the whole batch, >= 0

  friend bool operator==(const HardwareCost&, const HardwareCost&) = default;
};

/// One member of HardwareCost by the name that it has in a config: "latency_ms".
struct HardwareMetric {
  std::string_view name;
  std::string_view unit;
  std::string_view doc;
  std::optional<double> HardwareCost::*member;
};
inline constexpr std::array<HardwareMetric, 2> hardware_metrics{{
    {"latency_ms", "ms", "time of one run", &HardwareCost::latency_ms},
    {"energy_mj", "mJ", "energy of one run", &HardwareCost::energy_mj},
}};

/// The cost of one part of a network: an operator with what is fused into it, or a whole scope.
struct ScopeCost {
  ScopeId scope = no_scope;         ///< the scope, or the one that the operator is in
  std::optional<NodeId> node = {};  ///< the operator; empty for a whole scope
  HardwareCost cost = {};
};

/// Predicts what a network costs on one device, from its graph alone. Immutable and safe to share
/// between threads.
class HardwareModel {
 public:
  virtual ~HardwareModel() = default;
  HardwareModel(const HardwareModel&) = delete;
  HardwareModel& operator=(const HardwareModel&) = delete;

  /// The name in "latency_ms@name".
  const std::string& name() const { return name_; }

  /// The members that every estimate has, a subset of hardware_metrics in its order.
  virtual std::vector<HardwareMetric> metrics() const = 0;

  /// The cost of one run on `batch_size` samples. Throws InvalidArchitecture for an open graph,
  /// ConfigError for a batch_size below 1, UnsupportedError where the model does not cover the
  /// network.
  virtual HardwareCost estimate(const Graph& graph, int batch_size) const = 0;

  /// The parts, in stored order, whose costs sum to the estimate. Empty when the model is not
  /// additive. Throws as estimate.
  virtual std::vector<ScopeCost> breakdown(const Graph& graph, int batch_size) const;

 protected:
  /// Throws ConfigError ("/name") for an empty name or one with other characters than letters,
  /// digits, '_', '-' and '.'.
  explicit HardwareModel(std::string name);

 private:
  std::string name_;
};

/// The sum of the parts; `metrics` says which members it has.
HardwareCost sum(const std::vector<ScopeCost>& parts, const std::vector<HardwareMetric>& metrics);

/// What every model requires of the arguments of estimate(). Throws as it does.
void check_estimate_arguments(const Graph& graph, int batch_size);

}  // namespace espalier
