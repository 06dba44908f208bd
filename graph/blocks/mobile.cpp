#include "graph/blocks/mobile.hpp"

#include <array>
#include <utility>

namespace espalier {

NodeId separable_conv(GraphBuilder& builder, NodeId x, Dim out_channels,
                      const SeparableConvOptions& options, std::string_view name) {
  const auto guard =
      builder.scope(name, "separable_conv",
                    block_attributes(builder, x, out_channels,
                                     {{"kernel", options.kernel}, {"stride", options.stride}}));
  NodeId y = x;
  {
    const auto part = builder.scope("depthwise");
    y = builder.depthwise(y, {.kernel = options.kernel, .stride = options.stride}, "conv");
    y = builder.batch_norm(y, options.batch_norm);
    y = builder.activation(y, options.activation);
  }
  const auto part = builder.scope("pointwise");
  return conv_bn_act(builder, y, out_channels,
                     {.activation = options.activation, .batch_norm = options.batch_norm});
}

NodeId mbconv(GraphBuilder& builder, NodeId x, Dim out_channels, const MbconvOptions& options,
              std::string_view name) {
  const Dim in_channels = builder.channels(x);
  ScopeAttributes attributes = block_attributes(builder, x, out_channels,
                                                {{"expanded_channels", options.expanded_channels},
                                                 {"kernel", options.kernel},
                                                 {"stride", options.stride}});
  attributes.emplace_back(
      "se", options.squeeze_excitation_choice
                ? Dim::select(*options.squeeze_excitation_choice, std::array{Dim(0), Dim(1)})
                : Dim(options.squeeze_excitation ? 1 : 0));
  const auto guard = builder.scope(name, "mbconv", std::move(attributes));
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

}  // namespace espalier
