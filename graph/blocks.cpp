#include "graph/blocks.hpp"

#include <algorithm>
#include <array>

namespace espalier {

std::int64_t make_divisible(double value, int divisor, std::optional<int> minimum) {
  const auto rounded = static_cast<std::int64_t>(value + divisor / 2.0) / divisor * divisor;
  std::int64_t result = std::max<std::int64_t>(minimum.value_or(divisor), rounded);
  if (static_cast<double>(result) < 0.9 * value) result += divisor;
  return result;
}

NodeId conv_bn_act(GraphBuilder& builder, NodeId x, Dim out_channels,
                   const ConvBnActOptions& options) {
  NodeId y = builder.conv(x, out_channels, options.conv);
  y = builder.batch_norm(y, options.batch_norm);
  return options.activation ? builder.activation(y, *options.activation) : y;
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

NodeId mbconv(GraphBuilder& builder, NodeId x, Dim out_channels, const MbconvOptions& options,
              std::string_view name) {
  const Dim in_channels = builder.channels(x);
  const auto guard = builder.scope(
      name, "mbconv",
      {{"in_channels", in_channels},
       {"out_channels", out_channels},
       {"expanded_channels", options.expanded_channels},
       {"kernel", options.kernel},
       {"stride", options.stride},
       {"in_height", builder.shape(x)[1]},
       {"in_width", builder.shape(x)[2]},
       {"se", options.squeeze_excitation_choice
                  ? Dim::select(*options.squeeze_excitation_choice, std::array{Dim(0), Dim(1)})
                  : Dim(options.squeeze_excitation ? 1 : 0)}});
  NodeId y = x;
  if (options.expanded_channels != in_channels) {
    const auto part = builder.scope("expand");
    y = conv_bn_act(builder, y, options.expanded_channels,
                    {.activation = options.activation, .batch_norm = options.batch_norm});
  }
  {
    const auto part = builder.scope("depthwise");
    y = builder.depthwise(y, {.kernel = options.kernel, .stride = options.stride}, "conv");
    y = builder.batch_norm(y, options.batch_norm);
    // The gate comes after this activation, as in torchvision's MobileNetV3. Params and macs would
    // be the same with the gate before it.
    y = builder.activation(y, options.activation);
  }
  if (options.squeeze_excitation || options.squeeze_excitation_choice) {
    const NodeId gated = squeeze_excitation(
        builder, y, options.squeeze_excitation.value_or(SqueezeExcitationOptions{}));
    y = options.squeeze_excitation_choice
            ? builder.append(op::Choice{*options.squeeze_excitation_choice, 1},
                             std::array{y, gated}, "se_choice")
            : gated;
  }
  {
    const auto part = builder.scope("project");
    y = conv_bn_act(builder, y, out_channels,
                    {.activation = std::nullopt, .batch_norm = options.batch_norm});
  }
  if (options.residual && options.stride == Dim(1) && builder.shape(x) == builder.shape(y)) {
    y = builder.add(x, y);
  }
  return y;
}

NodeId basic_block(GraphBuilder& builder, NodeId x, Dim out_channels,
                   const BasicBlockOptions& options, std::string_view name) {
  const auto guard = builder.scope(name, "basic_block",
                                   {{"in_channels", builder.channels(x)},
                                    {"out_channels", out_channels},
                                    {"kernel", options.kernel},
                                    {"stride", options.stride},
                                    {"in_height", builder.shape(x)[1]},
                                    {"in_width", builder.shape(x)[2]}});
  NodeId y = builder.conv(x, options.mid_channels.value_or(out_channels),
                          {.kernel = options.kernel, .stride = options.stride}, "conv1");
  y = builder.batch_norm(y, {}, "bn1");
  y = builder.activation(y, ActivationKind::relu, "act1");
  y = builder.conv(y, out_channels, {.kernel = options.kernel}, "conv2");
  y = builder.batch_norm(y, {}, "bn2");
  NodeId shortcut = x;
  if (builder.shape(x) != builder.shape(y)) {
    const auto part = builder.scope("shortcut");
    shortcut = builder.conv(x, out_channels, {.stride = options.stride});
    shortcut = builder.batch_norm(shortcut);
  }
  y = builder.add(y, shortcut);
  return builder.activation(y, ActivationKind::relu);
}

}  // namespace espalier
