#include "nets/supernet.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "core/error.hpp"
#include "core/json.hpp"
#include "graph/cost.hpp"
#include "graph/nets.hpp"
#include "nets/quantization.hpp"
#include "nets/weight_source.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/network.hpp"
#include "search_spaces/restriction.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"
#include "tests/nets/networks.hpp"
#include "tests/search_spaces/small_spaces.hpp"

namespace espalier {
namespace {

const ModuleOptions in_double{.dtype = at::kDouble};

// The law, up to the order of float64 sums: the relaxation sums over zeros where the others leave
// channels out. Seen on a thousand architectures: 5e-16 there, and bit for bit otherwise.
constexpr double tolerance = 1e-12;

/// Holds the law on random architectures of a space.
void expect_law(const SearchSpace& space, int count, Ranges ranges = Ranges::random,
                const WeightSharing& sharing = {}) {
  const at::NoGradGuard no_grad;
  Supernet net(*space.supergraph(), in_double, sharing);
  randomize(net, Rng(11), ranges);
  net.eval();
  Rng rng(12);
  std::set<Architecture> seen;
  for (int i = 0; i < count; ++i) {
    const Architecture a = sample_uniform(space, rng);
    if (!seen.insert(a).second) continue;
    SCOPED_TRACE(space.to_string(a));
    const Graph graph = space.build(a);
    GraphModule module = net.extract(a);
    EXPECT_EQ(module.parameter_count(), cost(graph).params);
    EXPECT_FALSE(module.training());
    const at::Tensor x = random_batch(graph, 2, rng.fork(static_cast<std::uint64_t>(i)));
    const at::Tensor y = module.forward(x);
    ASSERT_TRUE(y.isfinite().all().item<bool>());
    ASSERT_GT(y.std().item<double>(), 1e-6);
    EXPECT_LT(difference(net.forward(x, a), y), tolerance);
    EXPECT_LT(difference(net.forward_mixed(x, net.one_hot(a)), y), tolerance);
  }
}

TEST(SupernetLaw, HoldsForEachKindOfHole) {
  for (auto& [name, supergraph] : hole_supergraphs()) {
    SCOPED_TRACE(name);
    const SupergraphSpace space(std::move(supergraph));
    expect_law(space, 50);
    expect_law(space, 10, Ranges::unset);
  }
}

Nasbench201Options small_nasbench201() { return {.input = {3, 8, 8}, .channels = 4, .cells = 1}; }

ChainOptions small_chain() {
  return {.input = {3, 12, 12},
          .stem_channels = 4,
          .stages = {{.blocks = {"plain"}, .widths = {4, 8}, .depths = {1, 2}, .stride = 1},
                     {.widths = {4, 6, 8}, .depths = {1, 2, 3}, .kernels = {1, 3, 5}}}};
}

MobileNetV3Options small_mobilenet_v3() {
  return {.input = {1, 16, 16},
          .kernels = {3, 5, 7},
          .expansions = {1, 2, 3},
          .resolutions = {12, 16},
          .stem_channels = 8,
          .stages = {{.channels = 8, .depths = {1, 2}, .se = SqueezeExcitation::search},
                     {.channels = 16,
                      .depths = {1, 2, 3},
                      .activation = ActivationKind::hard_swish,
                      .se = SqueezeExcitation::yes}},
          .head_expansion = 2,
          .last_channels = 16};
}

TEST(SupernetLaw, HoldsOnNasbench201) { expect_law(*make_nasbench201(small_nasbench201()), 50); }
TEST(SupernetLaw, HoldsOnChain) { expect_law(*make_chain(small_chain()), 50); }
TEST(SupernetLaw, HoldsOnMobileNetV3) { expect_law(*make_mobilenet_v3(small_mobilenet_v3()), 50); }

const CompressionOptions small_compression{.channels = {0.5, 0.75, 1.0},
                                           .divisor = 2,
                                           .weight_bits = {3, 8},
                                           .activation_bits = {4, 8, 32}};

TEST(SupernetLaw, HoldsWithBitsAndWidthsOpened) {
  MobileNetV3Options mobile = small_mobilenet_v3();
  mobile.compression = small_compression;
  expect_law(*make_mobilenet_v3(mobile), 50);
  expect_law(*make_mobilenet_v3(mobile), 10, Ranges::unset);
  Nasbench201Options cell = small_nasbench201();
  cell.compression = small_compression;
  expect_law(*make_nasbench201(cell), 20);
  ChainOptions chain = small_chain();
  chain.compression = small_compression;
  expect_law(*make_chain(chain), 20);
}

TEST(SupernetLaw, HoldsWithKernelTransformsAndBatchNormsPerWidth) {
  const WeightSharing transform{.kernel_transform = true};
  const WeightSharing norms{.batch_norm_per_width = true};
  const WeightSharing both{.kernel_transform = true, .batch_norm_per_width = true};
  for (const WeightSharing& sharing : {transform, norms, both}) {
    expect_law(*make_chain(small_chain()), 30, Ranges::random, sharing);
    expect_law(*make_mobilenet_v3(small_mobilenet_v3()), 20, Ranges::random, sharing);
    MobileNetV3Options mobile = small_mobilenet_v3();
    mobile.compression = small_compression;
    expect_law(*make_mobilenet_v3(mobile), 10, Ranges::random, sharing);
  }
}

// A 7x7, 5x5 or 3x3 convolution to 2 or 4 channels, normalized.
Supergraph one_convolution() {
  SupergraphBuilder b;
  const NodeId x = b.input(2, 9, 9);
  const std::array<std::int64_t, 3> kernels{3, 5, 7};
  const std::array<std::int64_t, 2> widths{2, 4};
  const Dim k = b.number("kernel", kernels);
  const NodeId y = b.conv(x, b.number("width", widths), {.kernel = k});
  b.output(b.linear(b.flatten(b.global_avg_pool(b.batch_norm(y, {}, "norm"))), 3));
  return b.finish();
}

TEST(SupernetSharing, SmallerKernelsAreTransformedStepByStep) {
  const at::NoGradGuard no_grad;
  const Supergraph supergraph = one_convolution();
  Supernet net(supergraph, in_double, {.kernel_transform = true});
  net.reset_parameters(Rng(1));
  const at::Tensor full = net.tensor("conv.weight");
  const auto filters = [&](std::uint32_t kernel) {
    return net.extract(Architecture{{kernel, 1}}).tensor("conv.weight").clone();
  };
  // At first, they are the centre.
  EXPECT_TRUE(filters(0).equal(full.narrow(2, 2, 3).narrow(3, 2, 3)));
  EXPECT_TRUE(filters(1).equal(full.narrow(2, 1, 5).narrow(3, 1, 5)));
  EXPECT_TRUE(filters(2).equal(full));
  // Then of what the next larger one was turned into.
  randomize(net, Rng(2));
  const at::Tensor to5 = net.tensor("conv.transform5"), to3 = net.tensor("conv.transform3");
  ASSERT_EQ(to5.sizes(), (std::vector<std::int64_t>{25, 25}));
  for (std::int64_t out = 0; out < 4; ++out) {
    for (std::int64_t in = 0; in < 2; ++in) {
      const at::Tensor seven = full[out][in];
      const at::Tensor five =
          at::mv(to5, seven.narrow(0, 1, 5).narrow(1, 1, 5).reshape(-1)).view({5, 5});
      const at::Tensor three =
          at::mv(to3, five.narrow(0, 1, 3).narrow(1, 1, 3).reshape(-1)).view({3, 3});
      EXPECT_LT(difference(filters(1)[out][in], five), 1e-12);
      EXPECT_LT(difference(filters(0)[out][in], three), 1e-12);
    }
  }
  EXPECT_TRUE(filters(2).equal(full));
}

TEST(SupernetSharing, TransformsLearnWithTheKernelsThatReadThem) {
  const Supergraph supergraph = one_convolution();
  Supernet net(supergraph, in_double, {.kernel_transform = true});
  randomize(net, Rng(2));
  const auto learns = [&](std::uint32_t kernel) {
    net.zero_grad();
    net.forward(at::ones({2, 2, 9, 9}, at::kDouble), Architecture{{kernel, 1}}).sum().backward();
    return std::pair(net.tensor("conv.transform5").grad().defined(),
                     net.tensor("conv.transform3").grad().defined());
  };
  EXPECT_EQ(learns(2), std::pair(false, false));
  EXPECT_EQ(learns(1), std::pair(true, false));
  EXPECT_EQ(learns(0), std::pair(true, true));
}

TEST(SupernetSharing, EachWidthHasABatchNormOfItsOwn) {
  const Supergraph supergraph = one_convolution();
  Supernet net(supergraph, in_double, {.batch_norm_per_width = true});
  randomize(net, Rng(2));
  const std::map<std::string, at::Tensor> before = [&] {
    std::map<std::string, at::Tensor> state;
    for (const auto& [name, value] : net.state()) state.emplace(name, value.clone());
    return state;
  }();
  net.train();
  const at::Tensor x = at::ones({4, 2, 9, 9}, at::kDouble);
  net.forward(x, Architecture{{0, 0}}).sum().backward();  // two channels
  const auto changed = [&](const std::string& name) {
    return !net.tensor(name).equal(before.at(name));
  };
  EXPECT_TRUE(changed("norm.width2.running_mean"));
  EXPECT_TRUE(changed("norm.width2.running_var"));
  EXPECT_FALSE(changed("norm.running_mean"));
  EXPECT_TRUE(net.tensor("norm.width2.weight").grad().defined());
  EXPECT_FALSE(net.tensor("norm.weight").grad().defined());
  net.forward(x, Architecture{{0, 1}});
  EXPECT_TRUE(changed("norm.running_mean"));
  // In the relaxation, too.
  Supernet mixed(supergraph, in_double, {.batch_norm_per_width = true});
  mixed.load_state(before);
  mixed.train();
  mixed.forward_mixed(x, mixed.one_hot(Architecture{{0, 0}}));
  EXPECT_LT(
      difference(mixed.tensor("norm.width2.running_mean"), net.tensor("norm.width2.running_mean")),
      1e-12);
  EXPECT_TRUE(mixed.tensor("norm.running_mean").equal(before.at("norm.running_mean")));
  // The weights of the narrow network are its own.
  const GraphModule module = net.extract(Architecture{{0, 0}});
  EXPECT_TRUE(module.tensor("norm.weight").equal(net.tensor("norm.width2.weight")));
}

TEST(SupernetSharing, ResettingBringsTheFirstValuesBack) {
  const Supergraph supergraph = one_convolution();
  const WeightSharing both{.kernel_transform = true, .batch_norm_per_width = true};
  Supernet first(supergraph, in_double, both), second(supergraph, in_double, both);
  first.reset_parameters(Rng(1));
  randomize(second, Rng(2));
  second.reset_parameters(Rng(1));
  const auto expected = first.state(), actual = second.state();
  for (const auto& [name, value] : expected) EXPECT_TRUE(value.equal(actual.at(name))) << name;
}

TEST(SupernetSharing, WhatItCannotServeIsRefused) {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> sizes{3, 5};
  const NodeId x = b.input(2, 9, 9);
  const NodeId y = b.conv(x, 4, {.kernel = Extent(b.number("kernel", sizes), 3)});
  b.output(b.linear(b.flatten(b.global_avg_pool(y)), 3));
  const Supergraph oblong = b.finish();
  EXPECT_THAT(
      throws<UnsupportedError>([&] { Supernet(oblong, in_double, {.kernel_transform = true}); }),
      testing::HasSubstr("'conv': kernels kernel{3|5} x 3 cannot be transformed"));
}

TEST(SupernetLaw, HoldsOnEverySpaceThatHasASupergraph) {
  const SpaceRegistry spaces = space_registry();
  std::set<std::string> seen;
  for (const Json& config : small_spaces()) {
    SCOPED_TRACE(config.dump());
    seen.insert(config["type"].get<std::string>());
    const auto space = spaces.create(config, "/space");
    if (space->supergraph() != nullptr) expect_law(*space, 12);
  }
  // `network` and `custom` are below.
  EXPECT_EQ(seen.size() + 2, spaces.names().size());
  for (const char* name : {"small_camera", "two_input_cells"}) {
    SCOPED_TRACE(name);
    const Json config =
        read_json_file(std::string(ESPALIER_SOURCE_DIR) + "/examples/spaces/" + name + ".json");
    expect_law(*spaces.create(config, ""), 6);
  }
  const Graph net = build_net("mobilenet_v2", {.input = {3, 32, 32}, .classes = 4});
  expect_law(SupergraphSpace(open_network(net, {3, 5}, true)), 3);
}

TEST(SupernetLaw, HoldsOnRestrictedSpaces) {
  const auto restricted = [](std::unique_ptr<SearchSpace> space, const Restriction& restriction) {
    return RestrictedSpace(std::move(space), restriction);
  };
  expect_law(restricted(make_nasbench201(small_nasbench201()),
                        {{"edge0_1", {"nor_conv_3x3"}}, {"edge1_3", {"none", "avg_pool_3x3"}}}),
             20);
  expect_law(restricted(make_chain(small_chain()), {{"stage2.width", {"4", "8"}},
                                                    {"stage2.depth", {"2"}},
                                                    {"stage2.block1.kernel", {"3", "5"}},
                                                    {"stage2.block2.kernel", {"5"}}}),
             20);
}

TEST(GraphModuleOfASpace, SlowThousandArchitecturesHaveTheShapesAndParamsOfTheirGraphs) {
  const at::NoGradGuard no_grad;
  MobileNetV3Options mobile = small_mobilenet_v3();
  mobile.compression = small_compression;
  for (const auto& space : {make_nasbench201(small_nasbench201()), make_chain(small_chain()),
                            make_mobilenet_v3(small_mobilenet_v3()), make_mobilenet_v3(mobile)}) {
    Rng rng(1);
    for (int i = 0; i < 1000; ++i) {
      const Architecture a = sample_uniform(*space, rng);
      const Graph graph = space->build(a);
      GraphModule module(graph);
      ASSERT_EQ(module.parameter_count(), cost(graph).params) << space->to_string(a);
      std::size_t seen = 0;
      const Shape& in = graph.node(graph.input()).shape;
      module.forward(at::zeros({2, in[0].value(), in[1].value(), in[2].value()}),
                     [&](NodeId id, const at::Tensor& y) {
                       std::vector<std::int64_t> shape{2};
                       for (Dim d : graph.node(id).shape.values()) shape.push_back(d.value());
                       ASSERT_EQ(y.sizes(), at::IntArrayRef(shape)) << graph.name(id);
                       ++seen;
                     });
      ASSERT_EQ(seen, graph.size());
    }
  }
}

TEST(SupernetLaw, AnOpenOutputIsMasked) {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> widths{2, 4};
  b.output(b.conv(b.input(3, 4, 4), b.number("width", widths), {.bias = true}));
  const Supergraph supergraph = b.finish();
  Supernet net(supergraph, in_double);
  randomize(net, Rng(1));
  const at::Tensor x = random_tensor({2, 3, 4, 4}, Rng(2));
  const at::Tensor wide = net.forward_mixed(x, net.one_hot({{0}}));
  EXPECT_LT(difference(wide.narrow(1, 0, 2), net.forward(x, {{0}})), tolerance);
  EXPECT_EQ(wide.narrow(1, 2, 2).abs().max().item<double>(), 0);
}

// Negative controls: each breaks one rule, and the comparison of the law must notice.

/// Two convolutions with an open width between them, and what the second one reads.
struct TwoConvolutions {
  static constexpr std::int64_t channels = 2;  // of 6

