#include "nets/graph_module.hpp"

#include <utility>

namespace espalier {

namespace {

std::vector<WeightSize> weight_sizes(const Graph& graph) {
  std::vector<WeightSize> sizes(graph.size());
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    if (const auto* conv = std::get_if<op::Conv2d>(&node.op)) {
      const std::int64_t width = conv->group_width.value();
      sizes[id] = {node.shape[0].value(),
                   width == 0 ? graph.node(graph.inputs(id)[0]).shape[0].value() : width};
    } else if (std::holds_alternative<op::Linear>(node.op)) {
      const Shape& in = graph.node(graph.inputs(id)[0]).shape;
      sizes[id] = {node.shape[node.shape.rank - 1].value(), in[in.rank - 1].value()};
    } else if (std::holds_alternative<op::BatchNorm2d>(node.op)) {
      sizes[id].rows = node.shape[0].value();
    }
  }
  return sizes;
}

}  // namespace

GraphModule::GraphModule(Graph graph, const ModuleOptions& options)
    : GraphModule(Program(std::move(graph)), options) {}

GraphModule::GraphModule(Program program, const ModuleOptions& options)
    : ModuleBase(program.graph(), weight_sizes(program.graph()), options),
      program_(std::move(program)) {}

at::Tensor GraphModule::forward(const at::Tensor& x, const NodeObserver& observer) {
  return program_.run(prepared(x), node_tensors(), mode(), observer);
}

}  // namespace espalier
