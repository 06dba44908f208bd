#pragma once

#include <string_view>

#include "graph/builder.hpp"

namespace espalier {

/// ReLU, convolution without bias, batch norm: the operator of NAS-Bench-201 and its relatives.
/// Opens a scope of kind "relu_conv_bn".
NodeId relu_conv_bn(GraphBuilder& builder, NodeId x, Dim channels, int kernel, int stride,
                    std::string_view name);

/// The reduction block between the stages of NAS-Bench-201: two 3x3 relu_conv_bn, the first of
/// stride 2, and a shortcut of 2x2 average pooling and a 1x1 convolution. Height and width must be
/// even, else the two halves have different shapes (ShapeError). Opens a scope of kind "reduction".
/// Source: Dong & Yang, NAS-Bench-201, ICLR 2020, arXiv 2001.00326, section 2.1.
/// Test: Nasbench201.CostsOfAllCellsEqualThePublishedOnes.
NodeId residual_reduction(GraphBuilder& builder, NodeId x, Dim channels, std::string_view name);

}  // namespace espalier
