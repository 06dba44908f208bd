#include "nets/graph_module.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>

#include "core/error.hpp"
#include "graph/cost.hpp"
#include "graph/nets.hpp"
#include "tests/core/throws.hpp"
#include "tests/graph/interpreter.hpp"
#include "tests/graph/test_graphs.hpp"
#include "tests/nets/networks.hpp"

namespace espalier {
namespace {

const ModuleOptions in_double{.dtype = at::kDouble};

/// Gives a module the interpreter's weights.
void load(GraphModule& module, const Interpreter& oracle) {
  std::map<std::string, at::Tensor> state = module.state();
  const std::array<std::pair<const char*, const char*>, 4> kinds{{{"weight", "weight"},
                                                                  {"bias", "bias"},
                                                                  {"running_mean", "mean"},
                                                                  {"running_var", "variance"}}};
  for (auto& [name, value] : state) {
    const std::size_t dot = name.rfind('.');
    for (const auto& [ours, theirs] : kinds) {
      if (name.substr(dot + 1) != ours) continue;
      const std::vector<double> values =
          oracle.weights(name.substr(0, dot), theirs, static_cast<std::size_t>(value.numel()));
      value = at::tensor(values, at::kDouble).view(value.sizes());
    }
  }
  module.load_state(state);
}

TEST(GraphModule, AgreesWithAPlainInterpreterOnRandomGraphsOfAllOperators) {
  const Rng rng(1);
  for (std::uint64_t i = 0; i < 150; ++i) {
    Rng draws = rng.fork(i);
    const Graph graph = random_graph(draws, 10, all_operators());
    const Interpreter oracle(i);
    GraphModule module(graph, in_double);
    EXPECT_EQ(module.parameter_count(), cost(graph).params);
    load(module, oracle);
    module.eval();
    const std::vector<double> input = oracle.weights("the input", "weight", 4 * 6 * 6);
    const at::Tensor y =
        module.forward(at::tensor(input, at::kDouble).view({1, 4, 6, 6})).contiguous().flatten();
    const std::vector<double> expected = oracle.run(graph);
    ASSERT_EQ(static_cast<std::size_t>(y.numel()), expected.size());
    for (std::size_t k = 0; k < expected.size(); ++k) {
      ASSERT_NEAR(y.data_ptr<double>()[k], expected[k], 1e-12 * (1 + std::abs(expected[k])))
          << "graph " << i;
    }
  }
}

/// A graph of one operator on an {4, 6, 6} input.
Graph single(const Op& op, const Compression& compression = {}) {
  GraphBuilder b;
  b.output(b.append(op, std::array{b.input(4, 6, 6)}, "op", compression));
  return b.build();
}

TEST(GraphModule, OperatorsAreTheseOfAten) {
  const at::Tensor x = random_tensor({2, 4, 6, 6}, Rng(3));
  const auto run = [&](const Op& op) {
    GraphModule module(single(op), in_double);
    randomize(module, Rng(4));
    module.eval();
    return std::pair(module.forward(x), module.state());
  };
  {
    const auto [y, s] = run(op::Conv2d{.out_channels = 6,
                                       .kernel = {3, 5},
                                       .stride = {2, 1},
                                       .padding = {1, 2},
                                       .dilation = {1, 2},
                                       .group_width = 2,
                                       .bias = true});
    EXPECT_LT(
        difference(y, at::conv2d(x, s.at("op.weight"), s.at("op.bias"), {2, 1}, {1, 2}, {1, 2}, 2)),
        1e-13);
  }
  {
    const auto [y, s] = run(op::BatchNorm2d{.eps = 0.25f});
    const auto view = [&s](const char* name) { return s.at(name).view({1, -1, 1, 1}); };
    EXPECT_LT(difference(y, (x - view("op.running_mean")) / (view("op.running_var") + 0.25).sqrt() *
                                    view("op.weight") +
                                view("op.bias")),
              1e-13);
  }
  const auto plain = [&](const Op& op) { return run(op).first; };
  EXPECT_EQ(difference(plain(op::Pool2d{PoolKind::average, 3, 2, 1, true, true}),
                       at::avg_pool2d(x, 3, 2, 1, true, true)),
            0);
  EXPECT_EQ(difference(plain(op::Pool2d{PoolKind::average, 3, 2, 1, false, false}),
                       at::avg_pool2d(x, 3, 2, 1, false, false)),
            0);
  EXPECT_EQ(difference(plain(op::Pool2d{PoolKind::max, 2, 2, 1, true}),
                       at::max_pool2d(x, 2, 2, 1, 1, true)),
            0);
  EXPECT_LT(difference(plain(op::GlobalAvgPool{}), x.mean({2, 3}, true)), 1e-13);
  EXPECT_EQ(difference(plain(op::Flatten{}), x.reshape({2, -1})), 0);
  EXPECT_EQ(plain(op::Zero{2}).sizes(), at::IntArrayRef({2, 4, 3, 3}));
  EXPECT_EQ(plain(op::Zero{2}).abs().max().item<double>(), 0);
}

TEST(GraphModule, DeformableConvolutionsAgreeWithAPlainInterpreter) {
  struct Case {
    std::int64_t runs, group_width, stride, dilation;
    bool factors;
    std::int64_t height = 6, width = 5;
  };
  for (const Case& c : {Case{1, 0, 1, 1, false}, Case{1, 0, 2, 1, true}, Case{2, 0, 1, 2, true},
                        Case{4, 2, 2, 1, false}, Case{2, 1, 1, 1, true},
                        Case{1, 0, 1, 1, true, 1, 5}, Case{1, 0, 1, 1, false, 1, 1}}) {
    GraphBuilder b;
    const NodeId x = b.conv(b.input(4, c.height, c.width), 4, {.bias = true});
    // Offsets of several pixels, so that some places lie outside.
    const NodeId scaled = b.scale(b.conv(x, 18 * c.runs, {.kernel = 3, .stride = c.stride}), 4);
    std::vector<NodeId> inputs{x, scaled};
    if (c.factors) {
      const NodeId raw = b.conv(x, 9 * c.runs, {.kernel = 3, .stride = c.stride});
      inputs.push_back(b.activation(raw, ActivationKind::sigmoid));
    }
    b.output(b.deform_conv(inputs, c.group_width == 1 ? 0 : 6,
                           {.kernel = 3,
                            .stride = c.stride,
                            .dilation = c.dilation,
                            .padding = c.dilation,
                            .group_width = c.group_width,
                            .bias = true}));
    const Graph graph = b.build();
    Interpreter oracle(5);
    GraphModule module(graph, in_double);
    EXPECT_EQ(module.parameter_count(), cost(graph).params);
    load(module, oracle);
    module.eval();
    const auto values = static_cast<std::size_t>(4 * c.height * c.width);
    const at::Tensor y =
        module
            .forward(at::tensor(oracle.weights("the input", "weight", values), at::kDouble)
                         .view({1, 4, c.height, c.width}))
            .contiguous()
            .flatten();
    const std::vector<double> expected = oracle.run(graph);
    ASSERT_EQ(static_cast<std::size_t>(y.numel()), expected.size());
    for (std::size_t k = 0; k < expected.size(); ++k) {
      ASSERT_NEAR(y.data_ptr<double>()[k], expected[k], 1e-12 * (1 + std::abs(expected[k])));
    }
  }
}

TEST(GraphModule, QuantizedOperatorsReadRoundedInputsAndWeights) {
  const at::Tensor x = random_tensor({2, 4, 6, 6}, Rng(3));
  const Quantization bits{.weight_bits = 4, .activation_bits = 5};
  GraphModule module(single(op::Conv2d{.out_channels = 3}, {bits}), in_double);
  module.eval();
  randomize(module, Rng(4));
  const auto state = module.state();
  const at::Tensor w = state.at("op.weight");
  const at::Tensor scale = w.abs().amax({1, 2, 3}, true) / 7;
  const at::Tensor low = state.at("op.activation_min"), high = state.at("op.activation_max");
  const at::Tensor step = (high - low) / 31;
  const at::Tensor zero = at::round(-low / step);
  const at::Tensor rounded_x = (at::clamp(at::round(x / step) + zero, 0, 31) - zero) * step;
  EXPECT_LT(difference(module.forward(x), at::conv2d(rounded_x, at::round(w / scale) * scale)),
            1e-13);
  EXPECT_GT(difference(module.forward(x), at::conv2d(x, w)), 1e-3);
}

TEST(GraphModule, ReferenceNetsHaveTheirPublishedParams) {
  const std::map<std::string, std::int64_t> params{{"resnet18", 11689512},
                                                   {"mobilenet_v2", 3504872},
                                                   {"mobilenet_v3_large", 5483032},
                                                   {"mobilenet_v3_small", 2542856}};
  for (const auto& [name, count] : params) {
    GraphModule module(build_net(name, {.input = {3, 32, 32}}));
    EXPECT_EQ(module.parameter_count(), count) << name;
    if (name != "mobilenet_v3_small") continue;
    module.reset_parameters(Rng(1));
    module.eval();
    const at::NoGradGuard no_grad;
    const at::Tensor y = module.forward(at::ones({2, 3, 32, 32}));
    EXPECT_EQ(y.sizes(), at::IntArrayRef({2, 1000}));
    EXPECT_TRUE(y.isfinite().all().item<bool>());
  }
}

/// A small network with dropout and batch norm.
Graph small_net() {
  GraphBuilder b;
  NodeId x = conv_bn_act(b, b.input(3, 8, 8), 8, {.conv = {.kernel = 3}});
  x = mbconv(b, x, 8, {.expanded_channels = 16, .squeeze_excitation = SqueezeExcitationOptions{}},
             "block");
  x = b.dropout(b.flatten(b.global_avg_pool(x)), 0.5f);
  b.output(b.linear(x, 4));
  return b.build();
}

TEST(GraphModule, EqualSeedsGiveEqualNetworks) {
  const at::Tensor x = random_tensor({4, 3, 8, 8}, Rng(1)).to(at::kFloat);
  const auto train = [&](std::uint64_t seed) {
    GraphModule module(small_net());
    module.reset_parameters(Rng(seed));
    const at::Tensor y = module.forward(x);
    y.square().sum().backward();
    return std::pair(y.detach(), module.parameters()[0].second.grad());
  };
  const auto [y, gradient] = train(7);
  const auto [y2, gradient2] = train(7);
  EXPECT_TRUE(y.equal(y2));
  EXPECT_TRUE(gradient.equal(gradient2));
  EXPECT_FALSE(y.equal(train(8).first));
}

TEST(GraphModule, WeightsDependOnTheNameAloneAndHaveTheirVariance) {
  GraphBuilder b;
  NodeId x = b.conv(b.input(64, 4, 4), 128, {.kernel = 3, .bias = true}, "first");
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 300, {}, "last"));
  GraphModule big(b.build());
  big.reset_parameters(Rng(5));
  const at::Tensor w = big.tensor("first.weight");
  EXPECT_NEAR(w.std().item<double>(), std::sqrt(2.0 / (128 * 9)), 2e-4);
  EXPECT_NEAR(w.mean().item<double>(), 0, 5e-4);
  EXPECT_EQ(big.tensor("first.bias").abs().max().item<double>(), 0);
  const at::Tensor v = big.tensor("last.weight");
  EXPECT_LE(v.abs().max().item<double>(), 1 / std::sqrt(128.0));
  EXPECT_NEAR(v.std().item<double>(), 1 / std::sqrt(128.0 * 3), 1e-3);

