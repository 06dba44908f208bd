#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/compression.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

struct NasBenchMacroOptions {
  std::vector<std::int64_t> input{3, 32, 32};  ///< {C, H, W}
  int classes = 10;
  int channels = 32;  ///< of the stem; doubled by each of three stages
  std::optional<CompressionOptions> compression = {};
};
const OptionTable<NasBenchMacroOptions>& nas_bench_macro_options();

/// The chain space of NAS-Bench-Macro: eight layers in stages of 2, 3 and 3, each an identity, an
/// inverted residual block of expansion 3 and kernel 3, or one of expansion 6 and kernel 5: 6,561
/// networks. An identity that opens a stage is a strided 1x1 convolution with batch norm.
/// Architecture strings are the benchmark's, one digit a layer ("22212220"), followed by
/// ",decision=label" for every decision on compression.
/// Source: Su et al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search", CVPR 2021,
/// arXiv 2103.11922, section 5; ReLU activations as in its benchmark's code.
/// Test: NasBenchMacro.CostsOfAllNetworksEqualThePublishedOnes.
/// Throws ConfigError for options that nas_bench_macro_options() refuses, and ShapeError for
/// networks above the limits of graph/graph.hpp.
std::unique_ptr<SupergraphSpace> make_nas_bench_macro(const NasBenchMacroOptions& options = {});

}  // namespace espalier
