#include "nets/supernet.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <set>
#include <utility>

#include "core/error.hpp"
#include "nets/program.hpp"

namespace espalier {

namespace {

constexpr std::array<at::Tensor OpTensors::*, 6> all_tensors{
    &OpTensors::weight,      &OpTensors::bias,           &OpTensors::running_mean,
    &OpTensors::running_var, &OpTensors::activation_min, &OpTensors::activation_max};

void require_centred(const Graph& graph, NodeId id, Dim kernel) {
  const std::int64_t largest = kernel.max();
  const auto off_centre = [largest](std::int64_t k) { return (largest - k) % 2; };
  if (!kernel.constant() && map(off_centre, kernel).max() != 0) {
    throw UnsupportedError("'" + graph.name(id) + "': cannot share weights between kernels " +
                           kernel.to_string(graph.decision_names()) +
                           "; open kernels must be all odd or all even");
  }
}

std::vector<WeightSize> weight_sizes(const Supergraph& supergraph) {
  const Graph& graph = supergraph.graph();
  std::vector<WeightSize> sizes(graph.size());
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    if (graph.inputs(id).empty()) continue;
    const Layout& in = supergraph.layout(graph.inputs(id)[0]);
    const Layout& out = supergraph.layout(id);
    const auto convolution = [&](const auto& conv) {
      require_centred(graph, id, conv.kernel.h);
      require_centred(graph, id, conv.kernel.w);
      const Dim groups = conv.group_width;
      if (groups.max() > 1 && !(in.closed() && out.closed())) {
        throw UnsupportedError("'" + graph.name(id) + "': a convolution in groups of " +
                               groups.to_string(graph.decision_names()) +
                               " channels cannot share weights between widths; close its input "
                               "and output widths, or make it dense or depthwise");
      }
      const auto read = [all = in.width()](std::int64_t width) { return width == 0 ? all : width; };
      const std::int64_t most = map(read, groups).max();
      const auto rest = [most](std::int64_t width) { return most % width; };
      if (map(rest, map(read, groups)).max() != 0) {
        throw UnsupportedError(
            "'" + graph.name(id) + "': groups of " + groups.to_string(graph.decision_names()) +
            " channels cannot share weights; all must divide the largest, " + std::to_string(most));
      }
      sizes[id] = {out.width(), most};
    };
    if (const auto* conv = std::get_if<op::Conv2d>(&node.op)) {
      convolution(*conv);
    } else if (const auto* deform = std::get_if<op::DeformConv2d>(&node.op)) {
      convolution(*deform);
    } else {
      sizes[id] = {out.width(), in.width()};
    }
  }
  return sizes;
}

/// The entries of a tensor at ascending indices: a view where they lie together.
at::Tensor picked(const at::Tensor& full, std::int64_t axis,
                  const std::vector<std::int64_t>& indices) {
  const auto count = static_cast<std::int64_t>(indices.size());
  if (count == full.size(axis)) return full;
  if (indices.back() - indices.front() + 1 == count) {
    return full.narrow(axis, indices.front(), count);
  }
  return full.index_select(axis, at::tensor(indices).to(full.device()));
}

/// The middle of an axis.
at::Tensor centre(const at::Tensor& full, std::int64_t axis, std::int64_t size) {
  const std::int64_t room = full.size(axis) - size;
  return room == 0 ? full : full.narrow(axis, room / 2, size);
}

/// Filters {out, wide, kh, kw} of groups of `wide` input channels as those of groups of `narrow`,
/// which divides it: each narrow group takes its own channels.
at::Tensor regrouped(const at::Tensor& filters, std::int64_t in, std::int64_t narrow) {
  const std::int64_t out = filters.size(0), wide = filters.size(1), parts = wide / narrow;
  if (parts == 1) return filters;
  return filters
      .reshape(
          {in / wide, parts, out * narrow / in, parts, narrow, filters.size(2), filters.size(3)})
      .diagonal(0, 1, 3)
      .permute({0, 5, 1, 2, 3, 4})
      .reshape({out, narrow, filters.size(2), filters.size(3)});
}

/// All values of a Dim.
std::set<std::int64_t> values_of(Dim dim) {
  if (dim.constant()) return {dim.value()};
  std::set<std::int64_t> values;
  for (const Dim branch : dim.branches()) values.merge(values_of(branch));
  return values;
}

/// Filters of a smaller size, by the matrices of all sizes from the next one down.
at::Tensor transformed(at::Tensor filters, std::int64_t size,
                       const std::map<std::int64_t, at::Tensor, std::greater<>>& matrices) {
  for (const auto& [smaller, matrix] : matrices) {
    if (filters.size(2) == size) break;
    filters = centre(centre(filters, 2, smaller), 3, smaller);
    filters = at::linear(filters.flatten(2), matrix).view(filters.sizes());
  }
  return filters;
}

/// Whether two graphs have the same node at `id`.
bool same_node(const Graph& a, const Graph& b, NodeId id) {
  return a.name(id) == b.name(id) && a.node(id).op == b.node(id).op &&
         a.node(id).compression == b.node(id).compression &&
         std::ranges::equal(a.inputs(id), b.inputs(id));
}

}  // namespace

