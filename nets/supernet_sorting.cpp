// Supernet::sort_channels.
#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "nets/supernet.hpp"
#include "search_spaces/width_groups.hpp"

namespace espalier {

namespace {

/// Which segments of a supergraph's layouts hold the same channels, and which must stay.
struct SegmentGroups {
  WidthGroups groups = {};
  std::vector<std::vector<std::size_t>> of;  // by node and segment
};

SegmentGroups tie_segments(const Supergraph& supergraph) {
  const Graph& graph = supergraph.graph();
  SegmentGroups result{.of = std::vector<std::vector<std::size_t>>(graph.size())};
  WidthGroups& groups = result.groups;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const auto inputs = graph.inputs(id);
    std::vector<std::size_t>& own = result.of[id];
    const auto fix = [&](NodeId node) {
      for (const std::size_t g : result.of[node]) groups.fix(g);
    };
    const auto make = [&] {
      for (std::size_t s = 0; s < supergraph.layout(id).segments.size(); ++s) {
        own.push_back(groups.add());
      }
    };
    const auto pass = [&] {
      own = result.of[inputs[0]];
      for (NodeId input : inputs) {
        for (std::size_t s = 0; s < own.size(); ++s) groups.tie(own[s], result.of[input][s]);
      }
    };
    std::visit(
        [&](const auto& o) {
          using T = std::remove_cvref_t<decltype(o)>;
          if constexpr (std::is_same_v<T, op::Input>) {
            make();
            fix(id);
          } else if constexpr (std::is_same_v<T, op::Conv2d>) {
            o.group_width == Dim(1) ? pass() : make();
          } else if constexpr (std::is_same_v<T, op::DeformConv2d>) {
            for (NodeId input : inputs.subspan(1)) fix(input);
            if (o.group_width == Dim(1)) {
              own = result.of[inputs[0]];
            } else {
              make();
            }
          } else if constexpr (std::is_same_v<T, op::Linear>) {
            make();
          } else if constexpr (std::is_same_v<T, op::Flatten> || std::is_same_v<T, op::Slice> ||
                               std::is_same_v<T, op::ChannelShuffle>) {
            // What they move or cut is closed.
            supergraph.layout(id).closed() ? make() : pass();
          } else if constexpr (std::is_same_v<T, op::Concat>) {
            bool closed = false;  // the last segment; neighbours of that kind are one in a layout
            for (NodeId input : inputs) {
              const std::vector<Segment>& segments = supergraph.layout(input).segments;
              for (std::size_t s = 0; s < segments.size(); ++s) {
                if (!closed || !segments[s].size.constant()) own.push_back(result.of[input][s]);
                closed = segments[s].size.constant();
              }
            }
          } else if constexpr (std::is_same_v<T, op::Choice>) {
            const auto as_first = [&](NodeId input) {
              return supergraph.layout(input) == supergraph.layout(inputs[0]);
            };
            if (std::ranges::all_of(inputs, as_first)) {
              pass();
            } else {
              for (NodeId input : inputs) fix(input);
              make();
              fix(id);
            }
          } else if constexpr (std::is_same_v<T, op::Attention> || std::is_same_v<T, op::Output>) {
            pass();
            fix(id);
          } else {
            static_assert(std::is_same_v<T, op::BatchNorm2d> || std::is_same_v<T, op::Activation> ||
                          std::is_same_v<T, op::Pool2d> || std::is_same_v<T, op::GlobalAvgPool> ||
                          std::is_same_v<T, op::Dropout> || std::is_same_v<T, op::Zero> ||
                          std::is_same_v<T, op::Add> || std::is_same_v<T, op::Multiply> ||
                          std::is_same_v<T, op::LayerNorm> || std::is_same_v<T, op::Scale> ||
                          std::is_same_v<T, op::Tokens> || std::is_same_v<T, op::ClassToken> ||
                          std::is_same_v<T, op::PositionEmbedding>);
            pass();
          }
        },
        graph.node(id).op);
  }
  return result;
}

/// The values of a Dim where each decision has one of its open choices.
class OpenValues {
 public:
  explicit OpenValues(const std::vector<std::vector<std::uint32_t>>& open) : open_(open) {}
  std::set<std::int64_t> of(Dim dim) const {
    std::set<std::int64_t> values;
    std::set<std::uint32_t> seen;
    collect(dim, values, seen);
    return values;
  }

 private:
  void collect(Dim dim, std::set<std::int64_t>& values, std::set<std::uint32_t>& seen) const {
    if (!seen.insert(dim.handle()).second) return;
    if (dim.constant()) {
      values.insert(dim.value());
      return;
    }
    for (const std::uint32_t choice : open_[dim.decision()]) {
      collect(dim.branches()[choice], values, seen);
    }
  }
  const std::vector<std::vector<std::uint32_t>>& open_;
};

bool reads_all_channels(const Op& op) {
  if (const auto* conv = std::get_if<op::Conv2d>(&op)) return conv->group_width == Dim(0);
  if (const auto* conv = std::get_if<op::DeformConv2d>(&op)) return conv->group_width == Dim(0);
  return std::holds_alternative<op::Linear>(op);
}

void permute(const at::Tensor& tensor, std::int64_t axis, const at::Tensor& order) {
  if (!tensor.defined() || !order.defined()) return;
  tensor.detach().copy_(tensor.detach().index_select(axis, order.to(tensor.device())));
}

}  // namespace

