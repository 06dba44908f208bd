#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.hpp"

namespace espalier {

/// What a reference network reads and tells apart.
struct NetOptions {
  std::array<std::int64_t, 3> input{3, 224, 224};  ///< {channels, height, width}, each >= 1
  std::int64_t classes = 1000;                     ///< >= 1
};

/// The reference networks: {C,H,W} -> {classes}. Structure and layer names are torchvision's, so
/// that "layer1.0.conv1" here is the "layer1.0.conv1.weight" of its state dict; the scopes are
/// those of graph/blocks.hpp. Each throws ShapeError for options below 1.

/// Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv 1512.03385.
/// Test: Nets.PublishedCounts.
Graph resnet18(const NetOptions& options = {});
/// Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
/// arXiv 1801.04381, table 2.
/// Test: Nets.PublishedCounts.
Graph mobilenet_v2(const NetOptions& options = {});
/// Source: Howard et al., "Searching for MobileNetV3", ICCV 2019, arXiv 1905.02244, tables 1 and 2.
/// Test: Nets.PublishedCounts.
Graph mobilenet_v3_large(const NetOptions& options = {});
Graph mobilenet_v3_small(const NetOptions& options = {});

/// ShuffleNet v1 1x with three groups. Not in torchvision.
/// Source: Zhang et al., "ShuffleNet", CVPR 2018, arXiv 1707.01083, table 1.
/// Test: ShufflenetNets.CostsAreThePublishedOnes.
Graph shufflenet_v1_x1_0(const NetOptions& options = {});
/// Source: Ma et al., "ShuffleNet V2", ECCV 2018, arXiv 1807.11164, table 5.
/// Test: ShufflenetNets.CostsAreThePublishedOnes.
Graph shufflenet_v2_x1_0(const NetOptions& options = {});
/// Source: Liu et al., "A ConvNet for the 2020s", CVPR 2022, arXiv 2201.03545. Inputs from 32x32.
/// Differs from the source: no stochastic depth in training.
/// Test: ConvnextNets.CostsAreThePublishedOnes.
Graph convnext_tiny(const NetOptions& options = {});
/// Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, arXiv 2010.11929. Inputs
/// from 16x16; positions are learned for the patches of that input.
/// Test: VisionTransformerNets.ParamsAreThePublishedOnes.
Graph vit_b_16(const NetOptions& options = {});

/// The names that build_net knows, in the order above.
const std::vector<std::string>& net_names();
/// A reference network by name. Throws ConfigError naming the nearest one, and ShapeError.
Graph build_net(std::string_view name, const NetOptions& options = {});

}  // namespace espalier
