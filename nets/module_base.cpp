#include "nets/module_base.hpp"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <cmath>

#include "core/error.hpp"

namespace espalier {

namespace {

/// Only images and kernels have channels to put last.
at::Tensor in_format(const at::Tensor& x, at::MemoryFormat format) {
  return x.dim() == 4 ? x.contiguous(format) : x.contiguous();
}

/// Overwrites a parameter with draws, in the logical order of its values.
template <class Draw>
void fill(at::Tensor& parameter, Draw draw) {
  at::Tensor values = at::empty(parameter.sizes(), at::kDouble);
  double* data = values.data_ptr<double>();
  for (std::int64_t i = 0; i < values.numel(); ++i) data[i] = draw();
  parameter.copy_(values);
}

/// The same with normal draws.
void fill_normal(at::Tensor& parameter, double deviation, Rng& draws) {
  at::Tensor values = at::empty(parameter.sizes(), at::kDouble);
  draws.fill_normal({values.data_ptr<double>(), static_cast<std::size_t>(values.numel())});
  parameter.copy_(values.mul_(deviation));
}

}  // namespace

ModuleBase::ModuleBase(const Graph& graph, std::span<const WeightSize> sizes,
                       const ModuleOptions& options)
    : options_(options), tensors_(graph.size()), node_names_(graph.size()), ops_(graph.size()) {
  mode_.training = true;
  mode_.generator = at::make_generator<at::CPUGeneratorImpl>();
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    const WeightSize& size = sizes[id];
    OpTensors& t = tensors_[id];
    const std::string& name = graph.name(id);
    bool weighted = true;
    const auto convolution = [&](const auto& conv) {
      add(name + ".weight", t.weight,
          {size.rows, size.columns, conv.kernel.h.max(), conv.kernel.w.max()}, true);
      if (conv.bias) add(name + ".bias", t.bias, {size.rows}, true);
    };
    if (const auto* conv = std::get_if<op::Conv2d>(&node.op)) {
      convolution(*conv);
    } else if (const auto* deform = std::get_if<op::DeformConv2d>(&node.op)) {
      convolution(*deform);
    } else if (const auto* layer_norm = std::get_if<op::LayerNorm>(&node.op)) {
      if (layer_norm->affine) {
        add(name + ".weight", t.weight, {size.rows}, true);
        add(name + ".bias", t.bias, {size.rows}, true);
      }
      weighted = layer_norm->affine;
    } else if (std::holds_alternative<op::Scale>(node.op) ||
               std::holds_alternative<op::ClassToken>(node.op)) {
      add(name + ".weight", t.weight, {size.rows}, true);
    } else if (std::holds_alternative<op::PositionEmbedding>(node.op)) {
      add(name + ".weight", t.weight, {node.shape[0].value(), size.rows}, true);
    } else if (const auto* linear = std::get_if<op::Linear>(&node.op)) {
      add(name + ".weight", t.weight, {size.rows, size.columns}, true);
      if (linear->bias) add(name + ".bias", t.bias, {size.rows}, true);
    } else if (const auto* norm = std::get_if<op::BatchNorm2d>(&node.op)) {
      if (norm->affine) {
        add(name + ".weight", t.weight, {size.rows}, true);
        add(name + ".bias", t.bias, {size.rows}, true);
      }
      add(name + ".running_mean", t.running_mean, {size.rows}, false);
      add(name + ".running_var", t.running_var, {size.rows}, false);
    } else {
      weighted = false;
    }
    if (weighted) {
      node_names_[id] = name;
      ops_[id] = node.op;
      reset_norm(id);
    }
    const auto& quantization = node.compression.quantization;
    if (quantization && quantization->activation_bits.min() < 32) {
      add(name + ".activation_min", t.activation_min, {}, false);
      add(name + ".activation_max", t.activation_max, {}, false);
    }
  }
}

void ModuleBase::add(std::string name, at::Tensor& slot, at::IntArrayRef size, bool parameter) {
  slot = in_format(at::zeros(size, at::TensorOptions(options_.dtype).device(options_.device)),
                   options_.memory_format);
  slot.set_requires_grad(parameter);
  (parameter ? parameters_ : buffers_).emplace_back(std::move(name), slot);
}

at::Tensor ModuleBase::add_extra(std::string name, const at::Tensor& initial, Kind kind) {
  at::Tensor tensor;
  add(std::move(name), tensor, initial.sizes(), kind == Kind::parameter);
  tensor.detach().copy_(initial);
  extras_.push_back({tensor, initial});
  return tensor;
}

const at::Tensor& ModuleBase::tensor(const std::string& name) const {
  for (const NamedTensors* list : {&parameters_, &buffers_}) {
    for (const auto& [known, value] : *list) {
      if (known == name) return value;
    }
  }
  std::vector<std::string> names;
  for (const auto& [known, value] : state()) names.push_back(known);
  throw InvalidArchitecture("the network has no tensor '" + name + "'" + suggestion(name, names));
}

std::int64_t ModuleBase::parameter_count() const {
  std::int64_t count = 0;
  for (const auto& [name, value] : parameters_) count += value.numel();
  return count;
}

