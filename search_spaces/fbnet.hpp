#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/compression.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

struct FbnetStage {
  int channels = 24;  ///< before the width multiplier
  int stride = 2;     ///< of the first block
  int blocks = 4;
};

struct FbnetOptions {
  std::vector<std::int64_t> input{3, 224, 224};  ///< {C, H, W}
  int classes = 1000;
  double width = 1.0;      ///< multiplies every width
  int stem_channels = 16;  ///< before the width multiplier
  int stem_stride = 2;
  std::vector<FbnetStage> stages{{.channels = 16, .stride = 1, .blocks = 1},
                                 {.channels = 24},
                                 {.channels = 32},
                                 {.channels = 64},
                                 {.channels = 112, .stride = 1},
                                 {.channels = 184},
                                 {.channels = 352, .stride = 1, .blocks = 1}};
  int last_channels = 1984;  ///< of the head's convolution, before the width multiplier
  double dropout = 0.2;      ///< before the classifier
  std::optional<CompressionOptions> compression = {};
};
const OptionTable<FbnetOptions>& fbnet_options();

/// The space of FBNet: each of 22 blocks is one of nine candidates with weights of their own,
/// kernel 3 or 5 with expansion 1, 1 in two groups, 3 or 6, and "skip": 9^22 architectures. A
/// skip that keeps the shape is the identity; where the shape changes it is what the reference code
/// makes it, a strided 1x1 convolution with batch norm and ReLU.
/// Decisions: stage1.block1, stage2.block1, stage2.block2, ..., each of k3_e1, k3_e1_g2, k3_e3,
/// k3_e6, k5_e1, k5_e1_g2, k5_e3, k5_e6, skip.
/// Source: Wu et al., FBNet, CVPR 2019, arXiv 1812.03443, tables 1 and 2, and its reference models.
/// Differs from the source: the head has 1984 channels, as in the released FBNet-B and C; that of
/// FBNet-A has 1504. The released FBNet-B has one and FBNet-C two 5x5 depthwise convolutions made
/// of two 3x3 ones, which are not among the nine candidates.
/// Test: Fbnet.PublishedNetworksHaveThePublishedCosts.
/// Throws ConfigError for options that fbnet_options() refuses, and ShapeError for networks above
/// the limits of graph/graph.hpp.
std::unique_ptr<SupergraphSpace> make_fbnet(const FbnetOptions& options = {});

}  // namespace espalier
