#pragma once

#include <optional>

#include "graph/builder.hpp"

namespace espalier {

/// `value` rounded to the nearest multiple of `divisor`, never below `minimum` (default: the
/// divisor) and never more than 10% below `value`.
/// Source: Sandler et al., MobileNetV2, CVPR 2018 (the rounding rule of its reference models).
/// Test: Blocks.MakeDivisible.
std::int64_t make_divisible(double value, int divisor = 8, std::optional<int> minimum = {});

/// Convolution, batch norm and activation (none: no activation).
struct ConvBnActOptions {
  ConvOptions conv = {};
  std::optional<ActivationKind> activation = ActivationKind::relu;
  op::BatchNorm2d batch_norm = {};
};
NodeId conv_bn_act(GraphBuilder& builder, NodeId x, Dim out_channels,
                   const ConvBnActOptions& options = {});

/// Squeeze-and-excitation: x scaled per channel by a two-layer gate on its global average. The
/// squeeze has make_divisible(C / 4) channels unless given.
/// Source: Hu et al., CVPR 2018, arXiv 1709.01507; hard-sigmoid gate as in MobileNetV3.
/// Test: Blocks.SqueezeExcitation.
struct SqueezeExcitationOptions {
  std::optional<Dim> squeeze_channels = {};
  ActivationKind activation = ActivationKind::relu;
  ActivationKind gate = ActivationKind::hard_sigmoid;
};
NodeId squeeze_excitation(GraphBuilder& builder, NodeId x,
                          const SqueezeExcitationOptions& options = {});

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
  std::optional<SqueezeExcitationOptions> squeeze_excitation = {};
  /// A decision with options {no SE, SE}; the SE is `squeeze_excitation`, or the default one.
  std::optional<DecisionId> squeeze_excitation_choice = {};
  bool residual = true;  ///< allows the shortcut
  op::BatchNorm2d batch_norm = {};
};
NodeId mbconv(GraphBuilder& builder, NodeId x, Dim out_channels, const MbconvOptions& options,
              std::string_view name);

/// Two 3x3 (or `kernel`) convolutions with a shortcut, projected by a strided 1x1 convolution where
/// the shape changes. Opens a scope of kind "basic_block".
/// Source: He et al., CVPR 2016, arXiv 1512.03385.
/// Test: Blocks.BasicBlock.
struct BasicBlockOptions {
  Dim kernel = 3;
  Dim stride = 1;
  std::optional<Dim> mid_channels = {};  ///< of the first convolution; default out_channels
};
NodeId basic_block(GraphBuilder& builder, NodeId x, Dim out_channels,
                   const BasicBlockOptions& options, std::string_view name);

}  // namespace espalier
