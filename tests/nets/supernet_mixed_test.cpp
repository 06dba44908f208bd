#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <array>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "nets/supernet.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"
#include "tests/nets/networks.hpp"

namespace espalier {
namespace {

const ModuleOptions in_double{.dtype = at::kDouble};

/// Positive weights that sum to 1 for each decision (to k for a pick-k decision).
MixedWeights random_weights(const Supergraph& supergraph, Rng rng) {
  MixedWeights weights;
  for (const Decision& d : supergraph.decisions()) {
    const at::Tensor w =
        random_tensor({static_cast<std::int64_t>(d.options.size())}, rng.fork(d.name), 0.1, 1);
    weights.push_back(w / w.sum() * d.pick);
  }
  return weights;
}

/// Compares the gradient of a scalar with central differences at some places of each tensor.
void expect_gradients(const std::function<at::Tensor()>& value,
                      std::vector<std::pair<std::string, at::Tensor>> tensors) {
  value().backward();
  Rng rng(1);
  double largest = 0;
  for (auto& [name, tensor] : tensors) {
    ASSERT_TRUE(tensor.grad().defined()) << name;
    const at::Tensor gradient = tensor.grad().contiguous().flatten();
    const at::NoGradGuard no_grad;
    for (int k = 0; k < 4; ++k) {
      // By position in contiguous order, whatever the memory format.
      const auto place =
          static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(tensor.numel())));
      const auto shifted = [&](double by) {
        const at::Tensor delta = at::zeros(tensor.numel(), tensor.options());
        delta.select(0, place).fill_(by);
        tensor.add_(delta.view(tensor.sizes()));
        const double result = value().item<double>();
        tensor.sub_(delta.view(tensor.sizes()));
        return result;
      };
      const double exact = gradient[place].item<double>();
      // A step may cross the kink of an activation, to which another one does not reach.
      double numeric = 0;
      bool near = false;
      for (const double step : {1e-5, 1e-6, 1e-7}) {
        numeric = (shifted(step) - shifted(-step)) / (2 * step);
        near = std::abs(exact - numeric) < 1e-6 * (1 + std::abs(numeric));
        if (near) break;
      }
      EXPECT_TRUE(near) << name << " at " << place << ": " << exact << ", not " << numeric;
      largest = std::max(largest, std::abs(exact));
    }
  }
  EXPECT_GT(largest, 1e-3);
}

TEST(SupernetMixed, GradientsAgreeWithFiniteDifferences) {
  for (const auto& [name, supergraph] : hole_supergraphs()) {
    if (name.starts_with("bits")) continue;  // the straight-through estimator is not a derivative
    for (const bool training : {false, true}) {
      SCOPED_TRACE(name + (training ? ", training" : ""));
      Supernet net(supergraph, in_double);
      randomize(net, Rng(21));
      training ? net.train() : net.eval();
      const at::Tensor x = random_tensor({4, 3, 8, 8}, Rng(22));
      MixedWeights weights = random_weights(supergraph, Rng(23));
      std::vector<std::pair<std::string, at::Tensor>> tensors = net.parameters();
      for (std::size_t d = 0; d < weights.size(); ++d) {
        weights[d].set_requires_grad(true);
        tensors.emplace_back(supergraph.decisions()[d].name, weights[d]);
      }
      const at::Tensor factors = random_tensor({4, 5}, Rng(24));
      expect_gradients([&] { return (net.forward_mixed(x, weights) * factors).sum(); }, tensors);
    }
  }
}

TEST(SupernetMixed, OneHotWeightsTrainTheArchitectureItself) {
  for (const auto& [name, supergraph] : hole_supergraphs()) {
    SCOPED_TRACE(name);
    const SupergraphSpace space(Supergraph(supergraph.graph(), supergraph.decisions()));
    Rng rng(25);
    for (int i = 0; i < 4; ++i) {
      const Architecture a = sample_uniform(space, rng);
      // Two, since a pass changes what is held of batches.
      Supernet mixed(*space.supergraph(), in_double), own(*space.supergraph(), in_double);
      for (Supernet* net : {&mixed, &own}) {
        randomize(*net, Rng(21));
        net->train();
      }
      const at::Tensor x = random_tensor({4, 3, 8, 8}, Rng(22));
      const at::Tensor y = mixed.forward_mixed(x, mixed.one_hot(a)), z = own.forward(x, a);
      EXPECT_LT(difference(y, z), 1e-10);
      y.square().sum().backward();
      z.square().sum().backward();
      // Those before a batch norm may be 0 but for rounding.
      double largest = 0, apart = 0;
      for (const auto& [parameter, value] : own.parameters()) {
        const auto or_zeros = [](const at::Tensor& t) {
          return t.grad().defined() ? t.grad() : at::zeros_like(t);
        };
        const at::Tensor wanted = or_zeros(value), got = or_zeros(mixed.tensor(parameter));
        largest = std::max(largest, wanted.abs().max().item<double>());
        apart = std::max(apart, (got - wanted).abs().max().item<double>());
      }
      EXPECT_LT(apart, 1e-10 * largest);
    }
  }
}

