#include "exporters/inference_net.hpp"

#include <ATen/ATen.h>

#include <array>
#include <unordered_map>
#include <utility>

#include "core/error.hpp"
#include "graph/passes.hpp"
#include "nets/quantization.hpp"

namespace espalier {

namespace {

using State = std::map<std::string, at::Tensor>;

at::Tensor find(const State& state, const std::string& name) {
  const auto it = state.find(name);
  return it == state.end() ? at::Tensor() : it->second;
}

/// A view of per-row values that broadcasts over a weight.
at::Tensor over_rows(const at::Tensor& values, const at::Tensor& weight) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(weight.dim()), 1);
  sizes[0] = -1;
  return values.view(sizes);
}

int bits_of(const Node& node, Dim Quantization::*width) {
  if (!node.compression.quantization) return 32;
  return static_cast<int>(((*node.compression.quantization).*width).value());
}

InferenceTensors::Grid input_grid(const State& state, const std::string& name, int bits) {
  const at::Tensor low = find(state, name + ".activation_min");
  const at::Tensor high = find(state, name + ".activation_max");
  if (low.item<float>() == 0 && high.item<float>() == 0) {
    throw UnsupportedError("node '" + name + "' quantizes its input to " + std::to_string(bits) +
                           " bits, but the input's range is not known: train or calibrate the "
                           "network before it is exported");
  }
  const ActivationGrid grid = activation_grid(low, high, bits);
  return {grid.scale.item<float>(), static_cast<int>(grid.zero_point.item<float>()), bits};
}

/// Folds a batch norm into a convolution's tensors.
void fold(InferenceTensors& t, const State& state, const std::string& name, double eps) {
  const auto values = [&](const char* suffix, double otherwise) {
    const at::Tensor found = find(state, name + suffix);
    return found.defined() ? found.to(at::kDouble)
                           : at::full({t.weight.size(0)}, otherwise, at::kDouble);
  };
  const at::Tensor factor = values(".weight", 1) / (values(".running_var", 1) + eps).sqrt();
  const at::Tensor bias = t.bias.defined() ? t.bias.to(at::kDouble) : at::zeros_like(factor);
  t.bias = values(".bias", 0) + (bias - values(".running_mean", 0)) * factor;
  if (t.integers.defined()) {
    // Scales are positive: signs go to the integers, and a factor of 0 turns them to 0.
    t.integers = t.integers * over_rows(factor.sign(), t.weight);
    t.scale = t.scale.to(at::kDouble) * factor.abs();
  } else {
    t.weight = t.weight.to(at::kDouble) * over_rows(factor, t.weight);
  }
}

/// Runtimes that compute in integers hold a bias in 32 bits, as a multiple of the row's scale times
/// the input's. A row too small for that beside its bias (a batch norm's weight near 0) gets a
/// larger scale, which loses less than 2^-22 of the bias for each input; so does a row of zeros,
/// for which any scale is right.
void make_room_for_bias(InferenceTensors& t) {
  at::Tensor smallest = at::zeros_like(t.scale, at::kDouble);
  if (t.bias.defined() && t.input_grid) {
    const at::Tensor ratio = t.bias.to(at::kDouble).abs() / t.input_grid->scale;
    smallest = at::exp2(at::ceil(at::log2(ratio)) - 30);  // a power of two: a product stays exact
  }
  const at::Tensor zeros = t.integers.flatten(1).eq(0).all(1);
  at::Tensor scale = at::maximum(t.scale.to(at::kDouble).masked_fill(zeros, 0), smallest);
  scale = scale.masked_fill(scale.eq(0), 1);
  t.integers = at::round(t.integers * over_rows(t.scale / scale, t.weight));
  t.scale = scale;
}

at::Tensor final(const at::Tensor& tensor, at::ScalarType dtype) {
  return tensor.defined() ? tensor.to(dtype).contiguous() : tensor;
}

}  // namespace

InferenceNet inference_net(const GraphModule& module, BatchNormFolding folding) {
  State state;
  for (const auto& [name, tensor] : module.state()) {
    const at::Tensor value = tensor.to(at::kCPU, at::kFloat).contiguous();
    if (!at::isfinite(value).all().item<bool>()) {
      throw NumericalError("tensor '" + name + "' has values that are not finite");
    }
    state.emplace(name, value);
  }
  // Dead code first: its zeros must not stand for those that the module computes.
  const Graph simple = simplify(dead_code_elimination(module.graph()));
  FoldedGraph folded =
      folding == BatchNormFolding::all ? fold_batch_norm(simple) : FoldedGraph{simple, {}};
  std::unordered_map<std::string, std::vector<std::string>> batch_norms_of;  // first to last
  for (auto& [conv, batch_norm] : folded.folded) batch_norms_of[conv].push_back(batch_norm);
  std::unordered_map<std::string, double> eps_of;
  for (NodeId i = 0; i < simple.size(); ++i) {
    if (const auto* norm = std::get_if<op::BatchNorm2d>(&simple.node(i).op)) {
      eps_of[simple.name(i)] = static_cast<double>(norm->eps);
    }
  }

  InferenceNet net{std::move(folded.graph), {}, {}};
  for (NodeId i = 0; i < net.graph.size(); ++i) {
    const Node& node = net.graph.node(i);
    const std::string& name = net.graph.name(i);
    InferenceTensors t{.weight = find(state, name + ".weight"),
                       .bias = find(state, name + ".bias"),
                       .running_mean = find(state, name + ".running_mean"),
                       .running_var = find(state, name + ".running_var")};
    const int weight_bits = bits_of(node, &Quantization::weight_bits);
    const int activation_bits = bits_of(node, &Quantization::activation_bits);
    if (weight_bits != 32) {
      const QuantizedWeight quantized = quantize_weight(t.weight, weight_bits);
      t.integers = quantized.integers;
      t.scale = quantized.scale;
    }
    if (activation_bits != 32) t.input_grid = input_grid(state, name, activation_bits);
    net.module_node.push_back(name);
    for (const std::string& batch_norm : batch_norms_of[name]) {
      fold(t, state, batch_norm, eps_of.at(batch_norm));
      net.module_node.back() = batch_norm;
    }
    if (t.integers.defined()) {
      make_room_for_bias(t);
      t.scale = final(t.scale, at::kFloat);
      t.integers = final(t.integers, at::kChar);
      t.weight = t.integers.to(at::kFloat) * over_rows(t.scale, t.weight);
    }
    t.weight = final(t.weight, at::kFloat);
    t.bias = final(t.bias, at::kFloat);
    net.tensors.push_back(std::move(t));
  }
  return net;
}

}  // namespace espalier
