#include <torch/torch.h>

#include "evaluators/proxies/proxy.hpp"
#include "nets/graph_module.hpp"

namespace espalier {
namespace {

// The network without batch norms, quantizers and dropout. A ReLU6 becomes a ReLU: without batch
// norms its input would pass 6, where it has no gradient.
Graph linear_flow(const Graph& graph) {
  Graph result = Graph::like(graph);
  result.reserve(graph.size(), graph.size());
  std::vector<NodeId> moved(graph.size());
  std::vector<NodeId> inputs;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    inputs.clear();
    for (NodeId input : graph.inputs(id)) inputs.push_back(moved[input]);
    if (std::holds_alternative<op::BatchNorm2d>(node.op) ||
        std::holds_alternative<op::Dropout>(node.op)) {
      moved[id] = inputs[0];
      continue;
    }
    Op op = node.op;
    if (auto* activation = std::get_if<op::Activation>(&op)) {
      if (activation->kind == ActivationKind::relu6) activation->kind = ActivationKind::relu;
    }
    moved[id] = result.add_trusted(op, inputs, node.name, node.scope, {}, node.shape);
  }
  return result;
}

}  // namespace

double synflow(const ProxyInput& input) {
  const Graph graph = linear_flow(input.network.graph());
  const ModuleOptions options{.dtype = at::kDouble, .device = at::Device(input.device)};
  GraphModule module(graph, options);
  module.reset_parameters(input.rng.fork("weights"));
  {
    const torch::NoGradGuard no_grad;
    for (const auto& [name, parameter] : module.parameters()) parameter.abs_();
  }
  std::vector<at::Tensor> weights;
  for (const OpTensors& tensors : module.node_tensors()) {
    if (tensors.weight.defined()) weights.push_back(tensors.weight);
  }
  const torch::AutoGradMode gradients_wanted(true);  // whatever the caller has set
  const Shape& shape = graph.node(graph.input()).shape;
  const at::Tensor ones =
      torch::ones({1, shape[0].value(), shape[1].value(), shape[2].value()},
                  torch::TensorOptions().dtype(options.dtype).device(options.device));
  const auto gradients = torch::autograd::grad({module.forward(ones).sum()}, weights, {},
                                               /*retain_graph=*/{}, /*create_graph=*/false,
                                               /*allow_unused=*/true);
  double score = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (gradients[i].defined()) score += (gradients[i] * weights[i]).abs().sum().item<double>();
  }
  return score;
}

}  // namespace espalier
