#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/compression.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

struct MnasnetStage {
  int channels = 24;  ///< MobileNetV2's
  int stride = 2;     ///< of the first layer
  std::vector<std::int64_t> depths{1, 2, 3};
};

struct MnasnetOptions {
  std::vector<std::int64_t> input{3, 224, 224};  ///< {C, H, W}
  int classes = 1000;
  std::vector<std::int64_t> kernels{3, 5};       ///< one decision a stage
  std::vector<std::int64_t> expansions{3, 6};    ///< each is an operator "mbconvE" of a stage
  std::vector<double> filters{0.75, 1.0, 1.25};  ///< of a stage's channels; one decision a stage
  double se_ratio = 0.25;  ///< of SE's squeeze to a layer's input width; 0: no decision, no SE
  int stem_channels = 32;
  int stem_stride = 2;
  std::vector<MnasnetStage> stages{{.channels = 16, .stride = 1, .depths = {1, 2}},
                                   {.channels = 24, .stride = 2, .depths = {1, 2, 3}},
                                   {.channels = 32, .stride = 2, .depths = {2, 3, 4}},
                                   {.channels = 64, .stride = 2, .depths = {3, 4, 5}},
                                   {.channels = 96, .stride = 1, .depths = {2, 3, 4}},
                                   {.channels = 160, .stride = 2, .depths = {2, 3, 4}},
                                   {.channels = 320, .stride = 1, .depths = {1, 2}}};
  int last_channels = 1280;  ///< of the head's convolution
  double dropout = 0.2;      ///< before the classifier
  std::optional<CompressionOptions> compression = {};
};
const OptionTable<MnasnetOptions>& mnasnet_options();

/// The factorized hierarchical space of MnasNet: seven stages ("blocks" in the paper), each with
/// its own operator, kernel, squeeze-and-excitation, skip, width and depth, which all of its layers
/// share. Widths are rounded to whole numbers. Operators: a convolution ("conv"), a depthwise
/// separable one ("dconv", linear at its end), inverted residuals ("mbconv3", "mbconv6"). Skips, in
/// the layers that keep the shape: "none", "identity", "pool" (3x3 average pooling).
/// Decisions: stage1.op, stage1.kernel, stage1.filters, stage1.se, stage1.depth, stage1.skip, ...
/// Source: Tan et al., MnasNet, CVPR 2019, arXiv 1807.11626, section 4.1, and its reference models
/// (SE squeezes to a share of the layer's input width; batch norms have eps 1e-3).
/// Differs from the source: the expansion is part of the operator, as in the published networks; a
/// stage of one layer has 1 or 2, never none; the paper does not say what a skip pools. The widths
/// 112 of MnasNet-A1 and 192 of MnasNet-B1 are not among the paper's multiples of MobileNetV2's 96
/// and 160: these networks need `stages` of such widths.
/// Test: Mnasnet.PublishedNetworksHaveThePublishedCosts.
/// Throws ConfigError for options that mnasnet_options() refuses, and ShapeError for networks above
/// the limits of graph/graph.hpp.
std::unique_ptr<SupergraphSpace> make_mnasnet(const MnasnetOptions& options = {});

}  // namespace espalier
