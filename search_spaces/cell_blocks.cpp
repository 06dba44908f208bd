#include "search_spaces/cell_blocks.hpp"

#include <array>

#include "graph/blocks.hpp"

namespace espalier {

NodeId conv_bn_relu(GraphBuilder& builder, NodeId x, Dim channels, Dim kernel, Dim stride,
                    std::string_view name) {
  const auto scope = builder.scope(
      name, "conv_bn_relu",
      block_attributes(builder, x, channels, {{"kernel", kernel}, {"stride", stride}}));
  return conv_bn_act(builder, x, channels, {.conv = {.kernel = kernel, .stride = stride}});
}

NodeId relu_conv_bn(GraphBuilder& builder, NodeId x, Dim channels, Dim kernel, Dim stride,
                    std::string_view name) {
  const auto scope = builder.scope(
      name, "relu_conv_bn",
      block_attributes(builder, x, channels, {{"kernel", kernel}, {"stride", stride}}));
  x = builder.activation(x, ActivationKind::relu);
  return builder.batch_norm(builder.conv(x, channels, {.kernel = kernel, .stride = stride}));
}

NodeId sep_conv(GraphBuilder& builder, NodeId x, Dim kernel, Dim stride, std::string_view name) {
  const Dim channels = builder.channels(x);
  const auto scope = builder.scope(
      name, "sep_conv",
      block_attributes(builder, x, channels, {{"kernel", kernel}, {"stride", stride}}));
  for (const Dim s : {stride, Dim(1)}) {
    x = builder.activation(x, ActivationKind::relu);
    x = builder.depthwise(x, {.kernel = kernel, .stride = s});
    x = builder.batch_norm(builder.conv(x, channels));
  }
  return x;
}

NodeId dil_conv(GraphBuilder& builder, NodeId x, Dim kernel, Dim stride, std::string_view name) {
  const Dim channels = builder.channels(x);
  const auto scope = builder.scope(
      name, "dil_conv",
      block_attributes(builder, x, channels, {{"kernel", kernel}, {"stride", stride}}));
  x = builder.activation(x, ActivationKind::relu);
  x = builder.depthwise(x, {.kernel = kernel, .stride = stride, .dilation = 2});
  return builder.batch_norm(builder.conv(x, channels));
}

NodeId factorized_reduce(GraphBuilder& builder, NodeId x, std::int64_t channels,
                         std::string_view name) {
  const auto scope =
      builder.scope(name, "factorized_reduce",
                    block_attributes(builder, x, channels, {{"kernel", 1}, {"stride", 2}}));
  const NodeId even = builder.conv(x, channels / 2, {.stride = 2}, "even");
  NodeId shifted = builder.slice(x, {.axis = 1, .begin = 1}, "lower");
  shifted = builder.slice(shifted, {.axis = 2, .begin = 1}, "right");
  const NodeId odd = builder.conv(shifted, channels - channels / 2, {.stride = 2}, "odd");
  return builder.batch_norm(builder.concat(std::array{even, odd}));
}

NodeId earlier_input(GraphBuilder& builder, NodeId before, NodeId last, std::int64_t channels) {
  if (builder.shape(before)[1] == builder.shape(last)[1]) {
    return relu_conv_bn(builder, before, channels, 1, 1, "input0");
  }
  return factorized_reduce(builder, builder.activation(before, ActivationKind::relu), channels,
                           "input0");
}

}  // namespace espalier
