#include "nets/hypernetwork.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "graph/blocks.hpp"
#include "nets/weight_source.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "search_spaces/nasbench101.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"
#include "tests/nets/networks.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

const ModuleOptions in_double{.dtype = at::kDouble};
constexpr std::array both{HyperNetworkKind::smash, HyperNetworkKind::ghn};

HyperNetworkOptions small(HyperNetworkKind kind) {
  return {.kind = kind, .embedding = 8, .hidden = 8, .channels = 8, .kernel = 5};
}

HyperNetwork initialized(HyperNetworkKind kind, std::uint64_t seed = 1) {
  HyperNetwork net(small(kind), in_double);
  net.reset_parameters(Rng(seed));
  return net;
}

std::unique_ptr<SearchSpace> small_nasbench201() {
  return make_nasbench201({.input = {1, 8, 8}, .channels = 4, .cells = 1});
}

std::unique_ptr<SearchSpace> small_mobilenet_v3() {
  return make_mobilenet_v3({.input = {1, 16, 16},
                            .kernels = {3, 5},
                            .expansions = {1, 3},
                            .resolutions = {12, 16},
                            .stem_channels = 8,
                            .stages = {{.channels = 8, .depths = {1, 2}},
                                       {.channels = 16,
                                        .depths = {1, 2},
                                        .activation = ActivationKind::hard_swish,
                                        .se = SqueezeExcitation::yes}},
                            .head_expansion = 2,
                            .last_channels = 16});
}

/// Convolutions, each of which reads the one before it (0 is the image), and a linear layer.
struct Chain {
  std::vector<std::int64_t> kernels;
  std::vector<ActivationKind> activations;
  int skipped = -1;  // the last activation is added to this convolution
};
Graph chain(const Chain& options) {
  GraphBuilder b;
  NodeId x = b.input(4, 6, 6);
  std::vector<NodeId> convolutions;
  for (std::size_t i = 0; i < options.kernels.size(); ++i) {
    x = b.conv(x, 4, {.kernel = options.kernels[i]}, "conv" + std::to_string(i));
    convolutions.push_back(x);
    x = b.activation(x, options.activations[i]);
  }
  const int skipped = options.skipped;
  x = b.add(x, skipped < 0 ? x : convolutions[static_cast<std::size_t>(skipped)]);
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 3));
  return b.build();
}

NodeId node_named(const Graph& graph, const std::string& name) {
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (graph.name(id) == name) return id;
  }
  throw InvalidArchitecture("no node " + name);
}

/// How far the weights of one node differ between two graphs.
double distance(const HyperNetwork& net, const Graph& a, const Graph& b, const std::string& name) {
  return difference(net.generate(a)[node_named(a, name)].weight,
                    net.generate(b)[node_named(b, name)].weight);
}

TEST(HyperNetwork, GeneratesEveryTensorOfTheSpacesNetworks) {
  std::vector<std::unique_ptr<SearchSpace>> spaces;
  spaces.push_back(small_nasbench201());
  spaces.push_back(small_mobilenet_v3());
  spaces.push_back(make_nasbench101({.input = {1, 8, 8}, .channels = 8}));
  for (const HyperNetworkKind kind : both) {
    const HyperNetwork net = initialized(kind);
    Rng rng(3);
    for (const auto& space : spaces) {
      for (int i = 0; i < 4; ++i) {
        const Architecture a = sample_uniform(*space, rng);
        SCOPED_TRACE(space->to_string(a));
        const Graph graph = space->build(a);
        const GraphModule module(graph, in_double);
        const std::vector<OpTensors> generated = net.generate(graph);
        ASSERT_EQ(generated.size(), graph.size());
        for (NodeId id = 0; id < graph.size(); ++id) {
          for (at::Tensor OpTensors::*member :
               {&OpTensors::weight, &OpTensors::bias, &OpTensors::running_mean,
                &OpTensors::running_var}) {
            const at::Tensor expected = module.node_tensors()[id].*member;
            const at::Tensor actual = generated[id].*member;
            ASSERT_EQ(actual.defined(), expected.defined()) << graph.name(id);
            if (!actual.defined()) continue;
            EXPECT_EQ(actual.sizes(), expected.sizes()) << graph.name(id);
          }
        }
      }
    }
  }
}

