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

/// What merge_repvgg made one convolution of; names of nodes.
struct MergedBranch {
  std::string conv;        ///< empty where the branch is a batch norm alone
  std::string batch_norm;  ///< gone
  friend bool operator==(const MergedBranch&, const MergedBranch&) = default;
};
struct MergedBranches {
  std::string conv;  ///< kept, now with a bias: the first 3x3 convolution of the branches
  std::vector<MergedBranch> branches;  ///< as the sum read them
  friend bool operator==(const MergedBranches&, const MergedBranches&) = default;
};
struct MergedGraph {
  Graph graph;
  std::vector<MergedBranches> merged;  ///< in stored order
};
/// Turns each sum of branches that read one node into one 3x3 convolution with bias. A branch is a
/// batch norm, or a 3x3 or 1x1 convolution with "same" padding and a batch norm; at least one is
/// 3x3; strides and groups agree, the stride is 1 where a batch norm is alone, and no convolution
/// is quantized. Structure only: for equal outputs in evaluation mode the caller sets, in the order
/// of `merged`, the convolution's weight to the sum over the branches of (their weight, a 1x1 one
/// in the middle of zeros, a batch norm alone as 1 from each channel to itself) * gamma / sqrt(var
/// + eps), and its bias to the sum of beta + (bias - mean) * gamma / sqrt(var + eps).
/// Source: Ding et al., RepVGG, CVPR 2021, arXiv 2101.03697, section 3.3.
/// Test: Passes.MergedBranchesComputeTheSame.
MergedGraph merge_repvgg(const Graph& graph);

/// A pass by name.
struct Pass {
  std::string_view name;
  std::string_view doc;
  Graph (*run)(const Graph&);
};
/// All passes, in the order in which a pipeline of all of them runs.
std::span<const Pass> passes();

}  // namespace espalier
