#include "evaluators/proxies/drawn_networks.hpp"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "core/error.hpp"

namespace espalier {
namespace {

bool is_layer(const Op& op) {
  return std::holds_alternative<op::Conv2d>(op) || std::holds_alternative<op::DeformConv2d>(op) ||
         std::holds_alternative<op::Linear>(op);
}

at::Tensor normal_numbers(at::IntArrayRef sizes, double deviation, Rng& rng) {
  at::Tensor numbers = torch::empty(sizes, torch::kDouble);
  rng.fill_normal({numbers.data_ptr<double>(), static_cast<std::size_t>(numbers.numel())});
  return numbers.mul_(deviation).to(torch::kFloat);
}

double deviation_of(const at::Tensor& weight, Deviation deviation) {
  if (deviation == Deviation::one) return 1;
  // As the initializers of PyTorch have them: both count the whole kernel, and grouped
  // convolutions have all of their outputs in the fan-out.
  const std::int64_t fan = weight.numel() / weight.size(deviation == Deviation::fan_in ? 0 : 1);
  return std::sqrt(2.0 / static_cast<double>(fan));
}

}  // namespace

void draw_normal_weights(GraphModule& module, const Rng& rng, Deviation deviation) {
  const at::NoGradGuard no_grad;
  module.reset_parameters(rng);
  const Graph& graph = module.graph();
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (!is_layer(graph.node(id).op)) continue;
    const OpTensors& tensors = module.node_tensors()[id];
    Rng draws = rng.fork(graph.name(id));
    tensors.weight.copy_(
        normal_numbers(tensors.weight.sizes(), deviation_of(tensors.weight, deviation), draws));
    if (tensors.bias.defined()) tensors.bias.zero_();
  }
}

std::vector<at::Tensor> layer_weights(const GraphModule& module) {
  std::vector<at::Tensor> weights;
  for (NodeId id = 0; id < module.graph().size(); ++id) {
    if (is_layer(module.graph().node(id).op)) weights.push_back(module.node_tensors()[id].weight);
  }
  return weights;
}

at::Tensor image_tensor(const ProxyInput& input) {
  const auto& [n, height, width, channels] = input.images.shape;
  return torch::from_blob(const_cast<float*>(input.images.pixels.data()),
                          {n, height, width, channels})
      .to(at::Device(input.device))
      .permute({0, 3, 1, 2});
}

at::Tensor label_tensor(const ProxyInput& input) {
  const Graph& graph = input.network.graph();
  const std::int64_t outputs = graph.node(graph.output()).shape.elements();
  const auto& labels = input.images.labels;
  const auto largest = std::ranges::max_element(labels);
  if (largest != labels.end() && *largest >= outputs) {
    throw ShapeError(
        fmt::format("an image of class {}, but the network has {} outputs", *largest, outputs));
  }
  return torch::tensor(labels, torch::kLong).to(at::Device(input.device));
}

at::Tensor normal_images(const Graph& graph, std::int64_t count, Rng rng,
                         const at::Device& device) {
  const Shape& shape = graph.node(graph.input()).shape;
  return normal_numbers({count, shape[0].value(), shape[1].value(), shape[2].value()}, 1, rng)
      .to(device);
}

std::pair<Graph, std::vector<NodeId>> with_operators(
    const Graph& graph, const std::function<std::optional<Op>(const Op&)>& replace,
    Compressions keep) {
  Graph result = Graph::like(graph);
  result.reserve(graph.size(), graph.size());
  std::vector<NodeId> moved(graph.size());
  std::vector<NodeId> inputs;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    inputs.clear();
    for (NodeId input : graph.inputs(id)) inputs.push_back(moved[input]);
    const std::optional<Op> op = replace(node.op);
    moved[id] = op ? result.add_trusted(
                         *op, inputs, node.name, node.scope,
                         keep == Compressions::kept ? node.compression : Compression{}, node.shape)
                   : inputs.at(0);
  }
  return {std::move(result), std::move(moved)};
}

NodeId last_feature_map(const Graph& graph) {
  NodeId flatten = graph.inputs(graph.output())[0];
  bool found = false;
  for (NodeId id = graph.output(); graph.inputs(id).size() == 1; id = graph.inputs(id)[0]) {
    const Op& op = graph.node(id).op;
    const NodeId input = graph.inputs(id)[0];
    if (std::holds_alternative<op::GlobalAvgPool>(op)) return input;
    if (!found && std::holds_alternative<op::Linear>(op)) flatten = input;
    if (std::holds_alternative<op::Flatten>(op) && !found) {
      flatten = input;
      found = true;
    }
  }
  return flatten;
}

void check_convolutional(const Graph& graph, std::string_view proxy) {
  for (const Node& node : graph.nodes()) {
    if (std::holds_alternative<op::Attention>(node.op) ||
        std::holds_alternative<op::LayerNorm>(node.op)) {
      throw UnsupportedError(fmt::format(
          "the proxy \"{}\" is defined for convolutional networks with batch norms, but "
          "this one has the operator {}",
          proxy, op_name(node.op)));
    }
  }
}

}  // namespace espalier