  explicit TwoConvolutions(std::optional<Quantization> quantization = {}) {
    SupergraphBuilder b;
    const std::array<std::int64_t, 2> widths{channels, 6};
    NodeId h = b.conv(b.input(3, 6, 6), b.number("width", widths), {.bias = true}, "first");
    h = b.batch_norm(h, {}, "bn");
    h = b.append(op::Conv2d{.out_channels = 4}, std::array{h}, "second", {quantization});
    b.output(b.flatten(b.global_avg_pool(h)));
    supergraph = std::make_unique<Supergraph>(b.finish());
    net = std::make_unique<Supernet>(*supergraph, in_double);
    randomize(*net, Rng(5));
    net->eval();
    x = random_tensor({2, 3, 6, 6}, Rng(6));
    y = net->extract(narrow).forward(x);
    mask = (at::arange(6) < channels).to(at::kDouble).view({1, 6, 1, 1});
  }
  /// The network at full width by hand.
  at::Tensor by_hand(const at::Tensor& read_mask, const at::Tensor& second_weight) const {
    const auto view = [&](const char* name) { return net->tensor(name).view({1, -1, 1, 1}); };
    at::Tensor h = at::conv2d(x, net->tensor("first.weight"), net->tensor("first.bias"));
    h = (h - view("bn.running_mean")) / (view("bn.running_var") + 1e-5f).sqrt() *
            view("bn.weight") +
        view("bn.bias");
    return at::conv2d(h * read_mask, second_weight).mean({2, 3});
  }

