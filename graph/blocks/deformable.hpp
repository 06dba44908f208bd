#pragma once

#include <string_view>

#include "graph/builder.hpp"

namespace espalier {

/// A convolution whose window is moved, place by place, by offsets that another convolution of the
/// same window ("offset") finds in its input. {C,H,W} -> {out_channels,H',W'}, as
/// GraphBuilder::conv. Modulated (version 2), what is read at each place is also weighted by a
/// factor of 0 to 1 from the offset convolution. Kernels cannot be open. Opens a scope of kind
/// "deform_conv".
/// Source: Dai et al., "Deformable Convolutional Networks", ICCV 2017, arXiv 1703.06211, section
/// 2.1; modulated: Zhu et al., "Deformable ConvNets v2", CVPR 2019, arXiv 1811.11168, section 3.2.
/// Test: DeformableBlocks.OffsetsAndFactorsComeFromOneConvolution.
struct DeformConvOptions {
  ConvOptions conv = {.kernel = 3};
  std::int64_t offset_groups = 1;  ///< runs of channels with offsets of their own; divides C
  bool modulated = false;
};
NodeId deform_conv(GraphBuilder& builder, NodeId x, Dim out_channels,
                   const DeformConvOptions& options, std::string_view name);

}  // namespace espalier
