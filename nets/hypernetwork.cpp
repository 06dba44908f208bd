#include "nets/hypernetwork.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "core/error.hpp"
#include "nets/program.hpp"

namespace espalier {

namespace {

constexpr std::size_t most_steps_back = 16;                         // that smash tells apart
constexpr std::array<std::int64_t, 6> reaches{1, 2, 4, 8, 16, 32};  // of its convolutions
constexpr int waves = 8;                                            // of a place in the row
constexpr std::size_t largest_known_size = 8;                       // of a window

/// What an operator is, as numbers of the order of 1; all operators have equally many.
class Description {
 public:
  Description(const Graph& graph, NodeId id) {
    const Node& node = graph.node(id);
    one_of(node.op.index(), std::variant_size_v<Op>);
    std::visit([this](const auto& o) { read(o); }, node.op);
    one_of(activation_, 1 + static_cast<std::size_t>(ActivationKind::tanh) + 1);
    one_of(pool_, 1 + static_cast<std::size_t>(PoolKind::average) + 1);
    window(kernel_);
    logarithms({stride_.h, stride_.w, dilation_.h, dilation_.w, group_width_});
    shape(node.shape);
    shape(graph.inputs(id).empty() ? node.shape : graph.node(graph.inputs(id)[0]).shape);
  }
  const std::vector<double>& numbers() const { return numbers_; }

 private:
  template <class AnyOp>
  void read(const AnyOp& o) {
    if constexpr (requires { o.kernel; }) kernel_ = o.kernel;
    if constexpr (requires { o.stride; }) stride_ = o.stride;
    if constexpr (requires { o.dilation; }) dilation_ = o.dilation;
    if constexpr (requires { o.group_width; }) group_width_ = o.group_width;
    if constexpr (std::is_same_v<AnyOp, op::Activation>) {
      activation_ = 1 + static_cast<std::size_t>(o.kind);
    }
    if constexpr (std::is_same_v<AnyOp, op::Pool2d>) pool_ = 1 + static_cast<std::size_t>(o.kind);
  }
  void one_of(std::size_t index, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) numbers_.push_back(i == index ? 1 : 0);
  }
  void window(const Extent& size) {
    for (const Dim side : {size.h, size.w}) {
      one_of(std::min(static_cast<std::size_t>(side.value()), largest_known_size),
             largest_known_size + 1);
    }
  }
  void logarithms(const std::vector<Dim>& sizes) {
    for (const Dim size : sizes) {
      numbers_.push_back(std::log2(1 + static_cast<double>(size.value())) / 4);
    }
  }
  void shape(const Shape& s) {
    for (std::size_t i = 0; i < 3; ++i) logarithms({i < s.rank ? s[i] : Dim(0)});
  }

  std::vector<double> numbers_;
  Extent kernel_ = 0, stride_ = 0, dilation_ = 0;
  Dim group_width_ = 0;
  std::size_t activation_ = 0, pool_ = 0;  // 0: none
};

/// The descriptions of all nodes, one after the other.
std::vector<double> descriptions(const Graph& graph) {
  std::vector<double> all;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Description one(graph, id);
    all.insert(all.end(), one.numbers().begin(), one.numbers().end());
  }
  return all;
}

std::int64_t description_size() {
  Graph graph;
  graph.add(op::Input{1, 1, 1}, {}, "input");
  return static_cast<std::int64_t>(Description(graph, 0).numbers().size());
}

/// From how far back a node reads and where it stands.
std::vector<double> place(const Graph& graph, NodeId id) {
  std::vector<double> numbers(most_steps_back, 0);
  for (const NodeId input : graph.inputs(id)) {
    numbers[std::min<std::size_t>(id - input, most_steps_back) - 1] += 1;
  }
  for (int wave = 1; wave <= waves; ++wave) {
    const double angle = std::numbers::pi * static_cast<double>(id) / std::exp2(wave);
    numbers.push_back(std::sin(angle));
    numbers.push_back(std::cos(angle));
  }
  return numbers;
}