  GraphModule uniform(big.graph());
  uniform.reset_parameters(Rng(5), ConvolutionInit::libtorch);
  for (const char* name : {"first.weight", "first.bias"}) {
    const at::Tensor u = uniform.tensor(name);
    EXPECT_LE(u.abs().max().item<double>(), 1 / std::sqrt(64.0 * 9));
    // 73,728 and 128 numbers
    EXPECT_NEAR(u.std().item<double>() * std::sqrt(64.0 * 9 * 3), 1, u.dim() == 4 ? 0.01 : 0.2);
  }
  EXPECT_TRUE(uniform.tensor("last.weight").equal(v));

  GraphBuilder tokens;
  NodeId t = tokens.scale(tokens.layer_norm(tokens.input(64, 20, 20)), 0.25f);
  tokens.output(tokens.position_embedding(tokens.class_token(tokens.tokens(t))));
  GraphModule embedded(tokens.build());
  for (const bool drawn : {false, true}) {
    if (drawn) embedded.reset_parameters(Rng(5));
    EXPECT_TRUE(embedded.tensor("scale.weight").eq(0.25).all().item<bool>());
    EXPECT_TRUE(embedded.tensor("ln.weight").eq(1).all().item<bool>());
    EXPECT_TRUE(embedded.tensor("ln.bias").eq(0).all().item<bool>());
  }
  EXPECT_NEAR(embedded.tensor("position_embedding.weight").std().item<double>(), 0.02, 5e-4);
  EXPECT_NEAR(embedded.tensor("class_token.weight").std().item<double>(), 0.02, 5e-3);