TEST(SupernetMixed, OneArchitecturesGradientsAgreeWithFiniteDifferences) {
  for (const auto& [name, supergraph] : hole_supergraphs()) {
    if (name.starts_with("bits")) continue;
    SCOPED_TRACE(name);
    const SupergraphSpace space(Supergraph(supergraph.graph(), supergraph.decisions()));
    Supernet net(*space.supergraph(), in_double);
    randomize(net, Rng(21));
    net.eval();
    Rng rng(25);
    const Architecture a = sample_uniform(space, rng);
    const GraphModule used = net.extract(a);
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    for (const auto& [parameter, value] : used.parameters()) {
      tensors.emplace_back(parameter, net.tensor(parameter));
    }
    const at::Tensor x = random_batch(used.graph(), 2, Rng(22));
    expect_gradients([&] { return net.forward(x, a).square().sum(); }, tensors);
  }
}

/// The expectation over all architectures, whose probabilities are products of the weights. For
/// pick-k decisions `weights` are those of the options that `probabilities` imply.
void expect_expectation(Supergraph supergraph, bool quantized = false,
                        const WeightSharing& sharing = {}) {
  const SupergraphSpace space(std::move(supergraph));
  const at::NoGradGuard no_grad;
  Supernet net(*space.supergraph(), in_double, sharing);
  randomize(net, Rng(31));
  net.eval();
  const at::Tensor x = random_tensor({2, 3, 8, 8}, Rng(32));
  std::vector<at::Tensor> probabilities;
  MixedWeights weights;
  for (DecisionId d = 0; d < space.decisions().size(); ++d) {
    const auto count = static_cast<std::int64_t>(space.choice_counts()[d]);
    at::Tensor p = random_tensor({count}, Rng(33).fork(std::uint64_t{d}), 0.1, 1);
    probabilities.push_back(p / p.sum());
    at::Tensor w =
        at::zeros({static_cast<std::int64_t>(space.decisions()[d].options.size())}, at::kDouble);
    for (std::uint32_t c = 0; c < space.choice_counts()[d]; ++c) {
      for (std::uint32_t option : space.supergraph()->picked(d, c)) {
        w[option] += probabilities[d][c];
      }
    }
    weights.push_back(w);
  }
  at::Tensor expected;
  enumerate(space, [&](const Architecture& a) {
    at::Tensor term = net.extract(a).forward(x);
    for (DecisionId d = 0; d < a.choices.size(); ++d) term = term * probabilities[d][a.choices[d]];
    expected = expected.defined() ? expected + term : term;
    return true;
  });
  EXPECT_LT(difference(net.forward_mixed(x, weights), expected), 1e-10);
  if (quantized) return;
  // Another point of the weights is another function.
  for (at::Tensor& w : weights) w = w.flip(0);
  EXPECT_GT(difference(net.forward_mixed(x, weights), expected), 1e-3);
}

