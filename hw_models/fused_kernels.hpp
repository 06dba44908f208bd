#pragma once

#include <optional>
#include <vector>

#include "graph/graph.hpp"

namespace espalier {

/// What a runtime runs as one operator.
struct Kernel {
  NodeId main = 0;             ///< the operator that the others are folded into
  NodeId output = 0;           ///< the last one: its tensor is what the kernel writes
  std::vector<NodeId> nodes;   ///< main and what is folded into it, ascending
  std::vector<NodeId> inputs;  ///< whose tensors it reads, each once, in the order of reading
  bool batch_norm = false;     ///< one is folded into a convolution
  std::optional<ActivationKind> activation = {};  ///< the one that is folded in
};

/// The kernels of a concrete graph, in stored order, as inference runtimes fuse them: a batch norm
/// is folded into the convolution before it, and an activation into the convolution, linear layer,
/// batch norm, addition or product before it, each where nothing else reads what is between.
/// Input, output, flatten and dropout cost nothing and belong to no kernel; an input of a kernel is
/// named by the node that computed it, or by the Input. Nodes that `skip` marks (one entry per
/// node, or none at all) stay out. Throws InvalidArchitecture for a Choice.
std::vector<Kernel> fuse_kernels(const Graph& graph, const std::vector<bool>& skip = {});

/// "conv2d", "grouped_conv2d" or "depthwise_conv2d", else op_name().
std::string_view kernel_kind(const Graph& graph, NodeId main);

}  // namespace espalier
