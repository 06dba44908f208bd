#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/compression.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

struct ChainStage {
  std::vector<std::string> blocks{"residual"};  ///< of chain_blocks(); one decision a block
  std::vector<std::int64_t> widths{16, 32};     ///< channels; one decision a stage
  std::vector<std::int64_t> depths{1, 2};       ///< blocks, ascending; one decision a stage
  std::vector<std::int64_t> kernels{3, 5};      ///< odd; one decision a block
  int stride = 2;                               ///< of the first block
};

struct ChainOptions {
  std::vector<std::int64_t> input{3, 32, 32};  ///< {C, H, W}
  int classes = 10;
  int stem_channels = 16;
  int stem_stride = 1;
  std::vector<ChainStage> stages{{.stride = 1}, {.widths = {32, 64}}, {.widths = {64, 128}}};
  std::optional<CompressionOptions> compression = {};
};
const OptionTable<ChainOptions>& chain_options();

/// The names of the blocks that a stage can choose from, each a function of graph/blocks.hpp with
/// its width, kernel and stride: plain (convolution, batch norm, ReLU), residual (ResNet's basic
/// block), bottleneck, mbconv3 and mbconv6 (expansions 3 and 6), separable, dense (a dense layer
/// and a 1x1 convolution), osa (three layers of half the width), repvgg, ghost and fire. Dense, osa
/// and fire have no stride of their own: 3x3 max pooling comes before them. Repvgg and fire do not
/// read the kernel.
const std::vector<std::string>& chain_blocks();

/// A chain of stages: a 3x3 stem, then in each stage `depth` blocks of one width, each of its own
/// kind and kernel, then global pooling and a classifier.
/// Decisions: stage1.width, stage1.depth, stage1.block1.block, stage1.block1.kernel, ...; lists of
/// one value open none.
/// Throws ConfigError for options that chain_options() refuses, and ShapeError for
/// networks above the limits of graph/graph.hpp, and for blocks that do not fit their widths.
std::unique_ptr<SupergraphSpace> make_chain(const ChainOptions& options = {});

}  // namespace espalier
