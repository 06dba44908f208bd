#include "graph/passes.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <type_traits>
#include <utility>

namespace espalier {

namespace {

bool is_zero_at_zero(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::relu:
    case ActivationKind::relu6:
    case ActivationKind::hard_swish:
    case ActivationKind::swish:
    case ActivationKind::gelu:
    case ActivationKind::tanh:
      return true;
    case ActivationKind::sigmoid:
    case ActivationKind::hard_sigmoid:
      return false;
  }
  return false;
}

/// True where the operator gives zeros if `all`, or `any`, of its inputs are zeros.
bool gives_zeros(const Op& op, bool all, bool any) {
  return std::visit(
      [&](const auto& o) {
        using T = std::remove_cvref_t<decltype(o)>;
        if constexpr (std::is_same_v<T, op::Zero>) {
          return true;
        } else if constexpr (std::is_same_v<T, op::Multiply>) {
          return any;
        } else if constexpr (std::is_same_v<T, op::Conv2d> || std::is_same_v<T, op::Linear> ||
                             std::is_same_v<T, op::DeformConv2d>) {
          return all && !o.bias;
        } else if constexpr (std::is_same_v<T, op::Activation>) {
          return all && is_zero_at_zero(o.kind);
        } else if constexpr (std::is_same_v<T, op::Pool2d> || std::is_same_v<T, op::Flatten> ||
                             std::is_same_v<T, op::GlobalAvgPool> || std::is_same_v<T, op::Add> ||
                             std::is_same_v<T, op::Concat> || std::is_same_v<T, op::Dropout> ||
                             std::is_same_v<T, op::Slice> ||
                             std::is_same_v<T, op::ChannelShuffle> ||
                             std::is_same_v<T, op::Scale> || std::is_same_v<T, op::Tokens> ||
                             std::is_same_v<T, op::Attention>) {
          return all;
        } else if constexpr (std::is_same_v<T, op::LayerNorm>) {
          return all && !o.affine;
        } else {
          // A Choice is one of its inputs, but which one is open; the output stays an output.
          static_assert(std::is_same_v<T, op::Input> || std::is_same_v<T, op::BatchNorm2d> ||
                        std::is_same_v<T, op::ClassToken> ||
                        std::is_same_v<T, op::PositionEmbedding> || std::is_same_v<T, op::Choice> ||
                        std::is_same_v<T, op::Output>);
          return false;
        }
      },
      op);
}

/// What a pass changes.
struct Rewrite {
  std::vector<NodeId> reads;        // what is read instead of each node: itself where it stays
  std::vector<bool> dropped_terms;  // nodes that an Add leaves out; empty: none
  std::vector<bool> with_bias;      // convolutions that get a bias; empty: none
};

/// The rewritten graph, verified and without dead code.
Graph apply(const Graph& graph, const Rewrite& rewrite) {
  const auto for_each_input = [&](NodeId id, auto&& f) {
    const bool add = std::holds_alternative<op::Add>(graph.node(id).op);
    for (NodeId input : graph.inputs(id)) {
      if (add && !rewrite.dropped_terms.empty() && rewrite.dropped_terms[input]) continue;
      f(rewrite.reads[input]);
    }
  };
  std::vector<bool> alive(graph.size());
  alive[graph.output()] = true;
  std::size_t nodes = 0, inputs = 0;
  for (NodeId i = static_cast<NodeId>(graph.size()); i-- > 0;) {
    if (std::holds_alternative<op::Input>(graph.node(i).op)) alive[i] = true;
    if (!alive[i]) continue;
    for_each_input(i, [&](NodeId input) { alive[input] = true; });
    ++nodes, inputs += graph.node(i).input_count;
  }
  Graph result = Graph::like(graph);
  result.reserve(nodes, inputs);
  std::vector<NodeId> id_of(graph.size());
  std::vector<NodeId> new_inputs;
  for (NodeId i = 0; i < graph.size(); ++i) {
    if (!alive[i]) continue;
    const Node& node = graph.node(i);
    new_inputs.clear();
    for_each_input(i, [&](NodeId input) { new_inputs.push_back(id_of[input]); });
    Op op = node.op;
    if (!rewrite.with_bias.empty() && rewrite.with_bias[i]) std::get<op::Conv2d>(op).bias = true;
    id_of[i] =
        result.add_trusted(op, new_inputs, node.name, node.scope, node.compression, node.shape);
  }
  verify(result);
  return result;
}

std::vector<NodeId> identity(const Graph& graph) {
  std::vector<NodeId> ids(graph.size());
  std::iota(ids.begin(), ids.end(), NodeId{0});
  return ids;
}

/// How often each node is read.
std::vector<std::uint32_t> count_readers(const Graph& graph) {
  std::vector<std::uint32_t> readers(graph.size());
  for (NodeId i = 0; i < graph.size(); ++i) {
    for (NodeId input : graph.inputs(i)) ++readers[input];
  }
  return readers;
}

/// A branch of RepVGG's block.
struct Branch {
  NodeId batch_norm = 0;
  NodeId from = 0;             // what it reads
  std::optional<NodeId> conv;  // before the batch norm
  op::Conv2d op;               // of `conv`
};

/// The branch that ends in a node which only a sum reads. `reads` tells what earlier merges have
/// put in a node's place.
std::optional<Branch> branch_at(const Graph& graph, NodeId end,
                                std::span<const std::uint32_t> readers,
                                std::span<const NodeId> reads) {
  if (!std::holds_alternative<op::BatchNorm2d>(graph.node(end).op) || readers[end] != 1) return {};
  const NodeId input = graph.inputs(end)[0];
  Branch branch{.batch_norm = end, .from = reads[input], .conv = {}, .op = {}};
  const Node& node = graph.node(branch.from);
  if (const auto* conv = std::get_if<op::Conv2d>(&node.op);
      conv && readers[input] == 1 && !node.compression.quantization) {
    branch.conv = branch.from;
    branch.from = reads[graph.inputs(*branch.conv)[0]];
    branch.op = *conv;
  }
  return branch;
}

/// True where a branch can become part of the 3x3 convolution of another one.
bool fits(const Branch& branch, const Branch& host) {
  if (branch.from != host.from) return false;
  if (!branch.conv) return host.op.stride == Extent(1);
  op::Conv2d like = host.op;
  like.bias = branch.op.bias;
  if (branch.op.kernel == Extent(1)) like.kernel = 1, like.padding = 0;
  return branch.op == like && host.op.padding == Extent(1) && host.op.dilation == Extent(1);
}

}  // namespace