/// A row per node.
at::Tensor rows(const std::vector<double>& values, std::size_t count, const ModuleOptions& to) {
  return at::tensor(values, at::kDouble)
      .view({static_cast<std::int64_t>(count), -1})
      .to(to.device, to.dtype);
}

/// {n, c} -> {n, 3 c}: each row with those so many before and after it, zeros beyond the ends.
at::Tensor with_neighbours(const at::Tensor& x, std::int64_t distance) {
  const at::Tensor padded = at::constant_pad_nd(x, {0, 0, distance, distance});
  return at::cat({padded.narrow(0, 0, x.size(0)), x, padded.narrow(0, 2 * distance, x.size(0))}, 1);
}

/// The first `size` of an axis, which is repeated where it is shorter.
at::Tensor repeated(const at::Tensor& x, std::int64_t axis, std::int64_t size) {
  if (x.size(axis) == size) return x;
  const std::int64_t times = (size + x.size(axis) - 1) / x.size(axis);
  return at::cat(std::vector<at::Tensor>(static_cast<std::size_t>(times), x), axis)
      .narrow(axis, 0, size);
}

/// The size {rows, columns, height, width} of a kernel, with height and width 0 for a linear layer.
using KernelSize = std::array<std::int64_t, 4>;

std::int64_t channels_of(const Shape& shape) {
  return shape[shape.rank == 3 ? 0 : shape.rank - 1].value();
}

/// None for an operator without a kernel. Throws UnsupportedError.
std::optional<KernelSize> kernel_size(const Graph& graph, NodeId id, std::int64_t largest) {
  const Node& node = graph.node(id);
  const auto refuse = [&](const std::string& why) {
    throw UnsupportedError("'" + graph.name(id) + "': " + why);
  };
  const auto& quantization = node.compression.quantization;
  if (quantization && quantization->activation_bits.value() < 32) {
    refuse("ranges of quantized inputs cannot be generated; leave activation_bits out");
  }
  if (std::holds_alternative<op::LayerNorm>(node.op) ||
      std::holds_alternative<op::Scale>(node.op) ||
      std::holds_alternative<op::ClassToken>(node.op) ||
      std::holds_alternative<op::PositionEmbedding>(node.op) ||
      std::holds_alternative<op::DeformConv2d>(node.op)) {
    refuse("weights of " + std::string(op_name(node.op)) +
           " cannot be generated, only those of conv2d, linear and batch_norm2d");
  }
  const auto outputs = [&] { return channels_of(node.shape); };
  const auto inputs = [&] { return channels_of(graph.node(graph.inputs(id)[0]).shape); };
  if (std::holds_alternative<op::Linear>(node.op)) return KernelSize{outputs(), inputs(), 0, 0};
  const auto* conv = std::get_if<op::Conv2d>(&node.op);
  if (conv == nullptr) return std::nullopt;
  const std::int64_t width = conv->group_width.value();
  const std::int64_t kh = conv->kernel.h.value(), kw = conv->kernel.w.value();
  if (std::max(kh, kw) > largest) {
    refuse("a kernel of " + std::to_string(kh) + " x " + std::to_string(kw) +
           " is larger than the largest one that is generated, " + std::to_string(largest) + " x " +
           std::to_string(largest) + "; raise the hypernetwork's \"kernel\"");
  }
  return KernelSize{outputs(), width == 0 ? inputs() : width, kh, kw};
}

at::Tensor indices(const std::vector<std::int64_t>& ids, at::Device device) {
  return at::tensor(ids, at::kLong).to(device);
}

}  // namespace

