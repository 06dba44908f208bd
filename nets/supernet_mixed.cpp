// Supernet::forward_mixed. Everything runs at full width and is masked; no weight is sliced, so
// that the tests that hold it equal to Supernet::forward are independent evidence for both.
#include <ATen/ATen.h>

#include <fmt/format.h>
#include <algorithm>

#include <array>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "nets/kernels/functions.hpp"
#include "nets/quantization.hpp"
#include "nets/supernet.hpp"

namespace espalier {

namespace {

/// The weight of one option.
struct Factor {
  at::Tensor tensor;
  double value;
  bool counts = true;  // whether the option is computed

  friend at::Tensor operator*(const Factor& w, const at::Tensor& x) {
    return w.value == 1 && !w.tensor.requires_grad() ? x : w.tensor * x;
  }
};

/// In what order and how the nodes of a relaxation run.
struct Plan {
  /// What is computed alike is computed once: the node itself, or the first one like it.
  std::vector<NodeId> same_as;
  /// Of a batch norm: the activation that is computed with it in one pass.
  std::vector<std::optional<NodeId>> joined;
  /// Batch norms that only one choice reads: they are a part of its sum.
  std::vector<bool> summed;
  /// Of what runs on a share of its channels: the node whose first channels it begins with.
  std::vector<std::optional<NodeId>> part_of;
  /// Of a choice whose skip drops values: the node that it passes on.
  std::vector<std::optional<NodeId>> drops;
};

std::string node_text(const Graph& graph, NodeId id) {
  return std::string(op_name(graph.node(id).op)) + " '" + graph.name(id) + "'";
}

class MixedRun {
 public:
  MixedRun(const Supergraph& supergraph, std::span<const OpTensors> tensors,
           const SharedParts& shared_parts, const MixedWeights& weights, const RunMode& mode,
           const MixedOptions& mixed)
      : supergraph_(supergraph),
        graph_(supergraph.graph()),
        tensors_(tensors),
        shared_parts_(shared_parts),
        mode_(mode),
        mixed_(mixed) {
    const std::vector<Decision>& decisions = supergraph.decisions();
    if (weights.size() != decisions.size()) {
      throw InvalidArchitecture("got weights for " + std::to_string(weights.size()) +
                                " decisions, the supernet has " + std::to_string(decisions.size()));
    }
    for (std::size_t d = 0; d < decisions.size(); ++d) {
      const auto count = static_cast<std::int64_t>(decisions[d].options.size());
      const at::Tensor& w = weights[d];
      if (w.dim() != 1 || w.size(0) != count) {
        throw InvalidArchitecture("decision '" + decisions[d].name +
                                  "' needs one weight for each "
                                  "of its " +
                                  std::to_string(count) + " options, got " +
                                  std::to_string(w.numel()));
      }
      const at::Tensor values = w.detach().to(at::kCPU, at::kDouble).contiguous();
      std::vector<Factor>& factors = factors_.emplace_back();
      bool any = false;
      for (std::int64_t k = 0; k < count; ++k) {
        factors.push_back({w.select(0, k), values.data_ptr<double>()[k]});
        factors.back().counts = factors.back().value != 0 || also_computed(d, k);
        any = any || factors.back().counts;
      }
      if (!any) left_out_.push_back(static_cast<DecisionId>(d));
    }
  }

  at::Tensor run(const at::Tensor& x) {
    require_supported(graph_.input(), std::get<op::Input>(graph_.node(graph_.input()).op).channels,
                      "number of channels");
    const std::int64_t channels = graph_.node(graph_.input()).shape[0].value();
    if (x.dim() != 4 || x.size(1) != channels) {
      throw ShapeError(
          "input '" + graph_.name(graph_.input()) + "': needs a batch of shape {N, " +
          std::to_string(channels) + ", H, W}, got " + std::to_string(x.dim()) + " axes" +
          (x.dim() > 1 ? " and " + std::to_string(x.size(1)) + " channels" : std::string()));
    }
    options_ = x.options();
    input_sizes_ = x.sizes().vec();
    make_plan();
    std::vector<int> left = count_reads();
    values_.assign(graph_.size(), {});
    for (NodeId id = 0; id < graph_.size(); ++id) {
      if (left[id] == 0) continue;
      if (std::holds_alternative<op::Input>(graph_.node(id).op)) {
        values_[id] = x;
      } else if (!values_[id].defined()) {  // an activation may be there already
        values_[plan_.joined[id].value_or(id)] = value(id);
      }
      for_reads(id, [&](NodeId read) {
        if (--left[read] == 0) values_[read].reset();
      });
    }
    return values_[graph_.output()];
  }

 private:
  /// Whether an operator reads an input at all: a choice does not where the weight is 0.
  bool counts(NodeId id, std::size_t slot) const {
    const auto* choice = std::get_if<op::Choice>(&graph_.node(id).op);
    return choice == nullptr || factors_[choice->decision][slot].counts;
  }

