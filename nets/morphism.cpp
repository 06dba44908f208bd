#include "nets/morphism.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "search_spaces/width_groups.hpp"

namespace espalier {

namespace {

std::int64_t channels(const Shape& shape) {
  return shape[shape.rank == 3 ? 0 : shape.rank - 1].value();
}

/// Which channels of a tensor of the parent those of one of the child descend from.
struct Origin {
  std::int64_t channels = 0;       // of the parent's tensor
  std::vector<std::int64_t> of;    // by channel of the child; -1: of none
  std::vector<double> share = {};  // of the weights that read the parent's channel

  void add(std::int64_t from, double part) {
    of.push_back(from);
    share.push_back(part);
  }
};

/// The first channels, then new ones.
Origin first_channels(std::int64_t count, std::int64_t from) {
  Origin origin{.channels = from, .of = {}};
  for (std::int64_t i = 0; i < count; ++i) origin.add(i < from ? i : -1, 1);
  return origin;
}

/// The first channels, then copies of random ones, `unit` neighbours at a time.
Origin first_and_copies(std::int64_t count, std::int64_t from, std::int64_t unit, Rng rng) {
  const std::int64_t units = from / unit;
  std::vector<std::int64_t> of;
  std::vector<double> part, sum(static_cast<std::size_t>(units), 0);
  for (std::int64_t u = 0; u < count / unit; ++u) {
    of.push_back(
        u < units ? u : static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(units))));
    part.push_back(0.5 + rng.uniform());
    sum[static_cast<std::size_t>(of.back())] += part.back();
  }
  Origin origin{.channels = from, .of = {}};
  for (std::size_t u = 0; u < of.size(); ++u) {
    for (std::int64_t i = 0; i < unit; ++i) {
      origin.add(of[u] * unit + i, part[u] / sum[static_cast<std::size_t>(of[u])]);
    }
  }
  return origin;
}

/// Channels of a group; 0 where an operator mixes all of them, empty where it mixes none.
std::optional<std::int64_t> group_width(const Op& op) {
  if (const auto* conv = std::get_if<op::Conv2d>(&op)) return conv->group_width.value();
  if (const auto* conv = std::get_if<op::DeformConv2d>(&op)) return conv->group_width.value();
  if (std::holds_alternative<op::Linear>(op)) return 0;
  return std::nullopt;
}

bool dense(const Op& op) { return group_width(op) == 0; }
bool grouped(const Op& op) { return group_width(op).value_or(0) > 1; }

/// Whether an operator's channels are not its input's.
bool makes_channels(const Op& op) {
  return dense(op) || grouped(op) || std::holds_alternative<op::Input>(op);
}

bool same_kind(const Op& a, const Op& b) {
  return a.index() == b.index() && group_width(a) == group_width(b);
}

class Morphism {
 public:
  Morphism(const GraphModule& parent, GraphModule& child, const Rng& rng)
      : from_(parent), to_(child), old_(parent.graph()), new_(child.graph()), rng_(rng) {}

  void run() {
    const at::NoGradGuard no_grad;
    to_.reset_parameters(rng_);
    match();
    tie();
    roles_.assign(new_.size(), Role::inherit);
    for (NodeId id = 0; id < new_.size(); ++id) {
      if (!match_[id]) continue;
      // What it reads has to be what its counterpart reads.
      const auto inputs = new_.inputs(id), wanted = old_.inputs(*match_[id]);
      for (std::size_t slot = 0; slot < inputs.size(); ++slot) {
        Plan plan;
        if (!carries(inputs[slot], wanted[slot], plan)) continue;
        for (const auto& [node, role] : plan) roles_[node] = role;
      }
    }
    origins_.resize(new_.size());
    for (NodeId id = 0; id < new_.size(); ++id) {
      origins_[id] = origin(id);
      set_tensors(id);
    }
  }

 private:
  enum class Role { inherit, identity, zero };
  using Plan = std::vector<std::pair<NodeId, Role>>;

  void match() {
    std::unordered_map<std::string, NodeId> by_name;
    for (NodeId id = 0; id < old_.size(); ++id) by_name.emplace(old_.name(id), id);
    match_.resize(new_.size());
    for (NodeId id = 0; id < new_.size(); ++id) {
      const auto found = by_name.find(new_.name(id));
      if (found != by_name.end() && same_kind(new_.node(id).op, old_.node(found->second).op) &&
          new_.inputs(id).size() == old_.inputs(found->second).size()) {
        match_[id] = found->second;
      }
    }
  }

  // --- Channels that are copied alike

  /// Channels that one operator made.
  struct Run {
    std::size_t group;
    std::int64_t width;
  };

