#include "evaluators/proxies/synaptic_flow.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <cmath>

#include "evaluators/proxies/drawn_networks.hpp"
#include "graph/builder.hpp"
#include "graph/nets.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

// By gradients, in float64.
double reference(const GraphModule& drawn) {
  const auto [graph, moved] = linear_flow(drawn.graph());
  GraphModule net(graph, {.dtype = at::kDouble});
  std::vector<at::Tensor> weights;
  for (NodeId id = 0; id < moved.size(); ++id) {
    if (graph.node(moved[id]).name != drawn.graph().node(id).name) continue;
    const at::NoGradGuard no_grad;
    const OpTensors &from = drawn.node_tensors()[id], &to = net.node_tensors()[moved[id]];
    if (from.weight.defined()) to.weight.detach().copy_(from.weight.abs());
    if (from.bias.defined()) to.bias.detach().copy_(from.bias.abs());
    if (from.weight.defined() && from.weight.dim() > 1) weights.push_back(to.weight);
  }
  const Shape& shape = graph.node(graph.input()).shape;
  const at::Tensor ones =
      at::ones({1, shape[0].value(), shape[1].value(), shape[2].value()}, at::kDouble);
  const auto gradients = torch::autograd::grad({net.forward(ones).sum()}, weights, {},
                                               /*retain_graph=*/false, false, true);
  double sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (gradients[i].defined()) sum += (weights[i] * gradients[i]).abs().sum().item<double>();
  }
  return sum;
}

void expect_equal(const Graph& graph, const std::string& what) {
  GraphModule drawn(graph);
  drawn.reset_parameters(Rng(4));
  const at::NoGradGuard no_grad;
  for (const auto& [name, parameter] : drawn.parameters()) {
    if (parameter.dim() == 1)
      parameter.uniform_(-1, 1, at::make_generator<at::CPUGeneratorImpl>(1));
  }
  const std::optional<double> sum = synaptic_flow_sum(drawn);
  ASSERT_TRUE(sum.has_value()) << what;
  const at::AutoGradMode grad(true);
  const double expected = reference(drawn);
  EXPECT_NEAR(*sum, expected, 1e-5 * expected) << what;
}

TEST(SynapticFlow, EqualsTheGradientsInFloat64) {
  for (const char* name : {"vgg11", "resnet18", "densenet121", "squeezenet1_0", "googlenet"}) {
    expect_equal(build_net(name, {.input = {3, 64, 64}, .classes = 7}), name);
  }
  const SpaceRegistry spaces = space_registry();
  for (const char* name : {"nasbench201", "darts", "chain", "nasbench101"}) {
    const auto space = spaces.create(spaces.sample(name), "");
    Rng rng(2);
    for (int i = 0; i < 4; ++i) {
      const Architecture a = sample_uniform(*space, rng);
      expect_equal(space->build(a), space->to_string(a));
    }
  }
}

TEST(SynapticFlow, NothingOverflows) {
  // Each layer multiplies by about 2^15.
  GraphBuilder b;
  NodeId x = b.input(3, 8, 8);
  for (int i = 0; i < 20; ++i) x = b.conv(x, 64, {.kernel = 1});
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 2));
  GraphModule drawn(b.build());
  const at::NoGradGuard no_grad;
  for (const auto& [name, parameter] : drawn.parameters()) parameter.fill_(512);
  const double expected = 21 * std::log2(512.0) + 19 * 6 + std::log2(3.0) + 6 + 1 + std::log2(21.0);
  EXPECT_NEAR(std::log2(synaptic_flow_sum(drawn).value()), expected, 0.1);
}

TEST(SynapticFlow, NothingIsLostBesideZerosAndSmallNumbers) {
  // 14 layers divide by 2^10 each, more than float32 has; then zeros and a bias are added.
  GraphBuilder b;
  const NodeId in = b.input(1, 4, 4);
  NodeId x = in;
  for (int i = 0; i < 14; ++i) x = b.conv(x, 1, {.kernel = 1});
  x = b.add(std::array{b.zero(in, 1), x});
  const NodeId y = b.append(op::Conv2d{.out_channels = 1, .bias = true}, std::array{x}, "last", {});
  b.output(b.flatten(b.global_avg_pool(y)));
  GraphModule drawn(b.build());
  const at::NoGradGuard no_grad;
  for (const auto& [name, parameter] : drawn.parameters()) parameter.fill_(std::ldexp(1.0, -10));
  drawn.tensor("last.bias").fill_(0);
  const double expected = 15 * std::ldexp(1.0, -150);
  EXPECT_NEAR(synaptic_flow_sum(drawn).value() / expected, 1, 1e-5);
}

TEST(SynapticFlow, IsForOperatorsThatAreLinear) {
  for (const char* name : {"mobilenet_v3_small", "vit_b_16"}) {
    const GraphModule drawn(build_net(name, {.input = {3, 224, 224}, .classes = 7}));
    EXPECT_EQ(synaptic_flow_sum(drawn), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace espalier
