#include "nets/morphism.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.hpp"
#include "nets/weight_source.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/nets/networks.hpp"
#include "tests/search_spaces/small_spaces.hpp"

namespace espalier {
namespace {

const ModuleOptions in_double{.dtype = at::kDouble};
constexpr double tolerance = 1e-9;

enum class End { smallest, largest };

/// An architecture whose numbers, where the decision's name ends so, are the smallest or largest.
Architecture with(const SearchSpace& space, Architecture a, std::string_view ending, End end) {
  for (std::size_t d = 0; d < a.choices.size(); ++d) {
    const Decision& decision = space.decisions()[d];
    if (!decision.ordinal || !decision.name.ends_with(ending)) continue;
    const auto number = [&](std::uint32_t c) {
      return std::stod(decision.options[c]) * (end == End::largest ? 1 : -1);
    };
    for (std::uint32_t c = 0; c < decision.options.size(); ++c) {
      if (number(c) > number(a.choices[d])) a.choices[d] = c;
    }
  }
  return a;
}

/// The first operators, and the smallest numbers.
Architecture smallest(const SearchSpace& space) {
  const Architecture first{std::vector<std::uint32_t>(space.decisions().size(), 0)};
  return with(space, first, "", End::smallest);
}

/// A trained network and one that descends from it.
struct Family {
  Family(const SearchSpace& space, const Architecture& a, const Architecture& b)
      : parent(space.build(a), in_double), child(space.build(b), in_double) {
    randomize(parent, Rng(1));
    morph(parent, child, Rng(2));
    parent.eval();
    child.eval();
    x = random_batch(parent.graph(), 3, Rng(3));
  }
  double change() {
    const at::NoGradGuard no_grad;
    return difference(child.forward(x), parent.forward(x));
  }
  GraphModule parent, child;
  at::Tensor x;
};

/// That networks compute the same after all numbers of some decisions have grown.
void expect_kept(const SearchSpace& space, const std::vector<std::string>& endings) {
  const Architecture a = smallest(space);
  Architecture b = a;
  for (const std::string& ending : endings) b = with(space, b, ending, End::largest);
  ASSERT_NE(space.canonical(b), space.canonical(a)) << endings[0];
  SCOPED_TRACE(space.to_string(b));
  Family family(space, a, b);
  EXPECT_GT(family.child.parameter_count(), family.parent.parameter_count());
  EXPECT_LT(family.change(), tolerance);
}

std::unique_ptr<SearchSpace> space_of(const Json& config) {
  return space_registry().create(config, "");
}

std::unique_ptr<SearchSpace> mobile() {
  return space_of({{"type", "mobilenet_v3"},
                   {"input", {3, 16, 16}},
                   {"kernels", {3, 5, 7}},
                   {"expansions", {1, 2, 3}},
                   {"stem_channels", 8},
                   {"stages",
                    {{{"channels", 8}, {"depths", {1, 2, 3}}, {"activation", "relu"}},
                     {{"channels", 16}, {"depths", {1, 3}}, {"se", "yes"}}}},
                   {"last_channels", 16},
                   {"dropout", 0}});
}

std::unique_ptr<SearchSpace> chain_of(const std::string& block) {
  return space_of({{"type", "chain"},
                   {"input", {3, 12, 12}},
                   {"stem_channels", 6},
                   {"stages",
                    {{{"blocks", {block}},
                      {"widths", {4, 6, 14}},
                      {"depths", {1, 3}},
                      {"kernels", {3, 5}},
                      {"stride", 1}},
                     {{"blocks", {block}}, {"widths", {8, 10}}, {"depths", {1, 2}}}}}});
}

std::unique_ptr<SearchSpace> resnet() {
  return space_of(
      {{"type", "resnet"},
       {"input", {3, 32, 32}},
       {"stem_channels", 64},
       {"stages",
        {{{"channels", 32}, {"depths", {1, 3}}}, {{"channels", 64}, {"depths", {1, 2}}}}}});
}

std::unique_ptr<SearchSpace> autoformer() {
  return space_of({{"type", "autoformer"},
                   {"input", {3, 16, 16}},
                   {"embed_dims", {8, 12}},
                   {"depths", {1, 3}},
                   {"heads", {1, 3}},
                   {"mlp_ratios", {1.5, 2}},
                   {"patch", 4},
                   {"head_width", 4}});
}

TEST(Morphism, LargerKernelsComputeTheSame) {
  expect_kept(*mobile(), {".kernel"});
  for (const char* block : {"plain", "residual", "bottleneck", "mbconv3", "separable", "dense"}) {
    SCOPED_TRACE(block);
    expect_kept(*chain_of(block), {".kernel"});
  }
  for (auto& [name, supergraph] : hole_supergraphs()) {
    SCOPED_TRACE(name);
    if (name == "kernels of two axes") {
      const SupergraphSpace space(std::move(supergraph));
      expect_kept(space, {"k"});
      expect_kept(space, {"even"});
    }
  }
}

TEST(Morphism, MoreChannelsComputeTheSame) {
  expect_kept(*mobile(), {".expansion"});
  for (const char* block :
       {"plain", "residual", "bottleneck", "mbconv3", "separable", "dense", "osa", "repvgg"}) {
    SCOPED_TRACE(block);
    expect_kept(*chain_of(block), {".width"});
  }
  expect_kept(*resnet(), {".width"});
  expect_kept(*resnet(), {".inner_width"});
  expect_kept(*resnet(), {".expansion"});
  expect_kept(*autoformer(), {".heads"});
  expect_kept(*autoformer(), {".mlp_ratio"});
  const std::map<std::string, std::vector<std::string>> widths{
      {"widths and kernels", {"a", "b"}},
      {"concat of open widths", {"a", "b", "c", "squeeze"}},
      {"flatten", {"a", "b", "c"}},
      {"pick 2 of 4", {"a"}},
      {"tied widths, products, depth", {"a", "c"}},
      {"transformer", {".heads", ".hidden"}},
      {"deformable", {"a", "b"}}};
  std::size_t seen = 0;
  for (auto& [name, supergraph] : hole_supergraphs()) {
    SCOPED_TRACE(name);
    if (!widths.contains(name)) continue;
    ++seen;
    const SupergraphSpace space(std::move(supergraph));
    for (const std::string& width : widths.at(name)) expect_kept(space, {width});
    expect_kept(space, widths.at(name));
  }
  EXPECT_EQ(seen, widths.size());
}

TEST(Morphism, MoreLayersComputeTheSame) {
  expect_kept(*mobile(), {".depth"});
  for (const char* block : {"plain", "residual", "bottleneck", "mbconv3", "separable", "repvgg"}) {
    SCOPED_TRACE(block);
    expect_kept(*chain_of(block), {".depth"});
  }
  expect_kept(*resnet(), {".depth"});
  expect_kept(*autoformer(), {".depth"});
}

TEST(Morphism, SeveralChangesAtOnceComputeTheSame) {
  expect_kept(*mobile(), {".kernel", ".expansion", ".depth"});
  for (const char* block : {"plain", "residual", "mbconv3", "separable", "repvgg"}) {
    SCOPED_TRACE(block);
    expect_kept(*chain_of(block), {".width", ".depth"});
  }
  expect_kept(*chain_of("residual"), {".width", ".kernel", ".depth"});
  expect_kept(*resnet(), {".width", ".inner_width", ".expansion", ".depth"});
  expect_kept(*autoformer(), {".heads", ".mlp_ratio", ".depth"});
}

TEST(Morphism, ChannelsKernelsAndBranchesComputeTheSameInTrainingToo) {
  const auto space = mobile();
  const Architecture a = smallest(*space);
  Family family(*space, a, with(*space, a, "", End::largest));
  family.parent.train();
  family.child.train();
  EXPECT_LT(family.change(), tolerance);
}

TEST(Morphism, ABranchInThePlaceOfZeroAddsNothing) {
  const auto space =
      space_of({{"type", "nasbench201"}, {"input", {3, 8, 8}}, {"channels", 4}, {"cells", 1}});
  const Architecture a =
      space->parse("|nor_conv_1x1~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|");
  const Architecture b = space->parse(
      "|nor_conv_1x1~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|");
  EXPECT_LT(Family(*space, a, b).change(), tolerance);
}

TEST(Morphism, WithoutAChangeAllIsCopied) {
  for (const Json& config : small_spaces()) {
    SCOPED_TRACE(config.dump());
    const auto space = space_of(config);
    Rng rng(4);
    const Architecture a = sample_uniform(*space, rng);
    const Family family(*space, a, a);
    const auto parent = family.parent.state();
    for (const auto& [name, value] : family.child.state()) {
      EXPECT_TRUE(value.equal(parent.at(name))) << name;
    }
  }
}

TEST(Morphism, WhatIsSmallerIsTheSupernetsPart) {
  const auto check = [](const SearchSpace& space) {
    Supernet net(*space.supergraph(), in_double);
    randomize(net, Rng(1));
    const GraphModule parent = net.extract(largest_architecture(space));
    const auto known = parent.state();
    Rng rng(5);
    for (int i = 0; i < 10; ++i) {
      const Architecture a = sample_uniform(space, rng);
      SCOPED_TRACE(space.to_string(a));
      GraphModule child(space.build(a), in_double);
      morph(parent, child, Rng(2));
      const GraphModule expected = net.extract(a);
      for (const auto& [name, value] : child.state()) {
        if (!known.contains(name)) continue;  // the largest has another operator
        EXPECT_TRUE(value.equal(expected.tensor(name))) << name;
      }
    }
  };
  for (const auto& space : {mobile(), chain_of("residual"), resnet(), autoformer()}) check(*space);
  for (auto& [name, supergraph] : hole_supergraphs()) {
    if (name.ends_with("groups")) continue;  // groups of another width are another operator
    SCOPED_TRACE(name);
    check(SupergraphSpace(std::move(supergraph)));
  }
}

TEST(Morphism, AnyNetworkOfASpaceCanBeAParent) {
  const at::NoGradGuard no_grad;
  for (const Json& config : small_spaces()) {
    SCOPED_TRACE(config.dump());
    const auto space = space_of(config);
    Rng rng(6);
    for (int i = 0; i < 5; ++i) {
      Family family(*space, sample_uniform(*space, rng), sample_uniform(*space, rng));
      const at::Tensor y = family.child.forward(random_batch(family.child.graph(), 2, Rng(3)));
      EXPECT_TRUE(y.isfinite().all().item<bool>());
    }
  }
}

TEST(Morphism, ANewOperatorHasNewWeights) {
  const auto space =
      space_of({{"type", "nasbench201"}, {"input", {3, 8, 8}}, {"channels", 4}, {"cells", 1}});
  Architecture a = smallest(*space), b = a;
  a.choices[0] = 2;
  b.choices[0] = 3;
  const Family family(*space, a, b);
  GraphModule fresh(space->build(b), in_double);
  fresh.reset_parameters(Rng(2));
  std::size_t changed = 0;
  const auto parent = family.parent.state();
  for (const auto& [name, value] : family.child.state()) {
    const auto found = parent.find(name);
    changed += found == parent.end();
    EXPECT_TRUE(value.equal(found == parent.end() ? fresh.tensor(name) : found->second)) << name;
  }
  EXPECT_GT(changed, 0u);
}

TEST(Morphism, DependsOnTheGeneratorAlone) {
  const auto space = chain_of("residual");
  const Architecture a = smallest(*space), b = with(*space, a, ".width", End::largest);
  GraphModule parent(space->build(a), in_double);
  randomize(parent, Rng(1));
  const auto child = [&](std::uint64_t seed) {
    GraphModule module(space->build(b), in_double);
    ParentWeights(parent).fill(module, b, Rng(seed));
    return module;
  };
  const GraphModule first = child(1), second = child(1), other = child(2);
  bool differs = false;
  for (const auto& [name, value] : first.state()) {
    EXPECT_TRUE(value.equal(second.tensor(name))) << name;
    differs = differs || !value.equal(other.tensor(name));
  }
  EXPECT_TRUE(differs);
}

/// Two convolutions whose 4 channels in between became 9.
struct Widening {
  Widening() {
    SupergraphBuilder b;
    const std::array<std::int64_t, 2> widths{4, 9};
    NodeId y = b.conv(b.input(3, 6, 6), b.number("width", widths), {.bias = true}, "first");
    y = b.activation(b.batch_norm(y, {}, "norm"), ActivationKind::relu);
    b.output(b.flatten(b.global_avg_pool(b.conv(y, 5, {.kernel = 3}, "second"))));
    const SupergraphSpace space(b.finish());
    family = std::make_unique<Family>(space, Architecture{{0}}, Architecture{{1}});
    of = at::cdist(rows(family->child), rows(family->parent)).argmin(1);
    copies = at::bincount(of);
  }
  static at::Tensor rows(const GraphModule& module) {
    return module.tensor("first.weight").detach().flatten(1);
  }
  static at::Tensor columns(const GraphModule& module) {
    return module.tensor("second.weight").detach();
  }
  /// The child with other values in some tensors.
  GraphModule child_with(const std::map<std::string, at::Tensor>& values) const {
    auto state = family->child.state();
    for (const auto& [name, value] : values) state.at(name) = value;
    GraphModule changed(family->child.graph(), in_double);
    changed.load_state(state);
    changed.eval();
    return changed;
  }
  double change(GraphModule module) const {
    const at::NoGradGuard no_grad;
    return difference(module.forward(family->x), family->parent.forward(family->x));
  }
  /// The largest difference between the gradients of a copied row and of a copy.
  double learn_apart(GraphModule module) const {
    module.forward(family->x).square().sum().backward();
    const at::Tensor gradient = module.tensor("first.weight").grad().flatten(1);
    const at::Tensor copied = gradient.index_select(0, of.narrow(0, 4, 5));
    return difference(gradient.narrow(0, 4, 5), copied);
  }