  void tie() {
    runs_.resize(new_.size());
    for (NodeId id = 0; id < new_.size(); ++id) {
      const Op& op = new_.node(id).op;
      const auto inputs = new_.inputs(id);
      const std::int64_t width = channels(new_.node(id).shape);
      std::vector<Run>& own = runs_[id];
      if (std::holds_alternative<op::Concat>(op)) {
        for (NodeId input : inputs) {
          own.insert(own.end(), runs_[input].begin(), runs_[input].end());
        }
      } else if (makes_channels(op) || width != channels(new_.node(inputs[0]).shape)) {
        own = {{groups_.add(), width}};
        maker_.push_back(id);
      } else {
        own = runs_[inputs[0]];
      }
      const bool sums = std::holds_alternative<op::Add>(op) ||
                        std::holds_alternative<op::Multiply>(op) ||
                        std::holds_alternative<op::Attention>(op);
      for (std::size_t slot = 1; sums && slot < inputs.size(); ++slot) {
        const std::vector<Run>& other = runs_[inputs[slot]];
        if (!std::ranges::equal(own, other, {}, &Run::width, &Run::width)) continue;
        for (std::size_t i = 0; i < own.size(); ++i) groups_.tie(own[i].group, other[i].group);
      }
    }
    for (NodeId id = 0; id < new_.size(); ++id) {
      const Op& op = new_.node(id).op;
      if (const auto* attention = std::get_if<op::Attention>(&op)) {
        for (const Run& run : runs_[id]) {
          unit_[groups_.find(run.group)] = attention->head_width.value();
        }
      }
      if (!makes_channels(op) || !match_[id]) continue;
      old_width_.try_emplace(groups_.find(runs_[id][0].group),
                             channels(old_.node(*match_[id]).shape));
    }
  }

  // --- New layers that leave the function as it is

  /// Whether a new operator can be 0.
  bool can_be_zero(NodeId id) const {
    if (match_[id]) return false;
    const Op& op = new_.node(id).op;
    const auto* norm = std::get_if<op::BatchNorm2d>(&op);
    return dense(op) || grouped(op) || std::holds_alternative<op::Scale>(op) ||
           (norm != nullptr && norm->affine);
  }

  /// Whether an operator's output can be its input.
  bool can_be_identity(NodeId id, NodeId wanted) const {
    const Node& node = new_.node(id);
    if (const auto* activation = std::get_if<op::Activation>(&node.op)) {
      return is_fixed(wanted, activation->kind);
    }
    if (std::holds_alternative<op::BatchNorm2d>(node.op) ||
        std::holds_alternative<op::Dropout>(node.op)) {
      return true;
    }
    if (node.shape != new_.node(new_.inputs(id)[0]).shape) return false;
    if (const auto* conv = std::get_if<op::Conv2d>(&node.op)) {
      return conv->stride == Extent(1) && conv->kernel.h.value() % 2 == 1 &&
             conv->kernel.w.value() % 2 == 1;
    }
    return std::holds_alternative<op::Linear>(node.op);
  }

  /// Whether an activation leaves what a node of the parent computes as it is.
  bool is_fixed(NodeId id, ActivationKind kind) const {
    const Op& op = old_.node(id).op;
    if (kind != ActivationKind::relu && kind != ActivationKind::relu6) return false;
    if (const auto* activation = std::get_if<op::Activation>(&op)) {
      return activation->kind == kind || activation->kind == ActivationKind::relu6 ||
             activation->kind == ActivationKind::sigmoid ||
             activation->kind == ActivationKind::hard_sigmoid;
    }
    const bool keeps_range =
        std::holds_alternative<op::Pool2d>(op) || std::holds_alternative<op::Dropout>(op);
    return keeps_range && is_fixed(old_.inputs(id)[0], kind);
  }

  /// Whether a node of the child computes what a node of the parent does, once `plan` is carried
  /// out.
  bool carries(NodeId id, NodeId wanted, Plan& plan) {
    if (match_[id]) return *match_[id] == wanted;
    if (std::holds_alternative<op::Zero>(old_.node(wanted).op) && can_be_zero(id)) {
      plan.emplace_back(id, Role::zero);
      return true;
    }
    if (refused_.contains({id, wanted})) return false;
    const auto inputs = new_.inputs(id);
    const std::size_t before = plan.size();
    if (std::holds_alternative<op::Add>(new_.node(id).op)) {
      for (std::size_t kept = 0; kept < inputs.size(); ++kept) {
        for (std::size_t slot = 0; slot < inputs.size(); ++slot) {
          if (slot != kept && can_be_zero(inputs[slot])) {
            plan.emplace_back(inputs[slot], Role::zero);
          }
        }
        if (plan.size() - before == inputs.size() - 1 && carries(inputs[kept], wanted, plan)) {
          return true;
        }
        plan.resize(before);
      }
    } else if (can_be_identity(id, wanted) && carries(inputs[0], wanted, plan)) {
      plan.emplace_back(id, Role::identity);
      return true;
    }
    plan.resize(before);
    refused_.emplace(id, wanted);
    return false;
  }

