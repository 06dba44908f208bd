#include "evaluators/proxies/passes.hpp"

#include <fmt/format.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "core/error.hpp"
#include "evaluators/proxies/synaptic_flow.hpp"
#include "nets/kernels/functions.hpp"
#include "training/losses.hpp"

namespace espalier {
namespace {

bool is_layer(const Op& op) {
  return std::holds_alternative<op::Conv2d>(op) || std::holds_alternative<op::DeformConv2d>(op) ||
         std::holds_alternative<op::Linear>(op);
}

// Of these the output is positive where the input is.
bool is_rectifier(const Op& op) {
  const auto* activation = std::get_if<op::Activation>(&op);
  return activation != nullptr &&
         (activation->kind == ActivationKind::relu || activation->kind == ActivationKind::relu6 ||
          activation->kind == ActivationKind::hard_swish);
}

// Counts agreements, once for all the rectifiers of one node.
class Agreements {
 public:
  Agreements(const Graph& graph, std::int64_t images)
      : graph_(graph), sum_(at::zeros({images, images}, at::kDouble)) {}

  void see(NodeId id, const at::Tensor& output) {
    if (!is_rectifier(graph_.node(id).op)) return;
    at::Tensor& counts = counted_[graph_.inputs(id)[0]];
    if (!counts.defined()) counts = kernels::sign_agreements(output.detach());
    sum_ += counts;
  }
  const at::Tensor& sum() const { return sum_; }