// Where nothing but the holes is non-linear in their weights, the relaxation is the expectation.
TEST(SupernetMixed, IsTheExpectationWhereTheNetworkIsLinearInTheHole) {
  const std::array<std::int64_t, 3> widths{2, 4, 6}, odd{1, 3, 5};
  const auto finish = [](SupergraphBuilder& b, NodeId x) {
    b.output(b.linear(b.flatten(b.global_avg_pool(x)), 5));
    return b.finish();
  };
  {
    SCOPED_TRACE("operators");
    SupergraphBuilder b;
    const NodeId x = b.input(3, 8, 8);
    const std::array options{b.conv(x, 4, {.kernel = 3}), conv_bn_act(b, x, 4),
                             b.conv(x, 4, {.bias = true})};
    const DecisionId d = b.decide({.name = "op", .options = {"a", "b", "c"}});
    expect_expectation(finish(b, b.choice(d, options)));
  }
  {
    SCOPED_TRACE("pick 2 of 4");
    SupergraphBuilder b;
    const NodeId x = b.input(3, 8, 8);
    const std::array options{x, b.max_pool(x, {.kernel = 3, .stride = 1}), b.zero(x),
                             b.activation(x, ActivationKind::swish)};
    const DecisionId d = b.decide({.name = "ops", .options = {"a", "b", "c", "d"}, .pick = 2});
    expect_expectation(finish(b, b.choice(d, options)));
  }
  {
    SCOPED_TRACE("kernel and pool kernel");
    SupergraphBuilder b;
    const NodeId x =
        b.conv(b.input(3, 8, 8), 4, {.kernel = {b.number("h", odd), b.number("w", odd)}});
    expect_expectation(finish(b, b.avg_pool(x, {.kernel = b.number("pool", odd), .stride = 2})));
  }
  {
    SCOPED_TRACE("layer norms of each width");
    SupergraphBuilder b;
    NodeId x =
        b.tokens(b.conv(b.input(3, 8, 8), b.number("a", widths), {.kernel = 3, .stride = 4}));
    x = b.layer_norm(x);
    b.output(b.linear(b.flatten(b.slice(x, {0, 1, 2})), 5));
    const auto supergraph = b.finish();
    const SupergraphSpace space(Supergraph(supergraph.graph(), supergraph.decisions()));
    Supernet net(*space.supergraph(), in_double);
    randomize(net, Rng(31));
    net.eval();
    // Statistics of what a mask leaves of the widest one are those of no architecture.
    const at::Tensor batch = random_tensor({2, 3, 8, 8}, Rng(32));
    for (std::uint32_t k = 0; k < 3; ++k) {
      EXPECT_LT(difference(net.forward_mixed(batch, net.one_hot({{k}})),
                           net.extract({{k}}).forward(batch)),
                1e-12);
    }
  }
  {
    SCOPED_TRACE("width of two decisions");
    SupergraphBuilder b;
    const Dim width = map([](std::int64_t p, std::int64_t q) { return p * q / 2; },
                          b.number("p", widths), b.number("q", widths));
    const NodeId x = conv_bn_act(b, b.input(3, 8, 8), width);
    expect_expectation(finish(b, b.conv(x, 4, {.bias = true})));
  }
  {
    SCOPED_TRACE("two widths after a concat");
    SupergraphBuilder b;
    const NodeId in = b.input(3, 8, 8);
    const std::array parts{conv_bn_act(b, in, b.number("p", widths)),
                           conv_bn_act(b, in, b.number("q", widths))};
    const NodeId x = b.max_pool(b.concat(parts), {.kernel = 2, .padding = 0});
    b.output(b.linear(b.flatten(x), 5));
    expect_expectation(b.finish());
  }
  {
    SCOPED_TRACE("options of several widths");
    SupergraphBuilder b;
    const Dim open = b.number("p", widths);
    const NodeId in = b.input(3, 8, 8), first = b.conv(in, open);
    const std::array options{b.conv(in, 8, {.kernel = 3}), conv_bn_act(b, in, 4), first};
    const DecisionId d = b.decide({.name = "op", .options = {"wide", "narrow", "open"}});
    const NodeId chosen = b.conv(b.choice(d, options), 4, {.bias = true});
    expect_expectation(finish(b, b.add(chosen, b.conv(first, 4))));  // p always matters
  }
  {
    SCOPED_TRACE("batch norms of each width");
    SupergraphBuilder b;
    const NodeId x = b.conv(b.input(3, 8, 8), b.number("p", widths), {.kernel = 3});
    expect_expectation(finish(b, b.conv(b.batch_norm(x), 4, {.bias = true})), false,
                       {.batch_norm_per_width = true});
  }
  for (const bool weight : {true, false}) {
    SCOPED_TRACE(weight ? "weight bits" : "activation bits");
    SupergraphBuilder b;
    const std::array<std::int64_t, 3> bits{2, 4, 32};
    const Dim open = b.number("bits", bits);
    const NodeId x = b.append(
        op::Conv2d{.out_channels = 4, .kernel = 3}, std::array{b.input(3, 8, 8)}, "conv",
        {weight ? Quantization{.weight_bits = open} : Quantization{.activation_bits = open}});
    expect_expectation(finish(b, x), true);
  }
}

