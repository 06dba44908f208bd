#include "graph/blocks/conv.hpp"

#include <algorithm>
#include <string>

namespace espalier {

std::int64_t make_divisible(double value, int divisor, std::optional<int> minimum) {
  const auto rounded = static_cast<std::int64_t>(value + divisor / 2.0) / divisor * divisor;
  std::int64_t result = std::max<std::int64_t>(minimum.value_or(divisor), rounded);
  if (static_cast<double>(result) < 0.9 * value) result += divisor;
  return result;
}

ScopeAttributes block_attributes(const GraphBuilder& builder, NodeId x, Dim out_channels,
                                 const ScopeAttributes& own) {
  ScopeAttributes attributes{{"in_channels", builder.channels(x)}, {"out_channels", out_channels}};
  attributes.insert(attributes.end(), own.begin(), own.end());
  attributes.emplace_back("in_height", builder.shape(x)[1]);
  attributes.emplace_back("in_width", builder.shape(x)[2]);
  return attributes;
}

NodeId conv_bn_act(GraphBuilder& builder, NodeId x, Dim out_channels,
                   const ConvBnActOptions& options) {
  NodeId y = builder.conv(x, out_channels, options.conv);
  y = builder.batch_norm(y, options.batch_norm);
  return options.activation ? builder.activation(y, *options.activation) : y;
}

NodeId conv_bn_act(GraphBuilder& builder, NodeId x, Dim out_channels,
                   const ConvBnActOptions& options, std::string_view name) {
  const auto guard = builder.scope(name, "conv_bn_act");
  return conv_bn_act(builder, x, out_channels, options);
}

NodeId squeeze_excitation(GraphBuilder& builder, NodeId x,
                          const SqueezeExcitationOptions& options) {
  const auto guard = builder.scope("se", "squeeze_excitation");
  const Dim channels = builder.channels(x);
  const auto quarter = [](std::int64_t c) { return make_divisible(static_cast<double>(c) / 4); };
  const Dim squeezed = options.squeeze_channels.value_or(map(quarter, channels));
  NodeId gate = builder.global_avg_pool(x);
  gate = builder.conv(gate, squeezed, {.bias = true}, "reduce");
  gate = builder.activation(gate, options.activation);
  gate = builder.conv(gate, channels, {.bias = true}, "expand");
  gate = builder.activation(gate, options.gate, "gate");
  return builder.multiply(x, gate, "scale");
}

NodeId vgg_block(GraphBuilder& builder, NodeId x, Dim out_channels, const VggBlockOptions& options,
                 std::string_view name) {
  const auto guard =
      builder.scope(name, "vgg_block",
                    block_attributes(builder, x, out_channels,
                                     {{"convs", options.convs}, {"kernel", options.kernel}}));
  NodeId y = x;
  for (int i = 1; i <= options.convs; ++i) {
    const std::string index = std::to_string(i);
    y = builder.conv(y, out_channels, {.kernel = options.kernel, .bias = true}, "conv" + index);
    if (options.batch_norm) y = builder.batch_norm(y, *options.batch_norm, "bn" + index);
    y = builder.activation(y, ActivationKind::relu, "act" + index);
  }
  return builder.max_pool(y, {});
}

}  // namespace espalier