/// The layers as nodes of a graph, so that they are held, reset and saved as those of any network.
struct HyperNetwork::Layers {
  explicit Layers(const HyperNetworkOptions& o) {
    hypernetwork_option_table().validate(o);
    const std::int64_t width = o.embedding, described = description_size();
    if (o.kind == HyperNetworkKind::smash) {
      const std::int64_t growth = (width + 1) / 2;
      std::int64_t columns = width;
      add("row.first", described + static_cast<std::int64_t>(most_steps_back) + 2 * waves, width);
      for (const std::int64_t reach : reaches) {
        add("row.reach" + std::to_string(reach), 3 * columns, growth);
        columns += growth;
      }
      add("row.last", columns, width);
    } else {
      add("node.first", described, width);
      add("message.hidden", width, width);
      add("message.out", width, width);
      add("update.message", width, 3 * width);
      add("update.own", width, 3 * width);
    }
    add("kernel.hidden", width, std::int64_t{o.kernel} * o.kernel * o.hidden);
    add("kernel.out", o.hidden, std::int64_t{o.channels} * o.channels);
    add("vector.hidden", width, o.hidden);
    add("vector.out", o.hidden, 2 * std::int64_t{o.channels});
  }
  void add(const std::string& name, std::int64_t in, std::int64_t out) {
    NodeId x = graph.add(op::Input{in, 1, 1}, {}, name + ".input");
    x = graph.add(op::Flatten{}, std::array{x}, name + ".flatten");
    graph.add(op::Linear{.out_features = out}, std::array{x}, name);
    sizes.resize(graph.size());
    sizes.back() = {out, in};
  }

  Graph graph;
  std::vector<WeightSize> sizes;
};

HyperNetwork::HyperNetwork(const HyperNetworkOptions& options, const ModuleOptions& module_options)
    : HyperNetwork(Layers(options), options, module_options) {}

HyperNetwork::HyperNetwork(const Layers& layers, const HyperNetworkOptions& options,
                           const ModuleOptions& module_options)
    : ModuleBase(layers.graph, layers.sizes, module_options), hypernetwork_options_(options) {}

at::Tensor HyperNetwork::apply(const std::string& layer, const at::Tensor& x) const {
  return at::linear(x, tensor(layer + ".weight"), tensor(layer + ".bias"));
}

at::Tensor HyperNetwork::smash_embeddings(const Graph& graph) const {
  std::vector<double> columns;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Description described(graph, id);
    const std::vector<double> placed = place(graph, id);
    columns.insert(columns.end(), described.numbers().begin(), described.numbers().end());
    columns.insert(columns.end(), placed.begin(), placed.end());
  }
  at::Tensor x = apply("row.first", rows(columns, graph.size(), options()));
  for (const std::int64_t reach : reaches) {
    const at::Tensor read = with_neighbours(at::leaky_relu(x, 0.02), reach);
    x = at::cat({x, apply("row.reach" + std::to_string(reach), read)}, 1);
  }
  return apply("row.last", at::leaky_relu(x, 0.02));
}

at::Tensor HyperNetwork::ghn_embeddings(const Graph& graph) const {
  std::vector<std::vector<NodeId>> inputs(graph.size());
  for (NodeId id = 0; id < graph.size(); ++id) {
    inputs[id].assign(graph.inputs(id).begin(), graph.inputs(id).end());
  }
  at::Tensor x = apply("node.first", rows(descriptions(graph), graph.size(), options()));
  x = traversed(x, inputs);
  return traversed(x, graph.consumers());
}