  GraphBuilder other;
  NodeId z = other.batch_norm(other.input(64, 4, 4));
  other.output(other.conv(z, 128, {.kernel = 3, .bias = true}, "first"));
  GraphModule small(other.build());
  small.reset_parameters(Rng(5));
  EXPECT_TRUE(small.tensor("first.weight").equal(w));
}

TEST(GraphModule, MemoryFormatsAgree) {
  const at::Tensor x = random_tensor({2, 3, 8, 8}, Rng(1));
  std::vector<at::Tensor> outputs, gradients;
  for (at::MemoryFormat format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    GraphModule module(small_net(), {.dtype = at::kDouble, .memory_format = format});
    randomize(module, Rng(2));
    EXPECT_TRUE(module.tensor("block.depthwise.conv.weight").is_contiguous(format));
    module.forward(x, [&](NodeId, const at::Tensor& y) {
      if (y.dim() == 4 && y.size(2) > 1) {
        EXPECT_TRUE(y.is_contiguous(format));
      }
    });
    module.seed(Rng(2));
    outputs.push_back(module.forward(x));
    outputs.back().square().sum().backward();
    gradients.push_back(module.parameters()[0].second.grad());
  }
  EXPECT_LT(difference(outputs[0], outputs[1]), 1e-12);
  EXPECT_LT(difference(gradients[0], gradients[1]), 1e-10);
}

