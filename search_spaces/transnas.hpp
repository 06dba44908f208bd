#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/compression.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

struct TransnasMicroOptions {
  std::vector<std::int64_t> input{3, 256, 256};  ///< {C, H, W}, H and W multiples of 32
  int classes = 75;
  int channels = 64;  ///< of the stem's result, even
  std::optional<CompressionOptions> compression = {};
};
const OptionTable<TransnasMicroOptions>& transnas_micro_options();

/// The cell-level space of TransNAS-Bench-101: four nodes, six edges, four operators an edge (none,
/// skip, 1x1 and 3x3 convolution): 4,096 cells. The macro skeleton is fixed: a stem of stride 4,
/// then five modules of two cells, of which the first, third and fifth double the channels and
/// halve the map in their first cell's edges from the input.
/// Architecture strings are the benchmark's, "64-41414-1_02_333", followed by ",decision=label" for
/// every decision on compression.
/// Source: Duan et al., "TransNAS-Bench-101: Improving Transferability and Generalizability of
/// Cross-Task Neural Architecture Search", CVPR 2021, arXiv 2105.11871, section 3.1, and its code.
/// The defaults are its object classification. A skip that changes the shape is a ReLU and a
/// factorized reduction, as in that code.
/// Test: TransnasMicro.CountsFollowTheSkeleton.
/// Throws ConfigError for options that transnas_micro_options() refuses, and ShapeError for
/// networks above the limits of graph/graph.hpp.
std::unique_ptr<SupergraphSpace> make_transnas_micro(const TransnasMicroOptions& options = {});

struct TransnasMacroOptions {
  std::vector<std::int64_t> input{3, 256, 256};  ///< {C, H, W}
  int classes = 75;
  int channels = 64;  ///< of the stem's result, even
};
const OptionTable<TransnasMacroOptions>& transnas_macro_options();

/// The macro-level space of TransNAS-Bench-101: four to six modules of two residual blocks; each
/// module is normal (1), doubles the channels (2), halves the map (3) or both (4). One to four
/// modules halve, one to three double: 3,256 networks. The stem is that of the micro space.
/// Architecture strings are the benchmark's, "64-1234-basic".
/// Decisions: modules, module1.type, ... The space has no supergraph: a stride that is open has no
/// shared weights.
/// Source: Duan et al., CVPR 2021, arXiv 2105.11871, section 3.1, and its code.
/// Test: TransnasMacro.AsManyNetworksAsPublished.
/// Throws ConfigError for options that transnas_macro_options() refuses.
std::unique_ptr<SearchSpace> make_transnas_macro(const TransnasMacroOptions& options = {});

}  // namespace espalier