  // --- Where channels come from

  /// What a node of the child has of what a node of the parent computes.
  Origin read(NodeId id, NodeId counterpart) const {
    const std::int64_t from = channels(old_.node(counterpart).shape);
    if (origins_[id] && origins_[id]->channels == from) return *origins_[id];
    return first_channels(channels(new_.node(id).shape), from);
  }
  Origin read_input(NodeId id) const {
    return read(new_.inputs(id)[0], old_.inputs(*match_[id])[0]);
  }

  std::optional<Origin> made(NodeId id) const {
    const std::size_t group = groups_.find(runs_[id][0].group);
    const auto known = old_width_.find(group);
    const std::int64_t width = channels(new_.node(id).shape);
    if (!match_[id] && known == old_width_.end()) return std::nullopt;
    const std::int64_t from = match_[id] ? channels(old_.node(*match_[id]).shape) : known->second;
    if (grouped(new_.node(id).op)) return first_channels(width, from);
    std::int64_t unit = 1;
    if (const auto heads = unit_.find(group); heads != unit_.end()) {
      if (width % heads->second == 0 && from % heads->second == 0) unit = heads->second;
    }
    return first_and_copies(
        width, from, unit,
        rng_.fork("copies").fork(new_.name(maker_[group])).fork(static_cast<std::uint64_t>(from)));
  }

  std::optional<Origin> joined(NodeId id) const {
    if (!match_[id]) return std::nullopt;
    Origin all{.of = {}};
    const auto inputs = new_.inputs(id), old_inputs = old_.inputs(*match_[id]);
    for (std::size_t slot = 0; slot < inputs.size(); ++slot) {
      const Origin part = read(inputs[slot], old_inputs[slot]);
      for (std::size_t i = 0; i < part.of.size(); ++i) {
        all.add(part.of[i] < 0 ? -1 : all.channels + part.of[i], part.share[i]);
      }
      all.channels += part.channels;
    }
    return all;
  }

  std::optional<Origin> flattened(NodeId id) const {
    if (!match_[id]) return std::nullopt;
    const Shape& now = new_.node(new_.inputs(id)[0]).shape;
    const Shape& before = old_.node(old_.inputs(*match_[id])[0]).shape;
    const Origin input = read_input(id);
    Origin all{.of = {}};
    const auto add = [&](std::size_t channel, std::int64_t stride, std::int64_t offset) {
      const std::int64_t of = input.of[channel];
      all.add(of < 0 ? -1 : of * stride + offset, input.share[channel]);
    };
    if (now.rank == 3) {
      const std::int64_t places = now[1].value() * now[2].value();
      if (before[1] != now[1] || before[2] != now[2]) return std::nullopt;
      all.channels = input.channels * places;
      for (std::size_t c = 0; c < input.of.size(); ++c) {
        for (std::int64_t place = 0; place < places; ++place) add(c, places, place);
      }
    } else {
      if (before[0] != now[0]) return std::nullopt;
      all.channels = input.channels * now[0].value();
      for (std::int64_t token = 0; token < now[0].value(); ++token) {
        for (std::size_t c = 0; c < input.of.size(); ++c) add(c, 1, token * input.channels);
      }
    }
    return all;
  }

  std::optional<Origin> origin(NodeId id) const {
    const Op& op = new_.node(id).op;
    const auto inputs = new_.inputs(id);
    if (roles_[id] == Role::identity) return origins_[inputs[0]];
    if (makes_channels(op)) return made(id);
    if (std::holds_alternative<op::Concat>(op)) return joined(id);
    if (std::holds_alternative<op::Flatten>(op)) return flattened(id);
    if (std::holds_alternative<op::ChannelShuffle>(op) ||
        channels(new_.node(id).shape) != channels(new_.node(inputs[0]).shape)) {
      return std::nullopt;
    }
    for (NodeId input : inputs) {
      if (origins_[input]) return origins_[input];
    }
    return std::nullopt;
  }

  // --- Values

  void set_tensors(NodeId id) {
    const OpTensors& to = to_.node_tensors()[id];
    if (!to.weight.defined() && !to.running_mean.defined()) return;
    if (roles_[id] == Role::zero) {
      at::Tensor(to.weight).fill_(0);
      if (to.bias.defined()) at::Tensor(to.bias).fill_(0);
    } else if (roles_[id] == Role::identity) {
      make_identity(id);
    } else if (match_[id]) {
      inherit(id);
    }
  }

