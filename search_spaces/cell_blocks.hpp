#pragma once

#include <cstdint>
#include <string_view>

#include "graph/builder.hpp"

namespace espalier {

/// The operators that the cell spaces share. Each opens a scope `name` of the function's kind with
/// the attributes in_channels, out_channels, kernel, stride, in_height and in_width.

/// Convolution (padding "same"), batch norm, ReLU.
NodeId conv_bn_relu(GraphBuilder& builder, NodeId x, Dim channels, Dim kernel, Dim stride,
                    std::string_view name);

/// ReLU, convolution (padding "same"), batch norm.
NodeId relu_conv_bn(GraphBuilder& builder, NodeId x, Dim channels, Dim kernel, Dim stride,
                    std::string_view name);

/// Twice ReLU, depthwise convolution, 1x1 convolution, batch norm; the first depthwise convolution
/// has the stride. Channels stay.
/// Source: Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", CVPR
/// 2018, arXiv 1707.07012, appendix A.4.
/// Test: CellBlocks.SeparableConvolutionsAreAppliedTwice.
NodeId sep_conv(GraphBuilder& builder, NodeId x, Dim kernel, Dim stride, std::string_view name);

/// ReLU, depthwise convolution of dilation 2, 1x1 convolution, batch norm. Channels stay.
/// Source: Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019, arXiv 1806.09055.
/// Test: CellBlocks.DilatedConvolutionsAreAppliedOnce.
NodeId dil_conv(GraphBuilder& builder, NodeId x, Dim kernel, Dim stride, std::string_view name);

/// {C,H,W} -> {channels,H/2,W/2} for even H and W: half of the channels, rounded down, by a strided
/// 1x1 convolution, the others by one that begins one pixel lower and further right, and batch
/// norm. Throws ShapeError for odd H or W, as the halves disagree, and for fewer than 2 channels.
/// Source: Zoph et al., as above, in the reference code.
/// Test: CellBlocks.FactorizedReductionReadsAllPixels.
NodeId factorized_reduce(GraphBuilder& builder, NodeId x, std::int64_t channels,
                         std::string_view name);

/// What a cell with the input `last` reads of the cell before that: projected, and halved by ReLU
/// and a factorized reduction where `last` is. The part is named "input0".
NodeId earlier_input(GraphBuilder& builder, NodeId before, NodeId last, std::int64_t channels);

}  // namespace espalier
