#pragma once

#include <optional>

#include "graph/builder.hpp"

namespace espalier {

/// `value` rounded to the nearest multiple of `divisor`, never below `minimum` (default: the
/// divisor) and never more than 10% below `value`.
/// Source: Sandler et al., MobileNetV2, CVPR 2018 (the rounding rule of its reference models).
/// Test: Blocks.MakeDivisible.
std::int64_t make_divisible(double value, int divisor = 8, std::optional<int> minimum = {});

/// {"in_channels", "out_channels", `own`..., "in_height", "in_width"}: the attributes of a block's
/// scope.
ScopeAttributes block_attributes(const GraphBuilder& builder, NodeId x, Dim out_channels,
                                 const ScopeAttributes& own = {});

/// Convolution, batch norm and activation (none: no activation).
struct ConvBnActOptions {
  ConvOptions conv = {};
  std::optional<ActivationKind> activation = ActivationKind::relu;
  op::BatchNorm2d batch_norm = {};
};
NodeId conv_bn_act(GraphBuilder& builder, NodeId x, Dim out_channels,
                   const ConvBnActOptions& options = {});
/// The same in a scope of kind "conv_bn_act".
NodeId conv_bn_act(GraphBuilder& builder, NodeId x, Dim out_channels,
                   const ConvBnActOptions& options, std::string_view name);

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

/// A stage of VGG: `convs` convolutions with bias, each followed by ReLU (and by batch norm before
/// it, where given), then 2x2 max pooling: {C,H,W} -> {out_channels, H/2, W/2}, rounded down. Opens
/// a scope of kind "vgg_block".
/// Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
/// Recognition", ICLR 2015, arXiv 1409.1556, table 1.
/// Test: Blocks.VggBlock.
struct VggBlockOptions {
  int convs = 2;   ///< >= 1
  Dim kernel = 3;  ///< odd
  std::optional<op::BatchNorm2d> batch_norm = {};
};
NodeId vgg_block(GraphBuilder& builder, NodeId x, Dim out_channels, const VggBlockOptions& options,
                 std::string_view name);

}  // namespace espalier