Supernet::Supernet(const Supergraph& supergraph, const ModuleOptions& options,
                   const WeightSharing& sharing)
    : ModuleBase(supergraph.graph(), weight_sizes(supergraph), options),
      supergraph_(&supergraph),
      sharing_(sharing) {
  const Graph& graph = supergraph.graph();
  for (NodeId id = 0; id < graph.size(); ++id) {
    node_ids_.emplace(graph.name(id), id);
    if (sharing.kernel_transform) add_transforms(id);
    if (sharing.batch_norm_per_width) add_norms(id);
  }
}

void Supernet::add_transforms(NodeId id) {
  const Graph& graph = supergraph_->graph();
  const auto* conv = std::get_if<op::Conv2d>(&graph.node(id).op);
  if (conv == nullptr) return;
  const Dim kernel = conv->kernel.h;
  if (kernel.constant() && conv->kernel.w.constant()) return;
  if (kernel != conv->kernel.w) {
    throw UnsupportedError("'" + graph.name(id) + "': kernels " +
                           kernel.to_string(graph.decision_names()) + " x " +
                           conv->kernel.w.to_string(graph.decision_names()) +
                           " cannot be transformed into each other; make them square, or leave "
                           "kernel_transform out");
  }
  for (const std::int64_t size : values_of(kernel)) {
    if (size == kernel.max()) continue;
    shared_parts_.transforms[id].emplace(
        size, add_extra(graph.name(id) + ".transform" + std::to_string(size), at::eye(size * size),
                        Kind::parameter));
  }
}

void Supernet::add_norms(NodeId id) {
  const Graph& graph = supergraph_->graph();
  const auto* norm = std::get_if<op::BatchNorm2d>(&graph.node(id).op);
  const Layout& layout = supergraph_->layout(id);
  if (norm == nullptr || layout.closed()) return;
  if (layout.segments.size() != 1) {
    throw UnsupportedError("'" + graph.name(id) +
                           "': a batch norm over a concat of open widths has no single width; "
                           "leave batch_norm_per_width out");
  }
  for (const std::int64_t width : values_of(layout.segments[0].size)) {
    if (width == layout.width()) continue;
    const std::string name = graph.name(id) + ".width" + std::to_string(width);
    const at::Tensor zeros = at::zeros({width}), ones = at::ones({width});
    OpTensors own;
    if (norm->affine) {
      own.weight = add_extra(name + ".weight", ones, Kind::parameter);
      own.bias = add_extra(name + ".bias", zeros, Kind::parameter);
    }
    own.running_mean = add_extra(name + ".running_mean", zeros, Kind::buffer);
    own.running_var = add_extra(name + ".running_var", ones, Kind::buffer);
    shared_parts_.norms[id].emplace(width, std::move(own));
  }
}

void Supernet::require_valid(const Architecture& a) const {
  const std::vector<Decision>& decisions = supergraph_->decisions();
  if (a.choices.size() != decisions.size()) {
    throw InvalidArchitecture("the architecture has " + std::to_string(a.choices.size()) +
                              " choices, the supernet " + std::to_string(decisions.size()) +
                              " decisions");
  }
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    const std::uint32_t count = choice_count(decisions[d]);
    if (a.choices[d] >= count) {
      throw InvalidArchitecture("decision '" + decisions[d].name + "' has the choice " +
                                std::to_string(a.choices[d]) + ", expected one below " +
                                std::to_string(count));
    }
  }
}

NodeId Supernet::node_named(const std::string& name) const {
  const auto it = node_ids_.find(name);
  if (it == node_ids_.end()) {
    throw InvalidArchitecture("the supernet has no node '" + name +
                              "'; build the network from the same space");
  }
  return it->second;
}