  bool also_computed(std::size_t d, std::int64_t option) const {
    return !mixed_.also_computed.empty() &&
           mixed_.also_computed[d][static_cast<std::size_t>(option)];
  }

  /// Calls f with the nodes whose values a node reads, as often as it reads them. A sum reads
  /// through the batch norms that are a part of it.
  template <class F>
  void for_reads(NodeId id, F&& f) const {
    const auto inputs = graph_.inputs(id);
    for (std::size_t slot = 0; slot < inputs.size(); ++slot) {
      if (!counts(id, slot)) continue;
      f(plan_.same_as[plan_.summed[inputs[slot]] ? graph_.inputs(inputs[slot])[0] : inputs[slot]]);
    }
    // The channels that pass by.
    if (plan_.part_of[id] && std::holds_alternative<op::Choice>(graph_.node(id).op)) {
      f(plan_.same_as[*plan_.part_of[id]]);
    }
  }

  /// How often each node's value is read; 0 for those that nothing needs.
  std::vector<int> count_reads() const {
    std::vector<int> reads(graph_.size());
    reads[graph_.output()] = 1;
    for (NodeId id = graph_.output() + 1; id-- > 0;) {
      if (reads[id] > 0) for_reads(id, [&](NodeId read) { ++reads[read]; });
    }
    return reads;
  }

  /// Whether an operator's output depends on its input alone.
  static bool pure(const Node& node) {
    return (std::holds_alternative<op::Activation>(node.op) ||
            std::holds_alternative<op::Pool2d>(node.op)) &&
           !node.compression.quantization;
  }

  void make_plan() {
    plan_.same_as.resize(graph_.size());
    plan_.joined.assign(graph_.size(), std::nullopt);
    plan_.summed.assign(graph_.size(), false);
    plan_.part_of.assign(graph_.size(), std::nullopt);
    plan_.drops.assign(graph_.size(), std::nullopt);
    if (mixed_.channel_share > 1 || drops_skips()) {
      const auto gate = gates();
      if (mixed_.channel_share > 1) share_channels(gate);
      if (drops_skips()) find_skips(gate);
    }
    std::vector<std::vector<NodeId>> readers(graph_.size());
    std::vector<std::vector<NodeId>> pure_readers(graph_.size());
    for (NodeId id = 0; id < graph_.size(); ++id) {
      plan_.same_as[id] = id;
      for (const NodeId input : graph_.inputs(id)) readers[input].push_back(id);
      if (!pure(graph_.node(id))) continue;
      std::vector<NodeId>& known = pure_readers[plan_.same_as[graph_.inputs(id)[0]]];
      const auto same = std::ranges::find_if(known, [&](NodeId other) {
        return graph_.node(other).op == graph_.node(id).op &&
               plan_.part_of[other] == plan_.part_of[id];
      });
      if (same == known.end()) {
        known.push_back(id);
      } else {
        plan_.same_as[id] = *same;
      }
    }
    for (NodeId id = 0; id < graph_.size(); ++id) {
      const bool whole = std::holds_alternative<op::BatchNorm2d>(graph_.node(id).op) &&
                         supergraph_.layout(id).closed() && !shared_parts_.norms.contains(id);
      if (!whole || readers[id].size() != 1) continue;
      const Op& reader = graph_.node(readers[id][0]).op;
      if (joins_batch_norm(reader)) {
        plan_.joined[id] = readers[id][0];
      } else {
        plan_.summed[id] = mode_.training && std::holds_alternative<op::Choice>(reader) &&
                           joins_one_width(readers[id][0]);
      }
    }
  }

  bool joins_one_width(NodeId choice) const {
    const auto inputs = graph_.inputs(choice);
    return std::ranges::all_of(inputs, [&](NodeId input) {
      return supergraph_.layout(input) == supergraph_.layout(inputs[0]);
    });
  }

  bool drops_skips() const { return mixed_.skip_dropout > 0 && mode_.training && mode_.dropout; }

  /// Each node's nearest one that everything from the input to it goes through; none where nothing
  /// does.
  std::vector<std::optional<NodeId>> gates() const {
    std::vector<std::optional<NodeId>> gate(graph_.size());
    for (NodeId id = 0; id < graph_.size(); ++id) {
      if (id == graph_.input()) gate[id] = id;
      for (const NodeId input : graph_.inputs(id)) {
        if (!gate[input]) continue;
        if (!gate[id]) {
          gate[id] = input;
          continue;
        }
        NodeId other = input;
        while (other != *gate[id]) {
          NodeId& later = other > *gate[id] ? other : *gate[id];
          later = *gate[later];
        }
      }
    }
    return gate;
  }

