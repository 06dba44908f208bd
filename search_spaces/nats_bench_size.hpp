#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/compression.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

struct NatsBenchSizeOptions {
  std::vector<std::int64_t> input{3, 32, 32};  ///< {C, H, W}, H and W multiples of 4
  int classes = 10;
  std::vector<std::int64_t> widths{8, 16, 24, 32, 40, 48, 56, 64};  ///< channels to choose from
  std::optional<CompressionOptions> compression = {};
};
const OptionTable<NatsBenchSizeOptions>& nats_bench_size_options();

/// The size space of NATS-Bench: five layers (cell, reduction, cell, reduction, cell), each with
/// its own number of channels: 32,768 networks. All cells have the benchmark's one topology,
/// |nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|,
/// whose skip is a 1x1 convolution with batch norm where the cell changes the number of channels.
/// The stem has the channels of the first layer.
/// Architecture strings are the benchmark's, "64:64:64:64:64", followed by ",decision=label" for
/// every decision on compression.
/// Source: Dong et al., "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and
/// Size", TPAMI 2021, arXiv 2009.00437, section 3.2.
/// Test: NatsBenchSize.ParamsEqualThePublishedOnes.
/// Throws ConfigError for options that nats_bench_size_options() refuses, and ShapeError for
/// networks above the limits of graph/graph.hpp.
std::unique_ptr<SupergraphSpace> make_nats_bench_size(const NatsBenchSizeOptions& options = {});

}  // namespace espalier