TEST(SupernetMixed, OptionsOfWeightZeroAreNotComputed) {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> kernels{1, 3};
  const NodeId x = b.input(3, 8, 8);
  const std::array branches{b.conv(x, 3, {}, "good"),
                            b.batch_norm(b.conv(x, 3, {}, "bad"), {}, "bad_norm")};
  const DecisionId d = b.decide({.name = "op", .options = {"good", "bad"}});
  const NodeId y = b.choice(d, branches);
  b.output(b.conv(y, 2, {.kernel = b.number("k", kernels)}, "last"));
  const Supergraph supergraph = b.finish();
  Supernet net(supergraph, in_double);
  randomize(net, Rng(1));
  const at::Tensor nan = at::scalar_tensor(std::numeric_limits<double>::quiet_NaN(), at::kDouble);
  at::Tensor bad = net.tensor("bad.weight").detach(), last = net.tensor("last.weight").detach();
  bad.fill_(nan);
  last.select(3, 0).fill_(nan);  // outside of the 1x1 kernel
  const at::Tensor statistics = net.tensor("bad_norm.running_mean").clone();
  MixedWeights weights = net.one_hot({{0, 0}});
  for (at::Tensor& w : weights) w.set_requires_grad(true);
  const at::Tensor batch = random_tensor({2, 3, 8, 8}, Rng(2));
  const at::Tensor out = net.forward_mixed(batch, weights);
  EXPECT_TRUE(out.isfinite().all().item<bool>());
  EXPECT_TRUE(net.tensor("bad_norm.running_mean").equal(statistics));
  out.sum().backward();
  EXPECT_TRUE(weights[0].grad().isfinite().all().item<bool>());
  EXPECT_EQ(weights[0].grad()[1].item<double>(), 0);
  EXPECT_FALSE(net.tensor("bad.weight").grad().defined());
  EXPECT_FALSE(net.forward_mixed(batch, net.one_hot({{1, 0}})).isfinite().all().item<bool>());
}

/// One choice on a node of 4 channels: itself, a pool, a depthwise convolution with its norm,
/// zeros.
Supergraph one_edge(std::int64_t stride) {
  SupergraphBuilder b;
  const NodeId x = b.batch_norm(b.conv(b.input(3, 8, 8), 4, {.kernel = 3}), {}, "before");
  const PoolOptions pool{.kernel = 3, .stride = stride};
  const ConvOptions depthwise{.kernel = 3, .stride = stride, .group_width = 1};
  std::vector<NodeId> options{
      b.avg_pool(x, pool, "average"), b.max_pool(x, pool, "max"),
      b.batch_norm(b.conv(b.activation(x, ActivationKind::relu), 0, depthwise, "depthwise"), {},
                   "after")};
  std::vector<std::string> labels{"average", "max", "depthwise"};
  if (stride == 1) {
    options.push_back(x);
    labels.push_back("skip");
  }
  const DecisionId d = b.decide({.name = "d", .options = labels});
  b.output(b.linear(b.flatten(b.global_avg_pool(
                        b.batch_norm(b.conv(b.choice(d, options), 4, {.kernel = 1}), {}, "last"))),
                    5));
  return b.finish();
}

TEST(SupernetMixed, AShareOfTheChannelsGoesThroughTheOperators) {
  for (const std::int64_t stride : {1, 2}) {
    SCOPED_TRACE(stride);
    const Supergraph supergraph = one_edge(stride);
    Supernet net(supergraph, in_double);
    randomize(net, Rng(61));
    net.train();
    const at::Tensor x = random_tensor({3, 3, 8, 8}, Rng(62));
    const MixedWeights weights{stride == 1 ? at::tensor({0.2, 0.1, 0.4, 0.3}, at::kDouble)
                                           : at::tensor({0.2, 0.3, 0.5}, at::kDouble)};
    const at::Tensor got = net.forward_mixed(x, weights, {.channel_share = 2});

    // By hand, with LibTorch's operators.
    const auto norm = [&](const at::Tensor& y, const std::string& name, std::int64_t channels) {
      return at::batch_norm(y, net.tensor(name + ".weight").narrow(0, 0, channels),
                            net.tensor(name + ".bias").narrow(0, 0, channels), {}, {}, true, 0.1,
                            1e-5, false);
    };
    const at::Tensor whole = norm(at::conv2d(x, net.tensor("conv.weight"), {}, 1, 1), "before", 4);
    const at::Tensor first = whole.narrow(1, 0, 2), rest = whole.narrow(1, 2, 2);
    at::Tensor sum = weights[0][0] * at::avg_pool2d(first, 3, stride, 1, false, false) +
                     weights[0][1] * at::max_pool2d(first, 3, stride, 1) +
                     weights[0][2] * norm(at::conv2d(first.relu(),
                                                     net.tensor("depthwise.weight").narrow(0, 0, 2),
                                                     {}, stride, 1, 1, 2),
                                          "after", 2);
    if (stride == 1) sum = sum + weights[0][3] * first;
    const at::Tensor by = stride == 1 ? rest : at::max_pool2d(rest, 2, 2);
    // In two groups of two: first and rest in turn.
    const at::Tensor mixed =
        at::stack({sum.select(1, 0), by.select(1, 0), sum.select(1, 1), by.select(1, 1)}, 1);
    const at::Tensor wanted =
        at::linear(norm(at::conv2d(mixed, net.tensor("conv_2.weight")), "last", 4).mean({2, 3}),
                   net.tensor("linear.weight"), net.tensor("linear.bias"));
    EXPECT_LT((got - wanted).abs().max().item<double>(), 1e-9);
    EXPECT_GT((got - net.forward_mixed(x, weights)).abs().max().item<double>(), 1e-3);
  }
}