  /// Finds the choices between operators of one node that it is one of.
  void find_skips(const std::vector<std::optional<NodeId>>& gate) {
    for (NodeId id = 0; id < graph_.size(); ++id) {
      const auto* choice = std::get_if<op::Choice>(&graph_.node(id).op);
      if (choice == nullptr || supergraph_.decisions()[choice->decision].pick != 1) continue;
      const auto inputs = graph_.inputs(id);
      if (inputs.size() < 2 || !gate[id]) continue;
      if (std::ranges::find(inputs, *gate[id]) != inputs.end()) plan_.drops[id] = *gate[id];
    }
  }

  /// Finds the choices between operators of one node that keep its channels, and what lies between.
  void share_channels(const std::vector<std::optional<NodeId>>& gate) {
    bool any = false;
    for (NodeId id = 0; id < graph_.size(); ++id) {
      const auto* choice = std::get_if<op::Choice>(&graph_.node(id).op);
      if (choice == nullptr || supergraph_.decisions()[choice->decision].pick != 1) continue;
      if (!gate[id] || !keeps_channels(*gate[id], id)) continue;
      const NodeId source = *gate[id];
      any = true;
      plan_.part_of[id] = source;
      std::vector<NodeId> open(graph_.inputs(id).begin(), graph_.inputs(id).end());
      while (!open.empty()) {
        const NodeId next = open.back();
        open.pop_back();
        if (next == source || plan_.part_of[next]) continue;
        require_parts(next, id);
        plan_.part_of[next] = source;
        const auto inputs = graph_.inputs(next);
        open.insert(open.end(), inputs.begin(), inputs.end());
      }
    }
    if (!any) {
      throw UnsupportedError(fmt::format(
          "partial channels need a choice between operators that keep the {}-fold channels of one "
          "input and its size or half of it, which this space does not have; take a share that "
          "divides them, or a strategy without one",
          mixed_.channel_share));
    }
  }

  static bool slices_pixels(const Op& op) {
    const auto* slice = std::get_if<op::Slice>(&op);
    return slice != nullptr && slice->axis.constant() && slice->axis != Dim(0);
  }

  bool keeps_channels(NodeId source, NodeId choice) const {
    const Shape &in = graph_.node(source).shape, &out = graph_.node(choice).shape;
    const auto fixed = [](const Shape& s) {
      return s.rank == 3 && s[0].constant() && s[1].constant() && s[2].constant();
    };
    if (!fixed(in) || !fixed(out) || in[0] != out[0]) return false;
    if (in[0].value() % mixed_.channel_share != 0) return false;
    const auto ratio = [&](int axis) { return in[axis].value() / out[axis].value(); };
    const bool whole = in[1].value() % out[1].value() == 0 && in[2].value() % out[2].value() == 0;
    return whole && ratio(1) == ratio(2) && ratio(1) <= 2;
  }

  /// Throws where an operator cannot run on a share of its channels.
  void require_parts(NodeId id, NodeId choice) const {
    const Op& op = graph_.node(id).op;
    const auto* conv = std::get_if<op::Conv2d>(&op);
    const bool one_by_one =
        conv != nullptr && (conv->group_width == Dim(0) || conv->group_width == Dim(1));
    const bool known =
        one_by_one || std::holds_alternative<op::BatchNorm2d>(op) ||
        std::holds_alternative<op::Activation>(op) || std::holds_alternative<op::Pool2d>(op) ||
        std::holds_alternative<op::GlobalAvgPool>(op) || std::holds_alternative<op::Zero>(op) ||
        std::holds_alternative<op::Add>(op) || std::holds_alternative<op::Multiply>(op) ||
        std::holds_alternative<op::Concat>(op) || std::holds_alternative<op::Dropout>(op) ||
        slices_pixels(op);
    const Shape& shape = graph_.node(id).shape;
    if (known && !graph_.node(id).compression.quantization && shape[0].constant() &&
        shape[0].value() % mixed_.channel_share == 0) {
      return;
    }
    throw UnsupportedError(fmt::format(
        "{} of {} cannot run on a share of 1/{} of its {} channels; take another share or leave it "
        "out",
        node_text(graph_, id), node_text(graph_, choice), mixed_.channel_share,
        shape[0].to_string(graph_.decision_names())));
  }

  /// The tensors of a node, or their first channels where it runs on a share of these.
  OpTensors tensors(NodeId id) const {
    const OpTensors& all = tensors_[id];
    if (!plan_.part_of[id]) return all;
    const auto first = [&](const at::Tensor& t, std::int64_t axis) {
      return t.defined() ? t.narrow(axis, 0, t.size(axis) / mixed_.channel_share) : t;
    };
    OpTensors part{.weight = first(all.weight, 0),
                   .bias = first(all.bias, 0),
                   .running_mean = first(all.running_mean, 0),
                   .running_var = first(all.running_var, 0)};
    const auto* conv = std::get_if<op::Conv2d>(&graph_.node(id).op);
    if (conv != nullptr && conv->group_width == Dim(0)) part.weight = first(part.weight, 1);
    return part;
  }