at::Tensor HyperNetwork::traversed(const at::Tensor& embeddings,
                                   std::span<const std::vector<NodeId>> senders) const {
  // Nodes that wait for equally many others are updated together; none of them sends to another.
  const std::size_t count = senders.size();
  const bool backward = !senders[0].empty();
  std::vector<std::size_t> level(count, 0);
  std::map<std::size_t, std::vector<NodeId>> levels;
  for (std::size_t i = 0; i < count; ++i) {
    const auto id = static_cast<NodeId>(backward ? count - 1 - i : i);
    for (const NodeId sender : senders[id]) level[id] = std::max(level[id], level[sender] + 1);
    levels[level[id]].push_back(id);
  }
  std::vector<std::int64_t> order, position(count);
  for (const auto& [unused, ids] : levels) {
    for (const NodeId id : ids) {
      position[id] = static_cast<std::int64_t>(order.size());
      order.push_back(id);
    }
  }

  const at::Tensor before = embeddings.index_select(0, indices(order, embeddings.device()));
  const at::Tensor message_weight = tensor("update.message.weight"),
                   message_bias = tensor("update.message.bias"),
                   own_weight = tensor("update.own.weight"), own_bias = tensor("update.own.bias");
  std::vector<at::Tensor> messages(count), updated;
  std::int64_t first = 0;
  for (const auto& [unused, ids] : levels) {
    const auto size = static_cast<std::int64_t>(ids.size());
    const at::Tensor own = before.narrow(0, first, size);
    first += size;
    std::vector<at::Tensor> received;
    std::vector<std::int64_t> receivers;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      for (const NodeId sender : senders[ids[i]]) {
        received.push_back(messages[sender]);
        receivers.push_back(static_cast<std::int64_t>(i));
      }
    }
    at::Tensor message;
    if (received.empty()) {
      message = at::zeros_like(own);
    } else if (size == 1 && received.size() == 1) {
      message = received[0];
    } else if (size == 1) {
      message = at::cat(received).sum(0, true);
    } else {
      message = at::index_add(at::zeros_like(own), 0, indices(receivers, own.device()),
                              at::cat(received));
    }
    const at::Tensor now =
        at::gru_cell(message, own, message_weight, own_weight, message_bias, own_bias);
    updated.push_back(now);
    const at::Tensor sent = apply("message.out", at::relu(apply("message.hidden", now)));
    for (std::size_t i = 0; i < ids.size(); ++i) {
      messages[ids[i]] = size == 1 ? sent : sent.narrow(0, static_cast<std::int64_t>(i), 1);
    }
  }
  return at::cat(updated).index_select(0, indices(position, embeddings.device()));
}

at::Tensor HyperNetwork::kernels(const at::Tensor& embeddings,
                                 const std::array<std::int64_t, 4>& size) const {
  const auto [r, c, kh, kw] = size;
  const std::int64_t nodes = embeddings.size(0), side = hypernetwork_options_.kernel,
                     channels = hypernetwork_options_.channels,
                     hidden = hypernetwork_options_.hidden;
  const auto centre = [&](const std::string& name) {
    return tensor(name)
        .view({side, side, hidden, -1})
        .narrow(0, (side - kh) / 2, kh)
        .narrow(1, (side - kw) / 2, kw)
        .flatten(0, 2);
  };
  const auto corner = [&](const std::string& name) {
    return tensor(name)
        .view({channels, channels, -1})
        .narrow(0, 0, r)
        .narrow(1, 0, c)
        .flatten(0, 1);
  };
  const at::Tensor places =
      at::linear(embeddings, centre("kernel.hidden.weight"), centre("kernel.hidden.bias").flatten())
          .relu()
          .view({nodes, kh * kw, hidden});
  const at::Tensor raw =
      at::linear(places, corner("kernel.out.weight"), corner("kernel.out.bias").flatten());
  const at::Tensor scaled = raw * (raw.square().mean({1, 2}, true) + 1e-8).rsqrt();
  return scaled.view({nodes, kh, kw, r, c}).permute({0, 3, 4, 1, 2});
}

at::Tensor HyperNetwork::embeddings(const Graph& graph) const {
  if (!graph.concrete()) {
    throw InvalidArchitecture("the graph has open decisions; close it with an architecture first");
  }
  return hypernetwork_options_.kind == HyperNetworkKind::smash ? smash_embeddings(graph)
                                                               : ghn_embeddings(graph);
}

