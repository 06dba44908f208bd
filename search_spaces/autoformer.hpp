#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/compression.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

/// The three supernets of AutoFormer.
enum class AutoformerSize { tiny, small, base };

struct AutoformerOptions {
  std::vector<std::int64_t> input{3, 224, 224};  ///< {C, H, W}
  int classes = 1000;
  AutoformerSize size = AutoformerSize::tiny;  ///< of the lists below where they are empty
  std::vector<std::int64_t> embed_dims = {};   ///< channels of a token; one decision
  std::vector<std::int64_t> depths = {};       ///< ascending; one decision
  std::vector<std::int64_t> heads = {};        ///< one decision a block
  std::vector<double> mlp_ratios = {};         ///< of a block's perceptron; one decision a block
  int patch = 16;                              ///< pixels
  int head_width = 64;                         ///< channels of each head
  double dropout = 0;                          ///< in the blocks
  std::optional<CompressionOptions> compression = {};
};
const OptionTable<AutoformerOptions>& autoformer_options();

/// The space of AutoFormer: a vision transformer with elastic depth and width of its tokens, and
/// elastic heads and perceptron in each block.
///
/// | size | embed_dims | depths | heads | mlp_ratios |
/// | --- | --- | --- | --- | --- |
/// | tiny | 192, 216, 240 | 12, 13, 14 | 3, 4 | 3.5, 4 |
/// | small | 320, 384, 448 | 12, 13, 14 | 5, 6, 7 | 3, 3.5, 4 |
/// | base | 528, 576, 624 | 14, 15, 16 | 8, 9, 10 | 3, 3.5, 4 |
///
/// Decisions: embed_dim, encoder.depth, block1.heads, block1.mlp_ratio, ...
/// Source: Chen et al., AutoFormer, ICCV 2021, arXiv 2107.00651, table 1, and its code's
/// configurations of the published networks.
/// Differs from the source: positions are absolute only, which is 7,680 params less in each block
/// than with its relative ones; the classifier reads the class token, not the mean of the others;
/// no stochastic depth.
/// Test: Autoformer.PublishedNetworksHaveThePublishedParams.
/// Throws ConfigError for options that autoformer_options() refuses, and ShapeError for
/// networks above the limits of graph/graph.hpp.
std::unique_ptr<SupergraphSpace> make_autoformer(const AutoformerOptions& options = {});

}  // namespace espalier