TEST(HyperNetwork, ForwardIsThatOfTheFilledModule) {
  const at::NoGradGuard no_grad;
  for (const HyperNetworkKind kind : both) {
    HyperNetwork net = initialized(kind);
    Rng rng(3);
    std::vector<std::unique_ptr<SearchSpace>> spaces;
    spaces.push_back(small_nasbench201());
    spaces.push_back(small_mobilenet_v3());
    for (const auto& space : spaces) {
      for (int i = 0; i < 3; ++i) {
        const Architecture a = sample_uniform(*space, rng);
        const Graph graph = space->build(a);
        GraphModule module(graph, in_double);
        randomize(module, rng);  // all of it is replaced
        HyperNetworkWeights(net).fill(module, a, Rng(4));
        const at::Tensor x = random_batch(graph, 3, rng.fork(a.choices[0]));
        net.eval();
        module.eval();
        const at::Tensor y = module.forward(x);
        ASSERT_TRUE(y.isfinite().all().item<bool>());
        EXPECT_LT(difference(net.forward(x, graph), y), 1e-12);
        net.train();
        module.train();
        net.seed(Rng(4));
        EXPECT_LT(difference(net.forward(x, graph), module.forward(x)), 1e-12);
      }
    }
  }
}

TEST(HyperNetwork, GradientsAreThoseOfFiniteDifferences) {
  GraphBuilder b;
  NodeId x = b.input(2, 5, 5);
  x = b.activation(b.batch_norm(b.conv(x, 3, {.kernel = 3})), ActivationKind::tanh);
  const NodeId y = b.depthwise(x, {.kernel = 5, .bias = true});
  x = b.add(x, b.conv(b.activation(y, ActivationKind::sigmoid), 3, {.kernel = 1}));
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 3));
  const Graph graph = b.build();
  const at::Tensor batch = random_batch(graph, 4, Rng(2)), of = random_tensor({4, 3}, Rng(3));
  for (const HyperNetworkKind kind : both) {
    HyperNetwork net = initialized(kind);
    const auto loss = [&] { return (net.forward(batch, graph) * of).sum(); };
    loss().backward();
    double largest = 0;
    Rng draw(5);
    for (const auto& [name, parameter] : net.parameters()) {
      ASSERT_TRUE(parameter.grad().defined()) << name;
      const at::NoGradGuard no_grad;
      const at::Tensor values = parameter.detach().view(-1);
      for (int i = 0; i < 4; ++i) {
        const auto at =
            static_cast<std::int64_t>(draw.below(static_cast<std::uint64_t>(values.numel())));
        const double before = values[at].item<double>(), step = 1e-5;
        values[at] = before + step;
        const double up = loss().item<double>();
        values[at] = before - step;
        const double down = loss().item<double>();
        values[at] = before;
        const double gradient = parameter.grad().reshape(-1)[at].item<double>();
        EXPECT_NEAR(gradient, (up - down) / (2 * step), 1e-6 * (1 + std::abs(gradient))) << name;
        largest = std::max(largest, std::abs(gradient));
      }
    }
    EXPECT_GT(largest, 1e-2);
  }
}

constexpr auto relu = ActivationKind::relu, tanh_kind = ActivationKind::tanh;