TEST(SupernetMixed, SkipsDropOut) {
  const Supergraph supergraph = one_edge(1);
  Supernet net(supergraph, in_double);
  randomize(net, Rng(61));
  const at::Tensor x = random_tensor({3, 3, 8, 8}, Rng(62));
  const MixedWeights weights{at::tensor({0.2, 0.1, 0.4, 0.3}, at::kDouble)};
  const MixedOptions dropping{.skip_dropout = 0.25};
  const auto distance = [&](const at::Tensor& a, const at::Tensor& b) {
    return (a - b).abs().max().item<double>();
  };
  net.eval();
  EXPECT_EQ(distance(net.forward_mixed(x, weights, dropping), net.forward_mixed(x, weights)), 0);
  net.train();
  const at::Tensor plain = net.forward_mixed(x, weights);
  net.set_dropout(false);
  EXPECT_EQ(distance(net.forward_mixed(x, weights, dropping), plain), 0);
  net.set_dropout(true);
  net.generator().set_current_seed(5);
  const at::Tensor got = net.forward_mixed(x, weights, dropping);
  EXPECT_GT(distance(got, plain), 1e-3);

  // By hand, with LibTorch's operators, and the same draw.
  const auto norm = [&](const at::Tensor& y, const std::string& name) {
    return at::batch_norm(y, net.tensor(name + ".weight"), net.tensor(name + ".bias"), {}, {}, true,
                          0.1, 1e-5, false);
  };
  const at::Tensor whole = norm(at::conv2d(x, net.tensor("conv.weight"), {}, 1, 1), "before");
  net.generator().set_current_seed(5);
  const at::Tensor stay =
      at::empty(whole.sizes(), whole.options()).bernoulli_(0.75, net.generator()).div_(0.75);
  const at::Tensor sum =
      weights[0][0] * at::avg_pool2d(whole, 3, 1, 1, false, false) +
      weights[0][1] * at::max_pool2d(whole, 3, 1, 1) +
      weights[0][2] *
          norm(at::conv2d(whole.relu(), net.tensor("depthwise.weight"), {}, 1, 1, 1, 4), "after") +
      weights[0][3] * whole * stay;
  const at::Tensor wanted =
      at::linear(norm(at::conv2d(sum, net.tensor("conv_2.weight")), "last").mean({2, 3}),
                 net.tensor("linear.weight"), net.tensor("linear.bias"));
  EXPECT_LT(distance(got, wanted), 1e-9);
}

TEST(SupernetMixed, PoolsAreNormalizedByTheBatchWhereToldSo) {
  const Supergraph supergraph = one_edge(1);
  Supernet net(supergraph, in_double);
  randomize(net, Rng(63));
  net.train();
  const at::Tensor x = random_tensor({3, 3, 8, 8}, Rng(64));
  const auto with = [&](std::vector<double> weights, bool normalized) {
    return net.forward_mixed(x, {at::tensor(weights, at::kDouble)},
                             {.normalize_pools = normalized});
  };
  // A normalized pool does not change with the scale of what it reads; others do.
  const auto scaled = [&](std::vector<double> weights, bool normalized) {
    const at::Tensor before = with(weights, normalized);
    const at::NoGradGuard no_grad;
    at::Tensor factor = net.tensor("before.weight"), offset = net.tensor("before.bias");
    factor.mul_(3);
    offset.mul_(3);
    const at::Tensor after = with(weights, normalized);
    factor.div_(3);
    offset.div_(3);
    return (before - after).abs().max().item<double>();
  };
  // The last norm takes all scales away where one option stands alone, so each has company.
  EXPECT_LT(scaled({0.5, 0.3, 0.2, 0}, true), 1e-3);
  EXPECT_GT(scaled({0.5, 0.3, 0.2, 0}, false), 1e-2);
  EXPECT_GT(scaled({0.5, 0.3, 0.2, 0.5}, true), 1e-2);
}