  /// What a node reads.
  const at::Tensor& input_of(NodeId id, std::size_t slot = 0) const {
    const NodeId input = plan_.same_as[graph_.inputs(id)[slot]];
    if (!plan_.part_of[id] || plan_.same_as[*plan_.part_of[id]] != input) return values_[input];
    at::Tensor& part = parts_[input];
    if (!part.defined()) {
      const at::Tensor& whole = values_[input];
      part = whole.narrow(1, 0, whole.size(1) / mixed_.channel_share)
                 .contiguous(whole.suggest_memory_format());
    }
    return part;
  }

  void require_supported(NodeId id, Dim dim, const char* what) const {
    if (dim.constant()) return;
    throw UnsupportedError(node_text(graph_, id) + ": an open " + what + ", " +
                           dim.to_string(graph_.decision_names()) +
                           ", has no relaxation; use a strategy that runs one architecture at a "
                           "time");
  }

  /// The weighted sum over a diagram.
  template <class Leaf>
  at::Tensor expectation(Dim dim, Leaf&& leaf) const {
    for (const DecisionId d : left_out_) {
      if (std::ranges::count(dim.support(), d) == 0) continue;
      throw InvalidArchitecture("decision '" + supergraph_.decisions()[d].name +
                                "' has only weights of 0; at least one option must count");
    }
    return expect<at::Tensor>(
        dim, [&](DecisionId d, std::uint32_t k) { return factors_[d][k]; },
        [](const Factor& w) { return !w.counts; }, leaf);
  }

  /// Ones for the first `size` of `max` channels, then zeros.
  at::Tensor prefix(std::int64_t size, std::int64_t max) const {
    return (at::arange(max, options_.dtype(at::kLong)) < size).to(options_.dtype());
  }

  /// The largest size that has any weight.
  std::int64_t largest(Dim size) const {
    if (size.constant()) return size.value();
    std::int64_t result = 0;
    for (std::size_t k = 0; k < size.branches().size(); ++k) {
      if (factors_[size.decision()][k].counts) {
        result = std::max(result, largest(size.branches()[k]));
      }
    }
    return result;
  }

  /// One number per channel of a layout, joined over its segments; undefined for a closed one.
  template <class OfSegment>
  at::Tensor joined(const Layout& layout, OfSegment&& of_segment) const {
    if (layout.closed()) return {};
    std::vector<at::Tensor> parts;
    for (const Segment& segment : layout.segments) parts.push_back(of_segment(segment));
    at::Tensor all = parts.size() == 1 ? parts[0] : at::cat(parts);
    return layout.inner == 1 ? all : all.repeat_interleave(layout.inner);
  }

  /// How much of each channel is there: the expected prefix masks.
  at::Tensor mask(const Layout& layout) const {
    return joined(layout, [&](const Segment& s) {
      return expectation(s.size, [&](std::int64_t size) { return prefix(size, s.max); });
    });
  }

  /// 1 for the channels that have any weight, else 0.
  at::Tensor support(const Layout& layout) const {
    return joined(layout, [&](const Segment& s) { return prefix(largest(s.size), s.max); });
  }

  /// x times one number per channel.
  static at::Tensor scaled(const at::Tensor& x, const at::Tensor& channels) {
    if (!channels.defined()) return x;
    return x * (x.dim() == 4 ? channels.view({1, -1, 1, 1}) : channels);
  }

  /// An input as the operators read it that mix channels.
  at::Tensor masked_input(NodeId id, std::size_t slot) const {
    return scaled(input_of(id, slot), mask(supergraph_.layout(graph_.inputs(id)[slot])));
  }

  /// A sum over widths has each channel as much as it is there, which the operators that read it
  /// weigh in by themselves: this is what is left, the value given that the channel is there.
  at::Tensor where_present(NodeId id, const at::Tensor& sum) const {
    const at::Tensor share = mask(supergraph_.layout(id));
    if (!share.defined()) return sum;
    return scaled(sum, at::where(share == 0, at::ones_like(share), share).reciprocal());
  }

  at::Tensor quantized_input(NodeId id, const at::Tensor& x) const {
    const auto& quantization = graph_.node(id).compression.quantization;
    if (!quantization || quantization->activation_bits == Dim(32)) return x;
    ActivationRange range;
    return expectation(quantization->activation_bits, [&](std::int64_t bits) {
      if (bits == 32) return x;
      if (!range.low.defined()) {
        const OpTensors& t = tensors_[id];
        range = activation_range(x, t.activation_min, t.activation_max,
                                 mode_.training && mode_.ranges == ActivationRanges::learned);
      }
      return fake_quantize_activation(x, range.low, range.high, bits);
    });
  }

  at::Tensor quantized_weight(NodeId id, const at::Tensor& weight) const {
    const auto& quantization = graph_.node(id).compression.quantization;
    if (!quantization) return weight;
    return expectation(quantization->weight_bits,
                       [&](std::int64_t bits) { return fake_quantize_weight(weight, bits); });
  }

