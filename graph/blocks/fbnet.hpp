#pragma once

#include <string_view>

#include "graph/builder.hpp"

namespace espalier {

/// FBNet's block: 1x1 convolution to `expansion` times the input's width, depthwise kxk, linear 1x1
/// convolution, and the shortcut where stride is 1 and the channels agree. {C,H,W} ->
/// {out_channels,H',W'}. Unlike mbconv(), it keeps the first convolution at expansion 1. With
/// groups, both 1x1 convolutions are grouped and the channels are shuffled between the first and
/// the depthwise one. Opens a scope of kind "fbnet_block".
/// Source: Wu et al., FBNet, CVPR 2019, arXiv 1812.03443, figure 3 and table 2.
/// Test: FbnetBlocks.GroupsShuffleAndTheFirstConvolutionStays.
struct FbnetBlockOptions {
  std::int64_t expansion = 1;
  Dim kernel = 3;  ///< odd
  std::int64_t stride = 1;
  std::int64_t groups = 1;  ///< of the 1x1 convolutions; above 1, divides closed widths
};
NodeId fbnet_block(GraphBuilder& builder, NodeId x, Dim out_channels,
                   const FbnetBlockOptions& options, std::string_view name);

}  // namespace espalier
