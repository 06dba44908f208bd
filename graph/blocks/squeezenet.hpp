#pragma once

#include "graph/blocks/conv.hpp"

namespace espalier {

/// A 1x1 convolution, then a 1x1 and a 3x3 one side by side, joined in that order; all with bias
/// and ReLU: {C,H,W} -> {expand1 + expand3, H, W}. Opens a scope of kind "fire".
/// Source: Iandola et al., "SqueezeNet", arXiv 1602.07360, figure 1.
/// Test: Blocks.Fire.
struct FireOptions {
  Dim squeeze = 16;
  Dim expand1 = 64;
  Dim expand3 = 64;
};
NodeId fire(GraphBuilder& builder, NodeId x, const FireOptions& options, std::string_view name);

}  // namespace espalier
