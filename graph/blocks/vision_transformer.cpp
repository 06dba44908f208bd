#include "graph/blocks/vision_transformer.hpp"

namespace espalier {

NodeId patch_embedding(GraphBuilder& builder, NodeId x, Dim width, std::int64_t patch) {
  x = builder.conv(x, width, {.kernel = patch, .stride = patch, .padding = 0, .bias = true},
                   "conv_proj");
  x = builder.class_token(builder.tokens(x));
  return builder.position_embedding(x, "pos_embedding");
}

NodeId self_attention(GraphBuilder& builder, NodeId x, const SelfAttentionOptions& options,
                      std::string_view name) {
  const Dim channels = builder.channels(x);
  const Dim width = options.heads * options.head_width;
  const auto guard = builder.scope(name, "self_attention",
                                   {{"tokens", builder.shape(x)[0]},
                                    {"channels", channels},
                                    {"heads", options.heads},
                                    {"head_width", options.head_width}});
  const NodeId q = builder.linear(x, width, {}, "q");
  const NodeId k = builder.linear(x, width, {}, "k");
  const NodeId v = builder.linear(x, width, {}, "v");
  return builder.linear(builder.attention(q, k, v, options.head_width), channels, {}, "out_proj");
}

NodeId vit_block(GraphBuilder& builder, NodeId x, const VitBlockOptions& options,
                 std::string_view name) {
  const Dim channels = builder.channels(x);
  const auto guard = builder.scope(name, "vit_block",
                                   {{"tokens", builder.shape(x)[0]},
                                    {"channels", channels},
                                    {"heads", options.attention.heads},
                                    {"head_width", options.attention.head_width},
                                    {"mlp_width", options.mlp_width}});
  const auto dropout = [&](NodeId y) {
    return options.dropout > 0 ? builder.dropout(y, static_cast<float>(options.dropout)) : y;
  };
  const op::LayerNorm norm{.eps = options.eps};
  NodeId y = self_attention(builder, builder.layer_norm(x, norm, "ln_1"), options.attention);
  x = builder.add(x, dropout(y), "add_1");
  y = builder.layer_norm(x, norm, "ln_2");
  {
    const auto part = builder.scope("mlp");
    y = builder.linear(y, options.mlp_width, {}, "0");
    y = dropout(builder.activation(y, ActivationKind::gelu, "1"));
    y = dropout(builder.linear(y, channels, {}, "3"));
  }
  return builder.add(x, y, "add_2");
}

}  // namespace espalier
