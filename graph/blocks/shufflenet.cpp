#include "graph/blocks/shufflenet.hpp"

#include <array>
#include <string>

#include "core/error.hpp"
#include "graph/blocks/conv.hpp"

namespace espalier {

namespace {

/// channels / divisor. Throws ShapeError where that leaves a rest.
Dim over(Dim channels, std::int64_t divisor) {
  const auto rest = [](std::int64_t c, std::int64_t d) { return c % d; };
  if (map(rest, channels, Dim(divisor)).max() != 0) {
    throw ShapeError("a shuffle unit cannot divide " + channels.to_string() + " channels by " +
                     std::to_string(divisor) + "; give it a multiple");
  }
  return map([](std::int64_t c, std::int64_t d) { return c / d; }, channels, Dim(divisor));
}

/// Layers of a branch, numbered as they come.
class Branch {
 public:
  Branch(GraphBuilder& builder, NodeId x, std::string_view name)
      : builder_(builder), guard_(builder.scope(name)), x_(x) {}

  Branch& depthwise(Dim kernel, std::int64_t stride) {
    x_ = builder_.depthwise(x_, {.kernel = kernel, .stride = stride}, next());
    x_ = builder_.batch_norm(x_, {}, next());
    return *this;
  }
  /// 1x1 convolution, batch norm and ReLU.
  Branch& pointwise(Dim channels) {
    x_ = builder_.conv(x_, channels, {}, next());
    x_ = builder_.batch_norm(x_, {}, next());
    x_ = builder_.activation(x_, ActivationKind::relu, next());
    return *this;
  }
  NodeId end() const { return x_; }

 private:
  std::string next() { return std::to_string(count_++); }

  GraphBuilder& builder_;
  GraphBuilder::ScopeGuard guard_;
  NodeId x_;
  int count_ = 0;
};

NodeId projection(GraphBuilder& builder, NodeId x, Dim channels, Dim kernel, std::int64_t stride) {
  return Branch(builder, x, "branch1").depthwise(kernel, stride).pointwise(channels).end();
}

NodeId main_branch(GraphBuilder& builder, NodeId x, Dim mid_channels, Dim channels, Dim kernel,
                   std::int64_t stride) {
  return Branch(builder, x, "branch2")
      .pointwise(mid_channels)
      .depthwise(kernel, stride)
      .pointwise(channels)
      .end();
}

NodeId xception_branch(GraphBuilder& builder, NodeId x, Dim mid_channels, Dim channels,
                       std::int64_t stride) {
  return Branch(builder, x, "branch2")
      .depthwise(3, stride)
      .pointwise(mid_channels)
      .depthwise(3, 1)
      .pointwise(mid_channels)
      .depthwise(3, 1)
      .pointwise(channels)
      .end();
}

/// The first and the second half of the channels.
std::array<NodeId, 2> halves(GraphBuilder& builder, NodeId x) {
  const Dim half = over(builder.channels(x), 2);
  return {builder.slice(x, {.axis = 0, .begin = 0, .end = half}, "passed"),
          builder.slice(x, {.axis = 0, .begin = half}, "processed")};
}

}  // namespace

NodeId shuffle_v1_unit(GraphBuilder& builder, NodeId x, Dim out_channels,
                       const ShuffleV1UnitOptions& options, std::string_view name) {
  const auto guard = builder.scope(
      name, "shuffle_v1_unit",
      block_attributes(
          builder, x, out_channels,
          {{"kernel", options.kernel}, {"stride", options.stride}, {"groups", options.groups}}));
  const Dim in_channels = builder.channels(x);
  const Dim mid_channels = options.mid_channels ? *options.mid_channels : over(out_channels, 4);
  NodeId y = x;
  {
    const auto part = builder.scope("compress");
    const Dim width = options.first_grouped ? over(in_channels, options.groups) : Dim(0);
    y = conv_bn_act(builder, y, mid_channels, {.conv = {.group_width = width}});
    y = builder.channel_shuffle(y, options.groups);
  }
  {
    const auto part = builder.scope("depthwise");
    y = builder.depthwise(y, {.kernel = options.kernel, .stride = options.stride}, "conv");
    y = builder.batch_norm(y);
  }
  {
    const auto part = builder.scope("expand");
    const Dim channels = options.stride == 1 ? out_channels : out_channels - in_channels;
    y = conv_bn_act(
        builder, y, channels,
        {.conv = {.group_width = over(mid_channels, options.groups)}, .activation = std::nullopt});
  }
  if (options.stride == 1) return builder.activation(builder.add(x, y), ActivationKind::relu);
  y = builder.activation(y, ActivationKind::relu);
  const NodeId shortcut = builder.avg_pool(
      x, {.kernel = 3, .stride = options.stride, .padding = 1, .count_include_pad = true});
  return builder.concat(std::array{shortcut, y});
}

NodeId shuffle_v2_unit(GraphBuilder& builder, NodeId x, Dim out_channels,
                       const ShuffleV2UnitOptions& options, std::string_view name) {
  const auto guard =
      builder.scope(name, "shuffle_v2_unit",
                    block_attributes(builder, x, out_channels,
                                     {{"kernel", options.kernel}, {"stride", options.stride}}));
  const Dim half = over(out_channels, 2);
  std::array<NodeId, 2> branches{};
  if (options.stride == 1) {
    if (builder.channels(x) != out_channels) {
      throw ShapeError("a shuffle unit of stride 1 keeps its channels: it cannot turn " +
                       builder.channels(x).to_string() + " into " + out_channels.to_string() +
                       "; give it a stride");
    }
    const auto [passed, processed] = halves(builder, x);
    branches = {passed, main_branch(builder, processed, half, half, options.kernel, 1)};
  } else {
    branches = {projection(builder, x, half, options.kernel, options.stride),
                main_branch(builder, x, half, half, options.kernel, options.stride)};
  }
  return builder.channel_shuffle(builder.concat(branches), 2);
}

NodeId spos_unit(GraphBuilder& builder, NodeId x, Dim out_channels, const SposUnitOptions& options,
                 std::string_view name) {
  const Dim kernel = options.xception ? Dim(3) : options.kernel;
  const Dim mid_channels = options.mid_channels ? *options.mid_channels : over(out_channels, 2);
  const auto guard = builder.scope(name, "spos_unit",
                                   block_attributes(builder, x, out_channels,
                                                    {{"kernel", kernel},
                                                     {"stride", options.stride},
                                                     {"mid_channels", mid_channels},
                                                     {"xception", options.xception ? 1 : 0}}));
  std::array<NodeId, 2> sides{x, x};
  if (options.stride == 1) {
    // Channels 0, 2, 4, ... and then 1, 3, 5, ...
    const NodeId dealt = builder.channel_shuffle(x, over(builder.channels(x), 2), "deal");
    sides = halves(builder, dealt);
  } else {
    sides[0] = projection(builder, x, builder.channels(x), kernel, options.stride);
  }
  const Dim channels = out_channels - builder.channels(sides[0]);
  sides[1] = options.xception
                 ? xception_branch(builder, sides[1], mid_channels, channels, options.stride)
                 : main_branch(builder, sides[1], mid_channels, channels, kernel, options.stride);
  return builder.concat(sides);
}

}  // namespace espalier
