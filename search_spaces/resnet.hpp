#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/compression.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

struct ResnetStage {
  int channels = 256;                         ///< of the blocks' results, at width 1
  std::vector<std::int64_t> depths{2, 3, 4};  ///< blocks, ascending; one decision a stage
  int stride = 2;                             ///< of the first block
};

struct ResnetOptions {
  std::vector<std::int64_t> input{3, 224, 224};  ///< {C, H, W}
  int classes = 1000;
  std::vector<std::int64_t> resolutions = {};  ///< height = width of the input; none: as `input`
  std::vector<double> widths{0.65, 0.8, 1.0};  ///< multiply channels; two decisions of the stem
                                               ///< and one a stage
  std::vector<double> expansions{0.2, 0.25, 0.35};  ///< a block's inner channels over its result's
  int stem_channels = 64;                           ///< at width 1; its inner ones are half of them
  std::vector<ResnetStage> stages{{.stride = 1},
                                  {.channels = 512},
                                  {.channels = 1024, .depths = {4, 5, 6}},
                                  {.channels = 2048}};
  std::optional<CompressionOptions> compression = {};
};
const OptionTable<ResnetOptions>& resnet_options();

/// The ResNet-50D space of Once-for-All: a deep stem of 3x3 convolutions whose middle one is a
/// residual that may be left out, max pooling, and stages of bottleneck blocks with elastic width,
/// depth and expansion. The shortcut of a block that opens a stage is average pooling and a 1x1
/// convolution. All channels are multiples of 8.
/// Decisions: resolution, stem.inner_width, stem.residual, stem.width, stage1.width, stage1.depth,
/// stage1.block1.expansion, ...; lists of one value open none.
/// Source: Cai et al., Once-for-All, ICLR 2020, arXiv 1908.09791, and its code's OFAResNets; the
/// stem and shortcuts are ResNet-D of He et al., "Bag of Tricks for Image Classification with
/// Convolutional Neural Networks", CVPR 2019, arXiv 1812.01187, section 4.
/// Differs from the source: widths that round to the same number of channels are one option (the
/// inner width of the stem has two, not three).
/// Test: Resnet.ContainsResnet50D.
/// Throws ConfigError for options that resnet_options() refuses, and ShapeError for networks above
/// the limits of graph/graph.hpp.
std::unique_ptr<SupergraphSpace> make_resnet(const ResnetOptions& options = {});

}  // namespace espalier
