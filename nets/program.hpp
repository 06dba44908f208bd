// The operators of a concrete graph, in an order to run them.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <span>

#include "graph/graph.hpp"
#include "nets/op_to_torch.hpp"

namespace espalier {

/// Called with each node and its output.
using NodeObserver = std::function<void(NodeId, const at::Tensor&)>;

/// Which nodes an observer sees: every one, or those whose outputs a run makes without one, so that
/// it costs nothing more: not zeros that are only added, not batch norms that are one pass with
/// their activation.
enum class Observed { every_node, what_is_made };

/// The operators of a concrete graph in the order in which they run. Nodes that the output does not
/// depend on are left out, what several nodes compute alike is computed once, and without an
/// observer of every node zeros are not added and a batch norm and its activation are one pass.
/// Copies share all of it.
///
/// Activations that are recomputed: the operators are cut into about as many runs as the square root
/// of their number, where few values are in use. Only the values between runs are kept; a run is
/// repeated when its gradients are asked for, with the same dropout, batch statistics and ranges, so
/// gradients are the same up to the order of sums.
/// Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016, arXiv 1604.06174,
/// section 4. Differs from the source: cuts are where few values are in use, and batch statistics
/// are not kept either.
/// Test: ProgramTest.RecomputingKeepsLessAndGivesTheSameGradients.
class Program {
 public:
  /// Throws InvalidArchitecture where the graph is open.
  explicit Program(Graph graph);

  const Graph& graph() const;
  /// The graph's output for a batch `x`, {N, C, H, W}, in the number format of x; `tensors` has one
  /// entry per node. A tensor is freed after its last reader, unless autograd keeps it. Nothing is
  /// recomputed for an observer, or where no gradients are recorded. Throws ShapeError when x does
  /// not fit the graph's input; a backward pass through what was recomputed throws UnsupportedError
  /// where its own gradients are asked for.
  at::Tensor run(const at::Tensor& x, std::span<const OpTensors> tensors, const RunMode& mode,
                 const NodeObserver& observer = {}, Observed observed = Observed::every_node) const;

  struct Code;  // for program.cpp alone

 private:
  std::shared_ptr<const Code> code_;
};

}  // namespace espalier