  void make_identity(NodeId id) {
    OpTensors t = to_.node_tensors()[id];
    if (const auto* norm = std::get_if<op::BatchNorm2d>(&new_.node(id).op)) {
      t.running_var.fill_(1 - static_cast<double>(norm->eps));  // the rest is 0 and 1 as it is
      return;
    }
    t.weight.fill_(0);
    if (t.bias.defined()) t.bias.fill_(0);
    for (std::int64_t c = 0; c < t.weight.size(0); ++c) {
      at::Tensor row = t.weight[c][c % t.weight.size(1)];
      if (row.dim() == 2) row = row[row.size(0) / 2][row.size(1) / 2];
      row.fill_(1);
    }
  }

  void inherit(NodeId id) {
    const OpTensors &to = to_.node_tensors()[id], &from = from_.node_tensors()[*match_[id]];
    const Op& op = new_.node(id).op;
    const Origin rows = makes_channels(op) ? *origins_[id] : read_input(id);
    std::optional<Origin> columns;
    if (dense(op)) columns = read_input(id);
    if (std::holds_alternative<op::PositionEmbedding>(op)) {
      if (to.weight.size(0) != from.weight.size(0)) return;  // of images of another size
      copy(from.weight.t(), to.weight.t(), rows, std::nullopt);
    } else {
      copy(from.weight, to.weight, rows, columns);
    }
    copy(from.bias, to.bias, rows, std::nullopt);
    copy(from.running_mean, to.running_mean, rows, std::nullopt);
    copy(from.running_var, to.running_var, rows, std::nullopt);
    for (at::Tensor OpTensors::*range : {&OpTensors::activation_min, &OpTensors::activation_max}) {
      if ((to.*range).defined() && (from.*range).defined())
        at::Tensor(to.*range).copy_(from.*range);
    }
  }

  /// Copies rows, and columns times their shares; kernels are cropped or padded around their
  /// centre.
  static void copy(const at::Tensor& from, at::Tensor to, const Origin& rows,
                   const std::optional<Origin>& columns) {
    if (!to.defined() || !from.defined()) return;
    at::Tensor values = from.to(to.options());
    if (to.dim() == 4) {
      std::array<std::int64_t, 4> pad{};
      for (const std::size_t axis : {0u, 1u}) {
        const std::int64_t room = to.size(3 - static_cast<std::int64_t>(axis)) -
                                  from.size(3 - static_cast<std::int64_t>(axis));
        pad[2 * axis] = room / 2;
        pad[2 * axis + 1] = room - room / 2;
      }
      values = at::constant_pad_nd(values, pad);
    }
    at::Tensor known = pick(values, rows, 0);
    if (columns) {
      known = at::logical_and(known, pick(values, *columns, 1));
      std::vector<std::int64_t> shape(static_cast<std::size_t>(to.dim()), 1);
      shape[1] = -1;
      values = values * at::tensor(columns->share, to.options()).view(shape);
    }
    to.copy_(at::where(known, values, to));
  }

  /// Replaces an axis by what it descends from; returns where that is something, to broadcast.
  static at::Tensor pick(at::Tensor& values, const Origin& origin, std::int64_t axis) {
    const at::Tensor of = at::tensor(origin.of).to(values.device());
    values = values.index_select(axis, of.clamp_min(0));
    std::vector<std::int64_t> shape(static_cast<std::size_t>(values.dim()), 1);
    shape[static_cast<std::size_t>(axis)] = -1;
    return of.ge(0).view(shape);
  }

  const GraphModule& from_;
  GraphModule& to_;
  const Graph &old_, &new_;
  const Rng& rng_;
  // Below, nodes are the child's unless a name says otherwise.
  std::vector<std::optional<NodeId>> match_;  // the parent's node
  WidthGroups groups_;
  std::vector<NodeId> maker_;                      // by group
  std::vector<std::vector<Run>> runs_;             // by node
  std::map<std::size_t, std::int64_t> old_width_;  // by group, where the parent has it
  std::map<std::size_t, std::int64_t> unit_;       // by group: channels that stay together
  std::vector<Role> roles_;                        // by node
  std::set<std::pair<NodeId, NodeId>> refused_;    // by carries()
  std::vector<std::optional<Origin>> origins_;     // by node
};

}  // namespace

void morph(const GraphModule& parent, GraphModule& child, const Rng& rng) {
  Morphism(parent, child, rng).run();
}

}  // namespace espalier