Graph dead_code_elimination(const Graph& graph) { return apply(graph, {identity(graph), {}, {}}); }

std::vector<bool> zero_nodes(const Graph& graph) {
  std::vector<bool> zero(graph.size());
  for (NodeId i = 0; i < graph.size(); ++i) {
    const auto inputs = graph.inputs(i);
    const auto is_zero = [&](NodeId input) { return zero[input]; };
    zero[i] = gives_zeros(graph.node(i).op,
                          !inputs.empty() && std::all_of(inputs.begin(), inputs.end(), is_zero),
                          std::any_of(inputs.begin(), inputs.end(), is_zero));
  }
  return zero;
}

Graph simplify(const Graph& graph) {
  Rewrite rewrite{identity(graph), zero_nodes(graph), {}};
  const std::vector<bool>& zero = rewrite.dropped_terms;
  std::vector<NodeId> first_zeros;  // the first zero node of each shape
  for (NodeId i = 0; i < graph.size(); ++i) {
    if (zero[i]) {
      const auto same = std::find_if(first_zeros.begin(), first_zeros.end(), [&](NodeId other) {
        return graph.node(other).shape == graph.node(i).shape;
      });
      if (same == first_zeros.end()) {
        first_zeros.push_back(i);
      } else {
        rewrite.reads[i] = *same;
      }
    } else if (std::holds_alternative<op::Add>(graph.node(i).op)) {
      const auto inputs = graph.inputs(i);
      const auto stays = [&](NodeId input) { return !zero[input]; };
      if (std::count_if(inputs.begin(), inputs.end(), stays) == 1) {
        rewrite.reads[i] = rewrite.reads[*std::find_if(inputs.begin(), inputs.end(), stays)];
      }
    }
  }
  return apply(graph, rewrite);
}

FoldedGraph fold_batch_norm(const Graph& original) {
  const Graph graph = dead_code_elimination(original);  // dead readers must not prevent a fold
  const std::vector<std::uint32_t> readers = count_readers(graph);
  Rewrite rewrite{identity(graph), {}, std::vector<bool>(graph.size())};
  std::vector<FoldedBatchNorm> folded;
  for (NodeId i = 0; i < graph.size(); ++i) {
    if (!std::holds_alternative<op::BatchNorm2d>(graph.node(i).op)) continue;
    const NodeId input = graph.inputs(i)[0];
    const NodeId conv = rewrite.reads[input];  // behind an earlier batch norm, when two follow
    if (!std::holds_alternative<op::Conv2d>(graph.node(conv).op) || readers[input] != 1) continue;
    rewrite.reads[i] = conv;
    rewrite.with_bias[conv] = true;
    folded.push_back({graph.name(conv), graph.name(i)});
  }
  return {apply(graph, rewrite), std::move(folded)};
}

MergedGraph merge_repvgg(const Graph& original) {
  const Graph graph = dead_code_elimination(original);  // dead readers must not prevent a merge
  const std::vector<std::uint32_t> readers = count_readers(graph);
  Rewrite rewrite{identity(graph), {}, std::vector<bool>(graph.size())};
  std::vector<MergedBranches> merged;
  for (NodeId i = 0; i < graph.size(); ++i) {
    if (!std::holds_alternative<op::Add>(graph.node(i).op)) continue;
    std::vector<Branch> branches;
    for (NodeId input : graph.inputs(i)) {
      const auto branch = branch_at(graph, input, readers, rewrite.reads);
      if (branch) branches.push_back(*branch);
    }
    const auto host = std::ranges::find_if(
        branches, [](const Branch& b) { return b.conv && b.op.kernel == Extent(3); });
    if (branches.size() != graph.node(i).input_count || host == branches.end() ||
        !std::ranges::all_of(branches, [&](const Branch& b) { return fits(b, *host); })) {
      continue;
    }
    rewrite.reads[i] = *host->conv;
    rewrite.with_bias[*host->conv] = true;
    MergedBranches& record = merged.emplace_back(graph.name(*host->conv));
    for (const Branch& branch : branches) {
      record.branches.push_back(
          {branch.conv ? graph.name(*branch.conv) : "", graph.name(branch.batch_norm)});
    }
  }
  return {apply(graph, rewrite), std::move(merged)};
}

std::span<const Pass> passes() {
  static constexpr Pass list[] = {
      {"dead_code_elimination", "leaves out what the output does not depend on",
       dead_code_elimination},
      {"simplify", "propagates zeros and leaves out what they make superfluous", simplify},
      {"merge_repvgg", "makes one 3x3 convolution of RepVGG's branches",
       [](const Graph& graph) { return merge_repvgg(graph).graph; }},
      {"fold_batch_norm", "makes one convolution of a convolution and its batch norm",
       [](const Graph& graph) { return fold_batch_norm(graph).graph; }},
  };
  return list;
}

}  // namespace espalier
