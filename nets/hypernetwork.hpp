// Networks that generate the weights of networks.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.hpp"
#include "nets/graph_module.hpp"
#include "nets/hypernetwork_options.hpp"
#include "nets/module_base.hpp"
#include "nets/op_to_torch.hpp"

namespace espalier {

/// Generates the weights of a network from its graph: of convolutions, linear layers and batch
/// norms. What it learns are its own layers, its parameters. Each operator of the graph gets an
/// embedding, and two small networks make weights of it: one a kernel {out, in, height, width}, of
/// which an operator takes the first channels and the centre, repeating them where it is wider than
/// the largest kernel; the other the weights and biases of batch norms and the biases of the rest.
/// Kernels have a mean square of 2 / fan-in.
///
/// Embeddings of `smash`: the operators in their order are a row of columns, each of which tells
/// what the operator is, from how far back it reads, and its place in the row; convolutions along
/// the row, each of which also passes its input on, turn it into embeddings.
/// Source: Brock et al., "SMASH: One-Shot Model Architecture Search through HyperNetworks", ICLR
/// 2018, arXiv 1708.05344, with the authors' code. Differs from the source: operators of any graph
/// stand for layers that read and write memory banks; all weights are generated, not those of 1x1
/// convolutions alone; a convolution along the row reads farther apart instead of more of them
/// reading next to each other; there is no random part in the encoding; batch norms stay, and
/// weights divided by their norm are scaled.
/// Test: HyperNetwork.SmashTellsArchitecturesApart.
///
/// Embeddings of `ghn`: what an operator is gives its first embedding. Then each operator, in the
/// order of the graph, gets the sum of what a small network makes of the embeddings of those that
/// it reads, and a gated recurrent unit updates its own by it; then the same from the output to the
/// input along the edges turned around.
/// Source: Zhang et al., "Graph HyperNetworks for Neural Architecture Search", ICLR 2019, arXiv
/// 1810.05749; details as in the code of Knyazev et al., "Parameter Prediction for Unseen Deep
/// Architectures", NeurIPS 2021, arXiv 2110.13100 (GHN-1). Differs from the source: one graph for
/// the whole network, without a shared motif; the places of a kernel share the second layer that
/// generates them, as in GHN-2; shapes, strides and kernel sizes are numbers of an operator's
/// description; kernels are scaled.
/// Test: HyperNetwork.GhnPassesMessagesAlongAllEdgesInBothDirections.
///
/// Deterministic. Not thread-safe while it is trained; generate() and fill() are otherwise.
class HyperNetwork : public ModuleBase {
 public:
  /// Throws ConfigError as hypernetwork_option_table(). Weights are 0 until reset_parameters().
  explicit HyperNetwork(const HyperNetworkOptions& options = {},
                        const ModuleOptions& module_options = {});

  const HyperNetworkOptions& hypernetwork_options() const { return hypernetwork_options_; }

  /// What the weights of each node of a concrete graph are made of: {nodes, embedding}. Throws
  /// InvalidArchitecture for an open graph.
  at::Tensor embeddings(const Graph& graph) const;

  /// The tensors of each node of a concrete graph, by id; differentiable in the parameters.
  /// Statistics of batch norms are 0 and 1: they are not generated. Throws InvalidArchitecture for
  /// an open graph, and UnsupportedError naming an operator whose weights it cannot generate: of
  /// another kind than the three, with a larger kernel, or with quantized inputs, whose ranges are
  /// measured, not generated.
  std::vector<OpTensors> generate(const Graph& graph) const;

  /// The output of the graph with generated weights for a batch {N, C, H, W}; differentiable in the
  /// parameters. Batch norms use the batch's statistics in training and keep nothing. Throws as
  /// generate() and GraphModule::forward().
  at::Tensor forward(const at::Tensor& x, const Graph& graph);

  /// Sets all parameters and statistics of a network to generated ones; recalibrate its batch norms
  /// then. Throws as generate().
  void fill(GraphModule& module) const;

 private:
  struct Layers;
  HyperNetwork(const Layers& layers, const HyperNetworkOptions& options,
               const ModuleOptions& module_options);

  at::Tensor apply(const std::string& layer, const at::Tensor& x) const;
  at::Tensor smash_embeddings(const Graph& graph) const;
  at::Tensor ghn_embeddings(const Graph& graph) const;
  at::Tensor traversed(const at::Tensor& embeddings,
                       std::span<const std::vector<NodeId>> senders) const;
  /// Kernels {nodes, rows, columns, height, width}, of at most the largest size each.
  at::Tensor kernels(const at::Tensor& embeddings, const std::array<std::int64_t, 4>& size) const;

  HyperNetworkOptions hypernetwork_options_;
};

}  // namespace espalier