TEST(GraphModule, TrainingUpdatesStatisticsAndEvaluationDoesNot) {
  GraphBuilder b;
  b.output(b.batch_norm(b.input(2, 3, 3)));
  GraphModule module(b.build(), in_double);
  const at::Tensor x = random_tensor({5, 2, 3, 3}, Rng(1), 1, 4);
  EXPECT_TRUE(module.training());
  const at::Tensor y = module.forward(x);
  EXPECT_NEAR(y.mean().item<double>(), 0, 1e-12);
  const at::Tensor mean = module.tensor("bn.running_mean").clone();
  const double momentum = op::BatchNorm2d{}.momentum;
  EXPECT_LT(difference(mean, momentum * x.mean({0, 2, 3})), 1e-12);
  EXPECT_LT(
      difference(module.tensor("bn.running_var"), 1 - momentum + momentum * x.var({0, 2, 3}, true)),
      1e-12);
  module.eval();
  module.forward(x);
  EXPECT_TRUE(module.tensor("bn.running_mean").equal(mean));
}

TEST(GraphModule, DropoutScalesWhatItKeepsAndIsOffInEvaluation) {
  GraphModule module(single(op::Dropout{0.25f}), in_double);
  const at::Tensor x = at::ones({50, 4, 6, 6}, at::kDouble);
  const at::Tensor y = module.forward(x);
  EXPECT_NEAR((y == 0).to(at::kDouble).mean().item<double>(), 0.25, 0.02);
  EXPECT_NEAR(y.max().item<double>(), 4.0 / 3, 1e-12);
  EXPECT_FALSE(module.forward(x).equal(y));
  module.eval();
  EXPECT_TRUE(module.forward(x).equal(x));
}

