#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.hpp"

namespace espalier {

/// Passes turn a graph into another one and verify it (throwing ShapeError where the graph handed
/// in was broken). Nodes that stay keep their names and scopes, which is how weights follow. Inputs
/// are always kept. All take linear time, and a second run of the same pass changes nothing.

/// Leaves out what the output does not depend on.
Graph dead_code_elimination(const Graph& graph);

/// For each node, whether it gives zeros for every input and all weights: a Zero, or an operator f
/// with f(0) = 0 on zeros. A convolution or linear layer passes zeros on only without a bias;
/// sigmoid and hard-sigmoid do not, nor does batch norm, whose affine part and statistics shift
/// them.
std::vector<bool> zero_nodes(const Graph& graph);

/// Propagates zeros and leaves out dead code. An Add drops its zero inputs and becomes its input
/// where one is left; zeros that are still read become the first zero node of their shape. The
/// graph computes what it computed before.
Graph simplify(const Graph& graph);

/// A batch norm that was folded into the convolution before it; names of nodes.
struct FoldedBatchNorm {
  std::string conv;        ///< kept, now with a bias
  std::string batch_norm;  ///< gone
  friend bool operator==(const FoldedBatchNorm&, const FoldedBatchNorm&) = default;
};
struct FoldedGraph {
  Graph graph;
  std::vector<FoldedBatchNorm> folded;  ///< in stored order
};
/// Turns each convolution that only a batch norm reads, and that batch norm, into a convolution
/// with bias, and leaves out dead code. Structure only: for equal outputs in evaluation mode the
/// caller sets weight *= gamma / sqrt(var + eps) per output channel, and bias to beta + (old bias -
/// mean) * gamma / sqrt(var + eps), in the order of `folded`. Quantization annotations stay.
FoldedGraph fold_batch_norm(const Graph& graph);

/// A pass by name.
struct Pass {
  std::string_view name;
  std::string_view doc;
  Graph (*run)(const Graph&);
};
/// All passes, in the order in which a pipeline of all of them runs.
std::span<const Pass> passes();

}  // namespace espalier