TEST(SupernetMixed, OptionsOfWeightZeroHaveGradientsWhereToldSo) {
  const Supergraph supergraph = one_edge(1);
  Supernet net(supergraph, in_double);
  randomize(net, Rng(65));
  net.train();
  const at::Tensor x = random_tensor({3, 3, 8, 8}, Rng(66));
  const at::Tensor weights = at::tensor({0.0, 0.0, 1.0, 0.0}, at::kDouble).set_requires_grad(true);
  const auto gradient = [&](const MixedOptions& options) {
    return torch::autograd::grad({net.forward_mixed(x, {weights}, options).square().sum()},
                                 {weights}, {})[0];
  };
  const at::Tensor without = gradient({});
  const at::Tensor with = gradient({.also_computed = {{true, false, false, false}}});
  EXPECT_EQ(without[0].item<double>(), 0);
  EXPECT_NE(with[0].item<double>(), 0);
  EXPECT_EQ(with[1].item<double>(), 0);
  EXPECT_NEAR(with[2].item<double>(), without[2].item<double>(), 1e-9);
}

TEST(SupernetMixed, AChoiceOfNothingGivesZeros) {
  for (const std::int64_t stride : {1, 2}) {
    for (const int share : {1, 2}) {
      const Supergraph supergraph = one_edge(stride);
      Supernet net(supergraph, in_double);
      randomize(net, Rng(65));
      net.eval();
      const at::Tensor x = random_tensor({3, 3, 8, 8}, Rng(66));
      const at::Tensor none = at::zeros({stride == 1 ? 4 : 3}, at::kDouble);
      // A pool of almost no weight; it has no numbers to add.
      at::Tensor little = none.clone();
      little[0] = 1e-9;
      const MixedOptions options{.channel_share = share};
      const at::Tensor got = net.forward_mixed(x, {none}, options);
      EXPECT_LT((got - net.forward_mixed(x, {little}, options)).abs().max().item<double>(), 1e-6);
      // One image apart from the others has no part in it, but with channels that pass by.
      EXPECT_EQ((got[0] - got[1]).abs().max().item<double>() > 1e-9, share == 2);
      EXPECT_THAT(throws<UnsupportedError>([&] {
                    net.forward_mixed(random_tensor({1, 3, 16, 16}, Rng(1)), {none}, options);
                  }),
                  testing::HasSubstr("none of its options counts"));
    }
  }
}

TEST(SupernetMixed, SumsOfNormsAreThoseOfSeparateOperators) {
  // In float32 a choice takes its norms into its sum; one option at a time it cannot.
  const Supergraph supergraph = one_edge(1);
  Supernet net(supergraph), one_by_one(supergraph, in_double);
  randomize(one_by_one, Rng(67));
  std::map<std::string, at::Tensor> state;
  for (const auto& [name, tensor] : one_by_one.state()) state.emplace(name, tensor.to(at::kFloat));
  net.load_state(state);
  net.train();
  one_by_one.train();
  const at::Tensor x = random_tensor({3, 3, 8, 8}, Rng(68));
  const at::Tensor weights = at::tensor({0.1, 0.2, 0.4, 0.3}, at::kDouble);
  const at::Tensor got = net.forward_mixed(x.to(at::kFloat), {weights}, {.normalize_pools = true});
  const at::Tensor wanted = one_by_one.forward_mixed(x, {weights}, {.normalize_pools = true});
  EXPECT_LT((got - wanted).abs().max().item<double>(), 1e-4);
  for (const auto& [name, buffer] : net.buffers()) {
    EXPECT_LT((buffer - one_by_one.tensor(name)).abs().max().item<double>(), 1e-4) << name;
  }
}

