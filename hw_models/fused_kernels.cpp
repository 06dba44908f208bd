#include "hw_models/fused_kernels.hpp"

#include <algorithm>
#include <string_view>
#include <type_traits>

#include "core/error.hpp"

namespace espalier {

namespace {

enum class Role {
  source,  // the network's input
  view,    // passes its input's tensor on
  kernel,
};

Role role_of(const Op& any) {
  return std::visit(
      [](const auto& o) -> Role {
        using T = std::remove_cvref_t<decltype(o)>;
        if constexpr (std::is_same_v<T, op::Input>) {
          return Role::source;
        } else if constexpr (std::is_same_v<T, op::Flatten> || std::is_same_v<T, op::Dropout> ||
                             std::is_same_v<T, op::Output>) {
          return Role::view;
        } else if constexpr (std::is_same_v<T, op::Choice>) {
          throw InvalidArchitecture(
              "a choice is not an operator that a device runs; build a "
              "network from an architecture");
        } else {
          static_assert(std::is_same_v<T, op::Conv2d> || std::is_same_v<T, op::BatchNorm2d> ||
                        std::is_same_v<T, op::Linear> || std::is_same_v<T, op::Activation> ||
                        std::is_same_v<T, op::Pool2d> || std::is_same_v<T, op::GlobalAvgPool> ||
                        std::is_same_v<T, op::Add> || std::is_same_v<T, op::Multiply> ||
                        std::is_same_v<T, op::Concat> || std::is_same_v<T, op::Zero> ||
                        std::is_same_v<T, op::Slice> || std::is_same_v<T, op::ChannelShuffle> ||
                        std::is_same_v<T, op::LayerNorm> || std::is_same_v<T, op::Scale> ||
                        std::is_same_v<T, op::Tokens> || std::is_same_v<T, op::ClassToken> ||
                        std::is_same_v<T, op::PositionEmbedding> ||
                        std::is_same_v<T, op::Attention> || std::is_same_v<T, op::DeformConv2d>);
          return Role::kernel;
        }
      },
      any);
}

template <class... T>
bool is_one_of(const Op& any) {
  return (std::holds_alternative<T>(any) || ...);
}

bool folds_into(const Op& any, const Kernel& kernel, const Op& main) {
  if (kernel.activation) return false;
  if (is_one_of<op::BatchNorm2d>(any)) return is_one_of<op::Conv2d>(main) && !kernel.batch_norm;
  return is_one_of<op::Activation>(any) &&
         is_one_of<op::Conv2d, op::Linear, op::BatchNorm2d, op::Add, op::Multiply>(main);
}

}  // namespace

std::vector<Kernel> fuse_kernels(const Graph& graph, const std::vector<bool>& skip) {
  constexpr std::size_t none = static_cast<std::size_t>(-1);
  std::vector<Kernel> kernels;
  std::vector<std::size_t> written_by(graph.size(), none);  // the kernel whose output a node is
  std::vector<NodeId> tensor(graph.size());
  std::vector<std::uint32_t> readers(graph.size(), 0);
  for (NodeId i = 0; i < graph.size(); ++i) {
    for (NodeId input : graph.inputs(i)) ++readers[input];
  }
  for (NodeId i = 0; i < graph.size(); ++i) {
    const Op& any = graph.node(i).op;
    const auto inputs = graph.inputs(i);
    const Role role = role_of(any);
    tensor[i] = role == Role::view ? tensor[inputs[0]] : i;
    if (role != Role::kernel || (!skip.empty() && skip[i])) continue;
    const std::size_t before = written_by[inputs[0]];
    if (before != none && readers[inputs[0]] == 1 &&
        folds_into(any, kernels[before], graph.node(kernels[before].main).op)) {
      Kernel& kernel = kernels[before];
      kernel.nodes.push_back(i);
      kernel.output = i;
      if (const auto* activation = std::get_if<op::Activation>(&any)) {
        kernel.activation = activation->kind;
      } else {
        kernel.batch_norm = true;
      }
      written_by[inputs[0]] = none;
      written_by[i] = before;
      continue;
    }
    Kernel kernel{.main = i, .output = i, .nodes = {i}, .inputs = {}};
    for (NodeId input : inputs) {
      if (std::ranges::find(kernel.inputs, tensor[input]) == kernel.inputs.end()) {
        kernel.inputs.push_back(tensor[input]);
      }
    }
    written_by[i] = kernels.size();
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

std::string_view kernel_kind(const Graph& graph, NodeId main) {
  const Op& any = graph.node(main).op;
  if (const auto* conv = std::get_if<op::Conv2d>(&any)) {
    const std::int64_t width = conv->group_width.value();
    const std::int64_t channels = graph.node(graph.inputs(main)[0]).shape[0].value();
    if (width != 0 && width != channels) {
      return width == 1 ? "depthwise_conv2d" : "grouped_conv2d";
    }
  }
  return op_name(any);
}

}  // namespace espalier
