#include "graph/blocks/convnext.hpp"

#include "graph/blocks/conv.hpp"

namespace espalier {

NodeId convnext_block(GraphBuilder& builder, NodeId x, const ConvnextBlockOptions& options,
                      std::string_view name) {
  const Dim channels = builder.channels(x);
  const Dim expanded = options.expanded_channels.value_or(channels * 4);
  const auto guard = builder.scope(
      name, "convnext_block",
      block_attributes(builder, x, channels,
                       {{"expanded_channels", expanded}, {"kernel", options.kernel}}));
  NodeId y = x;
  {
    const auto part = builder.scope("block");
    y = builder.depthwise(y, {.kernel = options.kernel, .bias = true}, "0");
    y = builder.layer_norm(y, {.eps = 1e-6f}, "2");
    y = builder.conv(y, expanded, {.bias = true}, "3");
    y = builder.activation(y, ActivationKind::gelu, "4");
    y = builder.conv(y, channels, {.bias = true}, "5");
  }
  if (options.layer_scale) y = builder.scale(y, *options.layer_scale, "layer_scale");
  return builder.add(x, y);
}

}  // namespace espalier
