#include "graph/blocks/ghost.hpp"

#include <array>
#include <string>

#include "core/error.hpp"

namespace espalier {

NodeId ghost_module(GraphBuilder& builder, NodeId x, Dim out_channels,
                    const GhostModuleOptions& options, std::string_view name) {
  if (map([](std::int64_t c) { return c % 2; }, out_channels) != Dim(0)) {
    throw ShapeError("ghost_module '" + std::string(name) + "' makes " +
                     out_channels.to_string(builder.graph().decision_names()) +
                     " channels in two halves; make their number even");
  }
  const auto guard = builder.scope(
      name, "ghost_module",
      block_attributes(builder, x, out_channels, {{"cheap_kernel", options.cheap_kernel}}));
  const Dim half = map([](std::int64_t c) { return c / 2; }, out_channels);
  const NodeId primary =
      conv_bn_act(builder, x, half, {.activation = options.activation}, "primary");
  NodeId cheap = primary;
  {
    const auto part = builder.scope("cheap");
    cheap = builder.depthwise(cheap, {.kernel = options.cheap_kernel}, "conv");
    cheap = builder.batch_norm(cheap);
    if (options.activation) cheap = builder.activation(cheap, *options.activation);
  }
  return builder.concat(std::array{primary, cheap});
}

NodeId ghost_bottleneck(GraphBuilder& builder, NodeId x, Dim out_channels,
                        const GhostBottleneckOptions& options, std::string_view name) {
  const auto guard =
      builder.scope(name, "ghost_bottleneck",
                    block_attributes(builder, x, out_channels,
                                     {{"expanded_channels", options.expanded_channels},
                                      {"kernel", options.kernel},
                                      {"stride", options.stride},
                                      {"se", options.squeeze_excitation ? 1 : 0}}));
  const auto strided = [&](NodeId from) {
    const NodeId y =
        builder.depthwise(from, {.kernel = options.kernel, .stride = options.stride}, "conv");
    return builder.batch_norm(y);
  };
  NodeId y = ghost_module(builder, x, options.expanded_channels, {}, "ghost1");
  if (options.stride != Dim(1)) {
    const auto part = builder.scope("depthwise");
    y = strided(y);
  }
  if (options.squeeze_excitation) {
    SqueezeExcitationOptions gate = *options.squeeze_excitation;
    if (!gate.squeeze_channels) {
      gate.squeeze_channels =
          map([](std::int64_t c) { return make_divisible(static_cast<double>(c) / 4, 4); },
              options.expanded_channels);
    }
    y = squeeze_excitation(builder, y, gate);
  }
  y = ghost_module(builder, y, out_channels, {.activation = std::nullopt}, "ghost2");
  NodeId shortcut = x;
  if (options.stride != Dim(1) || builder.channels(x) != out_channels) {
    {
      const auto part = builder.scope("shortcut_depthwise");
      shortcut = strided(shortcut);
    }
    shortcut = conv_bn_act(builder, shortcut, out_channels, {.activation = std::nullopt},
                           "shortcut_pointwise");
  }
  return builder.add(y, shortcut);
}

}  // namespace espalier
