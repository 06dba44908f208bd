#pragma once

#include "graph/blocks/conv.hpp"

namespace espalier {

/// DenseNet-BC's layer: batch norm, ReLU, 1x1 convolution, batch norm, ReLU, kxk convolution, and
/// the result joined behind x: {C,H,W} -> {C + growth, H, W}. Opens a scope of kind "dense_layer".
/// Source: Huang et al., "Densely Connected Convolutional Networks", CVPR 2017, arXiv 1608.06993.
/// Test: Blocks.DenseLayer.
struct DenseLayerOptions {
  Dim growth = 32;     ///< channels of the kxk convolution
  Dim bottleneck = 4;  ///< channels of the 1x1 convolution over growth
  Dim kernel = 3;      ///< odd
};
NodeId dense_layer(GraphBuilder& builder, NodeId x, const DenseLayerOptions& options,
                   std::string_view name);

/// `layers` (>= 1) dense layers: {C,H,W} -> {C + layers growth, H, W}. Opens a scope of kind
/// "dense_block".
NodeId dense_block(GraphBuilder& builder, NodeId x, int layers, const DenseLayerOptions& options,
                   std::string_view name);

/// Between dense blocks: batch norm, ReLU, 1x1 convolution, 2x2 average pooling: {C,H,W} ->
/// {out_channels, H/2, W/2}, rounded down. Opens a scope of kind "transition".
NodeId transition(GraphBuilder& builder, NodeId x, Dim out_channels, std::string_view name);

}  // namespace espalier
