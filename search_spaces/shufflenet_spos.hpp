#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/compression.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

struct ShufflenetSposStage {
  int channels = 64;  ///< even
  int blocks = 4;     ///< the first one has stride 2
};

struct ShufflenetSposOptions {
  std::vector<std::int64_t> input{3, 224, 224};  ///< {C, H, W}
  int classes = 1000;
  std::vector<std::int64_t> kernels{3, 5, 7};  ///< each is a choice of every block
  /// Widths inside a branch over half of the block's, rounded down; one decision a block.
  std::vector<double> channel_scales{1.0};
  int stem_channels = 16;  ///< even
  std::vector<ShufflenetSposStage> stages{{.channels = 64, .blocks = 4},
                                          {.channels = 160, .blocks = 4},
                                          {.channels = 320, .blocks = 8},
                                          {.channels = 640, .blocks = 4}};
  int last_channels = 1024;  ///< of the head's convolution
  double dropout = 0.1;      ///< before the classifier
  std::optional<CompressionOptions> compression = {};
};
const OptionTable<ShufflenetSposOptions>& shufflenet_spos_options();

/// The space of Single Path One-Shot: 20 blocks, each ShuffleNet v2's unit with kernel 3, 5 or 7 or
/// with an Xception-like branch, with weights of their own. With `channel_scales` the width inside
/// each block is searched, too (the source has 0.2, 0.4, ..., 1.6).
/// Decisions: stage1.block1 {k3, k5, k7, xception}, stage1.block1.scale, ...; 4^20 architectures by
/// default.
/// Source: Guo et al., Single Path One-Shot, ECCV 2020, arXiv 1904.00420, table 1, and its code's
/// ShuffleNetV2_OneShot.
/// Test: ShufflenetSpos.ThePublishedNetworkHasThePublishedCosts.
/// Throws ConfigError for options that shufflenet_spos_options() refuses, and ShapeError for
/// networks above the limits of graph/graph.hpp.
std::unique_ptr<SupergraphSpace> make_shufflenet_spos(const ShufflenetSposOptions& options = {});

}  // namespace espalier
