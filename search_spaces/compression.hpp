#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

/// Which operators share one decision on bits.
enum class BitsGranularity { layer, block, network };

/// Which ways to compress a network become decisions of the search.
struct CompressionOptions {
  /// Shares of the channels that may be kept, in (0, 1]; empty: widths stay as they are.
  std::vector<double> channels = {};
  /// Kept channels are rounded to a multiple of this, and never above the original width, which a
  /// share of 1 keeps as it is.
  int divisor = 8;
  /// Bits of the weights of convolutions and linear layers: 2 to 8, or 32 for float; empty: 32.
  std::vector<std::int64_t> weight_bits = {};
  /// Bits of the input activations of the same operators; empty: 32.
  std::vector<std::int64_t> activation_bits = {};
  BitsGranularity granularity = BitsGranularity::layer;
};
const OptionTable<CompressionOptions>& compression_options();

/// The supergraph with channel ratios and bits opened as further decisions, behind its own.
///
/// Widths that must agree (through Add, Multiply, Choice and per-channel operators) are found by
/// union-find and get one decision "channels.<first convolution>"; the new width is a function of
/// the old one, which may itself be open. The network's input and output, grouped convolutions and
/// what they read, widths tied across concats or flattened maps of different make-up, and
/// convolutions that only see 1x1 maps (the squeeze of SE, the head after the global pool) stay as
/// they are. A single value in `weight_bits` or `activation_bits` is fixed and opens no decision.
/// Throws ConfigError for options that compression_options() refuses.
Supergraph open_compression(const Supergraph& supergraph, const CompressionOptions& options);
/// The same where there are options, else the supergraph itself: how every space ends.
Supergraph open_compression(Supergraph supergraph,
                            const std::optional<CompressionOptions>& options);

}  // namespace espalier
