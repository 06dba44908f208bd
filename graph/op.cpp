#include "graph/op.hpp"

#include <array>
#include <string>
#include <type_traits>
#include <vector>

#include "core/error.hpp"

namespace espalier {

namespace {
constexpr std::array<std::string_view, 8> activation_names{
    "relu", "relu6", "hard_swish", "hard_sigmoid", "sigmoid", "swish", "gelu", "tanh"};

template <class T>
constexpr std::string_view name_of() {
  if constexpr (std::is_same_v<T, op::Input>)
    return "input";
  else if constexpr (std::is_same_v<T, op::Conv2d>)
    return "conv2d";
  else if constexpr (std::is_same_v<T, op::BatchNorm2d>)
    return "batch_norm2d";
  else if constexpr (std::is_same_v<T, op::Linear>)
    return "linear";
  else if constexpr (std::is_same_v<T, op::Activation>)
    return "activation";
  else if constexpr (std::is_same_v<T, op::Pool2d>)
    return "pool2d";
  else if constexpr (std::is_same_v<T, op::GlobalAvgPool>)
    return "global_avg_pool";
  else if constexpr (std::is_same_v<T, op::Flatten>)
    return "flatten";
  else if constexpr (std::is_same_v<T, op::Add>)
    return "add";
  else if constexpr (std::is_same_v<T, op::Multiply>)
    return "multiply";
  else if constexpr (std::is_same_v<T, op::Concat>)
    return "concat";
  else if constexpr (std::is_same_v<T, op::Dropout>)
    return "dropout";
  else if constexpr (std::is_same_v<T, op::Zero>)
    return "zero";
  else if constexpr (std::is_same_v<T, op::Slice>)
    return "slice";
  else if constexpr (std::is_same_v<T, op::ChannelShuffle>)
    return "channel_shuffle";
  else if constexpr (std::is_same_v<T, op::LayerNorm>)
    return "layer_norm";
  else if constexpr (std::is_same_v<T, op::Scale>)
    return "scale";
  else if constexpr (std::is_same_v<T, op::Tokens>)
    return "tokens";
  else if constexpr (std::is_same_v<T, op::ClassToken>)
    return "class_token";
  else if constexpr (std::is_same_v<T, op::PositionEmbedding>)
    return "position_embedding";
  else if constexpr (std::is_same_v<T, op::Attention>)
    return "attention";
  else if constexpr (std::is_same_v<T, op::DeformConv2d>)
    return "deform_conv2d";
  else if constexpr (std::is_same_v<T, op::Choice>)
    return "choice";
  else {
    static_assert(std::is_same_v<T, op::Output>);
    return "output";
  }
}
}  // namespace

std::string_view op_name(const Op& op) {
  return std::visit([](const auto& o) { return name_of<std::remove_cvref_t<decltype(o)>>(); }, op);
}

std::string_view activation_name(ActivationKind kind) {
  return activation_names[static_cast<std::size_t>(kind)];
}

ActivationKind activation_from_name(std::string_view name) {
  for (std::size_t i = 0; i < activation_names.size(); ++i) {
    if (activation_names[i] == name) return static_cast<ActivationKind>(i);
  }
  const std::vector<std::string> known(activation_names.begin(), activation_names.end());
  throw ConfigError("", "unknown activation '" + std::string(name) + "'" + suggestion(name, known));
}

std::string_view pool_name(PoolKind kind) { return kind == PoolKind::max ? "max" : "average"; }

bool is_commutative(const Op& op) {
  return std::holds_alternative<op::Add>(op) || std::holds_alternative<op::Multiply>(op);
}

}  // namespace espalier