TEST(GraphModule, SkipsNodesThatTheOutputDoesNotReadButCountsTheirParams) {
  GraphBuilder b;
  const NodeId x = b.input(3, 4, 4);
  b.conv(x, 8, {}, "dead");
  b.output(b.conv(x, 2, {}, "live"));
  const Graph graph = b.build();
  GraphModule module(graph);
  EXPECT_EQ(module.parameter_count(), cost(graph).params);
  std::vector<std::string> seen;
  module.forward(at::ones({1, 3, 4, 4}),
                 [&](NodeId id, const at::Tensor&) { seen.push_back(graph.name(id)); });
  EXPECT_EQ(seen, (std::vector<std::string>{"input", "live", "output"}));
}

TEST(GraphModule, ShortCutsAndSingleStepsGiveTheSame) {
  // All that a program leaves out or joins unless somebody looks: zeros that are added, zeros that
  // are all there is, one operator twice, batch norms with each activation and with two readers.
  GraphBuilder b;
  const NodeId x = b.conv(b.input(3, 8, 8), 8, {}, "stem");
  const PoolOptions pool{.kernel = 3, .stride = 1, .padding = 1};
  std::vector<NodeId> parts{b.zero(x), b.avg_pool(x, pool), b.avg_pool(x, pool, "again"),
                            b.add(b.zero(x, 1, "z1"), b.zero(x, 1, "z2"), "nothing")};
  for (const ActivationKind kind : {ActivationKind::relu, ActivationKind::relu6,
                                    ActivationKind::hard_swish, ActivationKind::tanh}) {
    const NodeId y = b.conv(b.activation(x, ActivationKind::relu), 8, {});
    parts.push_back(b.activation(b.batch_norm(y), kind));
  }
  const NodeId shared = b.batch_norm(x, {}, "shared");
  parts.push_back(b.activation(shared, ActivationKind::relu, "one"));
  parts.push_back(b.activation(shared, ActivationKind::relu, "other"));
  parts.push_back(b.activation(shared, ActivationKind::relu6, "third"));
  b.output(b.add(parts, "sum"));
  const Graph graph = b.build();
  for (const bool training : {true, false}) {
    GraphModule shortened(graph), observed(graph);
    for (GraphModule* module : {&shortened, &observed}) {
      module->reset_parameters(Rng(3));
      training ? module->train() : module->eval();
    }
    const at::Tensor image = random_tensor({4, 3, 8, 8}, Rng(4)).to(at::kFloat);
    std::size_t seen = 0;
    const at::Tensor y = shortened.forward(image);
    const at::Tensor wanted =
        observed.forward(image, [&](NodeId, const at::Tensor& value) { seen += value.defined(); });
    EXPECT_EQ(seen, graph.size());
    EXPECT_LT(difference(y, wanted), 1e-5);
    const at::Tensor weights = random_tensor(y.sizes(), Rng(5)).to(at::kFloat);
    (y * weights).sum().backward();
    (wanted * weights).sum().backward();
    for (std::size_t i = 0; i < observed.parameters().size(); ++i) {
      const auto& [name, parameter] = observed.parameters()[i];
      EXPECT_LT(difference(shortened.parameters()[i].second.grad(), parameter.grad()), 1e-4)
          << name;
    }
    for (const auto& [name, value] : observed.state()) {
      EXPECT_TRUE(at::allclose(shortened.state().at(name), value, 1e-5, 1e-6)) << name;
    }
  }
}

TEST(GraphModule, FreesATensorAfterItsLastReader) {
  GraphBuilder b;
  NodeId x = b.input(3, 4, 4);
  for (int i = 0; i < 4; ++i) x = b.activation(x, ActivationKind::tanh);
  b.output(x);
  GraphModule module(b.build());
  const at::NoGradGuard no_grad;
  std::vector<c10::weak_intrusive_ptr<at::TensorImpl>> made;
  module.forward(at::ones({1, 3, 4, 4}), [&](NodeId id, const at::Tensor& y) {
    if (id == 0) return;  // the input, which the caller holds
    made.emplace_back(y.getIntrusivePtr());
    // The input of this operator is the last one that may still be there.
    for (std::size_t k = 0; k + 2 < made.size(); ++k) EXPECT_TRUE(made[k].expired()) << id;
  });
}