std::vector<OpTensors> HyperNetwork::generate(const Graph& graph) const {
  const at::Tensor embedded = embeddings(graph);
  const std::int64_t largest = hypernetwork_options_.channels;
  std::vector<std::optional<KernelSize>> sizes(graph.size());
  std::map<KernelSize, std::vector<std::int64_t>> alike;  // by the size that is generated
  std::vector<std::int64_t> with_vectors;
  for (NodeId id = 0; id < graph.size(); ++id) {
    sizes[id] = kernel_size(graph, id, hypernetwork_options_.kernel);
    if (sizes[id]) {
      const auto [r, c, kh, kw] = *sizes[id];
      alike[{std::min(r, largest), std::min(c, largest), std::max<std::int64_t>(kh, 1),
             std::max<std::int64_t>(kw, 1)}]
          .push_back(id);
    }
    const Op& op = graph.node(id).op;
    const auto* conv = std::get_if<op::Conv2d>(&op);
    const auto* linear = std::get_if<op::Linear>(&op);
    const auto* norm = std::get_if<op::BatchNorm2d>(&op);
    if ((conv != nullptr && conv->bias) || (linear != nullptr && linear->bias) ||
        (norm != nullptr && norm->affine)) {
      with_vectors.push_back(id);
    }
  }

  std::vector<OpTensors> result(graph.size());
  for (const auto& [size, ids] : alike) {
    const at::Tensor generated =
        kernels(embedded.index_select(0, indices(ids, embedded.device())), size);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto [r, c, kh, kw] = *sizes[static_cast<std::size_t>(ids[i])];
      at::Tensor weight = generated.select(0, static_cast<std::int64_t>(i));
      weight = repeated(repeated(weight, 0, r), 1, c);
      const double fan_in = static_cast<double>(c * size[2] * size[3]);
      weight = weight * std::sqrt(2 / fan_in);
      result[static_cast<std::size_t>(ids[i])].weight =
          kh == 0 ? weight.flatten(1) : weight.contiguous(options().memory_format);
    }
  }
  if (!with_vectors.empty()) {
    const at::Tensor chosen = embedded.index_select(0, indices(with_vectors, embedded.device()));
    const at::Tensor vectors = apply("vector.out", apply("vector.hidden", chosen).relu());
    for (std::size_t i = 0; i < with_vectors.size(); ++i) {
      const auto id = static_cast<NodeId>(with_vectors[i]);
      const at::Tensor both = vectors[static_cast<std::int64_t>(i)].view({2, largest});
      const at::Tensor fitting = repeated(both, 1, channels_of(graph.node(id).shape));
      if (std::holds_alternative<op::BatchNorm2d>(graph.node(id).op)) {
        result[id].weight = 1 + fitting[0];
      }
      result[id].bias = fitting[1].contiguous();
    }
  }
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (!std::holds_alternative<op::BatchNorm2d>(graph.node(id).op)) continue;
    const std::int64_t width = channels_of(graph.node(id).shape);
    result[id].running_mean = at::zeros({width}, embedded.options().requires_grad(false));
    result[id].running_var = at::ones_like(result[id].running_mean);
  }
  return result;
}

at::Tensor HyperNetwork::forward(const at::Tensor& x, const Graph& graph) {
  const std::vector<OpTensors> tensors = generate(graph);
  return Program(graph).run(prepared(x), tensors, mode());
}

void HyperNetwork::fill(GraphModule& module) const {
  const at::NoGradGuard no_grad;
  const std::vector<OpTensors> generated = generate(module.graph());
  for (std::size_t id = 0; id < generated.size(); ++id) {
    const OpTensors& target = module.node_tensors()[id];
    for (at::Tensor OpTensors::*member : {&OpTensors::weight, &OpTensors::bias,
                                          &OpTensors::running_mean, &OpTensors::running_var}) {
      at::Tensor to = target.*member;
      if (to.defined()) to.copy_(generated[id].*member);
    }
  }
}

}  // namespace espalier