TEST(HyperNetwork, GhnPassesMessagesAlongAllEdgesInBothDirections) {
  HyperNetwork net = initialized(HyperNetworkKind::ghn);
  for (const auto& [name, value] : net.parameters()) {
    if (name.starts_with("message.")) value.detach().mul_(3);  // to be heard far away
  }
  const Chain plain{{3, 3, 3, 3}, {relu, relu, relu, relu}};
  Chain first = plain, last = plain, wired = plain;
  first.activations.front() = tanh_kind;
  last.activations.back() = tanh_kind;
  wired.skipped = 1;
  // A node that differs far away changes the weights both before and after it.
  EXPECT_GT(distance(net, chain(plain), chain(first), "conv3"), 1e-6);
  EXPECT_GT(distance(net, chain(plain), chain(last), "conv0"), 1e-6);
  // Equal nodes, other wiring.
  EXPECT_GT(distance(net, chain(plain), chain(wired), "conv0"), 1e-6);
  EXPECT_GT(distance(net, chain(plain), chain(wired), "linear"), 1e-6);
  // And equal operators at different places of one graph.
  const Graph graph = chain(plain);
  const auto generated = net.generate(graph);
  EXPECT_GT(difference(generated[node_named(graph, "conv1")].weight,
                       generated[node_named(graph, "conv2")].weight),
            1e-6);
}

TEST(HyperNetwork, GhnIsTheRecurrenceOfTheSource) {
  GraphBuilder b;
  const NodeId image = b.input(4, 6, 6);
  const NodeId p = b.conv(image, 4, {.kernel = 3}, "p");
  const NodeId q = b.conv(image, 4, {.kernel = 1}, "q");
  const NodeId sum = b.add(b.batch_norm(p), q);
  const NodeId twice = b.add(std::array{sum, p, p});
  b.output(b.linear(b.flatten(b.global_avg_pool(twice)), 3));
  const Graph graph = b.build();
  const at::NoGradGuard no_grad;
  HyperNetwork net = initialized(HyperNetworkKind::ghn), still = initialized(HyperNetworkKind::ghn);
  // An update gate that is shut shows what the recurrence starts from.
  still.tensor("update.own.bias").detach().narrow(0, 8, 8).fill_(1e6);
  at::Tensor h = still.embeddings(graph).clone();

  const auto linear = [&](const std::string& name, const at::Tensor& x) {
    return at::mv(net.tensor(name + ".weight"), x) + net.tensor(name + ".bias");
  };
  const auto update = [&](NodeId id, std::span<const NodeId> senders) {
    at::Tensor message = at::zeros({8}, at::kDouble);
    for (const NodeId sender : senders) {
      message = message + linear("message.out", linear("message.hidden", h[sender]).relu());
    }
    const at::Tensor own = h[id].clone();
    const at::Tensor a = linear("update.message", message), c = linear("update.own", own);
    const auto part = [](const at::Tensor& x, std::int64_t i) { return x.narrow(0, 8 * i, 8); };
    const at::Tensor reset = at::sigmoid(part(a, 0) + part(c, 0));
    const at::Tensor keep = at::sigmoid(part(a, 1) + part(c, 1));
    const at::Tensor proposed = at::tanh(part(a, 2) + reset * part(c, 2));
    h[id] = keep * own + (1 - keep) * proposed;
  };
  for (NodeId id = 0; id < graph.size(); ++id) update(id, graph.inputs(id));
  const auto consumers = graph.consumers();
  for (NodeId id = static_cast<NodeId>(graph.size()); id-- > 0;) update(id, consumers[id]);
  EXPECT_LT(difference(net.embeddings(graph), h), 1e-12);
}

TEST(HyperNetwork, SmashTellsArchitecturesApart) {
  const HyperNetwork net = initialized(HyperNetworkKind::smash);
  const Chain plain{{3, 3, 3, 3}, {relu, relu, relu, relu}};
  Chain first = plain, last = plain, wired = plain;
  first.activations.front() = tanh_kind;
  last.activations.back() = tanh_kind;
  wired.skipped = 1;
  EXPECT_GT(distance(net, chain(plain), chain(first), "conv3"), 1e-6);
  EXPECT_GT(distance(net, chain(plain), chain(last), "conv0"), 1e-6);
  // Equal nodes in the same order, but one reads from farther back.
  EXPECT_GT(distance(net, chain(plain), chain(wired), "conv0"), 1e-6);
  const Graph graph = chain(plain);
  const auto generated = net.generate(graph);
  EXPECT_GT(difference(generated[node_named(graph, "conv1")].weight,
                       generated[node_named(graph, "conv2")].weight),
            1e-6);
}