  /// A weight without the rows and columns that no architecture with any weight has.
  at::Tensor supported_weight(NodeId id, bool columns) const {
    at::Tensor weight = tensors(id).weight;
    if (const at::Tensor rows = support(supergraph_.layout(id)); rows.defined()) {
      std::vector<std::int64_t> shape(static_cast<std::size_t>(weight.dim()), 1);
      shape[0] = -1;
      weight = weight * rows.view(shape);
    }
    if (columns) {
      weight = scaled(weight, support(supergraph_.layout(graph_.inputs(id)[0])));
    }
    return weight;
  }

  static constexpr std::int64_t joint_base = max_attribute + 1;
  /// Both sizes of an open kernel in one Dim.
  static Dim joint(const Extent& kernel) {
    return map([](std::int64_t h, std::int64_t w) { return h * joint_base + w; }, kernel.h,
               kernel.w);
  }
  static std::array<std::int64_t, 2> sizes_of(std::int64_t joint_kernel) {
    return {joint_kernel / joint_base, joint_kernel % joint_base};
  }

  /// Open windows are summed on the frame of the largest one, so all must have the same centre.
  void require_same_padding(NodeId id, const Extent& kernel, const Extent& padding,
                            const Extent& dilation) const {
    const auto check = [&](Dim k, Dim p, Dim d) {
      require_supported(id, d, "dilation");
      if (k.constant() && p.constant()) return;
      const auto twice_shift = [](std::int64_t size, std::int64_t pad, std::int64_t step) {
        return 2 * pad - step * (size - 1);
      };
      const auto odd = [](std::int64_t size) { return size % 2; };
      if (!map(twice_shift, k, p, d).constant() || !map(odd, k).constant()) {
        throw UnsupportedError(node_text(graph_, id) + ": open kernels " +
                               k.to_string(graph_.decision_names()) + " with padding " +
                               p.to_string(graph_.decision_names()) +
                               " have no relaxation; they must be all odd or all even, with same "
                               "padding");
      }
    };
    check(kernel.h, padding.h, dilation.h);
    check(kernel.w, padding.w, dilation.w);
  }

  /// The filters of a kernel size.
  at::Tensor kernel_of(NodeId id, const at::Tensor& full, std::int64_t kh, std::int64_t kw) const {
    const auto cut = [](const at::Tensor& filters, std::int64_t h, std::int64_t w) {
      return filters.narrow(2, (filters.size(2) - h) / 2, h)
          .narrow(3, (filters.size(3) - w) / 2, w);
    };
    const auto matrices = shared_parts_.transforms.find(id);
    if (matrices == shared_parts_.transforms.end()) return cut(full, kh, kw);
    at::Tensor filters = full;
    for (const auto& [size, matrix] : matrices->second) {
      if (size < kh) break;
      filters = at::einsum("oihw,khw->oik",
                           {cut(filters, size, size), matrix.view({size * size, size, size})})
                    .view({full.size(0), full.size(1), size, size});
    }
    return filters;
  }

  at::Tensor run_closed(const Op& closed, const at::Tensor& x, const OpTensors& tensors) const {
    return run_op(Node{.op = closed, .compression = {}, .shape = {}}, {&x, 1}, tensors, mode_);
  }

  at::Tensor value(NodeId id) {
    return std::visit([&](const auto& o) { return value(id, o); }, graph_.node(id).op);
  }

  /// {out, columns, 1, 1}: how much of each weight of the widest groups there is. Output o and
  /// column j of it, input channel first + j, are in one narrower group where both lie in the same
  /// part.
  at::Tensor group_mask(const op::Conv2d& o, const at::Tensor& weight, std::int64_t in) const {
    const std::int64_t out = weight.size(0), columns = weight.size(1);
    const at::Tensor rows = at::arange(out, options_.dtype(at::kLong)).view({-1, 1});
    const at::Tensor first = rows.div(out * columns / in, "floor") * columns;
    const at::Tensor channels = first + at::arange(columns, options_.dtype(at::kLong));
    const at::Tensor mask = expectation(o.group_width, [&](std::int64_t given) {
      const std::int64_t width = given == 0 ? in : given;
      return channels.div(width, "floor")
          .eq(rows.div(out * width / in, "floor"))
          .to(options_.dtype());
    });
    return mask.view({out, columns, 1, 1});
  }

