#include "evaluators/proxies/synaptic_flow.hpp"

#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "evaluators/proxies/drawn_networks.hpp"
#include "nets/op_to_torch.hpp"

namespace espalier {
namespace {

bool multiplies_by_weights(const Op& op) {
  return std::holds_alternative<op::Conv2d>(op) || std::holds_alternative<op::Linear>(op);
}

// Linear on tensors that are not negative, or a maximum.
bool flows(const Op& op) {
  if (const auto* activation = std::get_if<op::Activation>(&op)) {
    return activation->kind == ActivationKind::relu;
  }
  return multiplies_by_weights(op) || std::holds_alternative<op::Input>(op) ||
         std::holds_alternative<op::Pool2d>(op) || std::holds_alternative<op::GlobalAvgPool>(op) ||
         std::holds_alternative<op::Flatten>(op) || std::holds_alternative<op::Add>(op) ||
         std::holds_alternative<op::Concat>(op) || std::holds_alternative<op::Zero>(op) ||
         std::holds_alternative<op::Slice>(op) || std::holds_alternative<op::ChannelShuffle>(op) ||
         std::holds_alternative<op::Output>(op);
}

// A tensor and its derivative, {2, ...}, both times 2^exponent.
struct Flow {
  at::Tensor both;
  int exponent = 0;
};

constexpr int exponent_of_zero = -1'000'000;  // so that nothing is scaled for its sake

// Brings the largest number to [0.5, 1).
Flow normalized(Flow flow) {
  const double largest = flow.both.max().item<double>();
  if (!(largest > 0)) return {std::move(flow.both), exponent_of_zero};
  int exponent = 0;
  std::frexp(largest, &exponent);
  // In two steps, since 2^149 is beyond float32.
  flow.both.mul_(std::ldexp(1.0, -exponent / 2)).mul_(std::ldexp(1.0, -exponent + exponent / 2));
  flow.exponent += exponent;
  return flow;
}

at::Tensor max_pooled(const op::Pool2d& pool, const at::Tensor& both) {
  const auto pair = [](const Extent& e) { return std::array{e.h.value(), e.w.value()}; };
  const auto [value, places] =
      at::max_pool2d_with_indices(both.slice(0, 0, 1), pair(pool.kernel), pair(pool.stride),
                                  pair(pool.padding), at::IntArrayRef{1, 1}, pool.ceil_mode);
  const at::Tensor derivative = both.slice(0, 1, 2).flatten(2).gather(2, places.flatten(2));
  return at::cat({value, derivative.view(value.sizes())});
}

}  // namespace

std::pair<Graph, std::vector<NodeId>> linear_flow(const Graph& graph) {
  const auto linear = [](const Op& op) -> std::optional<Op> {
    if (std::holds_alternative<op::BatchNorm2d>(op) || std::holds_alternative<op::Dropout>(op)) {
      return std::nullopt;
    }
    const auto* activation = std::get_if<op::Activation>(&op);
    if (activation == nullptr || activation->kind != ActivationKind::relu6) return op;
    op::Activation relu = *activation;
    relu.kind = ActivationKind::relu;
    return relu;
  };
  return with_operators(graph, linear, Compressions::dropped);
}

std::optional<double> synaptic_flow_sum(const GraphModule& drawn) {
  if (drawn.options().device.is_cuda()) return std::nullopt;
  const auto [graph, moved] = linear_flow(drawn.graph());
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (!flows(graph.node(id).op)) return std::nullopt;
  }
  const at::NoGradGuard no_grad;
  std::vector<OpTensors> tensors(graph.size());
  for (NodeId id = 0; id < moved.size(); ++id) {
    if (graph.node(moved[id]).name != drawn.graph().node(id).name) continue;  // it is left out
    const OpTensors& from = drawn.node_tensors()[id];
    if (from.weight.defined()) tensors[moved[id]].weight = from.weight.abs();
    if (from.bias.defined()) tensors[moved[id]].bias = from.bias.abs();
  }
  const Shape& shape = graph.node(graph.input()).shape;
  at::Tensor ones = torch::zeros({2, shape[0].value(), shape[1].value(), shape[2].value()},
                                 torch::TensorOptions().device(drawn.options().device));
  ones.select(0, 0).fill_(1);
  std::vector<Flow> flow(graph.size());
  flow[graph.input()].both = ones.contiguous(at::MemoryFormat::ChannelsLast);
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (id == graph.input()) continue;
    const Node& node = graph.node(id);
    int exponent = flow[graph.inputs(id)[0]].exponent;
    for (const NodeId from : graph.inputs(id)) exponent = std::max(exponent, flow[from].exponent);
    std::vector<at::Tensor> in;
    for (const NodeId from : graph.inputs(id)) {
      const Flow& its = flow[from];
      in.push_back(its.exponent == exponent ? its.both
                                            : its.both * std::ldexp(1.0, its.exponent - exponent));
    }
    const auto* pool = std::get_if<op::Pool2d>(&node.op);
    if (multiplies_by_weights(node.op)) {
      // With y = w x + b along w: y' = w x' + w x.
      const at::Tensor& both = in[0];
      at::Tensor sum = both.clone();
      sum.select(0, 1).add_(both.select(0, 0));
      const OpTensors weight{.weight = tensors[id].weight};
      flow[id] = {run_op(node, std::array{sum}, weight, RunMode{}), exponent};
      const at::Tensor& bias = tensors[id].bias;
      if (bias.defined() && bias.max().item<float>() > 0) {
        // What is lost of small numbers does not count beside it.
        if (exponent < 0) flow[id] = {flow[id].both.mul_(std::ldexp(1.0, exponent)), 0};
        at::Tensor value = flow[id].both.select(0, 0);
        const at::Tensor scaled = bias * std::ldexp(1.0, -flow[id].exponent);
        value.add_(value.dim() == 3 ? scaled.view({-1, 1, 1}) : scaled);
      }
      flow[id] = normalized(std::move(flow[id]));
    } else if (pool != nullptr && pool->kind == PoolKind::max) {
      flow[id] = {max_pooled(*pool, in[0]), exponent};
    } else if (std::holds_alternative<op::Activation>(node.op)) {
      flow[id] = {in[0], exponent};
    } else {
      const bool zero = std::holds_alternative<op::Zero>(node.op);
      flow[id] = {run_op(node, in, {}, RunMode{}), zero ? exponent_of_zero : exponent};
    }
  }
  const Flow& end = flow[graph.output()];
  return std::ldexp(end.both.select(0, 1).to(at::kDouble).sum().item<double>(), end.exponent);
}

}  // namespace espalier
