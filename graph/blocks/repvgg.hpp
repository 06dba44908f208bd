#pragma once

#include "graph/blocks/conv.hpp"

namespace espalier {

/// RepVGG's block as it is trained: ReLU of the sum of a 3x3 convolution, a 1x1 convolution and,
/// where stride is 1 and the channels agree, x itself, each with a batch norm of its own.
/// merge_repvgg (graph/passes.hpp) makes one 3x3 convolution of it. Opens a scope of kind "repvgg".
/// Source: Ding et al., "RepVGG: Making VGG-style ConvNets Great Again", CVPR 2021, arXiv
/// 2101.03697, figure 2 and section 3.2.
/// Test: Blocks.Repvgg.
struct RepvggOptions {
  Dim stride = 1;
};
NodeId repvgg(GraphBuilder& builder, NodeId x, Dim out_channels, const RepvggOptions& options,
              std::string_view name);

}  // namespace espalier
