#pragma once

#include "graph/blocks/conv.hpp"

namespace espalier {

/// What the convolutions of the inception modules below have behind them, with ReLU.
inline constexpr op::BatchNorm2d inception_batch_norm{.eps = 1e-3f};

/// GoogLeNet's module with batch norm: a 1x1, a 3x3 and a 5x5 convolution, the latter two behind a
/// 1x1 reduction, and a 1x1 convolution behind 3x3 max pooling, joined in this order. Opens a scope
/// of kind "inception".
/// Source: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, arXiv 1409.4842, figure 2;
/// batch norm: Ioffe and Szegedy, ICML 2015, arXiv 1502.03167.
/// Test: Blocks.Inception.
struct InceptionOptions {
  Dim conv1 = 64;
  Dim conv3_reduce = 96;
  Dim conv3 = 128;
  Dim conv5_reduce = 16;
  Dim conv5 = 32;
  Dim pool = 32;         ///< channels of the convolution behind the pooling
  Dim conv5_kernel = 5;  ///< odd
};
NodeId inception(GraphBuilder& builder, NodeId x, const InceptionOptions& options,
                 std::string_view name);

/// The five modules of Inception v3, with the published widths as defaults. B and D halve H and W:
/// H' = floor((H - 3) / 2) + 1. Open scopes of kind "inception_a" to "inception_e".
/// Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016,
/// arXiv 1512.00567, figures 5 to 7 and 10; widths as in its reference model.
/// Test: Blocks.InceptionV3.

/// 1x1; 1x1, 5x5; 1x1, 3x3, 3x3; average pooling, 1x1.
struct InceptionAOptions {
  Dim conv1 = 64;
  Dim conv5_reduce = 48;
  Dim conv5 = 64;
  Dim double3_reduce = 64;
  Dim double3 = 96;  ///< of both 3x3 convolutions
  Dim pool = 32;     ///< channels of the convolution behind the pooling
};
NodeId inception_a(GraphBuilder& builder, NodeId x, const InceptionAOptions& options,
                   std::string_view name);

/// 3x3 with stride 2; 1x1, 3x3, 3x3 with stride 2; max pooling with stride 2.
struct InceptionBOptions {
  Dim conv3 = 384;
  Dim double3_reduce = 64;
  Dim double3 = 96;  ///< of both 3x3 convolutions
};
NodeId inception_b(GraphBuilder& builder, NodeId x, const InceptionBOptions& options,
                   std::string_view name);

/// 1x1; 1x1, 1x7, 7x1; 1x1, 7x1, 1x7, 7x1, 1x7; average pooling, 1x1.
struct InceptionCOptions {
  Dim mid_channels = 128;     ///< of all but the last convolution of each branch
  Dim branch_channels = 192;  ///< of the last
  Dim kernel = 7;             ///< of the 1xk and kx1 convolutions, odd
};
NodeId inception_c(GraphBuilder& builder, NodeId x, const InceptionCOptions& options,
                   std::string_view name);

/// 1x1, 3x3 with stride 2; 1x1, 1x7, 7x1, 3x3 with stride 2; max pooling with stride 2.
struct InceptionDOptions {
  Dim mid_channels = 192;  ///< of all but the last convolution of the first branch
  Dim conv3 = 320;         ///< of the last convolution of the first branch
  Dim kernel = 7;          ///< of the 1xk and kx1 convolutions, odd
};
NodeId inception_d(GraphBuilder& builder, NodeId x, const InceptionDOptions& options,
                   std::string_view name);

/// 1x1; 1x1, then 1x3 beside 3x1; 1x1, 3x3, then 1x3 beside 3x1; average pooling, 1x1.
struct InceptionEOptions {
  Dim conv1 = 320;
  Dim conv3 = 384;  ///< of each 3x3, 1x3 and 3x1 convolution and of the first reduction
  Dim double3_reduce = 448;
  Dim pool = 192;  ///< channels of the convolution behind the pooling
};
NodeId inception_e(GraphBuilder& builder, NodeId x, const InceptionEOptions& options,
                   std::string_view name);

}  // namespace espalier
