#include "nets/program.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/json.hpp"
#include "nets/graph_module.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"
#include "tests/nets/networks.hpp"

namespace espalier {
namespace {

// Cells of which each reads the two before it, dropout, squeezes, quantized inputs, zeros.
std::vector<Graph> graphs() {
  const Json bits = {{"weight_bits", {4}}, {"activation_bits", {4}}};
  const Json small = {{"input", {3, 16, 16}}, {"classes", 4}};
  std::vector<Graph> result;
  for (Json config :
       {Json{{"type", "nasbench201"}, {"channels", 4}, {"cells", 2}},
        Json{{"type", "nasbench201"}, {"channels", 4}, {"cells", 1}, {"compression", bits}},
        Json{{"type", "darts"}, {"channels", 4}, {"layers", 4}},
        Json{{"type", "mobilenet_v3"},
             {"stem_channels", 8},
             {"last_channels", 16},
             {"dropout", 0.3}}}) {
    config.update(small);
    const auto space = space_registry().create(config, "");
    Rng rng(3);
    for (int i = 0; i < 2; ++i) result.push_back(space->build(sample_uniform(*space, rng)));
  }
  return result;
}

// How many operators autograd has recorded.
std::size_t recorded(const at::Tensor& y) {
  std::set<torch::autograd::Node*> seen;
  std::vector<torch::autograd::Node*> open{y.grad_fn().get()};
  while (!open.empty()) {
    torch::autograd::Node* const node = open.back();
    open.pop_back();
    if (node == nullptr || !seen.insert(node).second) continue;
    for (const auto& edge : node->next_edges()) open.push_back(edge.function.get());
  }
  return seen.size();
}

struct Pass {
  at::Tensor y, dx;
  std::map<std::string, at::Tensor> gradients, state;
  std::size_t recorded = 0;
};

Pass pass(const Graph& graph, Activations activations) {
  GraphModule module(graph, {.dtype = at::kDouble});
  randomize(module, Rng(5));
  module.seed(Rng(6));
  module.train();
  module.set_activations(activations);
  const at::Tensor x = random_batch(graph, 4, Rng(7)).requires_grad_();
  Pass result;
  // Two batches, so that statistics and ranges of the first are not those of the second.
  for (int i = 0; i < 2; ++i) {
    result.y = module.forward(x * (1 + i));
    result.recorded = recorded(result.y);
    result.y.square().sum().backward();
  }
  result.dx = x.grad();
  for (const auto& [name, value] : module.parameters()) result.gradients[name] = value.grad();
  result.state = module.state();
  return result;
}

TEST(ProgramTest, RecomputingKeepsLessAndGivesTheSameGradients) {
  for (const Graph& graph : graphs()) {
    const Pass kept = pass(graph, Activations::kept);
    const Pass recomputed = pass(graph, Activations::recomputed);
    // Parameters are recorded, too; of the operators only the runs are.
    const std::size_t parameters = kept.gradients.size();
    EXPECT_LT(2 * (recomputed.recorded - parameters), kept.recorded - parameters);
    EXPECT_TRUE(recomputed.y.equal(kept.y));
    EXPECT_LT(difference(recomputed.dx, kept.dx), 1e-12);
    for (const auto& [name, gradient] : kept.gradients) {
      ASSERT_EQ(recomputed.gradients.at(name).defined(), gradient.defined()) << name;
      if (!gradient.defined() || gradient.abs().max().item<double>() == 0) continue;
      EXPECT_LT(difference(recomputed.gradients.at(name), gradient), 1e-12) << name;
    }
    for (const auto& [name, value] : kept.state) {
      EXPECT_TRUE(recomputed.state.at(name).equal(value)) << name;
    }
  }
}

TEST(ProgramTest, AnObserverOfWhatIsMadeCostsNothing) {
  for (const Graph& graph : graphs()) {
    GraphModule module(graph, {.dtype = at::kDouble});
    const auto y = [&](const NodeObserver& observer, Observed observed) {
      module.reset_parameters(Rng(1));
      return module.forward(random_batch(graph, 2, Rng(2)), observer, observed);
    };
    std::map<NodeId, at::Tensor> all, made;
    const at::Tensor unseen = y({}, Observed::every_node);
    y([&](NodeId id, const at::Tensor& value) { all[id] = value; }, Observed::every_node);
    const at::Tensor seen =
        y([&](NodeId id, const at::Tensor& value) { made[id] = value; }, Observed::what_is_made);
    EXPECT_TRUE(seen.equal(unseen));
    EXPECT_EQ(recorded(seen), recorded(unseen));
    const auto consumers = graph.consumers();
    for (const auto& [id, value] : all) {
      const bool joins = std::ranges::any_of(
          consumers[id], [&](NodeId reader) { return joins_batch_norm(graph.node(reader).op); });
      if (made.contains(id)) {
        EXPECT_LT(difference(made.at(id), value), 1e-12);
      } else {
        const Op& op = graph.node(id).op;
        EXPECT_TRUE(std::holds_alternative<op::Zero>(op) ||
                    (joins && std::holds_alternative<op::BatchNorm2d>(op)))
            << graph.name(id);
      }
    }
    EXPECT_LT(made.size(), all.size());
  }
}

TEST(ProgramTest, WhatIsRecomputedHasNoSecondDerivatives) {
  const Graph graph = graphs()[0];
  GraphModule module(graph, {.dtype = at::kDouble});
  module.reset_parameters(Rng(1));
  module.set_activations(Activations::recomputed);
  const at::Tensor x = random_batch(graph, 2, Rng(2)).requires_grad_();
  const at::Tensor y = module.forward(x).sum();
  EXPECT_THAT(throws<UnsupportedError>([&] {
                torch::autograd::grad({y}, {x}, {}, c10::nullopt, /*create_graph=*/true);
              }),
              testing::HasSubstr("no second derivatives; keep the activations"));
}

TEST(ProgramTest, WhatIsRecomputedHasOneBackwardPass) {
  const Graph graph = graphs()[0];
  GraphModule module(graph, {.dtype = at::kDouble});
  module.reset_parameters(Rng(1));
  module.set_activations(Activations::recomputed);
  const at::Tensor y = module.forward(random_batch(graph, 2, Rng(2)));
  y.sum().backward();
  EXPECT_THAT(throws<UnsupportedError>([&] { y.sum().backward(); }),
              testing::HasSubstr("one backward pass for each forward pass"));
}

TEST(ProgramTest, NothingIsRecomputedInEvaluation) {
  const Graph graph = graphs()[0];
  GraphModule module(graph, {.dtype = at::kDouble});
  randomize(module, Rng(1));
  module.eval();
  const at::Tensor x = random_batch(graph, 2, Rng(2));
  const at::Tensor kept = module.forward(x);
  module.set_activations(Activations::recomputed);
  const at::Tensor y = module.forward(x);
  EXPECT_TRUE(y.equal(kept));
  EXPECT_EQ(recorded(y), recorded(kept));
}

TEST(ProgramTest, ABackwardPassOfSeveralForwardPassesReadsTheRangesOfEach) {
  const Graph graph = graphs()[2];
  ASSERT_TRUE(graph.concrete());
  const auto gradients = [&](Activations activations) {
    GraphModule module(graph, {.dtype = at::kDouble});
    randomize(module, Rng(5), Ranges::unset);
    module.train();
    module.set_activations(activations);
    const at::Tensor x = random_batch(graph, 4, Rng(7));
    const at::Tensor first = module.forward(x), second = module.forward(3 * x);
    (first.square().sum() + second.square().sum()).backward();
    std::vector<at::Tensor> result;
    for (const auto& [name, value] : module.parameters()) {
      if (value.grad().defined()) result.push_back(value.grad().flatten());
    }
    return at::cat(result);
  };
  EXPECT_LT(difference(gradients(Activations::recomputed), gradients(Activations::kept)), 1e-12);
}

}  // namespace
}  // namespace espalier
