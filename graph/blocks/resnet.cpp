#include "graph/blocks/resnet.hpp"

namespace espalier {

namespace {

/// ReLU of y plus x, where x is projected if the stride or the shape changes.
NodeId add_shortcut(GraphBuilder& builder, NodeId x, NodeId y, Dim stride) {
  NodeId shortcut = x;
  if (stride != Dim(1) || builder.shape(x) != builder.shape(y)) {
    const auto part = builder.scope("shortcut");
    shortcut = builder.conv(x, builder.channels(y), {.stride = stride});
    shortcut = builder.batch_norm(shortcut);
  }
  y = builder.add(y, shortcut);
  return builder.activation(y, ActivationKind::relu);
}

}  // namespace

NodeId basic_block(GraphBuilder& builder, NodeId x, Dim out_channels,
                   const BasicBlockOptions& options, std::string_view name) {
  const auto guard =
      builder.scope(name, "basic_block",
                    block_attributes(builder, x, out_channels,
                                     {{"kernel", options.kernel}, {"stride", options.stride}}));
  NodeId y = builder.conv(x, options.mid_channels.value_or(out_channels),
                          {.kernel = options.kernel, .stride = options.stride}, "conv1");
  y = builder.batch_norm(y, {}, "bn1");
  y = builder.activation(y, ActivationKind::relu, "act1");
  y = builder.conv(y, out_channels, {.kernel = options.kernel}, "conv2");
  y = builder.batch_norm(y, {}, "bn2");
  return add_shortcut(builder, x, y, options.stride);
}

NodeId bottleneck(GraphBuilder& builder, NodeId x, Dim out_channels,
                  const BottleneckOptions& options, std::string_view name) {
  const auto quarter = [](std::int64_t c) { return (c + 2) / 4; };
  const Dim mid_channels = options.mid_channels.value_or(map(quarter, out_channels));
  const auto guard = builder.scope(name, "bottleneck",
                                   block_attributes(builder, x, out_channels,
                                                    {{"mid_channels", mid_channels},
                                                     {"kernel", options.kernel},
                                                     {"stride", options.stride},
                                                     {"group_width", options.group_width},
                                                     {"se", options.squeeze_excitation ? 1 : 0}}));
  NodeId y = builder.conv(x, mid_channels, {}, "conv1");
  y = builder.batch_norm(y, {}, "bn1");
  y = builder.activation(y, ActivationKind::relu, "act1");
  const bool depthwise = options.group_width == Dim(1);
  y = builder.conv(
      y, depthwise ? Dim(0) : mid_channels,
      {.kernel = options.kernel, .stride = options.stride, .group_width = options.group_width},
      "conv2");
  y = builder.batch_norm(y, {}, "bn2");
  y = builder.activation(y, ActivationKind::relu, "act2");
  if (options.squeeze_excitation) {
    SqueezeExcitationOptions gate = *options.squeeze_excitation;
    if (!gate.squeeze_channels) gate.squeeze_channels = map(quarter, builder.channels(x));
    y = squeeze_excitation(builder, y, gate);
  }
  y = builder.conv(y, out_channels, {}, "conv3");
  y = builder.batch_norm(y, {}, "bn3");
  return add_shortcut(builder, x, y, options.stride);
}

}  // namespace espalier
