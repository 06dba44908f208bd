#pragma once

#include "graph/blocks/conv.hpp"

namespace espalier {

/// x scaled per channel by a hard-sigmoid gate of one 1x1 convolution on its global average. Opens
/// the scope "ese" of kind "effective_squeeze_excitation".
/// Source: Lee and Park, "CenterMask", CVPR 2020, arXiv 1911.06667, section 3.3.
/// Test: Blocks.EffectiveSqueezeExcitation.
NodeId effective_squeeze_excitation(GraphBuilder& builder, NodeId x);

/// One-shot aggregation: `layers` convolutions in a row; x and all their results joined and mixed
/// by a 1x1 convolution. Each convolution has batch norm and ReLU. Opens a scope of kind "osa".
/// Source: Lee et al., "An Energy and GPU-Computation Efficient Backbone Network", CVPR Workshops
/// 2019, arXiv 1904.09730, figure 1; the residual form and eSE: arXiv 1911.06667.
/// Test: Blocks.Osa.
struct OsaOptions {
  Dim layer_channels = 128;
  int layers = 5;  ///< >= 1
  Dim kernel = 3;  ///< odd
  bool effective_squeeze_excitation = false;
  bool residual = false;  ///< adds x where the channels agree
};
NodeId osa(GraphBuilder& builder, NodeId x, Dim out_channels, const OsaOptions& options,
           std::string_view name);

}  // namespace espalier
