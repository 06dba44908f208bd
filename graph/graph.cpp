#include "graph/graph.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"

namespace espalier {

std::int64_t Shape::elements() const {
  std::int64_t n = 1;
  for (Dim d : values()) n *= d.value();
  return n;
}

std::string Shape::to_string(std::span<const std::string> decision_names) const {
  std::string text = "{";
  for (std::uint32_t i = 0; i < rank; ++i) {
    if (i > 0) text += ", ";
    text += dims[i].to_string(decision_names);
  }
  return text + "}";
}

namespace {

std::string unique_name(const std::unordered_map<std::string, std::uint32_t>& taken,
                        std::string_view wanted) {
  std::string name(wanted);
  for (int i = 2; taken.contains(name); ++i) {
    name = std::string(wanted) + "_" + std::to_string(i);
  }
  return name;
}

[[noreturn]] void shape_error(const Op& op, std::string_view where, const std::string& what) {
  throw ShapeError(std::string(op_name(op)) + " '" + std::string(where) + "': " + what);
}

Dim window_output(Dim size, Dim kernel, Dim stride, Dim padding, Dim dilation, bool ceil_mode,
                  const auto& fail) {
  const auto extent = [ceil_mode](std::int64_t n, std::int64_t k, std::int64_t s, std::int64_t p,
                                  std::int64_t d) -> std::int64_t {
    const std::int64_t room = n + 2 * p - d * (k - 1) - 1;
    if (room < 0) return 0;
    if (!ceil_mode) return room / s + 1;
    std::int64_t out = (room + s - 1) / s + 1;
    if ((out - 1) * s >= n + p) --out;  // the last window must start inside the input
    return out;
  };
  const Dim all[] = {size, kernel, stride, padding, dilation};
  const bool closed =
      std::all_of(std::begin(all), std::end(all), [](Dim d) { return d.constant(); });
  const Dim out = closed ? Dim(extent(size.value(), kernel.value(), stride.value(), padding.value(),
                                      dilation.value()))
                         : map(extent, size, kernel, stride, padding, dilation);
  if (out.min() < 1) fail();
  return out;
}

void check_attributes(const Op& op, std::string_view where, std::span<const std::string> names) {
  for_each_dim(op, [&](std::string_view name, Dim d) {
    if (d.min() < 0 || d.max() > max_attribute) {
      shape_error(op, where,
                  std::string(name) + " must be 0 to " + std::to_string(max_attribute) + ", got " +
                      d.to_string(names));
    }
  });
}

/// `shape` is the output's.
void check_size(const Op& op, std::span<const Shape> inputs, const Shape& shape,
                std::string_view where, std::span<const std::string> names) {
  double values = 1;  // of the largest architecture, or more
  for (Dim d : shape.values()) values *= static_cast<double>(d.max());
  if (values > static_cast<double>(max_tensor_values)) {
    shape_error(op, where,
                "the output " + shape.to_string(names) + " has more than " +
                    std::to_string(max_tensor_values) + " values");
  }
  double weights_per_output = 0;  // of an attention: keys per query
  double outputs = 1;
  if (const auto* conv = std::get_if<op::Conv2d>(&op)) {
    const Dim fan_in = conv->group_width.min() == 0 ? inputs[0][0] : conv->group_width;
    weights_per_output = static_cast<double>(fan_in.max()) *
                         static_cast<double>(conv->kernel.h.max()) *
                         static_cast<double>(conv->kernel.w.max());
    outputs = static_cast<double>(shape[0].max());
  } else if (const auto* linear = std::get_if<op::Linear>(&op)) {
    weights_per_output = static_cast<double>(inputs[0][inputs[0].rank - 1].max());
    outputs = static_cast<double>(linear->out_features.max());
  } else if (const auto* deform = std::get_if<op::DeformConv2d>(&op)) {
    weights_per_output = static_cast<double>(inputs[0][0].max()) *
                         static_cast<double>(deform->kernel.h.max()) *
                         static_cast<double>(deform->kernel.w.max());
    outputs = static_cast<double>(shape[0].max());
  } else if (std::holds_alternative<op::Attention>(op)) {
    weights_per_output = 2 * static_cast<double>(shape[0].max());
  }
  if (weights_per_output * std::max(values, outputs) > static_cast<double>(max_operator_macs)) {
    shape_error(
        op, where,
        "it takes more than " + std::to_string(max_operator_macs) + " multiply-accumulates");
  }
}

void check_compression(const Op& op, const Compression& compression, std::string_view where) {
  if (!compression.quantization) return;
  if (!std::holds_alternative<op::Conv2d>(op) && !std::holds_alternative<op::Linear>(op)) {
    shape_error(op, where, "only conv2d and linear can be quantized");
  }
  const Quantization& q = *compression.quantization;
  const auto bad = [](std::int64_t b) -> std::int64_t { return b != 32 && (b < 2 || b > 8); };
  if (map(bad, q.weight_bits).max() != 0 || map(bad, q.activation_bits).max() != 0) {
    shape_error(op, where,
                "bits must be 2 to 8, or 32 for float, got weight_bits " +
                    q.weight_bits.to_string() + " and activation_bits " +
                    q.activation_bits.to_string());
  }
}

}  // namespace

Shape infer_shape(const Op& op, std::span<const Shape> inputs, std::string_view where,
                  std::span<const std::string> names) {
  const auto fail = [&](const std::string& what) { shape_error(op, where, what); };
  const auto text = [&](const Shape& s) { return s.to_string(names); };
  const auto need_count = [&](std::size_t n) {
    if (inputs.size() != n) {
      fail("takes " + std::to_string(n) + " inputs, got " + std::to_string(inputs.size()));
    }
  };
  const auto need_rank3 = [&](const Shape& s) {
    if (s.rank != 3) fail("needs an input of shape {C, H, W}, got " + text(s));
  };
  const auto need_rank2 = [&](const Shape& s) {
    if (s.rank != 2) fail("needs an input of shape {tokens, channels}, got " + text(s));
  };
  const auto need_positive = [&](std::string_view what, Dim d) {
    if (d.min() < 1) {
      fail(std::string(what) + " must be at least 1, got " + d.to_string(names));
    }
  };
  const auto window = [&](const Shape& x, Extent kernel, Extent stride, Extent padding,
                          Extent dilation, bool ceil_mode) {
    need_positive("kernel", kernel.h), need_positive("kernel", kernel.w);
    need_positive("stride", stride.h), need_positive("stride", stride.w);
    need_positive("dilation", dilation.h), need_positive("dilation", dilation.w);
    const auto too_small = [&] {
      fail("kernel " + kernel.h.to_string(names) + "x" + kernel.w.to_string(names) +
           " does not fit into the input " + text(x));
    };
    return Extent(
        window_output(x[1], kernel.h, stride.h, padding.h, dilation.h, ceil_mode, too_small),
        window_output(x[2], kernel.w, stride.w, padding.w, dilation.w, ceil_mode, too_small));
  };

  struct Visitor {
    const std::span<const Shape>& in;
    decltype(fail)& failed;
    decltype(text)& str;
    decltype(need_count)& count;
    decltype(need_rank3)& rank3;
    decltype(need_rank2)& rank2;
    decltype(need_positive)& positive;
    decltype(window)& windowed;
    const std::span<const std::string>& names_;

    Shape operator()(const op::Input& o) const {
      count(0);
      positive("channels", o.channels), positive("height", o.height), positive("width", o.width);
      return {o.channels, o.height, o.width};
    }
    Shape operator()(const op::Conv2d& o) const { return count(1), convolved(o); }
    Shape convolved(const op::Conv2d& o) const {
      rank3(in[0]);
      const Extent size = windowed(in[0], o.kernel, o.stride, o.padding, o.dilation, false);
      if (o.group_width == Dim(1)) {
        if (o.out_channels != Dim(0)) {
          failed(
              "a depthwise convolution has the channels of its input: set out_channels to 0, "
              "not " +
              o.out_channels.to_string());
        }
        return {in[0][0], size.h, size.w};
      }
      positive("out_channels", o.out_channels);
      const auto one = [](std::int64_t width) -> std::int64_t { return width == 1; };
      if (map(one, o.group_width).max() != 0) {
        failed("an open group_width cannot be 1, got " + o.group_width.to_string(names_) +
               "; make the depthwise convolution another input of a choice");
      }
      const auto rest = [](std::int64_t c, std::int64_t out, std::int64_t width) -> std::int64_t {
        return width > 0 && (c % width != 0 || out % (c / width) != 0);
      };
      if (map(rest, in[0][0], o.out_channels, o.group_width).max() != 0) {
        failed("groups of " + o.group_width.to_string(names_) + " channels fit neither the input " +
               str(in[0]) + " nor " + o.out_channels.to_string() + " output channels");
      }
      return {o.out_channels, size.h, size.w};
    }
    Shape operator()(const op::BatchNorm2d& o) const {
      count(1), rank3(in[0]);
      if (!(o.eps > 0) || !std::isfinite(o.eps)) {
        failed("eps must be positive, got " + std::to_string(o.eps));
      }
      if (!(o.momentum >= 0 && o.momentum <= 1)) {
        failed("momentum must be 0 to 1, got " + std::to_string(o.momentum));
      }
      return in[0];
    }
    Shape operator()(const op::Linear& o) const {
      count(1);
      if (in[0].rank != 1 && in[0].rank != 2) {
        failed("needs an input of shape {features} or {tokens, features}, got " + str(in[0]) +
               "; flatten it first");
      }
      positive("out_features", o.out_features);
      Shape s = in[0];
      s[s.rank - 1] = o.out_features;
      return s;
    }
    Shape operator()(const op::Activation&) const { return count(1), in[0]; }
    Shape operator()(const op::Pool2d& o) const {
      count(1), rank3(in[0]);
      const auto half = [](std::int64_t k, std::int64_t p) -> std::int64_t { return 2 * p > k; };
      if (map(half, o.kernel.h, o.padding.h).max() != 0 ||
          map(half, o.kernel.w, o.padding.w).max() != 0) {
        failed("padding must be at most half of the kernel");
      }
      const Extent size = windowed(in[0], o.kernel, o.stride, o.padding, 1, o.ceil_mode);
      return {in[0][0], size.h, size.w};
    }
    Shape operator()(const op::GlobalAvgPool&) const {
      count(1), rank3(in[0]);
      return {in[0][0], 1, 1};
    }
    Shape operator()(const op::Flatten&) const {
      count(1);
      if (in[0].rank == 2) return {in[0][0] * in[0][1]};
      rank3(in[0]);
      return {in[0][0] * in[0][1] * in[0][2]};
    }
    Shape operator()(const op::Add&) const { return same(); }
    Shape operator()(const op::Multiply&) const {
      count(2);
      const bool scale = in[0].rank == 3 && in[1].rank == 3 && in[0][0] == in[1][0] &&
                         in[1][1] == Dim(1) && in[1][2] == Dim(1);
      if (in[0] != in[1] && !scale) {
        failed("needs two equal shapes, or {C, H, W} and {C, 1, 1}, got " + str(in[0]) + " and " +
               str(in[1]));
      }
      return in[0];
    }
    Shape operator()(const op::Concat&) const {
      if (in.empty()) failed("needs at least one input");
      Shape s = in[0];
      for (std::size_t i = 0; i < in.size(); ++i) {
        rank3(in[i]);
        if (i == 0) continue;
        if (in[i][1] != s[1] || in[i][2] != s[2]) {
          failed("needs inputs of equal height and width, got " + str(in[0]) + " and " +
                 str(in[i]));
        }
        s[0] = s[0] + in[i][0];
      }
      return s;
    }
    Shape operator()(const op::Dropout& o) const {
      count(1);
      if (!(o.probability >= 0 && o.probability < 1)) {
        failed("probability must be in [0, 1), got " + std::to_string(o.probability));
      }
      return in[0];
    }
    Shape operator()(const op::Zero& o) const {
      count(1);
      positive("stride", o.stride);
      if (o.stride == Dim(1)) return in[0];
      rank3(in[0]);
      const auto strided = [](std::int64_t n, std::int64_t s) { return (n + s - 1) / s; };
      return {in[0][0], map(strided, in[0][1], o.stride), map(strided, in[0][2], o.stride)};
    }
    Shape operator()(const op::Slice& o) const {
      count(1);
      if (!o.axis.constant() || o.axis.max() >= in[0].rank) {
        failed("axis " + o.axis.to_string() + " of " + str(in[0]) +
               " cannot be cut; axes count from 0 without the batch");
      }
      Shape s = in[0];
      Dim& size = s[static_cast<std::size_t>(o.axis.value())];
      const Dim end = o.end == Dim(0) ? size : o.end;
      const auto outside = [](std::int64_t b, std::int64_t e, std::int64_t n) -> std::int64_t {
        return b >= e || e > n;
      };
      if (map(outside, o.begin, end, size).max() != 0) {
        failed("[" + o.begin.to_string() + ", " + end.to_string() + ") is not a part of axis " +
               o.axis.to_string() + " of " + str(in[0]));
      }
      size = end - o.begin;
      return s;
    }
    Shape operator()(const op::ChannelShuffle& o) const {
      count(1), rank3(in[0]);
      positive("groups", o.groups);
      divisible(in[0], in[0][0], o.groups, "groups");
      return in[0];
    }
    Shape operator()(const op::LayerNorm& o) const {
      count(1);
      if (!(o.eps > 0) || !std::isfinite(o.eps)) {
        failed("eps must be positive, got " + std::to_string(o.eps));
      }
      return in[0];
    }
    Shape operator()(const op::Scale& o) const {
      count(1);
      if (!std::isfinite(o.initial)) {
        failed("initial must be finite, got " + std::to_string(o.initial));
      }
      return in[0];
    }
    Shape operator()(const op::Tokens&) const {
      count(1), rank3(in[0]);
      return {in[0][1] * in[0][2], in[0][0]};
    }
    Shape operator()(const op::ClassToken&) const {
      count(1), rank2(in[0]);
      return {in[0][0] + Dim(1), in[0][1]};
    }
    Shape operator()(const op::PositionEmbedding&) const {
      count(1), rank2(in[0]);
      if (!in[0][0].constant()) failed("the number of tokens cannot be open, got " + str(in[0]));
      return in[0];
    }
    Shape operator()(const op::Attention& o) const {
      count(3), rank2(in[0]);
      positive("head_width", o.head_width);
      divisible(in[0], in[0][1], o.head_width, "heads of a width of");
      return same();
    }
    Shape operator()(const op::DeformConv2d& o) const {
      if (in.size() != 3) count(2);
      if (!o.group_width.constant()) failed("group_width cannot be open");
      const Shape s = convolved(
          {o.out_channels, o.kernel, o.stride, o.padding, o.dilation, o.group_width, o.bias});
      if (!o.kernel.h.constant() || !o.kernel.w.constant()) failed("kernel cannot be open");
      const std::int64_t places = o.kernel.h.value() * o.kernel.w.value();
      const Shape& offsets = in[1];
      const bool fits = offsets.rank == 3 && offsets[0].constant() &&
                        offsets[0].value() % (2 * places) == 0 && offsets[1] == s[1] &&
                        offsets[2] == s[2];
      if (!fits) {
        failed("needs offsets of shape {" + std::to_string(2 * places) + " D, " + s[1].to_string() +
               ", " + s[2].to_string() + "}, got " + str(offsets));
      }
      const Dim runs = offsets[0].value() / (2 * places);
      divisible(in[0], in[0][0], runs, "offset groups");
      if (in.size() == 3 && in[2] != Shape{runs * Dim(places), s[1], s[2]}) {
        failed("needs factors of shape " + str(Shape{runs * Dim(places), s[1], s[2]}) + ", got " +
               str(in[2]));
      }
      return s;
    }
    void divisible(const Shape& shape, Dim size, Dim divisor, std::string_view what) const {
      const auto rest = [](std::int64_t n, std::int64_t d) { return n % d; };
      if (map(rest, size, divisor).max() != 0) {
        failed("the channels of " + str(shape) + " cannot be divided into " + std::string(what) +
               " " + divisor.to_string());
      }
    }
    Shape operator()(const op::Choice& o) const {
      if (in.empty() || o.pick < 1 || o.pick > in.size()) {
        failed("picks " + std::to_string(o.pick) + " of " + std::to_string(in.size()) + " inputs");
      }
      if (o.pick > 1) return same();
      Shape s = in[0];
      std::vector<Dim> branches(in.size());
      for (std::size_t i = 0; i < in.size(); ++i) {
        if (in[i].rank != s.rank) {
          failed("needs inputs of equal rank, got " + str(in[0]) + " and " + str(in[i]));
        }
      }
      for (std::uint32_t axis = 0; axis < s.rank; ++axis) {
        for (std::size_t i = 0; i < in.size(); ++i) branches[i] = in[i][axis];
        s[axis] = Dim::select(o.decision, branches);
      }
      return s;
    }
    Shape operator()(const op::Output&) const { return count(1), in[0]; }

    Shape same() const {
      if (in.empty()) failed("needs at least one input");
      for (const Shape& s : in) {
        if (s != in[0]) {
          failed("needs inputs of equal shape, got " + str(in[0]) + " and " + str(s));
        }
      }
      return in[0];
    }
  };
  check_attributes(op, where, names);
  const Shape shape = std::visit(
      Visitor{inputs, fail, text, need_count, need_rank3, need_rank2, need_positive, window, names},
      op);
  check_size(op, inputs, shape, where, names);
  return shape;
}

Graph::Graph() : names_(std::make_shared<GraphNames>()) {}

Graph Graph::like(const Graph& other, std::span<const std::uint32_t> choices) {
  Graph g;
  g.names_ = other.names_;
  g.choices_ =
      choices.empty() ? other.choices_ : std::vector<std::uint32_t>(choices.begin(), choices.end());
  return g;
}

GraphNames& Graph::own_names() {
  if (names_.use_count() > 1) names_ = std::make_shared<GraphNames>(*names_);
  return *names_;
}

NodeId Graph::add(const Op& op, std::span<const NodeId> inputs, std::string_view name,
                  ScopeId scope, const Compression& compression) {
  std::vector<Shape> shapes;
  shapes.reserve(inputs.size());
  for (NodeId i : inputs) {
    if (i >= nodes_.size()) {
      shape_error(op, name,
                  "input " + std::to_string(i) + " does not exist: the graph has " +
                      std::to_string(nodes_.size()) + " nodes");
    }
    shapes.push_back(nodes_[i].shape);
  }
  if (scope >= names_->scopes.size()) {
    shape_error(op, name, "scope " + std::to_string(scope) + " does not exist");
  }
  check_compression(op, compression, name);
  const Shape shape = infer_shape(op, shapes, name, names_->decisions);
  GraphNames& names = own_names();
  std::string unique = unique_name(names.name_ids, name);
  const auto id = static_cast<NameId>(names.names.size());
  names.name_ids.emplace(unique, id);
  names.names.push_back(std::move(unique));
  return add_trusted(op, inputs, id, scope, compression, shape);
}

NodeId Graph::add_trusted(const Op& op, std::span<const NodeId> inputs, NameId name, ScopeId scope,
                          const Compression& compression, const Shape& shape) {
  nodes_.push_back(Node{op, compression, shape, name, scope,
                        static_cast<std::uint32_t>(inputs_.size()),
                        static_cast<std::uint32_t>(inputs.size())});
  inputs_.insert(inputs_.end(), inputs.begin(), inputs.end());
  return static_cast<NodeId>(nodes_.size() - 1);
}

ScopeId Graph::add_scope(std::string_view name, std::string_view kind, ScopeId parent,
                         std::vector<std::pair<std::string, Dim>> attributes) {
  if (parent >= names_->scopes.size()) {
    throw ShapeError("scope '" + std::string(name) + "': its parent " + std::to_string(parent) +
                     " does not exist");
  }
  GraphNames& names = own_names();
  const std::string& above = names.scopes[parent].name;
  const std::string wanted = above.empty() ? std::string(name) : above + "." + std::string(name);
  std::string unique = unique_name(names.scope_ids, wanted);
  const auto id = static_cast<ScopeId>(names.scopes.size());
  names.scope_ids.emplace(unique, id);
  names.scopes.push_back(
      Scope{std::move(unique), std::string(kind), parent, std::move(attributes)});
  return id;
}

void Graph::set_decision_names(std::vector<std::string> names) {
  own_names().decisions = std::move(names);
}

void Graph::reserve(std::size_t nodes, std::size_t inputs) {
  nodes_.reserve(nodes);
  inputs_.reserve(inputs);
}

std::optional<std::int64_t> Graph::scope_attribute(ScopeId scope, std::string_view key) const {
  for (const auto& [name, dim] : names_->scopes.at(scope).attributes) {
    if (name == key) return dim.at(choices_);
  }
  return std::nullopt;
}

std::vector<std::pair<std::string, std::int64_t>> Graph::scope_attributes(ScopeId scope) const {
  std::vector<std::pair<std::string, std::int64_t>> result;
  for (const auto& [name, dim] : names_->scopes.at(scope).attributes) {
    result.emplace_back(name, dim.at(choices_));
  }
  return result;
}

NodeId Graph::input() const {
  for (NodeId i = 0; i < nodes_.size(); ++i) {
    if (std::holds_alternative<op::Input>(nodes_[i].op)) return i;
  }
  throw ShapeError("the graph has no input node");
}

NodeId Graph::output() const {
  if (nodes_.empty() || !std::holds_alternative<op::Output>(nodes_.back().op)) {
    throw ShapeError("the graph has no output node at its end");
  }
  return static_cast<NodeId>(nodes_.size() - 1);
}

std::vector<std::vector<NodeId>> Graph::consumers() const {
  std::vector<std::vector<NodeId>> result(nodes_.size());
  for (NodeId i = 0; i < nodes_.size(); ++i) {
    for (NodeId input : inputs(i)) result[input].push_back(i);
  }
  return result;
}

bool Graph::concrete() const {
  for (const Node& node : nodes_) {
    if (std::holds_alternative<op::Choice>(node.op)) return false;
    bool closed = true;
    for_each_dim(node.op, [&](std::string_view, const Dim& d) { closed = closed && d.constant(); });
    if (const auto& q = node.compression.quantization) {
      closed = closed && q->weight_bits.constant() && q->activation_bits.constant();
    }
    for (Dim d : node.shape.values()) closed = closed && d.constant();
    if (!closed) return false;
  }
  return true;
}

void verify(const Graph& graph) {
  NameId names = 0;
  for (const Node& node : graph.nodes()) names = std::max(names, node.name + 1);
  std::vector<bool> used(names);
  std::unordered_map<DecisionId, std::uint32_t> options;
  std::vector<Shape> shapes;
  for (NodeId i = 0; i < graph.size(); ++i) {
    const Node& node = graph.node(i);
    const std::string& name = graph.name(i);
    shapes.clear();
    for (NodeId input : graph.inputs(i)) {
      if (input >= i)
        shape_error(node.op, name,
                    "reads node " + std::to_string(input) + ", which does not come before it");
      shapes.push_back(graph.node(input).shape);
    }
    const Shape inferred = infer_shape(node.op, shapes, name, graph.decision_names());
    if (inferred != node.shape) {
      shape_error(node.op, name,
                  "has the shape " + node.shape.to_string() + ", expected " + inferred.to_string());
    }
    // Names are unique within the table, so an id stands for its text.
    if (used[node.name]) shape_error(node.op, name, "the name is used twice");
    used[node.name] = true;
    if (node.scope >= graph.scopes().size()) shape_error(node.op, name, "its scope does not exist");
    check_compression(node.op, node.compression, name);
    if (const auto* choice = std::get_if<op::Choice>(&node.op)) {
      const auto [it, first] = options.try_emplace(choice->decision, node.input_count);
      if (!first && it->second != node.input_count) {
        shape_error(node.op, name,
                    "its decision has " + std::to_string(it->second) + " options elsewhere and " +
                        std::to_string(node.input_count) + " here");
      }
    }
    const bool output = std::holds_alternative<op::Output>(node.op);
    if (output != (i + 1 == graph.size())) {
      shape_error(node.op, name, "a graph has one output, its last node");
    }
  }
  graph.input();
  graph.output();
}

}  // namespace espalier
