#pragma once

#include <optional>
#include <string_view>

#include "graph/builder.hpp"

namespace espalier {

/// ConvNeXt's block: depthwise kxk convolution, layer norm over the channels, 1x1 convolution, GELU
/// and 1x1 convolution, scaled by a learned factor per channel and added to its input. Keeps the
/// shape {C,H,W}. Opens a scope of kind "convnext_block"; layers are named as in torchvision, whose
/// linear layers are the 1x1 convolutions here.
/// Source: Liu et al., "A ConvNet for the 2020s", CVPR 2022, arXiv 2201.03545, figure 4.
/// Differs from the source: no stochastic depth in training.
/// Test: ConvnextBlocks.TheBlockIsAsInTheFigure.
struct ConvnextBlockOptions {
  Dim kernel = 7;                             ///< odd
  std::optional<Dim> expanded_channels = {};  ///< default 4 C
  std::optional<float> layer_scale = 1e-6f;   ///< initial factor; none: no factors
};
NodeId convnext_block(GraphBuilder& builder, NodeId x, const ConvnextBlockOptions& options,
                      std::string_view name);

}  // namespace espalier