  Architecture narrow{{0}};
  std::unique_ptr<Supergraph> supergraph;
  std::unique_ptr<Supernet> net;
  at::Tensor x, y, mask;
};

TEST(SupernetControls, ReadingWithoutAMaskIsSeen) {
  const TwoConvolutions t;
  const at::Tensor w = t.net->tensor("second.weight");
  EXPECT_LT(difference(t.by_hand(t.mask, w), t.y), tolerance);
  EXPECT_GT(difference(t.by_hand(at::ones_like(t.mask), w), t.y), 1e-2);
}

TEST(SupernetControls, QuantizingBeforeMaskingIsSeen) {
  const TwoConvolutions t(Quantization{.weight_bits = 3});
  // Make sure that what is masked holds the largest weight.
  at::Tensor w = t.net->tensor("second.weight").detach();
  w.select(1, 5).mul_(3);
  const at::Tensor y = t.net->extract(t.narrow).forward(t.x);
  EXPECT_LT(difference(t.by_hand(t.mask, fake_quantize_weight(w * t.mask, 3)), y), tolerance);
  EXPECT_GT(difference(t.by_hand(t.mask, fake_quantize_weight(w, 3) * t.mask), y), 1e-2);
}

TEST(SupernetControls, ForgettingStatisticsIsSeen) {
  const TwoConvolutions t;
  GraphModule module = t.net->extract(t.narrow);
  auto state = module.state();
  for (auto& [name, value] : state) {
    if (name.ends_with("running_mean")) value = at::zeros_like(value);
    if (name.ends_with("running_var")) value = at::ones_like(value);
  }
  module.load_state(state);
  const at::Tensor mixed = t.net->forward_mixed(t.x, t.net->one_hot(t.narrow));
  EXPECT_LT(difference(mixed, t.y), tolerance);
  EXPECT_GT(difference(mixed, module.forward(t.x)), 1e-2);
}

TEST(SupernetControls, ForgettingActivationRangesIsSeen) {
  const TwoConvolutions t(Quantization{.activation_bits = 4});
  GraphModule module = t.net->extract(t.narrow);
  auto state = module.state();
  state.at("second.activation_min") = at::zeros({});
  state.at("second.activation_max") = at::zeros({});
  module.load_state(state);
  const at::Tensor mixed = t.net->forward_mixed(t.x, t.net->one_hot(t.narrow));
  EXPECT_LT(difference(mixed, t.y), tolerance);
  EXPECT_GT(difference(mixed, module.forward(t.x)), 1e-3);
}

/// A network's state where every weight is the first rows and columns, and the corner of the
/// kernel, of the supernet's.
std::map<std::string, at::Tensor> first_of_each(const Supernet& net, const GraphModule& module) {
  std::map<std::string, at::Tensor> state = module.state();
  for (auto& [name, value] : state) {
    at::Tensor full = net.tensor(name).detach();
    for (std::int64_t axis = 0; axis < value.dim(); ++axis) {
      full = full.narrow(axis, 0, value.size(axis));
    }
    value = full;
  }
  return state;
}

TEST(SupernetControls, TheFirstChannelsAfterAConcatAreSeen) {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> widths{2, 6};
  const NodeId x = b.input(3, 6, 6);
  const std::array parts{b.conv(x, b.number("p", widths), {}, "p"),
                         b.conv(x, b.number("q", widths), {}, "q")};
  NodeId h = b.batch_norm(b.concat(parts));
  h = b.conv(h, 4);
  b.output(b.flatten(b.global_avg_pool(h)));
  const Supergraph supergraph = b.finish();
  Supernet net(supergraph, in_double);
  randomize(net, Rng(1));
  net.eval();
  const at::Tensor batch = random_tensor({2, 3, 6, 6}, Rng(2));
  for (const Architecture& a : {Architecture{{0, 0}}, {{0, 1}}, {{1, 0}}, {{1, 1}}}) {
    GraphModule module = net.extract(a);
    const at::Tensor mixed = net.forward_mixed(batch, net.one_hot(a));
    EXPECT_LT(difference(module.forward(batch), mixed), tolerance);
    module.load_state(first_of_each(net, module));
    // Only where the first part is narrow do the channels of the second one move.
    const double wrong = difference(module.forward(batch), mixed);
    if (a.choices[0] == 0) {
      EXPECT_GT(wrong, 1e-2);
    } else {
      EXPECT_LT(wrong, tolerance);
    }
  }
}

TEST(SupernetControls, TheCornerOfAKernelIsSeen) {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> kernels{3, 5};
  const NodeId h = b.conv(b.input(3, 6, 6), 4, {.kernel = b.number("k", kernels)});
  b.output(b.flatten(b.max_pool(h, {.kernel = 2, .padding = 0})));
  const Supergraph supergraph = b.finish();
  Supernet net(supergraph, in_double);
  randomize(net, Rng(1));
  const at::Tensor x = random_tensor({2, 3, 6, 6}, Rng(2));
  GraphModule module = net.extract({{0}});
  const at::Tensor mixed = net.forward_mixed(x, net.one_hot({{0}}));
  EXPECT_LT(difference(module.forward(x), mixed), tolerance);
  module.load_state(first_of_each(net, module));
  EXPECT_GT(difference(module.forward(x), mixed), 1e-2);
}

TEST(Supernet, OneHotHasAOneForEachPickedOption) {
  const auto all = hole_supergraphs();
  for (const auto& [name, supergraph] : all) {
    if (name != "pick 2 of 4") continue;
    const Supernet net(supergraph);
    const MixedWeights w = net.one_hot({{2, 4}});
    ASSERT_EQ(w.size(), 2u);
    EXPECT_TRUE(w[0].equal(at::tensor({0.0f, 0.0f, 1.0f})));
    EXPECT_TRUE(w[1].equal(at::tensor({0.0f, 1.0f, 0.0f, 1.0f})));  // subset 4 is {1, 3}
  }
}

TEST(Supernet, TrainsOnlyWhatTheArchitectureUses) {
  const std::unique_ptr<SupergraphSpace> space = make_chain(small_chain());
  Supernet net(*space->supergraph(), in_double);
  Rng rng(3);
  for (int i = 0; i < 5; ++i) {
    randomize(net, Rng(1));
    const auto before = net.state();
    std::map<std::string, at::Tensor> old;
    for (const auto& [name, value] : before) old[name] = value.clone();
    const Architecture a = sample_uniform(*space, rng);
    GraphModule module = net.extract(a);
    EXPECT_TRUE(module.training());
    const at::Tensor x = random_batch(module.graph(), 4, Rng(4));
    net.forward(x, a).square().sum().backward();
    module.forward(x).square().sum().backward();
    std::set<std::string> used;
    for (const auto& [name, value] : module.parameters()) {
      used.insert(name);
      // As many non-zero gradients as in the extracted network, and the same in sum.
      const at::Tensor gradient = net.tensor(name).grad();
      EXPECT_EQ(gradient.count_nonzero().item<std::int64_t>(),
                value.grad().count_nonzero().item<std::int64_t>())
          << name;
      EXPECT_NEAR(gradient.sum().item<double>(), value.grad().sum().item<double>(), 1e-9) << name;
    }
    for (const auto& [name, value] : net.parameters()) {
      EXPECT_EQ(value.grad().defined(), used.contains(name)) << name;
    }
    // The running statistics follow the extracted network's, and stay where nothing ran.
    GraphModule after = net.extract(a);
    for (const auto& [name, value] : module.buffers()) {
      EXPECT_LT(difference(after.tensor(name), value), 1e-12) << name;
      const at::Tensor changed = net.tensor(name) != old.at(name);
      EXPECT_EQ(changed.sum().item<std::int64_t>(), value.numel()) << name;
      used.insert(name);
    }
    for (const auto& [name, value] : net.buffers()) {
      EXPECT_TRUE(used.contains(name) || value.equal(old.at(name))) << name;
    }
  }
}

TEST(Supernet, TrainingAfterAConcatUpdatesTheRightStatistics) {
  const auto all = hole_supergraphs();
  for (const auto& [name, supergraph] : all) {
    if (name != "concat of open widths" && name != "bits") continue;
    const SupergraphSpace space(Supergraph(supergraph.graph(), supergraph.decisions()));
    Rng rng(5);
    for (int i = 0; i < 10; ++i) {
      const Architecture a = sample_uniform(space, rng);
      Supernet net(*space.supergraph(), in_double), mixed(*space.supergraph(), in_double);
      randomize(net, Rng(1));
      randomize(mixed, Rng(1));
      GraphModule module = net.extract(a);
      const at::Tensor x = random_batch(module.graph(), 4, Rng(4));
      const at::Tensor y = module.forward(x);
      EXPECT_LT(difference(net.forward(x, a), y), tolerance);
      EXPECT_LT(difference(mixed.forward_mixed(x, mixed.one_hot(a)), y), tolerance);
      const GraphModule after = net.extract(a), after_mixed = mixed.extract(a);
      for (const auto& [buffer, value] : module.buffers()) {
        EXPECT_LT(difference(after.tensor(buffer), value), tolerance) << buffer;
        EXPECT_LT(difference(after_mixed.tensor(buffer), value), tolerance) << buffer;
      }
      for (const auto& [buffer, value] : net.buffers()) {
        EXPECT_LT(difference(mixed.tensor(buffer), value), tolerance) << buffer;
      }
    }
  }
}

TEST(Supernet, FillsNetworksOfItsArchitecturesOnly) {
  const std::unique_ptr<SupergraphSpace> space = make_chain(small_chain());
  Supernet net(*space->supergraph());
  randomize(net, Rng(1));
  Rng rng(2);
  const Architecture a = sample_uniform(*space, rng);
  GraphModule module(space->build(a));
  SupernetWeights source(net);
  source.fill(module, a, Rng(1));
  const GraphModule extracted = net.extract(a);
  for (const auto& [name, value] : extracted.state()) {
    EXPECT_TRUE(module.tensor(name).equal(value)) << name;
  }
  RandomWeights random;
  random.fill(module, a, Rng(9));
  GraphModule again(space->build(a));
  again.reset_parameters(Rng(9));
  EXPECT_TRUE(module.parameters()[0].second.equal(again.parameters()[0].second));

  Architecture other = a;
  other.choices[0] = 1 - other.choices[0];
  EXPECT_THAT(throws<InvalidArchitecture>([&] { net.fill(module, other); }),
              testing::EndsWith("is not as in the network of this architecture; build the network "
                                "from the same architecture"));
  // Another depth, where the tensors of all nodes have the same names and sizes.
  const auto depth = std::ranges::find_if(space->decisions(), [](const Decision& d) {
    return d.name.find("depth") != std::string::npos;
  });
  ASSERT_NE(depth, space->decisions().end());
  const auto index = static_cast<std::size_t>(depth - space->decisions().begin());
  for (const std::uint32_t choice : {0u, 1u}) {
    Architecture built = a, asked = a;
    built.choices[index] = choice;
    asked.choices[index] = 1 - choice;
    GraphModule of_other_depth(space->build(built));
    of_other_depth.reset_parameters(Rng(3));
    const at::Tensor weight = of_other_depth.parameters()[0].second.clone();
    throws<InvalidArchitecture>([&] { net.fill(of_other_depth, asked); });
    EXPECT_TRUE(of_other_depth.parameters()[0].second.equal(weight));  // nothing was copied
    net.fill(of_other_depth, built);
  }
  GraphBuilder b;
  b.output(b.conv(b.input(3, 12, 12), 2, {}, "alien"));
  GraphModule alien(b.build());
  EXPECT_EQ(throws<InvalidArchitecture>([&] { net.fill(alien, a); }),
            "the supernet has no node 'alien'; build the network from the same space");
}

TEST(Supernet, ChecksArchitectures) {
  const std::unique_ptr<SupergraphSpace> space = make_chain(small_chain());
  Supernet net(*space->supergraph());
  const at::Tensor x = at::zeros({1, 3, 12, 12});
  EXPECT_EQ(throws<InvalidArchitecture>([&] {
              net.forward(x, {{0, 0}});
            }),
            "the architecture has 2 choices, the supernet " +
                std::to_string(space->decisions().size()) + " decisions");
  Architecture a{std::vector<std::uint32_t>(space->decisions().size())};
  a.choices[1] = 7;
  EXPECT_EQ(throws<InvalidArchitecture>([&] { net.extract(a); }),
            "decision '" + space->decisions()[1].name + "' has the choice 7, expected one below " +
                std::to_string(space->choice_counts()[1]));
  throws<InvalidArchitecture>([&] { net.one_hot(a); });
  a.choices[1] = 0;
  throws<ShapeError>([&] { net.forward(at::zeros({1, 3, 10, 12}), a); });
}

// Narrower groups must take the inputs that are their own, not the first columns of the weights.
TEST(Supernet, GroupsShareTheWeightsOfTheInputsThatTheyRead) {
  SupergraphBuilder b;
  const std::array<std::int64_t, 2> groups{0, 2};
  b.output(b.conv(b.input(4, 1, 1), 4, {.group_width = b.number("g", groups)}, "conv"));
  const Supergraph supergraph = b.finish();
  Supernet net(supergraph, in_double);
  const at::NoGradGuard no_grad;
  net.parameters()[0].second.copy_(at::arange(16, at::kDouble).view({4, 4, 1, 1}));
  const at::Tensor weight = net.extract({{1}}).tensor("conv.weight");
  const at::Tensor expected = at::tensor({0., 1., 4., 5., 10., 11., 14., 15.}, at::kDouble);
  EXPECT_TRUE(weight.flatten().equal(expected)) << weight;
}

TEST(Supernet, RefusesWeightsThatCannotBeShared) {
  const std::array<std::int64_t, 2> widths{4, 8}, kernels{2, 3};
  {
    SupergraphBuilder b;
    const NodeId x = b.conv(b.input(3, 8, 8), b.number("width", widths));
    b.output(b.conv(x, 8, {.group_width = 2}, "grouped"));
    const Supergraph supergraph = b.finish();
    EXPECT_EQ(throws<UnsupportedError>([&] { Supernet net(supergraph); }),
              "'grouped': a convolution in groups of 2 channels cannot share weights between "
              "widths; close its input and output widths, or make it dense or depthwise");
  }
  {
    SupergraphBuilder b;
    const std::array<std::int64_t, 2> groups{4, 6};
    const NodeId x = b.conv(b.input(3, 8, 8), 12);
    b.output(b.conv(x, 12, {.group_width = b.number("g", groups)}, "grouped"));
    const Supergraph supergraph = b.finish();
    EXPECT_THAT(
        throws<UnsupportedError>([&] { Supernet net(supergraph); }),
        testing::HasSubstr("channels cannot share weights; all must divide the largest, 6"));
  }
  {
    SupergraphBuilder b;
    b.output(b.conv(b.input(3, 8, 8), 4, {.kernel = b.number("k", kernels), .padding = 1}));
    const Supergraph supergraph = b.finish();
    EXPECT_EQ(throws<UnsupportedError>([&] { Supernet net(supergraph); }),
              "'conv': cannot share weights between kernels k{2|3}; open kernels must be all odd "
              "or all even");
  }
}

}  // namespace
}  // namespace espalier
