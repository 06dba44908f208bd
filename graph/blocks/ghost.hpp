#pragma once

#include <optional>

#include "graph/blocks/conv.hpp"

namespace espalier {

/// Half of the output from a 1x1 convolution, the other half from a depthwise one on the first,
/// each with batch norm and activation (none: no activation), joined in that order. Opens a scope
/// of kind "ghost_module". Throws ShapeError where out_channels is odd.
/// Source: Han et al., "GhostNet: More Features from Cheap Operations", CVPR 2020, arXiv
/// 1911.11907, section 3.1.
/// Differs from the source: its ratio is always 2, as in the published networks.
/// Test: Blocks.GhostModule.
struct GhostModuleOptions {
  Dim cheap_kernel = 3;  ///< of the depthwise convolution, odd
  std::optional<ActivationKind> activation = ActivationKind::relu;
};
NodeId ghost_module(GraphBuilder& builder, NodeId x, Dim out_channels,
                    const GhostModuleOptions& options, std::string_view name);

/// A ghost module that expands, a strided depthwise convolution where stride is not 1, optional SE,
/// a ghost module without activation, and the shortcut (a depthwise and a 1x1 convolution where the
/// stride or the channels change). Opens a scope of kind "ghost_bottleneck".
/// Source: Han et al., CVPR 2020, arXiv 1911.11907, figure 3 and its reference code.
/// Test: Blocks.GhostBottleneck.
struct GhostBottleneckOptions {
  Dim expanded_channels;  ///< even
  Dim kernel = 3;         ///< of the depthwise convolutions outside the ghost modules, odd
  Dim stride = 1;
  /// Its squeeze defaults to make_divisible(expanded_channels / 4, 4).
  std::optional<SqueezeExcitationOptions> squeeze_excitation = {};
};
NodeId ghost_bottleneck(GraphBuilder& builder, NodeId x, Dim out_channels,
                        const GhostBottleneckOptions& options, std::string_view name);

}  // namespace espalier
