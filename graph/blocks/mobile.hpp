#pragma once

#include <optional>

#include "graph/blocks/conv.hpp"

namespace espalier {

/// Depthwise kxk and 1x1 convolution, each with batch norm and activation. Opens a scope of kind
/// "separable_conv".
/// Source: Howard et al., "MobileNets", arXiv 1704.04861, figure 3.
/// Test: Blocks.SeparableConv.
struct SeparableConvOptions {
  Dim kernel = 3;  ///< odd
  Dim stride = 1;  ///< of the depthwise convolution
  ActivationKind activation = ActivationKind::relu;
  op::BatchNorm2d batch_norm = {};
};
NodeId separable_conv(GraphBuilder& builder, NodeId x, Dim out_channels,
                      const SeparableConvOptions& options, std::string_view name);

/// Inverted residual: 1x1 expansion, depthwise kxk, optional SE, linear 1x1 projection, and the
/// shortcut where stride is 1 and the channels agree. The expansion is left out where
/// expanded_channels equals the input's. Opens a scope of kind "mbconv".
/// Source: Sandler et al., CVPR 2018, arXiv 1801.04381; Howard et al., ICCV 2019, arXiv 1905.02244.
/// Test: Blocks.MbconvHasItsPartsInOrder.
struct MbconvOptions {
  Dim expanded_channels;  ///< width of the depthwise convolution
  Dim kernel = 3;         ///< odd
  Dim stride = 1;
  ActivationKind activation = ActivationKind::relu6;
  /// MobileNetV3 takes its squeeze from the expanded channels (the default), EfficientNet from the
  /// input's: give it squeeze_channels.
  std::optional<SqueezeExcitationOptions> squeeze_excitation = {};
  /// A decision with options {no SE, SE}; the SE is `squeeze_excitation`, or the default one.
  std::optional<DecisionId> squeeze_excitation_choice = {};
  bool residual = true;  ///< allows the shortcut
  op::BatchNorm2d batch_norm = {};
};
NodeId mbconv(GraphBuilder& builder, NodeId x, Dim out_channels, const MbconvOptions& options,
              std::string_view name);

}  // namespace espalier