TEST(GraphModule, StateGoesRoundAndIsCheckedFirst) {
  GraphModule a(small_net()), b(small_net());
  a.reset_parameters(Rng(1));
  b.reset_parameters(Rng(2));
  const at::Tensor kept = b.parameters()[0].second;
  b.load_state(a.state());
  for (const auto& [name, value] : a.state()) EXPECT_TRUE(b.tensor(name).equal(value)) << name;
  EXPECT_TRUE(kept.is_same(b.parameters()[0].second));

  auto state = b.state();
  state.at("linear.bias") = at::zeros({3});
  EXPECT_EQ(throws<ShapeError>([&] { b.load_state(state); }),
            "tensor 'linear.bias' has the shape {3} in the state and {4} in the network");
  state.erase("linear.bias");
  EXPECT_EQ(throws<ShapeError>([&] { b.load_state(state); }),
            "the state has no tensor 'linear.bias' of shape {4}");
  state = b.state();
  state["linear.bais"] = at::zeros({4});
  EXPECT_EQ(throws<ShapeError>([&] { b.load_state(state); }),
            "the network has no tensor 'linear.bais' of the state; did you mean \"linear.bias\"?");
}

TEST(GraphModule, ConvertsWithoutChangingTheIdentityOfItsTensors) {
  GraphModule module(small_net());
  module.reset_parameters(Rng(1));
  const at::Tensor before = module.parameters()[0].second;
  const at::Tensor values = before.detach().clone();
  module.forward(at::ones({2, 3, 8, 8})).sum().backward();
  EXPECT_TRUE(before.grad().defined());
  module.to(at::kCPU, at::kDouble);
  EXPECT_FALSE(before.grad().defined());
  EXPECT_EQ(before.scalar_type(), at::kDouble);
  EXPECT_TRUE(before.requires_grad());
  EXPECT_TRUE(before.equal(values.to(at::kDouble)));
  module.forward(at::ones({2, 3, 8, 8}, at::kDouble)).sum().backward();
  EXPECT_EQ(before.grad().scalar_type(), at::kDouble);
  module.zero_grad();
  EXPECT_FALSE(before.grad().defined());
}

TEST(GraphModule, SaysWhatDoesNotFit) {
  GraphModule module(small_net());
  EXPECT_EQ(throws<ShapeError>([&] {
              module.forward(at::ones({2, 1, 8, 8}));
            }),
            "input 'input': needs a batch of shape {N, 3, 8, 8}, got {2, 1, 8, 8}");
  EXPECT_EQ(throws<ShapeError>([&] {
              module.forward(at::ones({2, 3, 8, 8}, at::kDouble));
            }),
            "the network's tensors are Float on cpu, the batch is Double on cpu; convert one with "
            "to()");
  EXPECT_EQ(throws<InvalidArchitecture>([&] { module.tensor("linear.wieght"); }),
            "the network has no tensor 'linear.wieght'; did you mean \"linear.weight\"?");

  GraphModule norm(single(op::BatchNorm2d{}));
  EXPECT_NO_THROW(norm.forward(at::ones({1, 4, 6, 6})));
  GraphBuilder b;
  b.output(b.batch_norm(b.input(4, 1, 1)));
  GraphModule tiny(b.build());
  EXPECT_EQ(throws<NumericalError>([&] {
              tiny.forward(at::ones({1, 4, 1, 1}));
            }),
            "batch norm needs more than one value per channel to train, got 1 sample of 1x1; use a "
            "larger batch");
  tiny.eval();
  EXPECT_NO_THROW(tiny.forward(at::ones({1, 4, 1, 1})));
}

TEST(GraphModule, RefusesOpenGraphs) {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> widths{2, 4};
  b.output(b.conv(b.input(3, 4, 4), b.number("width", widths)));
  const Supergraph open = b.finish();
  EXPECT_EQ(throws<InvalidArchitecture>([&] { GraphModule module(open.graph()); }),
            "the graph has open decisions; close it with an architecture first");
  const at::Tensor x = at::ones({1, 3, 4, 4});
  EXPECT_EQ(throws<InvalidArchitecture>([&] {
              run_op(Node{.op = op::Choice{.decision = 3}, .compression = {}, .shape = {}}, {&x, 1},
                     {}, {});
            }),
            "choice of decision 3 is open; close the supergraph with an architecture first");
}

}  // namespace
}  // namespace espalier
