#include "search_spaces/layout.hpp"

#include <algorithm>
#include <set>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/error.hpp"

namespace espalier {

bool Layout::closed() const {
  return std::all_of(segments.begin(), segments.end(),
                     [](const Segment& s) { return s.size.constant(); });
}

std::int64_t Layout::width() const {
  std::int64_t total = 0;
  for (const Segment& s : segments) total += s.max;
  return total * inner;
}

std::vector<std::int64_t> Layout::indices(std::span<const std::uint32_t> choices) const {
  std::vector<std::int64_t> result;
  std::int64_t offset = 0;
  for (const Segment& s : segments) {
    const std::int64_t used = s.size.at(choices) * inner;
    for (std::int64_t i = 0; i < used; ++i) result.push_back(offset + i);
    offset += s.max * inner;
  }
  return result;
}

namespace {

void append(Layout& layout, const Segment& segment) {
  if (segment.size.constant() && !layout.segments.empty() &&
      layout.segments.back().size.constant()) {
    Segment& last = layout.segments.back();
    last.size = last.size + segment.size;
    last.max += segment.max;
  } else {
    layout.segments.push_back(segment);
  }
}

Layout single(Dim size) { return {{Segment{size, size.max()}}, 1}; }

[[noreturn]] void layout_error(const Graph& graph, NodeId id, const std::string& what) {
  throw ShapeError(std::string(op_name(graph.node(id).op)) + " '" + graph.name(id) + "': " + what);
}

/// An architecture that uses other channels of one tensor than of the other, as the end of a
/// message: "; for example with width=4". Empty where none is found.
std::string example(const Layout& a, const Layout& b, std::span<const Decision> decisions) {
  std::set<DecisionId> read;
  for (const Layout* layout : {&a, &b}) {
    for (const Segment& s : layout->segments) {
      for (DecisionId d : s.size.support()) read.insert(d);
    }
  }
  std::vector<std::uint32_t> choices(decisions.size(), 0);
  for (int tried = 0; tried < 10'000; ++tried) {
    if (a.indices(choices) != b.indices(choices)) {
      std::vector<std::string> labels;
      for (DecisionId d : read) {
        labels.push_back(decisions[d].name + "=" + choice_label(decisions[d], choices[d]));
      }
      return fmt::format("; for example with {}", fmt::join(labels, ", "));
    }
    auto d = read.begin();
    while (d != read.end() && ++choices[*d] == choice_count(decisions[*d])) choices[*d++] = 0;
    if (d == read.end()) break;
  }
  return "";
}

}  // namespace

std::vector<Layout> channel_layouts(const Graph& graph, std::span<const Decision> decisions) {
  std::vector<Layout> layouts(graph.size());
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    const auto inputs = graph.inputs(id);
    const auto in = [&](std::size_t slot) -> const Layout& { return layouts[inputs[slot]]; };
    const auto equal_inputs = [&] {
      return std::all_of(inputs.begin(), inputs.end(),
                         [&](NodeId i) { return layouts[i] == in(0); });
    };
    const auto need_closed = [&](std::size_t slot) {
      if (!in(slot).closed()) {
        layout_error(graph, id,
                     "its input has the open shape " +
                         graph.node(inputs[slot]).shape.to_string(graph.decision_names()) +
                         "; close the width of what it moves or cuts");
      }
    };
    const auto require_equal = [&] {
      for (std::size_t slot = 1; slot < inputs.size(); ++slot) {
        if (in(slot) == in(0)) continue;
        layout_error(graph, id,
                     "its inputs have equal widths, but their channels lie differently: after a "
                     "concat of open widths, use one convolution to mix the channels first" +
                         example(in(0), in(slot), decisions));
      }
      return in(0);
    };
    layouts[id] = std::visit(
        [&](const auto& o) -> Layout {
          using T = std::remove_cvref_t<decltype(o)>;
          if constexpr (std::is_same_v<T, op::Input>) {
            return single(o.channels);
          } else if constexpr (std::is_same_v<T, op::Slice>) {
            if (o.axis != Dim(node.shape.rank == 2 ? 1 : 0)) return in(0);
            return need_closed(0), single(node.shape[0]);
          } else if constexpr (std::is_same_v<T, op::ChannelShuffle>) {
            return need_closed(0), in(0);
          } else if constexpr (std::is_same_v<T, op::Attention>) {
            return require_equal();
          } else if constexpr (std::is_same_v<T, op::Conv2d> ||
                               std::is_same_v<T, op::DeformConv2d>) {
            if constexpr (std::is_same_v<T, op::DeformConv2d>) {
              // Which channels have which offsets depends on the width, unless they share them.
              if (graph.node(inputs[1]).shape[0] != o.kernel.h * o.kernel.w * Dim(2))
                need_closed(0);
            }
            return o.group_width == Dim(1) ? in(0) : single(o.out_channels);
          } else if constexpr (std::is_same_v<T, op::Linear>) {
            return single(o.out_features);
          } else if constexpr (std::is_same_v<T, op::Flatten>) {
            const Shape& shape = graph.node(inputs[0]).shape;
            if (shape.rank == 2) {
              if (shape[0] == Dim(1)) return in(0);
              return need_closed(0), single(node.shape[0]);
            }
            if (!shape[1].constant() || !shape[2].constant()) {
              throw UnsupportedError("flatten '" + graph.name(id) +
                                     "': height and width are open; pool to a fixed size first");
            }
            if (in(0).closed()) return single(node.shape[0]);
            Layout layout = in(0);
            layout.inner = shape[1].value() * shape[2].value();
            return layout;
          } else if constexpr (std::is_same_v<T, op::Add> || std::is_same_v<T, op::Multiply>) {
            return require_equal();
          } else if constexpr (std::is_same_v<T, op::Concat>) {
            Layout layout;
            for (NodeId input : inputs) {
              for (const Segment& s : layouts[input].segments) append(layout, s);
            }
            return layout;
          } else if constexpr (std::is_same_v<T, op::Choice>) {
            if (o.pick > 1) return require_equal();
            if (equal_inputs()) return in(0);
            std::int64_t max = 0;
            for (NodeId input : inputs) {
              if (layouts[input].segments.size() != 1 || layouts[input].inner != 1) {
                layout_error(graph, id,
                             "joins tensors of different widths of which '" + graph.name(input) +
                                 "' is a concat of open widths or flattened; mix its channels "
                                 "with a convolution first");
              }
              max = std::max(max, layouts[input].segments[0].max);
            }
            return {{Segment{node.shape[0], max}}, 1};
          } else {
            static_assert(std::is_same_v<T, op::BatchNorm2d> || std::is_same_v<T, op::Activation> ||
                          std::is_same_v<T, op::Pool2d> || std::is_same_v<T, op::GlobalAvgPool> ||
                          std::is_same_v<T, op::Dropout> || std::is_same_v<T, op::Zero> ||
                          std::is_same_v<T, op::LayerNorm> || std::is_same_v<T, op::Scale> ||
                          std::is_same_v<T, op::Tokens> || std::is_same_v<T, op::ClassToken> ||
                          std::is_same_v<T, op::PositionEmbedding> ||
                          std::is_same_v<T, op::Output>);
            return in(0);
          }
        },
        node.op);
  }
  return layouts;
}

}  // namespace espalier