  at::Tensor value(NodeId id, const op::Conv2d& o) const {
    require_supported(id, o.stride.h, "stride");
    require_supported(id, o.stride.w, "stride");
    require_same_padding(id, o.kernel, o.padding, o.dilation);
    const bool depthwise = o.group_width == Dim(1);
    at::Tensor x = input_of(id);
    if (!depthwise) {
      x = masked_input(id, 0);
    } else if (graph_.node(id).compression.quantization) {
      // It does not mix channels, but the range of its input does.
      x = scaled(x, support(supergraph_.layout(id)));
    }
    at::Tensor weight = supported_weight(id, o.group_width == Dim(0));
    if (!o.group_width.constant()) weight = weight * group_mask(o, weight, x.size(1));
    const Dim kernel = joint(o.kernel);
    if (!kernel.constant()) {
      const at::Tensor full = weight;
      weight = expectation(kernel, [&](std::int64_t sizes) {
        const auto [kh, kw] = sizes_of(sizes);
        const std::int64_t top = (full.size(2) - kh) / 2, left = (full.size(3) - kw) / 2;
        return at::constant_pad_nd(kernel_of(id, full, kh, kw), {left, left, top, top});
      });
    }
    op::Conv2d largest = o;
    largest.group_width = depthwise ? 1 : weight.size(1) == x.size(1) ? 0 : weight.size(1);
    largest.kernel = Extent(weight.size(2), weight.size(3));
    largest.padding = Extent(o.padding.h.max(), o.padding.w.max());
    return run_closed(largest, quantized_input(id, x),
                      {.weight = quantized_weight(id, weight), .bias = tensors(id).bias});
  }

  at::Tensor value(NodeId id, const op::Linear& o) const {
    const at::Tensor weight = supported_weight(id, true);
    return run_closed(o, quantized_input(id, masked_input(id, 0)),
                      {.weight = quantized_weight(id, weight), .bias = tensors(id).bias});
  }

  at::Tensor value(NodeId id, const op::BatchNorm2d& o) const {
    const OpTensors full = tensors(id);
    const at::Tensor& x = input_of(id);
    if (plan_.joined[id]) {
      return run_batch_norm_then(graph_.node(*plan_.joined[id]).op, graph_.node(id), {&x, 1}, full,
                                 mode_);
    }
    if (const auto norms = shared_parts_.norms.find(id); norms != shared_parts_.norms.end()) {
      const Segment& widths = supergraph_.layout(id).segments[0];
      return where_present(id, expectation(widths.size, [&](std::int64_t size) {
                             if (size == widths.max) return run_closed(o, x, full);
                             const at::Tensor y =
                                 run_closed(o, x.narrow(1, 0, size), norms->second.at(size));
                             return at::constant_pad_nd(y, {0, 0, 0, 0, 0, widths.max - size});
                           }));
    }
    const at::Tensor used = mode_.training ? support(supergraph_.layout(id)) : at::Tensor();
    if (!used.defined()) return run_closed(o, x, full);
    // The statistics of channels that nothing uses stay as they are.
    OpTensors copy = full;
    copy.running_mean = full.running_mean.clone();
    copy.running_var = full.running_var.clone();
    at::Tensor y = run_closed(o, x, copy);
    at::Tensor mean = full.running_mean, variance = full.running_var;
    mean.copy_(at::where(used != 0, copy.running_mean, mean));
    variance.copy_(at::where(used != 0, copy.running_var, variance));
    return y;
  }

  at::Tensor value(NodeId id, const op::Pool2d& o) const {
    require_supported(id, o.stride.h, "stride");
    require_supported(id, o.stride.w, "stride");
    require_same_padding(id, o.kernel, o.padding, 1);
    const std::int64_t kh = o.kernel.h.max(), kw = o.kernel.w.max();
    return expectation(joint(o.kernel), [&](std::int64_t sizes) {
      const auto [h, w] = sizes_of(sizes);
      op::Pool2d closed = o;
      closed.kernel = Extent(h, w);
      closed.padding = Extent(o.padding.h.max() - (kh - h) / 2, o.padding.w.max() - (kw - w) / 2);
      return run_closed(closed, input_of(id), {});
    });
  }

  at::Tensor value(NodeId id, const op::Zero& o) const {
    require_supported(id, o.stride, "stride");
    return run_closed(o, input_of(id), {});
  }

  at::Tensor value(NodeId id, const op::Choice& o) const {
    const auto inputs = graph_.inputs(id);
    const bool one_width = joins_one_width(id);
    const std::int64_t width = supergraph_.layout(id).width();
    std::vector<kernels::Term> terms;
    std::vector<Factor> used;
    for (std::size_t slot = 0; slot < inputs.size(); ++slot) {
      if (!counts(id, slot)) continue;
      kernels::Term term = one_width ? term_of(id, slot) : kernels::Term{masked_input(id, slot)};
      if (!one_width) {
        at::Tensor& x = term.x;
        const bool image = x.dim() == 4;
        const std::int64_t room = width - x.size(image ? 1 : -1);
        x = image ? at::constant_pad_nd(x, {0, 0, 0, 0, 0, room})
                  : at::constant_pad_nd(x, {0, room});
      }
      if (!terms.empty() && terms[0].x.sizes() != term.x.sizes()) {
        throw UnsupportedError(node_text(graph_, id) +
                               ": a choice between tensors of different heights or widths has no "
                               "relaxation; use a strategy that runs one architecture at a time");
      }
      terms.push_back(std::move(term));
      used.push_back(factors_[o.decision][slot]);
    }
    const at::Tensor sum = terms.empty() ? nothing(id) : sum_of(terms, used);
    if (plan_.part_of[id]) return with_the_rest(id, sum);
    return one_width ? sum : where_present(id, sum);
  }

