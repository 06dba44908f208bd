// Synaptic flow without gradients.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "graph/graph.hpp"
#include "nets/graph_module.hpp"

namespace espalier {

/// The network without batch norms, quantizers and dropout, and its nodes by those of the graph. A
/// ReLU6 becomes a ReLU: without batch norms its input would pass 6, where it has no gradient.
std::pair<Graph, std::vector<NodeId>> linear_flow(const Graph& graph);

/// The sum over the weights w of convolutions and linear layers of w dR/dw, where R is the sum of
/// the outputs of linear_flow(), with the absolute values of the network's weights and biases, for
/// one image of ones; by one forward pass of R and its derivative along the weights, in float32,
/// with exponents of its own for each tensor, so that nothing overflows: relative errors are about
/// 1e-6. All is positive, so the sum is that of absolute values. Nothing on a GPU, whose
/// convolutions may be less exact, and where the network has other operators than convolutions,
/// linear layers, ReLUs, pooling, sums, concatenations, zeros, slices and shuffles.
std::optional<double> synaptic_flow_sum(const GraphModule& drawn);

}  // namespace espalier
