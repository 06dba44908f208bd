#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/options.hpp"
#include "graph/op.hpp"
#include "search_spaces/compression.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

/// Whether the blocks of a stage have squeeze-and-excitation.
enum class SqueezeExcitation { no, yes, search };

struct MobileNetV3Stage {
  int channels = 24;  ///< before the width multiplier
  int stride = 2;     ///< of the first block
  std::vector<std::int64_t> depths{2, 3, 4};
  ActivationKind activation = ActivationKind::relu;
  SqueezeExcitation se = SqueezeExcitation::no;
};

struct MobileNetV3Options {
  std::vector<std::int64_t> input{3, 224, 224};  ///< {C, H, W}
  int classes = 1000;
  double width = 1.0;                          ///< multiplies every width
  std::vector<std::int64_t> kernels{3, 5, 7};  ///< one decision a block
  std::vector<double> expansions{3, 4, 6};     ///< one decision a block
  std::vector<std::int64_t> resolutions = {};  ///< height = width of the input; none: as `input`
  int stem_channels = 16;
  int stem_stride = 2;
  std::vector<MobileNetV3Stage> stages{
      {.channels = 24, .stride = 2},
      {.channels = 40, .stride = 2, .se = SqueezeExcitation::yes},
      {.channels = 80, .stride = 2, .activation = ActivationKind::hard_swish},
      {.channels = 112,
       .stride = 1,
       .activation = ActivationKind::hard_swish,
       .se = SqueezeExcitation::yes},
      {.channels = 160,
       .stride = 2,
       .activation = ActivationKind::hard_swish,
       .se = SqueezeExcitation::yes}};
  int head_expansion = 6;    ///< width of the last convolution over the last stage's
  int last_channels = 1280;  ///< of the layer before the classifier
  double dropout = 0.1;      ///< before the classifier
  std::optional<CompressionOptions> compression = {};
};
const OptionTable<MobileNetV3Options>& mobilenet_v3_options();

/// The MobileNetV3 space of Once-for-All: a stem, one fixed separable block, stages of inverted
/// residual blocks with elastic kernel, expansion and depth, and MobileNetV3's efficient head.
/// Decisions: resolution, stage1.se, stage1.depth, stage1.block1.kernel, stage1.block1.expansion...
/// Source: Cai et al., Once-for-All, ICLR 2020, arXiv 1908.09791, section 4.1 and its code's
/// OFAMobileNetV3; Howard et al., arXiv 1905.02244.
/// Batch norms have eps 1e-5 and momentum 0.1 as in that code.
/// Differs from the source: SE may be searched per stage; widths are the unrounded widths times
/// `width`, rounded to 8.
/// Test: SpaceCatalogue.SizesAreThePublishedOnes.
/// Throws ConfigError for options that mobilenet_v3_options() refuses, and ShapeError for
/// networks above the limits of graph/graph.hpp.
std::unique_ptr<SupergraphSpace> make_mobilenet_v3(const MobileNetV3Options& options = {});

}  // namespace espalier
