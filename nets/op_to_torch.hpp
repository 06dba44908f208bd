// The one translation of operators to ATen: modules and supernets run it.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.hpp"

namespace espalier {

/// "{2, 3, 4}", for messages.
std::string size_text(at::IntArrayRef sizes);

/// The tensors of one operator, undefined where it has none.
struct OpTensors {
  at::Tensor weight = {};  ///< conv2d and deform_conv2d {out, in / groups, kh, kw}; linear {out,
                           ///< in}; norms, scale and class token {C}; position embedding {T, C}
  at::Tensor bias = {};                                 ///< {out} or {C}
  at::Tensor running_mean = {}, running_var = {};       ///< {C}, of a batch norm
  at::Tensor activation_min = {}, activation_max = {};  ///< 0-d, of a quantized operator's input
};

struct RunMode {
  bool training = false;    ///< batch statistics, dropout, updates of buffers
  at::Generator generator;  ///< of dropout; on the CPU, read in training only
};

/// Runs one operator of a concrete graph on a batch: shapes are {N, ...}. Its input is
/// fake-quantized, then its weights are, where it is quantized. An Input takes one tensor, the
/// batch, and passes it on. Differentiable; in training it updates the running statistics and
/// activation ranges in place.
///
/// Throws InvalidArchitecture on a Choice or an open attribute, and NumericalError where batch
/// statistics would be those of a single value.
at::Tensor run_op(const Node& node, std::span<const at::Tensor> inputs, const OpTensors& tensors,
                  const RunMode& mode);

/// Called with each node and its output.
using NodeObserver = std::function<void(NodeId, const at::Tensor&)>;

/// The operators of a concrete graph in the order in which they run. Nodes that the output does not
/// depend on are left out, what several nodes compute alike is computed once, and without an observer
/// zeros are not added and a batch norm and its activation are one pass.
class Program {
 public:
  /// Throws InvalidArchitecture where the graph is open.
  explicit Program(Graph graph);

  const Graph& graph() const { return graph_; }
  /// The graph's output for a batch `x`, {N, C, H, W}; `tensors` has one entry per node. A tensor
  /// is freed after its last reader, unless autograd keeps it. Throws ShapeError when x does not
  /// fit the graph's input.
  at::Tensor run(const at::Tensor& x, std::span<const OpTensors> tensors, const RunMode& mode,
                 const NodeObserver& observer = {}) const;

 private:
  struct Step {
    NodeId node = 0;
    std::vector<NodeId> inputs = {};
    std::vector<NodeId> dead = {};  // inputs that nothing reads later
    bool copy = false;              // the same operator of the same input as its only input
    // What follows counts where nobody observes the nodes.
    bool unread_zero = false;                       // only read by additions of something else
    std::optional<NodeId> activation = std::nullopt;  // computed with this batch norm in one pass
  };
  Graph graph_;
  std::vector<Step> steps_;
};

}  // namespace espalier
