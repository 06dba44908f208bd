#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/compression.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

struct ProxylessnasStage {
  int channels = 32;  ///< before the width multiplier
  int stride = 2;     ///< of the first block
  int blocks = 4;
};

struct ProxylessnasOptions {
  std::vector<std::int64_t> input{3, 224, 224};  ///< {C, H, W}
  int classes = 1000;
  double width = 1.0;  ///< multiplies every width; the head's only when above 1
  std::vector<std::int64_t> kernels{3, 5, 7};
  std::vector<std::int64_t> expansions{3, 6};
  int stem_channels = 32;
  int stem_stride = 2;
  int first_channels = 16;  ///< of the fixed block
  std::vector<ProxylessnasStage> stages{
      {.channels = 32},  {.channels = 40},
      {.channels = 80},  {.channels = 96, .stride = 1},
      {.channels = 192}, {.channels = 320, .stride = 1, .blocks = 1}};
  int last_channels = 1280;  ///< of the head's convolution
  double dropout = 0;        ///< before the classifier
  std::optional<CompressionOptions> compression = {};
};
const OptionTable<ProxylessnasOptions>& proxylessnas_options();

/// The mobile space of ProxylessNAS: a stem, one fixed block without expansion, then in each block
/// one of the inverted residuals of all kernels and expansions, each with its own weights. A block
/// that keeps the shape may also be left out ("skip").
/// Decisions: stage1.block1 {k3_e3, k3_e6, k5_e3, ...}, stage1.block2 {..., skip}, ...; 6^6 * 7^15
/// architectures by default.
/// Source: Cai et al., ProxylessNAS, ICLR 2019, arXiv 1812.00332, section 4.2 and its code's
/// SuperProxylessNASNets. Widths are those of Proxyless-Mobile.
/// Differs from the source: its search starts from the first width 24, not 32.
/// Test: Proxylessnas.PublishedNetworksHaveThePublishedParams.
/// Throws ConfigError for options that proxylessnas_options() refuses, and ShapeError for
/// networks above the limits of graph/graph.hpp.
std::unique_ptr<SupergraphSpace> make_proxylessnas(const ProxylessnasOptions& options = {});

}  // namespace espalier