  /// What a choice is of which no option counts.
  at::Tensor nothing(NodeId id) const {
    const Shape &shape = graph_.node(id).shape, &input = graph_.node(graph_.input()).shape;
    const std::uint32_t channels = shape.rank == 3 ? 0 : shape.rank - 1;
    std::vector<std::int64_t> sizes{input_sizes_[0]};
    for (std::uint32_t axis = 0; axis < shape.rank; ++axis) {
      if (axis == channels) {
        sizes.push_back(supergraph_.layout(id).width() /
                        (plan_.part_of[id] ? mixed_.channel_share : 1));
        continue;
      }
      if (!shape[axis].constant() || input[1] != Dim(input_sizes_[2]) ||
          input[2] != Dim(input_sizes_[3])) {
        throw UnsupportedError(node_text(graph_, id) +
                               ": none of its options counts, which needs images of the one size "
                               "that the space has");
      }
      sizes.push_back(shape[axis].value());
    }
    return at::zeros(sizes, options_);
  }

  /// An option of a choice, with the batch norm that ends it.
  kernels::Term term_of(NodeId choice, std::size_t slot) const {
    const NodeId option = graph_.inputs(choice)[slot];
    const Node& node = graph_.node(option);
    if (plan_.summed[option]) {
      const OpTensors norm = tensors(option);
      const at::Tensor& x = input_of(option);
      if (x.numel() == x.size(1)) return {run_op(node, {&x, 1}, norm, mode_)};  // which throws
      const auto& o = std::get<op::BatchNorm2d>(node.op);
      return {x, kernels::BatchNorm{.weight = norm.weight,
                                    .bias = norm.bias,
                                    .running_mean = norm.running_mean,
                                    .running_var = norm.running_var,
                                    .training = true,
                                    .momentum = static_cast<double>(o.momentum),
                                    .eps = static_cast<double>(o.eps)}};
    }
    if (mixed_.normalize_pools && std::holds_alternative<op::Pool2d>(node.op)) {
      return {
          input_of(choice, slot),
          kernels::BatchNorm{
              .weight = {}, .bias = {}, .running_mean = {}, .running_var = {}, .training = true}};
    }
    if (plan_.drops[choice] == option) {
      const Node dropout{.op = op::Dropout{.probability = static_cast<float>(mixed_.skip_dropout)},
                         .compression = {},
                         .shape = {}};
      const at::Tensor& x = input_of(choice, slot);
      return {run_op(dropout, {&x, 1}, {}, mode_)};
    }
    return {input_of(choice, slot)};
  }

  static at::Tensor sum_of(std::span<const kernels::Term> terms, std::span<const Factor> weights) {
    const bool norms =
        std::ranges::any_of(terms, [](const kernels::Term& t) { return t.norm.has_value(); });
    if (terms.size() == 1) {
      return weights[0] *
             (norms ? kernels::batch_norm(terms[0].x, *terms[0].norm, kernels::Epilogue::none)
                    : terms[0].x);
    }
    std::vector<at::Tensor> numbers, values;
    for (const Factor& factor : weights) numbers.push_back(factor.tensor);
    const at::Tensor all = at::stack(numbers).to(terms[0].x.options());
    if (norms) return kernels::weighted_sum_of_norms(terms, all);
    for (const kernels::Term& term : terms) values.push_back(term.x);
    return kernels::weighted_sum(values, all);
  }

  /// The channels that went through the operators, those that did not, mixed.
  at::Tensor with_the_rest(NodeId id, const at::Tensor& sum) const {
    const at::Tensor& whole = values_[plan_.same_as[*plan_.part_of[id]]];
    const std::int64_t share = mixed_.channel_share, part = whole.size(1) / share;
    at::Tensor rest = whole.narrow(1, part, whole.size(1) - part);
    if (rest.size(2) != sum.size(2)) {
      rest = kernels::max_pool2d(rest.contiguous(whole.suggest_memory_format()), {2, 2},
                                 {.stride = {2, 2}}, false);
    }
    return at::cat({sum, rest}, 1)
        .view({sum.size(0), share, part, sum.size(2), sum.size(3)})
        .transpose(1, 2)
        .reshape({sum.size(0), whole.size(1), sum.size(2), sum.size(3)})
        .contiguous(whole.suggest_memory_format());
  }

  at::Tensor value(NodeId id, const op::Output&) const { return masked_input(id, 0); }