 private:
  const Graph& graph_;
  std::map<NodeId, at::Tensor> counted_;
  at::Tensor sum_;
};

std::vector<at::Tensor> gradients_of(const at::Tensor& value, std::span<const at::Tensor> at,
                                     bool again) {
  if (!value.requires_grad() || at.empty()) return std::vector<at::Tensor>(at.size());
  return torch::autograd::grad({value}, {at.begin(), at.end()}, {}, /*retain_graph=*/again,
                               /*create_graph=*/again, /*allow_unused=*/true);
}

}  // namespace

ProxyPasses::ProxyPasses(const ProxyInput& input, std::set<ProxyPass> announced)
    : input_(input), announced_(std::move(announced)) {
  announced_.erase(ProxyPass::synaptic_flow);  // it has nothing in common with the others
}

ProxyPasses::~ProxyPasses() = default;

GraphModule& ProxyPasses::module() {
  if (module_ == nullptr) {
    module_ = std::make_unique<GraphModule>(input_.network.graph(),
                                            ModuleOptions{.device = at::Device(input_.device)});
    module_->reset_parameters(input_.rng.fork("weights"), ConvolutionInit::libtorch);
    for (NodeId id = 0; id < module_->graph().size(); ++id) {
      if (!is_layer(module_->graph().node(id).op)) continue;
      layers_.push_back(id);
      weights_.push_back(module_->node_tensors()[id].weight);
    }
  }
  return *module_;
}

const at::Tensor& ProxyPasses::images() {
  if (!images_.defined()) {
    const auto& [n, height, width, channels] = input_.images.shape;
    images_ = torch::from_blob(const_cast<float*>(input_.images.pixels.data()),
                               {n, height, width, channels})
                  .to(module().options().device)
                  .permute({0, 3, 1, 2});
  }
  return images_;
}

std::span<const at::Tensor> ProxyPasses::weights() {
  module();
  return weights_;
}
std::span<const at::Tensor> ProxyPasses::loss_gradients() {
  need(ProxyPass::loss_gradients);
  return gradients_;
}
std::span<const at::Tensor> ProxyPasses::channel_saliencies() {
  need(ProxyPass::channel_saliencies);
  return saliencies_;
}
std::span<const at::Tensor> ProxyPasses::hessian_gradient_products() {
  need(ProxyPass::hessian_gradient_products);
  return products_;
}
const at::Tensor& ProxyPasses::input_gradients() {
  need(ProxyPass::input_gradients);
  return input_gradients_;
}
const at::Tensor& ProxyPasses::agreements() {
  need(ProxyPass::agreements);
  return agreements_;
}

void ProxyPasses::need(ProxyPass pass) {
  if (made_.contains(pass)) return;
  std::set<ProxyPass> now = announced_;
  for (ProxyPass made : made_) now.erase(made);
  now.insert(pass);
  run(now);
  made_.merge(now);
}

namespace {

void require_second_derivatives(const Graph& graph) {
  for (const Node& node : graph.nodes()) {
    const auto* activation = std::get_if<op::Activation>(&node.op);
    if (activation != nullptr && activation->kind == ActivationKind::hard_sigmoid) {
      throw UnsupportedError(
          "grasp needs second derivatives, which LibTorch does not have of hard sigmoid");
    }
  }
}

}  // namespace

void ProxyPasses::run(const std::set<ProxyPass>& passes) {
  const auto wanted = [&](ProxyPass pass) { return passes.contains(pass); };
  const bool again = wanted(ProxyPass::hessian_gradient_products);
  if (again) require_second_derivatives(input_.network.graph());
  const bool salient = wanted(ProxyPass::channel_saliencies);
  const bool loss_wanted = wanted(ProxyPass::loss_gradients) || salient || again;
  const bool input_wanted = wanted(ProxyPass::input_gradients);
  const at::AutoGradMode gradients_wanted(loss_wanted || input_wanted);
  GraphModule& net = module();
  // A run before this one has drawn dropout and has moved the ranges of activations.
  if (!made_.empty()) net.reset_parameters(input_.rng.fork("weights"), ConvolutionInit::libtorch);
  const at::Tensor x = images().detach().set_requires_grad(input_wanted);

  Agreements agreements(net.graph(), x.size(0));
  std::vector<at::Tensor> saliencies(layers_.size());
  bool of_the_loss = false;  // what hooks see
  const auto observer = [&](NodeId id, const at::Tensor& output) {
    if (wanted(ProxyPass::agreements)) agreements.see(id, output);
    if (!salient || !output.requires_grad() || !is_layer(net.graph().node(id).op)) return;
    const auto layer = static_cast<std::size_t>(std::ranges::find(layers_, id) - layers_.begin());
    output.register_hook([&, layer, y = output.detach()](const at::Tensor& dy) {
      if (!of_the_loss) return;
      const at::NoGradGuard no_grad;
      const at::Tensor sums = y.dim() == 4
                                  ? kernels::image_products(y, dy.detach())
                                  : (y * dy.detach()).reshape({y.size(0), -1, y.size(-1)}).sum(1);
      saliencies[layer] = sums.to(at::kDouble).square().mean(0).div(2);
    });
  };
  const at::Tensor logits = net.forward(x, observer, Observed::what_is_made).flatten(1);
  if (wanted(ProxyPass::agreements)) agreements_ = agreements.sum();
  if (input_wanted) {
    if (logits.requires_grad()) {
      input_gradients_ = torch::autograd::grad({logits.sum()}, {x}, {}, loss_wanted, false,
                                               /*allow_unused=*/true)[0];
    }
    input_gradients_ =
        (input_gradients_.defined() ? input_gradients_ : at::zeros_like(x)).flatten(1);
  }
  if (!loss_wanted) return;
  const at::Tensor labels = at::tensor(input_.images.labels, at::kLong);
  if (const auto highest = std::ranges::max(input_.images.labels); highest >= logits.size(1)) {
    throw ShapeError(fmt::format(
        "an image is of class {}, but the network has {} outputs: set the space's \"classes\"",
        highest, logits.size(1)));
  }
  const at::Tensor loss = cross_entropy(logits, labels.to(logits.device()));
  of_the_loss = true;
  gradients_ = gradients_of(loss, weights_, again);
  of_the_loss = false;
  if (salient) saliencies_ = std::move(saliencies);
  if (!again) return;
  at::Tensor product = at::zeros({}, logits.options());
  for (at::Tensor& gradient : gradients_) {
    if (!gradient.defined()) continue;
    product = product + (gradient.detach() * gradient).sum();
    gradient = gradient.detach();
  }
  products_ = gradients_of(product, weights_, false);
}

std::optional<double> ProxyPasses::synaptic_flow_sum() {
  return espalier::synaptic_flow_sum(module());
}

const ProxyPasses::SynapticFlow& ProxyPasses::synaptic_flow() {
  if (flow_) return *flow_;
  GraphModule& drawn = module();
  const auto [graph, moved] = linear_flow(input_.network.graph());
  const ModuleOptions options{.dtype = at::kDouble, .device = drawn.options().device};
  GraphModule net(graph, options);
  SynapticFlow flow;
  {
    const at::NoGradGuard no_grad;
    for (NodeId id = 0; id < moved.size(); ++id) {
      const OpTensors& from = drawn.node_tensors()[id];
      const OpTensors& to = net.node_tensors()[moved[id]];
      if (graph.node(moved[id]).name != drawn.graph().node(id).name) continue;  // it is left out
      for (const auto& [source, target] :
           {std::pair{&from.weight, &to.weight}, std::pair{&from.bias, &to.bias}}) {
        if (source->defined()) target->detach().copy_(source->abs());
      }
    }
  }
  for (NodeId id : layers_) flow.weights.push_back(net.node_tensors()[moved[id]].weight);
  const at::AutoGradMode gradients_wanted(true);  // whatever the caller has set
  const Shape& shape = graph.node(graph.input()).shape;
  const at::Tensor ones =
      torch::ones({1, shape[0].value(), shape[1].value(), shape[2].value()},
                  torch::TensorOptions().dtype(options.dtype).device(options.device));
  flow.gradients = gradients_of(net.forward(ones).sum(), flow.weights, false);
  return flow_.emplace(std::move(flow));
}

}  // namespace espalier
