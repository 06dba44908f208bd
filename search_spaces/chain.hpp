#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/compression.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

enum class ChainBlock { plain, residual };

struct ChainStage {
  ChainBlock block = ChainBlock::residual;
  std::vector<std::int64_t> widths{16, 32};  ///< channels; one decision a stage
  std::vector<std::int64_t> depths{1, 2};    ///< blocks, ascending; one decision a stage
  std::vector<std::int64_t> kernels{3, 5};   ///< odd; one decision a block
  int stride = 2;                            ///< of the first block
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

/// A chain of stages: a 3x3 stem, then in each stage `depth` blocks of one width, each with its own
/// kernel, then global pooling and a classifier. A plain block is convolution, batch norm, ReLU; a
/// residual one is the basic block of ResNet.
/// Decisions: stage1.width, stage1.depth, stage1.block1.kernel, ...; lists of one value open none.
/// Throws ConfigError for options that chain_options() refuses, and ShapeError for
/// networks above the limits of graph/graph.hpp.
std::unique_ptr<SupergraphSpace> make_chain(const ChainOptions& options = {});

}  // namespace espalier
