#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/compression.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

struct Nasbench201Options {
  std::vector<std::int64_t> input{3, 32, 32};  ///< {C, H, W}, H and W multiples of 4
  int classes = 10;
  int channels = 16;  ///< of the first stage; doubled in each of the two others
  int cells = 5;      ///< per stage
  std::optional<CompressionOptions> compression = {};
};
const OptionTable<Nasbench201Options>& nasbench201_options();

/// The cell space of NAS-Bench-201 (NATS-Bench topology space): four nodes, six edges, five
/// operators an edge: 15,625 cells, stacked in three stages with residual reduction blocks between.
/// Architecture strings are the benchmark's: "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|", followed by
/// ",decision=label" for every decision on compression.
/// Source: Dong & Yang, NAS-Bench-201, ICLR 2020, arXiv 2001.00326, section 2.
/// Test: Nasbench201.CostsOfAllCellsEqualThePublishedOnes.
/// Throws ConfigError for options that nasbench201_options() refuses, and ShapeError for
/// networks above the limits of graph/graph.hpp.
std::unique_ptr<SupergraphSpace> make_nasbench201(const Nasbench201Options& options = {});

/// The block between the stages: two 3x3 convolutions, each behind a ReLU and with a batch norm,
/// the first of stride 2, and a shortcut of 2x2 average pooling and a 1x1 convolution: {C,H,W} ->
/// {channels,H/2,W/2}. Throws ShapeError where H or W is odd, as the halves disagree. Opens a scope
/// of kind "reduction".
/// Source: Dong & Yang, as above, section 2.1.
/// Test: Nasbench201.TheReductionHasAPooledShortcut.
NodeId residual_reduction(GraphBuilder& builder, NodeId x, Dim channels, std::string_view name);

}  // namespace espalier
