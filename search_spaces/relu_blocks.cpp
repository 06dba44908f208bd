#include "search_spaces/relu_blocks.hpp"

namespace espalier {

NodeId relu_conv_bn(GraphBuilder& builder, NodeId x, Dim channels, int kernel, int stride,
                    std::string_view name) {
  const auto scope = builder.scope(name, "relu_conv_bn",
                                   {{"in_channels", builder.channels(x)},
                                    {"out_channels", channels},
                                    {"kernel", kernel},
                                    {"stride", stride},
                                    {"in_height", builder.shape(x)[1]},
                                    {"in_width", builder.shape(x)[2]}});
  const NodeId y = builder.activation(x, ActivationKind::relu);
  return builder.batch_norm(builder.conv(y, channels, {.kernel = kernel, .stride = stride}));
}

NodeId residual_reduction(GraphBuilder& builder, NodeId x, Dim channels, std::string_view name) {
  const auto scope = builder.scope(name, "reduction");
  NodeId y = relu_conv_bn(builder, x, channels, 3, 2, "conv_a");
  y = relu_conv_bn(builder, y, channels, 3, 1, "conv_b");
  NodeId shortcut = builder.avg_pool(x, {.kernel = 2, .stride = 2});
  shortcut = builder.conv(shortcut, channels, {}, "downsample");
  return builder.add(shortcut, y);
}

}  // namespace espalier