TEST(SupernetMixed, BatchDecidesTheResolution) {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> sizes{8, 12};
  const Dim size = b.number("resolution", sizes);
  const NodeId x = conv_bn_act(b, b.input(3, size, size), 4, {.conv = {.kernel = 3, .stride = 2}});
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 5));
  const Supergraph supergraph = b.finish();
  Supernet net(supergraph, in_double);
  randomize(net, Rng(1));
  net.eval();
  for (std::uint32_t k = 0; k < 2; ++k) {
    const at::Tensor batch = random_tensor({2, 3, sizes[k], sizes[k]}, Rng(2));
    const at::Tensor y = net.forward(batch, {{k}});
    EXPECT_LT(difference(net.forward_mixed(batch, net.one_hot({{k}})), y), 1e-12);
  }
}

TEST(SupernetMixed, OptionsOfSeveralWidthsThatEndInBatchNormsAreTrained) {
  SupergraphBuilder b;
  const NodeId in = b.input(3, 8, 8);
  const std::array options{b.batch_norm(b.conv(in, 8, {.kernel = 3})), b.batch_norm(b.conv(in, 4))};
  const DecisionId d = b.decide({.name = "op", .options = {"wide", "narrow"}});
  b.output(b.conv(b.choice(d, options), 4, {.bias = true}));
  const Supergraph supergraph = b.finish();
  Supernet net(supergraph, in_double);
  randomize(net, Rng(1));
  net.train();
  const at::Tensor x = random_tensor({2, 3, 8, 8}, Rng(2));
  for (const std::uint32_t option : {0U, 1U}) {
    const Architecture a{{option}};
    EXPECT_LT(difference(net.forward_mixed(x, net.one_hot(a)), net.forward(x, a)), 1e-12);
  }
  // Behind the choice all is linear.
  const at::Tensor both = net.forward_mixed(x, {at::tensor({0.25, 0.75}, at::kDouble)});
  const at::Tensor apart = 0.25 * net.forward(x, {{0}}) + 0.75 * net.forward(x, {{1}});
  EXPECT_LT(difference(both, apart), 1e-12);
}

TEST(SupernetMixed, FloatNetworksTakeDoubleWeightsAndTheGradientReachesThem) {
  const auto all = hole_supergraphs();
  const Supergraph& supergraph = all.at(1).second;  // bits
  Supernet net(supergraph);
  randomize(net, Rng(1));
  MixedWeights weights = random_weights(supergraph, Rng(2));
  for (at::Tensor& w : weights) w.set_requires_grad(true);
  const at::Tensor x = random_tensor({2, 3, 8, 8}, Rng(3)).to(at::kFloat);
  const at::Tensor y = net.forward_mixed(x, weights);
  EXPECT_EQ(y.scalar_type(), at::kFloat);
  y.square().sum().backward();
  for (std::size_t d = 0; d < weights.size(); ++d) {
    EXPECT_GT(weights[d].grad().abs().min().item<double>(), 0) << supergraph.decisions()[d].name;
  }
  for (const auto& [name, value] : net.parameters()) EXPECT_TRUE(value.grad().defined()) << name;
}

TEST(SupernetMixed, ChecksWeights) {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> widths{2, 4};
  b.output(b.conv(conv_bn_act(b, b.input(3, 4, 4), b.number("width", widths)), 2));
  const Supergraph supergraph = b.finish();
  Supernet net(supergraph);
  const at::Tensor x = at::zeros({1, 3, 4, 4});
  EXPECT_EQ(throws<InvalidArchitecture>([&] { net.forward_mixed(x, {}); }),
            "got weights for 0 decisions, the supernet has 1");
  EXPECT_EQ(throws<InvalidArchitecture>([&] { net.forward_mixed(x, {at::ones({3})}); }),
            "decision 'width' needs one weight for each of its 2 options, got 3");
  EXPECT_EQ(throws<InvalidArchitecture>([&] { net.forward_mixed(x, {at::zeros({2})}); }),
            "decision 'width' has only weights of 0; at least one option must count");
  EXPECT_EQ(throws<ShapeError>([&] {
              net.forward_mixed(at::zeros({1, 2, 4, 4}), {at::ones({2})});
            }),
            "input 'input': needs a batch of shape {N, 3, H, W}, got 4 axes and 2 channels");
  throws<ShapeError>([&] { net.forward_mixed(at::zeros({3}), {at::ones({2})}); });
}

