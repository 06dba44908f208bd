#include "strategies/expected_cost.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <algorithm>

#include "core/error.hpp"
#include "graph/cost.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/darts.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

CostParts macs() {
  return [](const Graph& graph) {
    std::vector<CostPart> parts;
    for (NodeId id = 0; id < graph.size(); ++id) {
      parts.push_back({graph.node(id).scope, static_cast<double>(node_macs(graph, id))});
    }
    return parts;
  };
}

std::unique_ptr<SupergraphSpace> small_chain() {
  ChainOptions options;
  options.input = {1, 8, 8};
  options.classes = 4;
  options.stem_channels = 4;
  options.stages = {{.widths = {4, 8}, .depths = {1, 2}, .kernels = {3, 5}}};
  return make_chain(options);
}

std::vector<at::Tensor> random_weights(const SearchSpace& space, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<at::Tensor> weights;
  for (const Decision& d : space.decisions()) {
    at::Tensor w = at::empty({static_cast<std::int64_t>(d.options.size())}, at::kDouble);
    for (std::int64_t k = 0; k < w.numel(); ++k) w[k] = 0.1 + rng.uniform();
    weights.push_back(w / w.sum());
  }
  return weights;
}

// The mean over every vector of choices, inactive ones too.
TEST(ExpectedCost, IsTheMeanOverAllArchitectures) {
  for (const auto& space : {small_chain(), make_nasbench201({.channels = 4, .cells = 1})}) {
    const ExpectedCost cost(*space->supergraph(), macs(), "macs");
    const std::vector<at::Tensor> weights = random_weights(*space, 1);
    std::vector<std::uint32_t> choices(space->decisions().size(), 0);
    double mean = 0;
    for (bool more = true; more;) {
      double probability = 1;
      for (std::size_t d = 0; d < choices.size(); ++d) {
        probability *= weights[d][choices[d]].item<double>();
      }
      const Architecture a{choices};
      mean += probability * static_cast<double>(space->quick_cost(a).macs);
      more = false;
      for (std::size_t d = 0; d < choices.size() && !more; ++d) {
        more = ++choices[d] < space->choice_counts()[d];
        if (!more) choices[d] = 0;
      }
    }
    EXPECT_NEAR(cost.of(weights).item<double>(), mean, 1e-6 * mean);
  }
}

TEST(ExpectedCost, OfOneArchitectureIsItsCost) {
  const auto space = make_darts({.input = {1, 8, 8}, .channels = 4, .layers = 3});
  const ExpectedCost cost(*space->supergraph(), macs(), "macs");
  Rng rng(1);
  for (int i = 0; i < 20; ++i) {
    const Architecture a = sample_uniform(*space, rng);
    const auto wanted = static_cast<double>(space->quick_cost(a).macs);
    EXPECT_NEAR(cost.of(a), wanted, 1e-6 * wanted);
    std::vector<at::Tensor> weights;
    for (std::size_t d = 0; d < a.choices.size(); ++d) {
      const Decision& decision = space->decisions()[d];
      at::Tensor w = at::zeros({static_cast<std::int64_t>(decision.options.size())}, at::kDouble);
      for (const std::uint32_t k : picked_options(decision, a.choices[d])) w[k] = 1;
      weights.push_back(w);
    }
    EXPECT_NEAR(cost.of(weights).item<double>(), wanted, 1e-6 * wanted);
  }
}

TEST(ExpectedCost, GradientsAreExact) {
  const auto space = small_chain();
  const ExpectedCost cost(*space->supergraph(), macs(), "macs");
  std::vector<at::Tensor> weights = random_weights(*space, 2);
  for (at::Tensor& w : weights) w.set_requires_grad(true);
  const auto gradients = torch::autograd::grad({cost.of(weights)}, weights, {}, c10::nullopt, false,
                                               /*allow_unused=*/true);
  const at::NoGradGuard no_grad;
  for (std::size_t d = 0; d < weights.size(); ++d) {
    for (std::int64_t k = 0; k < weights[d].numel(); ++k) {
      const double before = weights[d][k].item<double>();
      weights[d][k] = before + 1e-4;
      const double up = cost.of(weights).item<double>();
      weights[d][k] = before - 1e-4;
      const double down = cost.of(weights).item<double>();
      weights[d][k] = before;
      const double exact = gradients[d].defined() ? gradients[d][k].item<double>() : 0;
      EXPECT_NEAR(exact, (up - down) / 2e-4, 1e-4 * (1 + std::abs(exact)));
    }
  }
}

TEST(ExpectedCost, BoundsAreThoseOfAllArchitectures) {
  const auto space = make_nasbench201({.channels = 4, .cells = 1});
  const ExpectedCost cost(*space->supergraph(), macs(), "macs");
  double least = 1e30, most = 0;
  enumerate(*space, [&](const Architecture& a) {
    least = std::min(least, cost.of(a));
    most = std::max(most, cost.of(a));
    return true;
  });
  const ExpectedCost::Bounds bounds = cost.bounds(*space, Rng(3));
  EXPECT_NEAR(bounds.least, least, 1e-6 * least);
  EXPECT_NEAR(bounds.most, most, 1e-6 * most);
}

TEST(ExpectedCost, WhatIsNoSumOverScopesIsRefused) {
  const auto space = small_chain();
  // As a peak is: of the whole, put at one place.
  const CostParts peak = [](const Graph& graph) {
    return std::vector<CostPart>{
        {graph.node(1).scope, static_cast<double>(peak_memory_bytes(graph))}};
  };
  EXPECT_THAT(throws<UnsupportedError>(
                  [&] { const ExpectedCost cost(*space->supergraph(), peak, "peak"); }),
              HasSubstr("peak is not a sum over the scopes of a network"));
}

}  // namespace
}  // namespace espalier