void Supernet::sort_channels(const std::vector<std::vector<std::uint32_t>>& open) {
  const at::NoGradGuard no_grad;
  const std::vector<Decision>& decisions = supergraph_->decisions();
  if (open.size() != decisions.size()) {
    throw InvalidArchitecture("got open choices of " + std::to_string(open.size()) +
                              " decisions, the supernet has " + std::to_string(decisions.size()));
  }
  for (std::size_t d = 0; d < open.size(); ++d) {
    const std::uint32_t count = choice_count(decisions[d]);
    if (open[d].empty() || std::ranges::max(open[d]) >= count) {
      throw InvalidArchitecture("decision '" + decisions[d].name +
                                "' needs one or more open choices below " + std::to_string(count));
    }
  }
  const Graph& graph = supergraph_->graph();
  const OpenValues values(open);
  const SegmentGroups segments = tie_segments(*supergraph_);

  std::map<std::size_t, at::Tensor> importance;  // by group
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (!reads_all_channels(graph.node(id).op)) continue;
    if (!values.of(supergraph_->node_active(id)).contains(1)) continue;  // has learned nothing
    const NodeId input = graph.inputs(id)[0];
    const Layout& layout = supergraph_->layout(input);
    const at::Tensor columns =
        node_tensors()[id].weight.to(at::kDouble).abs().transpose(0, 1).flatten(1).sum(1);
    std::int64_t offset = 0;
    for (std::size_t s = 0; s < layout.segments.size(); ++s) {
      const auto& [width, max] = layout.segments[s];
      if (!width.constant()) {
        at::Tensor& sum = importance[segments.groups.find(segments.of[input][s])];
        const at::Tensor read =
            columns.narrow(0, offset, max * layout.inner).view({max, layout.inner}).sum(1);
        sum = sum.defined() ? sum + read : read;
      }
      offset += max * layout.inner;
    }
  }

  std::map<std::size_t, at::Tensor> orders;  // by group
  const auto order_of = [&](NodeId id, std::size_t s) {
    const Segment& segment = supergraph_->layout(id).segments[s];
    const std::size_t group = segments.groups.find(segments.of[id][s]);
    const auto read = importance.find(group);
    // Also where the width is closed.
    if (segments.groups.fixed(group) || read == importance.end()) return at::arange(segment.max);
    at::Tensor& order = orders[group];
    if (order.defined()) return order;
    // What lies between two open widths stays there: the networks in between have learned with it.
    std::set<std::int64_t> ends = values.of(segment.size);
    ends.insert(segment.max);
    std::vector<at::Tensor> parts;
    std::int64_t begin = 0;
    for (const std::int64_t end : ends) {
      const at::Tensor part = read->second.narrow(0, begin, end - begin);
      parts.push_back(at::argsort(part.cpu(), /*stable=*/true, 0, /*descending=*/true) + begin);
      begin = end;
    }
    return order = at::cat(parts);
  };
  const auto positions_of = [&](NodeId id) {
    const Layout& layout = supergraph_->layout(id);
    if (layout.closed()) return at::Tensor();
    std::vector<at::Tensor> parts;
    std::int64_t offset = 0;
    for (std::size_t s = 0; s < layout.segments.size(); ++s) {
      parts.push_back(order_of(id, s) + offset);
      offset += layout.segments[s].max;
    }
    const at::Tensor channels = at::cat(parts).unsqueeze(1) * layout.inner;
    return (channels + at::arange(layout.inner)).flatten();
  };

  for (NodeId id = 0; id < graph.size(); ++id) {
    const OpTensors& t = node_tensors()[id];
    if (!t.weight.defined() && !t.running_mean.defined()) continue;
    const Op& op = graph.node(id).op;
    const at::Tensor rows = positions_of(id);
    permute(t.weight, std::holds_alternative<op::PositionEmbedding>(op) ? 1 : 0, rows);
    for (const at::Tensor& vector : {t.bias, t.running_mean, t.running_var}) {
      permute(vector, 0, rows);
    }
    if (reads_all_channels(op)) permute(t.weight, 1, positions_of(graph.inputs(id)[0]));
    const auto norms = shared_parts_.norms.find(id);
    if (norms == shared_parts_.norms.end()) continue;
    const std::set<std::int64_t> widths = values.of(supergraph_->layout(id).segments[0].size);
    for (const auto& [width, own] : norms->second) {
      if (!widths.contains(width)) continue;
      for (const at::Tensor& vector : {own.weight, own.bias, own.running_mean, own.running_var}) {
        permute(vector, 0, rows.narrow(0, 0, width));
      }
    }
  }
}

}  // namespace espalier
