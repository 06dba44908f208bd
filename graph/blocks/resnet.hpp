#pragma once

#include <optional>

#include "graph/blocks/conv.hpp"

namespace espalier {

/// Two 3x3 (or `kernel`) convolutions with a shortcut, projected by a strided 1x1 convolution where
/// the stride or the shape changes. Opens a scope of kind "basic_block".
/// Source: He et al., CVPR 2016, arXiv 1512.03385.
/// Test: Blocks.BasicBlock.
struct BasicBlockOptions {
  Dim kernel = 3;
  Dim stride = 1;
  std::optional<Dim> mid_channels = {};  ///< of the first convolution; default out_channels
};
NodeId basic_block(GraphBuilder& builder, NodeId x, Dim out_channels,
                   const BasicBlockOptions& options, std::string_view name);

/// 1x1, kxk and 1x1 convolution with the shortcut of basic_block(). ResNet's is the default;
/// ResNeXt has a group_width; Wide ResNet wider mid_channels; RegNet X a group_width and
/// mid_channels = out_channels; RegNet Y also SE (with a sigmoid gate). Opens a scope of kind
/// "bottleneck".
/// Source: He et al., CVPR 2016, arXiv 1512.03385; Xie et al., CVPR 2017, arXiv 1611.05431;
/// Radosavovic et al., "Designing Network Design Spaces", CVPR 2020, arXiv 2003.13678.
/// Differs from the source: the stride is in the kxk convolution, not in the first 1x1 one, as in
/// most later ResNets ("v1.5").
/// Test: Blocks.Bottleneck.
struct BottleneckOptions {
  std::optional<Dim> mid_channels = {};  ///< of the kxk convolution; default out_channels / 4
  Dim kernel = 3;                        ///< odd
  Dim stride = 1;
  Dim group_width = 0;  ///< channels per group of the kxk convolution; 0 dense, 1 depthwise
  /// After the kxk convolution; its squeeze defaults to a quarter of the block's input channels,
  /// rounded to the nearest.
  std::optional<SqueezeExcitationOptions> squeeze_excitation = {};
};
NodeId bottleneck(GraphBuilder& builder, NodeId x, Dim out_channels,
                  const BottleneckOptions& options, std::string_view name);

}  // namespace espalier
