// A concrete graph as a network that runs and trains.
#pragma once

#include <ATen/core/Tensor.h>

#include "graph/graph.hpp"
#include "nets/module_base.hpp"
#include "nets/program.hpp"

namespace espalier {

/// A concrete graph with weights. The sum of its parameters' sizes is cost(graph).params. Not
/// thread-safe.
class GraphModule : public ModuleBase {
 public:
  /// Throws InvalidArchitecture where the graph is open.
  explicit GraphModule(Graph graph, const ModuleOptions& options = {});

  const Graph& graph() const { return program_.graph(); }

  /// The network's output for a batch of the graph's input shape, {N, C, H, W}; differentiable. The
  /// observer, where one is given, sees the outputs of every node, or of those that are made.
  /// Throws ShapeError where x does not fit in shape, dtype or device, and NumericalError where a
  /// batch norm would train on a single value.
  at::Tensor forward(const at::Tensor& x, const NodeObserver& observer = {},
                     Observed observed = Observed::every_node);

 private:
  GraphModule(Program program, const ModuleOptions& options);

  Program program_;
};

}  // namespace espalier
