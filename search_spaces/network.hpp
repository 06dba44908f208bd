#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/options.hpp"
#include "graph/graph.hpp"
#include "search_spaces/compression.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

/// What is opened in a network that somebody has.
struct NetworkSpaceOptions {
  /// An ONNX model (.onnx, see import_onnx), a network's .json file, or a reference network.
  std::string network = "mobilenet_v2";
  std::vector<std::int64_t> kernels = {};  ///< sizes to choose from, odd; none: kernels stay
  bool depth = true;                       ///< rows of blocks that keep their shape
  std::optional<CompressionOptions> compression = {};
};
const OptionTable<NetworkSpaceOptions>& network_space_options();

/// The supergraph of a concrete network:
/// - each convolution with an odd square kernel above 1 and same padding chooses among `kernels`
///   and its own size (decision "kernel.<node>");
/// - each row of n equal blocks that keep their input's shape chooses how many of them run, the
///   first ones (decision "depth.<first node>"): 0 to n for residual blocks, 1 to n for others, of
///   which there must be two. A block is a part of the network with one input and one output that
///   begins with a convolution or linear layer, or with a branch that has one.
///
/// Throws InvalidArchitecture for an open graph.
Supergraph open_network(const Graph& network, const std::vector<std::int64_t>& kernels, bool depth);

/// The space of a network from a file or of a reference network; the network is one of its
/// architectures. Throws ConfigError for options that network_space_options() refuses, IoError and
/// UnsupportedError for the file.
std::unique_ptr<SupergraphSpace> make_network_space(const NetworkSpaceOptions& options = {});

}  // namespace espalier
