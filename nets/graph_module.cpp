#include "nets/graph_module.hpp"

#include <utility>

namespace espalier {

namespace {

std::int64_t channels(const Shape& shape) {
  return shape[shape.rank == 3 ? 0 : shape.rank - 1].value();
}

std::vector<WeightSize> weight_sizes(const Graph& graph) {
  std::vector<WeightSize> sizes(graph.size());
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    if (graph.inputs(id).empty()) continue;
    sizes[id] = {channels(node.shape), channels(graph.node(graph.inputs(id)[0]).shape)};
    const auto grouped = [&](const auto& conv) {
      if (const std::int64_t width = conv.group_width.value(); width != 0)
        sizes[id].columns = width;
    };
    if (const auto* conv = std::get_if<op::Conv2d>(&node.op)) {
      grouped(*conv);
    } else if (const auto* deform = std::get_if<op::DeformConv2d>(&node.op)) {
      grouped(*deform);
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

at::Tensor GraphModule::forward(const at::Tensor& x, const NodeObserver& observer,
                                Observed observed) {
  return program_.run(prepared(x), node_tensors(), mode(), observer, observed);
}

}  // namespace espalier