TEST(HyperNetwork, SmashIsARowOfConvolutionsThatPassTheirInputsOn) {
  const Graph graph = chain({{3, 3, 5}, {relu, relu, relu}, 0});
  const at::NoGradGuard no_grad;
  HyperNetwork net = initialized(HyperNetworkKind::smash);
  // The first layer alone: what comes after it is switched off.
  HyperNetwork first = initialized(HyperNetworkKind::smash);
  const at::Tensor last = first.tensor("row.last.weight").detach();
  last.fill_(0);
  last.narrow(1, 0, 8).copy_(at::eye(8, at::kDouble));
  first.tensor("row.last.bias").detach().fill_(0);
  // {1, columns, nodes}, as convolutions want it.
  const at::Tensor start = first.embeddings(graph);
  at::Tensor x = at::where(start < 0, start / 0.02, start).t().unsqueeze(0);
  for (const std::int64_t reach : {1, 2, 4, 8, 16, 32}) {
    const std::string name = "row.reach" + std::to_string(reach);
    const at::Tensor weight =
        net.tensor(name + ".weight").view({4, 3, -1}).transpose(1, 2).contiguous();
    const at::Tensor y =
        at::conv1d(at::leaky_relu(x, 0.02), weight, net.tensor(name + ".bias"), at::IntArrayRef{1},
                   at::IntArrayRef{reach}, at::IntArrayRef{reach});
    x = at::cat({x, y}, 1);
  }
  const at::Tensor y = at::linear(at::leaky_relu(x, 0.02)[0].t(), net.tensor("row.last.weight"),
                                  net.tensor("row.last.bias"));
  EXPECT_LT(difference(net.embeddings(graph), y), 1e-12);
}

TEST(HyperNetwork, KernelsAreCornersAndCentresThatRepeat) {
  GraphBuilder b;
  NodeId x = b.input(20, 8, 8);
  x = b.conv(x, 12, {.kernel = 5, .bias = true}, "wide");
  x = b.conv(x, 12, {.kernel = {Dim(1), 3}, .group_width = 6}, "grouped");
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 3));
  const Graph graph = b.build();
  for (const HyperNetworkKind kind : both) {
    const HyperNetwork net = initialized(kind);
    const auto generated = net.generate(graph);
    const at::Tensor wide = generated[node_named(graph, "wide")].weight;
    EXPECT_TRUE(wide.narrow(0, 0, 4).equal(wide.narrow(0, 8, 4)));
    EXPECT_TRUE(wide.narrow(1, 0, 8).equal(wide.narrow(1, 8, 8)));
    EXPECT_TRUE(wide.narrow(1, 0, 4).equal(wide.narrow(1, 16, 4)));
    EXPECT_GT(difference(wide.narrow(0, 0, 4), wide.narrow(0, 4, 4)), 1e-3);
    const at::Tensor bias = generated[node_named(graph, "wide")].bias;
    EXPECT_TRUE(bias.narrow(0, 0, 4).equal(bias.narrow(0, 8, 4)));
    // The mean square is that of first weights for rectified networks.
    for (const auto& [name, fan_in] : {std::pair("grouped", 18.0), std::pair("linear", 12.0)}) {
      const at::Tensor weight = generated[node_named(graph, name)].weight;
      EXPECT_NEAR(weight.narrow(0, 0, 3).square().mean().item<double>(), 2 / fan_in, 1.5 / fan_in)
          << name;
    }
    // A kernel is the centre of the largest one: its places do not depend on its size.
    HyperNetwork centred = initialized(kind);
    const at::NoGradGuard no_grad;
    const at::Tensor hidden = centred.tensor("kernel.hidden.weight").detach().view({5, 5, 8, 8});
    const at::Tensor before = centred.generate(graph)[node_named(graph, "grouped")].weight.clone();
    hidden.select(0, 0).fill_(7);
    hidden.select(0, 4).fill_(7);
    hidden.select(1, 0).fill_(7);
    EXPECT_TRUE(centred.generate(graph)[node_named(graph, "grouped")].weight.equal(before));
    hidden.select(0, 2).fill_(7);
    EXPECT_FALSE(centred.generate(graph)[node_named(graph, "grouped")].weight.equal(before));
  }
}