  /// One normalization for each width, as a batch norm over widths would be.
  at::Tensor value(NodeId id, const op::LayerNorm& o) const {
    const Layout& layout = supergraph_.layout(id);
    if (layout.closed()) return plain(id);
    if (layout.segments.size() != 1 || layout.inner != 1) {
      throw UnsupportedError(node_text(graph_, id) +
                             ": layer norm over a concat of open widths, or flattened ones, has no "
                             "relaxation; mix the channels with a convolution first");
    }
    const at::Tensor& x = input_of(id);
    const OpTensors& full = tensors_[id];
    const std::int64_t axis = x.dim() == 4 ? 1 : x.dim() - 1, width = x.size(axis);
    return where_present(id, expectation(layout.segments[0].size, [&](std::int64_t size) {
                           OpTensors part = full;
                           if (full.weight.defined()) part.weight = full.weight.narrow(0, 0, size);
                           if (full.bias.defined()) part.bias = full.bias.narrow(0, 0, size);
                           const at::Tensor y = run_closed(o, x.narrow(axis, 0, size), part);
                           return axis == 1 && x.dim() == 4
                                      ? at::constant_pad_nd(y, {0, 0, 0, 0, 0, width - size})
                                      : at::constant_pad_nd(y, {0, width - size});
                         }));
  }

  /// Masked, since the products of queries and keys mix the channels of a head.
  at::Tensor value(NodeId id, const op::Attention& o) const {
    const std::array inputs{masked_input(id, 0), masked_input(id, 1), masked_input(id, 2)};
    return run_op(Node{.op = o, .compression = {}, .shape = {}}, inputs, {}, mode_);
  }

  at::Tensor value(NodeId id, const op::DeformConv2d& o) const {
    require_supported(id, o.stride.h, "stride");
    require_supported(id, o.stride.w, "stride");
    const auto read = graph_.inputs(id);
    std::vector<at::Tensor> inputs{o.group_width == Dim(1) ? input_of(id) : masked_input(id, 0)};
    for (std::size_t slot = 1; slot < read.size(); ++slot) inputs.push_back(input_of(id, slot));
    return run_op(
        Node{.op = o, .compression = {}, .shape = {}}, inputs,
        {.weight = supported_weight(id, o.group_width == Dim(0)), .bias = tensors(id).bias}, mode_);
  }

  /// What works on each channel alone, or passes channels on, runs as it is.
  at::Tensor plain(NodeId id) const {
    std::vector<at::Tensor> inputs;
    for (std::size_t slot = 0; slot < graph_.inputs(id).size(); ++slot) {
      inputs.push_back(input_of(id, slot));
    }
    return run_op(graph_.node(id), inputs, tensors(id), mode_);
  }
  at::Tensor value(NodeId id, const op::Input&) const { return plain(id); }
  at::Tensor value(NodeId id, const op::Activation&) const { return plain(id); }
  at::Tensor value(NodeId id, const op::GlobalAvgPool&) const { return plain(id); }
  at::Tensor value(NodeId id, const op::Flatten&) const { return plain(id); }
  at::Tensor value(NodeId id, const op::Add&) const { return plain(id); }
  at::Tensor value(NodeId id, const op::Multiply&) const { return plain(id); }
  at::Tensor value(NodeId id, const op::Concat&) const { return plain(id); }
  at::Tensor value(NodeId id, const op::Dropout&) const { return plain(id); }
  at::Tensor value(NodeId id, const op::Slice&) const { return plain(id); }
  at::Tensor value(NodeId id, const op::ChannelShuffle&) const { return plain(id); }
  at::Tensor value(NodeId id, const op::Scale&) const { return plain(id); }
  at::Tensor value(NodeId id, const op::Tokens&) const { return plain(id); }
  at::Tensor value(NodeId id, const op::ClassToken&) const { return plain(id); }
  at::Tensor value(NodeId id, const op::PositionEmbedding&) const { return plain(id); }

  const Supergraph& supergraph_;
  const Graph& graph_;
  std::span<const OpTensors> tensors_;
  const SharedParts& shared_parts_;
  const RunMode& mode_;
  const MixedOptions& mixed_;
  Plan plan_;
  mutable std::unordered_map<NodeId, at::Tensor> parts_;  // first channels, by node
  at::TensorOptions options_;
  std::vector<std::int64_t> input_sizes_;     // {N, C, H, W}
  std::vector<std::vector<Factor>> factors_;  // by decision and option
  std::vector<DecisionId> left_out_;          // of which no option counts
  std::vector<at::Tensor> values_;            // by node
};

}  // namespace

at::Tensor Supernet::forward_mixed(const at::Tensor& x, const MixedWeights& weights,
                                   const MixedOptions& options) {
  const Autocast autocast(training() ? mode().precision : Precision::float32,
                          x.is_cuda() ? Autocast::Place::cuda : Autocast::Place::cpu);
  return MixedRun(*supergraph_, node_tensors(), shared_parts_, weights, mode(), options)
      .run(prepared(x))
      .to(x.scalar_type());
}

}  // namespace espalier