  std::unique_ptr<Family> family;
  at::Tensor of, copies;  // the parent's channel of each of the child's; how often each occurs
};

TEST(Morphism, CopiesShareTheWeightsThatReadThem) {
  const Widening w;
  EXPECT_TRUE(w.of.narrow(0, 0, 4).equal(at::arange(4)));
  EXPECT_TRUE(w.rows(w.family->child).equal(w.rows(w.family->parent).index_select(0, w.of)));
  for (const char* name : {"first.bias", "norm.weight", "norm.bias", "norm.running_mean"}) {
    EXPECT_TRUE(
        w.family->child.tensor(name).equal(w.family->parent.tensor(name).index_select(0, w.of)));
  }
  const at::Tensor narrow = w.columns(w.family->parent);
  EXPECT_LT(
      difference(at::zeros_like(narrow).index_add(1, w.of, w.columns(w.family->child)), narrow),
      1e-12);
  EXPECT_LT(w.change(w.child_with({})), tolerance);
}

TEST(Morphism, CopiesThatDoNotShareWeightsAreSeen) {
  const Widening w;
  const at::Tensor undivided = w.columns(w.family->parent).index_select(1, w.of);
  EXPECT_GT(w.change(w.child_with({{"second.weight", undivided}})), 0.1);
}

TEST(Morphism, NewChannelsOfZeroAreSeen) {
  const Widening w;
  const at::Tensor first = at::constant_pad_nd(w.family->parent.tensor("first.weight").detach(),
                                               {0, 0, 0, 0, 0, 0, 0, 5});
  const at::Tensor bias =
      at::constant_pad_nd(w.family->parent.tensor("first.bias").detach(), {0, 5});
  const at::Tensor fresh = random_tensor({5, 5, 3, 3}, Rng(4), -0.2, 0.2);
  const at::Tensor second = at::cat({w.columns(w.family->parent), fresh}, 1);
  EXPECT_GT(w.change(w.child_with(
                {{"first.weight", first}, {"first.bias", bias}, {"second.weight", second}})),
            0.01);
}

TEST(Morphism, CopiesDoNotLearnAlike) {
  const Widening w;
  EXPECT_GT(w.learn_apart(w.child_with({})), 0.1);
  const at::Tensor parts = 1 / w.copies.to(at::kDouble).index_select(0, w.of);
  const at::Tensor equal =
      w.columns(w.family->parent).index_select(1, w.of) * parts.view({1, 9, 1, 1});
  GraphModule equal_parts = w.child_with({{"second.weight", equal}});
  EXPECT_LT(w.learn_apart(std::move(equal_parts)), 1e-12);
}

}  // namespace
}  // namespace espalier