TEST(HyperNetwork, GenerationFollowsFromTheSeed) {
  const std::unique_ptr<SearchSpace> space = small_nasbench201();
  const Graph graph = space->build(largest_architecture(*space));
  for (const HyperNetworkKind kind : both) {
    const auto weight = [&](const HyperNetwork& net) {
      return net.generate(graph)[node_named(graph, "stem.conv")].weight;
    };
    const HyperNetwork net = initialized(kind);
    EXPECT_TRUE(weight(net).equal(weight(net)));
    EXPECT_TRUE(weight(net).equal(weight(initialized(kind))));
    EXPECT_FALSE(weight(net).equal(weight(initialized(kind, 2))));
    HyperNetwork loaded = initialized(kind, 2);
    loaded.load_state(net.state());
    EXPECT_TRUE(weight(net).equal(weight(loaded)));
  }
}

TEST(HyperNetwork, TrainingKeepsNoStatistics) {
  const std::unique_ptr<SearchSpace> space = small_nasbench201();
  const Graph graph = space->build(largest_architecture(*space));
  const at::NoGradGuard no_grad;
  HyperNetwork net = initialized(HyperNetworkKind::ghn);
  const at::Tensor x = random_batch(graph, 4, Rng(2));
  net.eval();
  const at::Tensor before = net.forward(x, graph);
  net.train();
  EXPECT_GT(difference(net.forward(x, graph), before), 1e-3);  // the batch's statistics
  net.eval();
  EXPECT_TRUE(net.forward(x, graph).equal(before));
  EXPECT_TRUE(net.buffers().empty());
}

TEST(HyperNetwork, WhatItCannotGenerateIsRefused) {
  for (const HyperNetworkKind kind : both) {
    const HyperNetwork net = initialized(kind);
    const auto refusal = [&](auto build) {
      GraphBuilder b;
      const NodeId x = b.input(4, 8, 8);
      b.output(b.linear(b.flatten(build(b, x)), 3));
      const Graph graph = b.build();
      return throws<UnsupportedError>([&] { net.generate(graph); });
    };
    EXPECT_THAT(refusal([](GraphBuilder& b, NodeId x) { return b.layer_norm(x, {}, "norm"); }),
                HasSubstr("'norm': weights of layer_norm cannot be generated"));
    EXPECT_THAT(refusal([](GraphBuilder& b, NodeId x) { return b.scale(x, 1, "factor"); }),
                HasSubstr("'factor': weights of scale cannot be generated"));
    EXPECT_THAT(
        refusal([](GraphBuilder& b, NodeId x) { return b.conv(x, 4, {.kernel = 7}, "large"); }),
        HasSubstr("'large': a kernel of 7 x 7 is larger than the largest one that is generated, "
                  "5 x 5"));
    EXPECT_THAT(refusal([](GraphBuilder& b, NodeId x) {
                  return b.append(op::Conv2d{.out_channels = 4, .kernel = 3}, std::array{x}, "few",
                                  {Quantization{.weight_bits = 4, .activation_bits = 4}});
                }),
                HasSubstr("'few': ranges of quantized inputs cannot be generated"));
    EXPECT_THAT(throws<InvalidArchitecture>(
                    [&] { net.generate(small_nasbench201()->supergraph()->graph()); }),
                HasSubstr("the graph has open decisions"));
    HyperNetwork runs = initialized(kind);
    EXPECT_THAT(throws<ShapeError>([&] {
                  runs.forward(at::zeros({2, 3, 6, 6}, at::kDouble), chain({{3}, {relu}}));
                }),
                HasSubstr("needs a batch of shape {N, 4, 6, 6}"));
  }
  EXPECT_THAT(throws<ConfigError>([] { HyperNetwork({.kernel = 4}); }),
              HasSubstr("/kernel: 4 is even; write an odd size"));
  EXPECT_THAT(throws<ConfigError>([] { HyperNetwork({.embedding = 0}); }), HasSubstr("/embedding"));
}

}  // namespace
}  // namespace espalier
