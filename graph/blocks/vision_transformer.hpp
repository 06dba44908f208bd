#pragma once

#include <string_view>

#include "graph/builder.hpp"

namespace espalier {

/// An image as tokens: each patch x patch square through one linear map, a learned token in front,
/// and learned positions added. {C,H,W} -> {H/patch * W/patch + 1, width}, rounded down. Layers
/// "conv_proj", "class_token", "pos_embedding".
/// Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, arXiv 2010.11929,
/// equation 1.
/// Test: TransformerBlocks.PatchesBecomeTokens.
NodeId patch_embedding(GraphBuilder& builder, NodeId x, Dim width, std::int64_t patch);

/// Multi-head self-attention: linear maps to queries, keys and values, attention of each head, and
/// a linear map back. {T,C} -> {T,C}. Opens a scope of kind "self_attention".
/// Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, arXiv 1706.03762, section
/// 3.2.
/// Test: TransformerBlocks.AttentionMayBeNarrowerThanItsInput.
struct SelfAttentionOptions {
  Dim heads = 12;
  std::int64_t head_width = 64;  ///< queries, keys and values have heads * head_width channels
};
NodeId self_attention(GraphBuilder& builder, NodeId x, const SelfAttentionOptions& options,
                      std::string_view name = "self_attention");

/// A block of ViT: layer norm and self-attention, then layer norm and a two-layer perceptron with
/// GELU, each added to its input. Keeps the shape {T,C}. Opens a scope of kind "vit_block"; layers
/// are named as in torchvision, whose "in_proj" holds the queries, keys and values.
/// Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, arXiv 2010.11929,
/// equations 2 and 3.
/// Test: TransformerBlocks.TheBlockNormalizesBeforeBothParts.
struct VitBlockOptions {
  SelfAttentionOptions attention = {};
  Dim mlp_width = 3072;
  float eps = 1e-6f;   ///< of the layer norms
  double dropout = 0;  ///< after attention and each layer of the perceptron; 0 leaves it out
};
NodeId vit_block(GraphBuilder& builder, NodeId x, const VitBlockOptions& options,
                 std::string_view name);

}  // namespace espalier
