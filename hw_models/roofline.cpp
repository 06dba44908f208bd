#include "hw_models/roofline.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "graph/cost.hpp"
#include "hw_models/fused_kernels.hpp"

namespace espalier {

namespace {

struct Operands {
  int weight_bits, activation_bits;
};

/// Operators without quantization, and those that cannot have one, work on floats.
Operands operands_of(const Node& node, int float_bits) {
  const auto bits = [float_bits](Dim d) {
    return d == Dim(32) ? float_bits : static_cast<int>(d.value());
  };
  if (!node.compression.quantization) return {float_bits, float_bits};
  return {bits(node.compression.quantization->weight_bits),
          bits(node.compression.quantization->activation_bits)};
}

/// The bits at which each node's tensor is stored: what its most demanding reader needs.
std::vector<int> stored_bits(const Graph& graph, const std::vector<Kernel>& kernels,
                             int float_bits) {
  std::vector<int> bits(graph.size(), 0);
  for (const Kernel& kernel : kernels) {
    const Node& node = graph.node(kernel.main);
    if (std::holds_alternative<op::Zero>(node.op)) continue;  // it does not look at its input
    const int needed = operands_of(node, float_bits).activation_bits;
    for (NodeId input : kernel.inputs) bits[input] = std::max(bits[input], needed);
  }
  // What no kernel reads is a result.
  for (int& b : bits) b = b == 0 ? float_bits : b;
  return bits;
}

double efficiency_of(const MacEfficiency& efficiency, std::string_view kind) {
  if (kind == "conv2d") return efficiency.conv2d;
  if (kind == "grouped_conv2d") return efficiency.grouped_conv2d;
  if (kind == "depthwise_conv2d") return efficiency.depthwise_conv2d;
  return efficiency.linear;
}

double weight_bytes(const Graph& graph, const Kernel& kernel, int weight_bits, int float_bits) {
  const double float_bytes = float_bits / 8.0;
  const Node& node = graph.node(kernel.main);
  const auto* conv = std::get_if<op::Conv2d>(&node.op);
  const auto* linear = std::get_if<op::Linear>(&node.op);
  if (conv == nullptr && linear == nullptr) {
    return static_cast<double>(node_params(graph, kernel.main)) * float_bytes;  // batch norm
  }
  const bool has_bias = conv != nullptr ? conv->bias : linear->bias;
  const std::int64_t outputs = node.shape[conv != nullptr ? 0 : node.shape.rank - 1].value();
  const std::int64_t weights = node_params(graph, kernel.main) - (has_bias ? outputs : 0);
  const bool quantized =
      node.compression.quantization && node.compression.quantization->weight_bits != Dim(32);
  return static_cast<double>(weights) * weight_bits / 8.0 +
         (quantized ? 4.0 * static_cast<double>(outputs) : 0.0) +
         (has_bias || kernel.batch_norm ? float_bytes * static_cast<double>(outputs) : 0.0);
}

}  // namespace

Roofline::Roofline(Device device, std::string name)
    : HardwareModel(name.empty() ? device.name : std::move(name)), device_(std::move(device)) {}

std::vector<HardwareMetric> Roofline::metrics() const {
  return {hardware_metrics.begin(), hardware_metrics.end()};
}

std::vector<ScopeCost> Roofline::breakdown(const Graph& graph, int batch_size) const {
  check_estimate_arguments(graph, batch_size);
  const std::vector<Kernel> kernels = fuse_kernels(graph);
  const std::vector<int> bits = stored_bits(graph, kernels, device_.float_bits);
  const auto tensor_bytes = [&](NodeId id) {
    return static_cast<double>(graph.node(id).shape.elements()) * bits[id] / 8.0 * batch_size;
  };
  std::vector<ScopeCost> parts;
  parts.reserve(kernels.size());
  for (const Kernel& kernel : kernels) {
    const Node& node = graph.node(kernel.main);
    const Operands operands = operands_of(node, device_.float_bits);
    double bytes = weight_bytes(graph, kernel, operands.weight_bits, device_.float_bits) +
                   tensor_bytes(kernel.output);
    if (!std::holds_alternative<op::Zero>(node.op)) {
      for (NodeId input : kernel.inputs) bytes += tensor_bytes(input);
    }
    double compute_ms = 0;
    double picojoules = bytes * device_.picojoules_per_byte;
    const double macs = static_cast<double>(node_macs(graph, kernel.main)) * batch_size;
    if (macs > 0) {
      const MacUnit& unit =
          device_.mac_unit(std::max(operands.weight_bits, operands.activation_bits));
      const double efficiency = efficiency_of(device_.efficiency, kernel_kind(graph, kernel.main));
      compute_ms = macs / (unit.gmacs_per_second * 1e6 * efficiency);
      picojoules += macs * unit.picojoules_per_mac;
    }
    const double memory_ms = bytes / (device_.gigabytes_per_second * 1e6);
    parts.push_back(
        {.scope = node.scope,
         .node = kernel.main,
         .cost = {.latency_ms = std::max(compute_ms, memory_ms) + device_.overhead_us * 1e-3,
                  .energy_mj = picojoules * 1e-9}});
  }
  return parts;
}

HardwareCost Roofline::estimate(const Graph& graph, int batch_size) const {
  return sum(breakdown(graph, batch_size), metrics());
}

}  // namespace espalier
