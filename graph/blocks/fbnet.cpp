#include "graph/blocks/fbnet.hpp"

#include "graph/blocks/conv.hpp"

namespace espalier {

NodeId fbnet_block(GraphBuilder& builder, NodeId x, Dim out_channels,
                   const FbnetBlockOptions& options, std::string_view name) {
  const Dim in_channels = builder.channels(x);
  const Dim expanded = in_channels * options.expansion;
  const auto guard = builder.scope(name, "fbnet_block",
                                   block_attributes(builder, x, out_channels,
                                                    {{"expanded_channels", expanded},
                                                     {"kernel", options.kernel},
                                                     {"stride", options.stride},
                                                     {"groups", options.groups}}));
  const auto group_width = [&](Dim channels) {
    if (options.groups == 1) return Dim(0);
    return map([](std::int64_t c, std::int64_t groups) { return c / groups; }, channels,
               Dim(options.groups));
  };
  NodeId y = x;
  {
    const auto part = builder.scope("expand");
    y = conv_bn_act(builder, y, expanded, {.conv = {.group_width = group_width(in_channels)}});
    if (options.groups > 1) y = builder.channel_shuffle(y, options.groups);
  }
  {
    const auto part = builder.scope("depthwise");
    y = builder.depthwise(y, {.kernel = options.kernel, .stride = options.stride}, "conv");
    y = builder.activation(builder.batch_norm(y), ActivationKind::relu);
  }
  {
    const auto part = builder.scope("project");
    y = conv_bn_act(builder, y, out_channels,
                    {.conv = {.group_width = group_width(expanded)}, .activation = std::nullopt});
  }
  if (options.stride == 1 && builder.shape(x) == builder.shape(y)) y = builder.add(x, y);
  return y;
}

}  // namespace espalier
