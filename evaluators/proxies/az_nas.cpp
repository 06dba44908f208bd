#include "evaluators/proxies/az_nas.hpp"

#include <fmt/format.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.hpp"
#include "core/stats.hpp"
#include "evaluators/proxies/drawn_networks.hpp"

namespace espalier {
namespace {

constexpr std::int64_t batch = 64;

// ---- blocks

// A scope's depth below the root, where stages do not count: 1 for the outermost.
int depth_of(const Graph& graph, ScopeId scope) {
  int depth = 0;
  for (; scope != no_scope; scope = graph.scope(scope).parent) {
    if (graph.scope(scope).kind != "stage") ++depth;
  }
  return depth;
}

// Which nodes `last` depends on, itself included.
std::vector<bool> nodes_before(const Graph& graph, NodeId last) {
  std::vector<bool> found(graph.size(), false);
  found[last] = true;
  for (NodeId id = last + 1; id-- > 0;) {
    if (!found[id]) continue;
    for (NodeId input : graph.inputs(id)) found[input] = true;
  }
  return found;
}

// The last nodes of the scopes of one depth, as far as they are feature maps and the scope does not
// go on behind `last`, as the classifier's does. `used` are the nodes that `last` depends on.
std::vector<NodeId> block_ends(const Graph& graph, NodeId last, const std::vector<bool>& used,
                               int depth) {
  std::map<ScopeId, NodeId> ends;
  for (NodeId id = 0; id < graph.size(); ++id) {
    ScopeId scope = graph.node(id).scope;
    while (depth_of(graph, scope) > depth) scope = graph.scope(scope).parent;
    while (scope != no_scope && graph.scope(scope).kind == "stage") {
      scope = graph.scope(scope).parent;
    }
    if (depth_of(graph, scope) != depth) continue;
    if (id > last) {
      ends.erase(scope);
    } else if (used[id]) {
      ends[scope] = id;
    }
  }
  std::vector<NodeId> result;
  for (const auto& [scope, end] : ends) {
    if (graph.node(end).shape.rank == 3) result.push_back(end);
  }
  std::ranges::sort(result);
  return result;
}

// Outputs of the blocks, in order; they are differentiable.
std::vector<at::Tensor> block_outputs(const ProxyInput& input) {
  const Graph& graph = input.network.graph();
  GraphModule module(graph, {.device = at::Device(input.device)});
  draw_normal_weights(module, input.rng.fork("az_nas"), Deviation::fan_in);
  const at::Tensor images =
      normal_images(graph, batch, input.rng.fork("az_nas").fork("images"), module.options().device);
  std::map<NodeId, at::Tensor> outputs;
  int deepest = 0;
  for (const Node& node : graph.nodes()) deepest = std::max(deepest, depth_of(graph, node.scope));
  const NodeId last = last_feature_map(graph);
  const std::vector<bool> used = nodes_before(graph, last);
  std::vector<NodeId> ends;
  for (int depth = 1; depth <= deepest && ends.size() < 2; ++depth) {
    ends = block_ends(graph, last, used, depth);
  }
  if (ends.size() < 2) {
    throw UnsupportedError(
        fmt::format("the proxies of AZ-NAS compare blocks, but the network has {} of them: scopes "
                    "whose output is a feature map",
                    ends.size()));
  }
  module.forward(images, [&](NodeId id, const at::Tensor& output) {
    if (std::ranges::binary_search(ends, id)) outputs[id] = output;
  });
  std::vector<at::Tensor> result;
  for (const auto& [id, output] : outputs) result.push_back(output);
  return result;
}

// {N,C,H,W} -> {N*H*W,C}
at::Tensor pixels_of(const at::Tensor& x) {
  return x.permute({0, 2, 3, 1}).reshape({-1, x.size(1)});
}

std::vector<double> block_entropies(const ProxyInput& input) {
  const at::NoGradGuard no_grad;
  std::vector<double> entropies;
  for (const at::Tensor& output : block_outputs(input)) {
    const at::Tensor pixels = pixels_of(output);
    const at::Tensor centred = pixels - pixels.mean(0, /*keepdim=*/true);
    const at::Tensor covariance =
        torch::mm(centred.t(), centred).to(torch::kCPU, torch::kDouble) / pixels.size(0);
    const at::Tensor eigenvalues = torch::linalg_eigvalsh(covariance);
    const at::Tensor shares = eigenvalues / eigenvalues.sum();
    // Rounding may make an eigenvalue slightly negative.
    entropies.push_back(-(shares * (shares.clamp_min(0) + 1e-8).log()).sum().item<double>());
  }
  return entropies;
}

// ---- gradients

// 1 and -1, each with probability 1 / 2.
at::Tensor random_signs(const at::Tensor& like, Rng& rng) {
  const at::Tensor signs = torch::empty(like.sizes(), torch::kFloat);
  float* values = signs.data_ptr<float>();
  std::uint64_t bits = 0;
  for (std::int64_t i = 0; i < signs.numel(); ++i, bits >>= 1) {
    if (i % 64 == 0) bits = rng.next();
    values[i] = (bits & 1) != 0 ? 1.0f : -1.0f;
  }
  return signs.to(like.device());
}

// Of a block, given the gradients at its output and its input.
double trainability(const at::Tensor& out, at::Tensor in) {
  if (out.sizes() == in.sizes() && out.equal(in)) return degenerate_score;
  if (out.size(2) != in.size(2) || out.size(3) != in.size(3)) {
    const std::int64_t stride = in.size(2) / out.size(2);
    if (stride * out.size(2) != in.size(2) || stride * out.size(3) != in.size(3)) {
      throw UnsupportedError(fmt::format(
          "the proxy \"az_trainability\" compares blocks whose inputs are whole multiples of their "
          "outputs, but {}x{} pixels become {}x{}",
          in.size(2), in.size(3), out.size(2), out.size(3)));
    }
    in = torch::pixel_unshuffle(in, stride);
  }
  const at::Tensor out_pixels = pixels_of(out);
  const at::Tensor relation = torch::mm(pixels_of(in).t(), out_pixels).to(torch::kCPU) /
                              static_cast<double>(out_pixels.size(0));
  const double norm = torch::linalg_svdvals(relation)[0].item<double>();
  return 2 - norm - 1 / (norm + 1e-6);
}

}  // namespace

double az_expressivity(const ProxyInput& input) {
  double sum = 0;
  for (double entropy : block_entropies(input)) sum += entropy;
  return std::isnan(sum) ? degenerate_score : sum;
}

double az_progressivity(const ProxyInput& input) {
  const std::vector<double> entropies = block_entropies(input);
  double smallest = entropies[1] - entropies[0];
  for (std::size_t i = 1; i < entropies.size(); ++i) {
    const double step = entropies[i] - entropies[i - 1];
    if (std::isnan(step)) return degenerate_score;
    smallest = std::min(smallest, step);
  }
  return smallest;
}

double az_trainability(const ProxyInput& input) {
  const at::AutoGradMode gradients_wanted(true);  // whatever the caller has set
  const std::vector<at::Tensor> outputs = block_outputs(input);
  Rng rng = input.rng.fork("az_nas").fork("signs");
  double sum = 0;
  for (std::size_t i = outputs.size() - 1; i > 0; --i) {
    const at::Tensor out = random_signs(outputs[i], rng);
    const at::Tensor& from = outputs[i - 1];
    at::Tensor in;
    if (outputs[i].requires_grad() && from.requires_grad()) {
      in = torch::autograd::grad({outputs[i]}, {from}, {out}, /*retain_graph=*/true,
                                 /*create_graph=*/false, /*allow_unused=*/true)[0];
    }
    if (!in.defined()) in = torch::zeros_like(from);
    const double score = trainability(out, in);
    if (score == degenerate_score) return degenerate_score;
    sum += score;
  }
  return sum / static_cast<double>(outputs.size() - 1);
}

std::vector<double> aggregate_ranks(std::span<const std::vector<double>> scores) {
  std::vector<double> result(scores.empty() ? 0 : scores[0].size(), 0);
  for (const std::vector<double>& values : scores) {
    if (values.size() != result.size()) {
      throw NumericalError(fmt::format("scores of {} and of {} candidates cannot be aggregated",
                                       result.size(), values.size()));
    }
    if (values.empty()) continue;
    const std::vector<double> rank = ranks(values);
    for (std::size_t i = 0; i < rank.size(); ++i) {
      result[i] += std::log(rank[i] / static_cast<double>(rank.size()));
    }
  }
  return result;
}

}  // namespace espalier