/// The message with which the relaxation of a supergraph is refused.
std::string refused(SupergraphBuilder& b, NodeId x) {
  b.output(x);
  const Supergraph supergraph = b.finish();
  Supernet net(supergraph);
  MixedWeights weights;
  for (const Decision& d : supergraph.decisions()) {
    weights.push_back(at::ones({static_cast<std::int64_t>(d.options.size())}));
  }
  return throws<UnsupportedError>([&] { net.forward_mixed(at::zeros({1, 3, 8, 8}), weights); });
}

TEST(SupernetMixed, RefusesWhatHasNoRelaxation) {
  const std::array<std::int64_t, 2> small{1, 2}, odd{3, 5}, mixed{2, 3}, channels{3, 6};
  const std::string instead =
      ", has no relaxation; use a strategy that runs one architecture at a time";
  {
    SupergraphBuilder b;
    const NodeId x = b.input(3, 8, 8);
    EXPECT_EQ(refused(b, b.conv(x, 4, {.stride = b.number("s", small)})),
              "conv2d 'conv': an open stride, s{1|2}" + instead);
  }
  {
    SupergraphBuilder b;
    const NodeId x = b.input(3, 8, 8);
    EXPECT_EQ(refused(b, b.max_pool(x, {.stride = b.number("s", small)})),
              "pool2d 'pool': an open stride, s{1|2}" + instead);
  }
  {
    SupergraphBuilder b;
    const NodeId x = b.input(3, 8, 8);
    EXPECT_EQ(refused(b, b.zero(x, b.number("s", small))),
              "zero 'zero': an open stride, s{1|2}" + instead);
  }
  {
    SupergraphBuilder b;
    const NodeId x = b.input(3, 8, 8);
    EXPECT_EQ(refused(b, b.conv(x, 4, {.kernel = 3, .dilation = b.number("d", small)})),
              "conv2d 'conv': an open dilation, d{1|2}" + instead);
  }
  {
    SupergraphBuilder b;
    const NodeId x = b.input(b.number("c", channels), 8, 8);
    EXPECT_EQ(refused(b, x), "input 'input': an open number of channels, c{3|6}" + instead);
  }
  {
    SupergraphBuilder b;
    const NodeId x = b.input(3, 8, 8);
    EXPECT_EQ(refused(b, b.conv(x, 4, {.kernel = b.number("k", odd), .padding = Extent(1)})),
              "conv2d 'conv': open kernels k{3|5} with padding 1 have no relaxation; they must be "
              "all odd or all even, with same padding");
  }
  {
    SupergraphBuilder b;
    const NodeId x = b.input(3, 8, 8);
    EXPECT_EQ(
        refused(b, b.max_pool(x, {.kernel = b.number("k", mixed), .stride = 1})),
        "pool2d 'pool': open kernels k{2|3} with padding k{0|1} have no relaxation; they must be "
        "all odd or all even, with same padding");
  }
  {
    SupergraphBuilder b;
    const NodeId x = b.input(3, 8, 8);
    const std::array options{x, b.max_pool(x, {})};
    const DecisionId d = b.decide({.name = "size", .options = {"full", "half"}});
    EXPECT_EQ(refused(b, b.choice(d, options)),
              "choice 'choice': a choice between tensors of different heights or widths has no "
              "relaxation; use a strategy that runs one architecture at a time");
  }
  {
    SupergraphBuilder b;
    const NodeId x = b.input(3, 8, 8);
    const std::array parts{conv_bn_act(b, x, b.number("p", channels)), x};
    EXPECT_EQ(refused(b, b.layer_norm(b.concat(parts))),
              "layer_norm 'ln': layer norm over a concat of open widths, or flattened ones, "
              "has no relaxation; mix the channels with a convolution first");
  }
  {
    SupergraphBuilder b;
    const NodeId x = b.conv(b.input(3, 8, 8), 4);
    const std::array options{x, b.conv(x, 4, {.kernel = 3, .group_width = 2}, "grouped")};
    b.output(b.choice(b.decide({.name = "op", .options = {"skip", "grouped"}}), options));
    const Supergraph supergraph = b.finish();
    Supernet net(supergraph);
    EXPECT_EQ(throws<UnsupportedError>([&] {
                net.forward_mixed(at::zeros({1, 3, 8, 8}), {at::ones({2})}, {.channel_share = 2});
              }),
              "conv2d 'grouped' of choice 'choice' cannot run on a share of 1/2 of its 4 channels; "
              "take another share or leave it out");
  }
}

}  // namespace
}  // namespace espalier
