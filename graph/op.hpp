#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>
#include <variant>

#include "graph/dim.hpp"

namespace espalier {

/// A pair of spatial attributes.
struct Extent {
  Dim h, w;
  constexpr Extent() = default;
  constexpr Extent(Dim both) : h(both), w(both) {}           // NOLINT(google-explicit-constructor)
  constexpr Extent(std::int64_t both) : h(both), w(both) {}  // NOLINT
  constexpr Extent(int both) : h(both), w(both) {}           // NOLINT
  constexpr Extent(Dim height, Dim width) : h(height), w(width) {}
  friend constexpr bool operator==(Extent, Extent) = default;
};

enum class ActivationKind : std::uint8_t {
  relu,
  relu6,
  hard_swish,
  hard_sigmoid,
  sigmoid,
  swish,
  gelu,
  tanh
};
enum class PoolKind : std::uint8_t { max, average };

/// The primitive operators: a closed set of plain structs. Shapes are per sample.
/// What can be written with other operators is a block (graph/blocks.hpp), not an operator.
namespace op {

/// The network's input, {channels, height, width}.
struct Input {
  Dim channels, height, width;
  friend constexpr bool operator==(const Input&, const Input&) = default;
};

/// {C,H,W} -> {out_channels, H', W'} with H' = floor((H + 2 padding - dilation (kernel - 1) - 1) /
/// stride) + 1. Groups = C / group_width; group_width 0 is a dense convolution, 1 a depthwise one,
/// whose channels follow the input: its out_channels is 0. Of an open group_width no option is 1.
struct Conv2d {
  Dim out_channels = 0;
  Extent kernel = 1;
  Extent stride = 1;
  Extent padding = 0;
  Extent dilation = 1;
  Dim group_width = 0;
  bool bias = false;
  friend constexpr bool operator==(const Conv2d&, const Conv2d&) = default;
};

/// Batch normalization over the channels of {C,H,W}.
struct BatchNorm2d {
  float eps = 1e-5f;
  float momentum = 0.1f;  ///< weight of the newest batch in the running statistics
  bool affine = true;
  friend constexpr bool operator==(const BatchNorm2d&, const BatchNorm2d&) = default;
};

/// Acts on the last axis: {F} -> {out_features}, {T,F} -> {T,out_features}.
struct Linear {
  Dim out_features;
  bool bias = true;
  friend constexpr bool operator==(const Linear&, const Linear&) = default;
};

struct Activation {
  ActivationKind kind = ActivationKind::relu;
  friend constexpr bool operator==(const Activation&, const Activation&) = default;
};

/// Windowed pooling; average pooling leaves padding out of the mean unless count_include_pad.
struct Pool2d {
  PoolKind kind = PoolKind::max;
  Extent kernel = 1;
  Extent stride = 1;
  Extent padding = 0;
  bool ceil_mode = false;
  bool count_include_pad = false;
  friend constexpr bool operator==(const Pool2d&, const Pool2d&) = default;
};

/// Mean over H and W: {C,H,W} -> {C,1,1}.
struct GlobalAvgPool {
  friend constexpr bool operator==(const GlobalAvgPool&, const GlobalAvgPool&) = default;
};

/// {C,H,W} -> {C*H*W}, channel-major; {T,C} -> {T*C}, token-major.
struct Flatten {
  friend constexpr bool operator==(const Flatten&, const Flatten&) = default;
};

/// Sum of one or more inputs of equal shape.
struct Add {
  friend constexpr bool operator==(const Add&, const Add&) = default;
};

/// Product of two inputs: equal shapes, or {C,H,W} by {C,1,1}.
struct Multiply {
  friend constexpr bool operator==(const Multiply&, const Multiply&) = default;
};

/// Joins {C_i,H,W} along the channels.
struct Concat {
  friend constexpr bool operator==(const Concat&, const Concat&) = default;
};

/// Active in training only.
struct Dropout {
  float probability = 0.5f;  ///< of dropping a value, [0, 1)
  friend constexpr bool operator==(const Dropout&, const Dropout&) = default;
};

/// Zeros of the input's shape, spatially strided. It reads its input, so that an edge closed by it
/// stays active.
struct Zero {
  Dim stride = 1;
  friend constexpr bool operator==(const Zero&, const Zero&) = default;
};

/// A run of one axis, [begin, end): of {C,H,W} axis 0 is the channels, 1 the height, 2 the width;
/// of {T,C} axis 0 is the tokens, 1 the channels; of {F} axis 0 is the features. End 0 stands for
/// the end of the axis.
struct Slice {
  Dim axis = 0;
  Dim begin = 0;
  Dim end = 0;
  friend constexpr bool operator==(const Slice&, const Slice&) = default;
};

/// {C,H,W} with the channels of `groups` equal runs in turn: channel g C / groups + i goes to
/// i groups + g.
struct ChannelShuffle {
  Dim groups = 2;
  friend constexpr bool operator==(const ChannelShuffle&, const ChannelShuffle&) = default;
};

/// Normalization over the channels alone: of each pixel of {C,H,W}, each token of {T,C}, of {C}.
struct LayerNorm {
  float eps = 1e-5f;
  bool affine = true;
  friend constexpr bool operator==(const LayerNorm&, const LayerNorm&) = default;
};

/// Product with a learned factor per channel, of {C,H,W}, {T,C} or {C}.
struct Scale {
  float initial = 1;  ///< of every factor
  friend constexpr bool operator==(const Scale&, const Scale&) = default;
};

/// {C,H,W} -> {H*W,C}, row by row.
struct Tokens {
  friend constexpr bool operator==(const Tokens&, const Tokens&) = default;
};

/// {T,C} -> {T+1,C}: a learned token in front of the others.
struct ClassToken {
  friend constexpr bool operator==(const ClassToken&, const ClassToken&) = default;
};

/// {T,C} plus a learned {T,C}.
struct PositionEmbedding {
  friend constexpr bool operator==(const PositionEmbedding&, const PositionEmbedding&) = default;
};

/// Scaled dot-product attention. Inputs are queries, keys and values, each {T,C}; head h has the
/// channels from h head_width on, and gives softmax(q k^T / sqrt(head_width)) v.
struct Attention {
  Dim head_width = 64;
  friend constexpr bool operator==(const Attention&, const Attention&) = default;
};

/// A convolution that reads each place of its window at an offset, by bilinear interpolation (zero
/// outside). Inputs: x {C,H,W}; offsets {2 D kh kw,H',W'}, for each of D runs of channels and each
/// place of the window, row by row, the rows and then the columns to go; and optionally factors
/// {D kh kw,H',W'} for what is read. The attributes are those of Conv2d.
struct DeformConv2d {
  Dim out_channels = 0;
  Extent kernel = 3;
  Extent stride = 1;
  Extent padding = 1;
  Extent dilation = 1;
  Dim group_width = 0;
  bool bias = false;
  friend constexpr bool operator==(const DeformConv2d&, const DeformConv2d&) = default;
};

/// A hole: the sum of the `pick` inputs that `decision` picks among its inputs (one per option).
/// Only supergraphs contain it. Pick-1 may join different widths.
struct Choice {
  DecisionId decision = 0;
  std::uint32_t pick = 1;
  friend constexpr bool operator==(const Choice&, const Choice&) = default;
};

/// The network's result. One per graph, its last node.
struct Output {
  friend constexpr bool operator==(const Output&, const Output&) = default;
};

}  // namespace op

using Op = std::variant<op::Input, op::Conv2d, op::BatchNorm2d, op::Linear, op::Activation,
                        op::Pool2d, op::GlobalAvgPool, op::Flatten, op::Add, op::Multiply,
                        op::Concat, op::Dropout, op::Zero, op::Slice, op::ChannelShuffle,
                        op::LayerNorm, op::Scale, op::Tokens, op::ClassToken, op::PositionEmbedding,
                        op::Attention, op::DeformConv2d, op::Choice, op::Output>;

/// Lower snake case name of an operator: "conv2d".
std::string_view op_name(const Op& op);
std::string_view activation_name(ActivationKind kind);
/// Throws ConfigError (pointer "") naming the nearest activation.
ActivationKind activation_from_name(std::string_view name);
/// "max" or "average".
std::string_view pool_name(PoolKind kind);

/// True where the order of the inputs does not matter (Add, Multiply).
bool is_commutative(const Op& op);

/// Calls f(name, member&) for each attribute of the operator, in declaration order. Members are of
/// type Dim, Extent, float, bool, ActivationKind or PoolKind, and std::uint32_t in a Choice. This
/// is the one list of attributes: JSON, drawings and fingerprints read it.
template <class AnyOp, class F>
void for_each_attribute(AnyOp& any, F&& f) {
  std::visit(
      [&](auto& o) {
        using T = std::remove_cvref_t<decltype(o)>;
        if constexpr (std::is_same_v<T, op::Input>) {
          f("channels", o.channels), f("height", o.height), f("width", o.width);
        } else if constexpr (std::is_same_v<T, op::Conv2d> || std::is_same_v<T, op::DeformConv2d>) {
          f("out_channels", o.out_channels), f("kernel", o.kernel), f("stride", o.stride);
          f("padding", o.padding), f("dilation", o.dilation), f("group_width", o.group_width);
          f("bias", o.bias);
        } else if constexpr (std::is_same_v<T, op::LayerNorm>) {
          f("eps", o.eps), f("affine", o.affine);
        } else if constexpr (std::is_same_v<T, op::Scale>) {
          f("initial", o.initial);
        } else if constexpr (std::is_same_v<T, op::Slice>) {
          f("axis", o.axis), f("begin", o.begin), f("end", o.end);
        } else if constexpr (std::is_same_v<T, op::ChannelShuffle>) {
          f("groups", o.groups);
        } else if constexpr (std::is_same_v<T, op::Attention>) {
          f("head_width", o.head_width);
        } else if constexpr (std::is_same_v<T, op::BatchNorm2d>) {
          f("eps", o.eps), f("momentum", o.momentum), f("affine", o.affine);
        } else if constexpr (std::is_same_v<T, op::Linear>) {
          f("out_features", o.out_features), f("bias", o.bias);
        } else if constexpr (std::is_same_v<T, op::Activation>) {
          f("kind", o.kind);
        } else if constexpr (std::is_same_v<T, op::Pool2d>) {
          f("kind", o.kind), f("kernel", o.kernel), f("stride", o.stride);
          f("padding", o.padding), f("ceil_mode", o.ceil_mode);
          f("count_include_pad", o.count_include_pad);
        } else if constexpr (std::is_same_v<T, op::Dropout>) {
          f("probability", o.probability);
        } else if constexpr (std::is_same_v<T, op::Zero>) {
          f("stride", o.stride);
        } else if constexpr (std::is_same_v<T, op::Choice>) {
          f("decision", o.decision), f("pick", o.pick);
        } else {
          static_assert(std::is_same_v<T, op::GlobalAvgPool> || std::is_same_v<T, op::Flatten> ||
                        std::is_same_v<T, op::Add> || std::is_same_v<T, op::Multiply> ||
                        std::is_same_v<T, op::Concat> || std::is_same_v<T, op::Tokens> ||
                        std::is_same_v<T, op::ClassToken> ||
                        std::is_same_v<T, op::PositionEmbedding> || std::is_same_v<T, op::Output>);
        }
      },
      any);
}

/// Calls f(name, Dim&) for each Dim of the operator, in declaration order; the two of an Extent are
/// named "kernel_h" and "kernel_w".
template <class AnyOp, class F>
void for_each_dim(AnyOp& any, F&& f) {
  for_each_attribute(any, [&](std::string_view name, auto& member) {
    using T = std::remove_cvref_t<decltype(member)>;
    if constexpr (std::is_same_v<T, Dim>) {
      f(name, member);
    } else if constexpr (std::is_same_v<T, Extent>) {
      const bool kernel = name == "kernel", stride = name == "stride", padding = name == "padding";
      f(kernel ? "kernel_h" : stride ? "stride_h" : padding ? "padding_h" : "dilation_h", member.h);
      f(kernel ? "kernel_w" : stride ? "stride_w" : padding ? "padding_w" : "dilation_w", member.w);
    }
  });
}

}  // namespace espalier