std::map<std::string, at::Tensor> ModuleBase::state() const {
  std::map<std::string, at::Tensor> result;
  for (const NamedTensors* list : {&parameters_, &buffers_}) {
    for (const auto& [name, value] : *list) result.emplace(name, value.detach());
  }
  return result;
}

void ModuleBase::load_state(const std::map<std::string, at::Tensor>& state) {
  std::map<std::string, at::Tensor> own = this->state();
  std::vector<std::string> names;
  for (const auto& [name, value] : own) {
    names.push_back(name);
    const auto it = state.find(name);
    if (it == state.end()) {
      throw ShapeError("the state has no tensor '" + name + "' of shape " +
                       size_text(value.sizes()));
    }
    if (it->second.sizes() != value.sizes()) {
      throw ShapeError("tensor '" + name + "' has the shape " + size_text(it->second.sizes()) +
                       " in the state and " + size_text(value.sizes()) + " in the network");
    }
  }
  for (const auto& [name, value] : state) {
    if (!own.contains(name)) {
      throw ShapeError("the network has no tensor '" + name + "' of the state" +
                       suggestion(name, names));
    }
  }
  const at::NoGradGuard no_grad;
  for (auto& [name, value] : own) value.copy_(state.at(name));
}

void ModuleBase::reset_parameters(const Rng& rng, ConvolutionInit convolutions) {
  const at::NoGradGuard no_grad;
  zero_grad();
  seed(rng);
  const auto reset = [&](std::size_t id) {
    if (node_names_[id].empty()) return;
    Rng draws = rng.fork(node_names_[id]);
    OpTensors& t = tensors_[id];
    if (reset_norm(id)) return;
    if (std::holds_alternative<op::ClassToken>(ops_[id]) ||
        std::holds_alternative<op::PositionEmbedding>(ops_[id])) {
      fill_normal(t.weight, 0.02, draws);
    } else if (t.weight.dim() == 4 && convolutions == ConvolutionInit::he_normal) {
      const double fan_out = static_cast<double>(t.weight.numel() / t.weight.size(1));
      fill_normal(t.weight, std::sqrt(2.0 / fan_out), draws);
      if (t.bias.defined()) t.bias.fill_(0);
    } else {
      const double fan_in = static_cast<double>(t.weight.numel() / t.weight.size(0));
      const double bound = 1.0 / std::sqrt(fan_in);
      const auto draw = [&] { return bound * (2 * draws.uniform() - 1); };
      fill(t.weight, draw);
      if (t.bias.defined()) fill(t.bias, draw);
    }
    if (t.activation_min.defined()) {
      t.activation_min.fill_(0);
      t.activation_max.fill_(0);
    }
  };
  at::parallel_for(0, static_cast<std::int64_t>(tensors_.size()), 1,
                   [&](std::int64_t begin, std::int64_t end) {
                     const at::NoGradGuard no_grad_here;  // it is a thread's own
                     for (std::int64_t id = begin; id < end; ++id) {
                       reset(static_cast<std::size_t>(id));
                     }
                   });
  for (Extra& extra : extras_) extra.tensor.copy_(extra.initial);
}

bool ModuleBase::reset_norm(std::size_t id) {
  const at::NoGradGuard no_grad;
  OpTensors& t = tensors_[id];
  const auto* scale = std::get_if<op::Scale>(&ops_[id]);
  if (scale == nullptr && !std::holds_alternative<op::BatchNorm2d>(ops_[id]) &&
      !std::holds_alternative<op::LayerNorm>(ops_[id])) {
    return false;
  }
  if (t.weight.defined())
    t.weight.fill_(scale != nullptr ? static_cast<double>(scale->initial) : 1);
  if (t.bias.defined()) t.bias.fill_(0);
  if (t.running_mean.defined()) t.running_mean.fill_(0);
  if (t.running_var.defined()) t.running_var.fill_(1);
  return true;
}

void ModuleBase::seed(const Rng& rng) {
  mode_.generator = at::make_generator<at::CPUGeneratorImpl>(rng.fork(std::uint64_t{0}).next());
}

void ModuleBase::to(at::Device device, at::ScalarType dtype) {
  zero_grad();
  const at::NoGradGuard no_grad;
  options_.device = device;
  options_.dtype = dtype;
  for (NamedTensors* list : {&parameters_, &buffers_}) {
    for (auto& [name, value] : *list) {
      value.set_data(in_format(value.to(device, dtype), options_.memory_format));
    }
  }
}

void ModuleBase::zero_grad() {
  for (auto& [name, value] : parameters_) value.mutable_grad().reset();
}

at::Tensor ModuleBase::prepared(const at::Tensor& x) const {
  const auto name = [](at::Device device, at::ScalarType dtype) {
    return std::string(c10::toString(dtype)) + " on " + device.str();
  };
  if (x.scalar_type() != options_.dtype || x.device() != options_.device) {
    throw ShapeError("the network's tensors are " + name(options_.device, options_.dtype) +
                     ", the batch is " + name(x.device(), x.scalar_type()) +
                     "; convert one with to()");
  }
  return in_format(x, options_.memory_format);
}

}  // namespace espalier