OpTensors Supernet::part(NodeId id, const Architecture& a) const {
  const Graph& graph = supergraph_->graph();
  OpTensors t = node_tensors()[id];
  if (!t.weight.defined() && !t.running_mean.defined()) return t;
  const std::vector<std::int64_t> rows = supergraph_->layout(id).indices(a.choices);
  const Node& node = graph.node(id);
  if (const auto norms = shared_parts_.norms.find(id); norms != shared_parts_.norms.end()) {
    const auto own = norms->second.find(static_cast<std::int64_t>(rows.size()));
    if (own != norms->second.end()) return own->second;
  }
  if (std::holds_alternative<op::PositionEmbedding>(node.op)) {
    t.weight = picked(t.weight, 1, rows);
    return t;
  }
  for (at::Tensor OpTensors::*member :
       {&OpTensors::weight, &OpTensors::bias, &OpTensors::running_mean, &OpTensors::running_var}) {
    if ((t.*member).defined()) t.*member = picked(t.*member, 0, rows);
  }
  const auto columns = [&] { return supergraph_->layout(graph.inputs(id)[0]).indices(a.choices); };
  if (const auto* conv = std::get_if<op::Conv2d>(&node.op)) {
    if (conv->group_width == Dim(0)) t.weight = picked(t.weight, 1, columns());
    if (!conv->group_width.constant()) {
      const std::int64_t in = supergraph_->layout(graph.inputs(id)[0]).width(),
                         width = conv->group_width.at(a.choices);
      t.weight = regrouped(t.weight, in, width == 0 ? in : width);
    }
    const std::int64_t kh = conv->kernel.h.at(a.choices), kw = conv->kernel.w.at(a.choices);
    const auto matrices = shared_parts_.transforms.find(id);
    t.weight = matrices == shared_parts_.transforms.end()
                   ? centre(centre(t.weight, 2, kh), 3, kw)
                   : transformed(t.weight, kh, matrices->second);
  } else if (std::holds_alternative<op::Linear>(node.op)) {
    t.weight = picked(t.weight, 1, columns());
  } else if (const auto* deform = std::get_if<op::DeformConv2d>(&node.op)) {
    if (deform->group_width == Dim(0)) t.weight = picked(t.weight, 1, columns());
  }
  return t;
}

at::Tensor Supernet::forward(const at::Tensor& x, const Architecture& a) {
  require_valid(a);
  const Program program(supergraph_->close(a));
  const Graph& graph = program.graph();
  std::vector<OpTensors> parts(graph.size());
  std::vector<NodeId> ids(graph.size());
  for (NodeId i = 0; i < graph.size(); ++i) {
    ids[i] = node_named(graph.name(i));
    parts[i] = part(ids[i], a);
  }
  at::Tensor y = program.run(prepared(x), parts, mode());
  if (!training()) return y;
  const at::NoGradGuard no_grad;
  for (NodeId i = 0; i < graph.size(); ++i) {
    const OpTensors& full = node_tensors()[ids[i]];
    if (!full.running_mean.defined() || parts[i].running_mean.is_alias_of(full.running_mean) ||
        shared_parts_.norms.contains(ids[i])) {
      continue;  // updated in place
    }
    const at::Tensor rows =
        at::tensor(supergraph_->layout(ids[i]).indices(a.choices)).to(full.running_mean.device());
    at::Tensor mean = full.running_mean, variance = full.running_var;
    mean.index_copy_(0, rows, parts[i].running_mean);
    variance.index_copy_(0, rows, parts[i].running_var);
  }
  return y;
}

MixedWeights Supernet::one_hot(const Architecture& a) const {
  require_valid(a);
  MixedWeights weights;
  for (DecisionId d = 0; d < a.choices.size(); ++d) {
    const auto count = static_cast<std::int64_t>(supergraph_->decisions()[d].options.size());
    at::Tensor w = at::zeros({count}, options().dtype);
    for (std::uint32_t option : supergraph_->picked(d, a.choices[d])) {
      w.select(0, static_cast<std::int64_t>(option)).fill_(1);
    }
    weights.push_back(w.to(options().device));
  }
  return weights;
}

GraphModule Supernet::extract(const Architecture& a) const {
  require_valid(a);
  GraphModule module(supergraph_->close(a), options());
  copy_parts(module, a);
  if (!training()) module.eval();
  return module;
}

void Supernet::fill(GraphModule& module, const Architecture& a) const {
  require_valid(a);
  const Graph expected = supergraph_->close(a);
  const Graph& graph = module.graph();
  for (NodeId i = 0; i < graph.size(); ++i) {
    node_named(graph.name(i));
    if (i >= expected.size() || !same_node(graph, expected, i)) {
      throw InvalidArchitecture("node '" + graph.name(i) +
                                "' is not as in the network of this architecture; build the "
                                "network from the same architecture");
    }
  }
  assert(graph.size() == expected.size());  // the output is the last node of both
  copy_parts(module, a);
}

void Supernet::copy_parts(GraphModule& module, const Architecture& a) const {
  const at::NoGradGuard no_grad;
  const Graph& graph = module.graph();
  for (NodeId i = 0; i < graph.size(); ++i) {
    const OpTensors& target = module.node_tensors()[i];
    OpTensors source;
    for (at::Tensor OpTensors::*member : all_tensors) {
      at::Tensor to = target.*member;
      if (!to.defined()) continue;
      if (!source.weight.defined() && !source.running_mean.defined()) {
        source = part(node_named(graph.name(i)), a);
      }
      to.copy_(source.*member);
    }
  }
}

}  // namespace espalier
