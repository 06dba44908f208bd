#include "predictors/gates.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "core/error.hpp"
#include "predictors/gates_network.hpp"
#include "tests/core/throws.hpp"
#include "tests/predictors/cells.hpp"
#include "tests/predictors/operator_networks.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;
using namespace testing_operators;

std::vector<std::int64_t> all_rows(std::size_t n) {
  std::vector<std::int64_t> rows(n);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

OperatorBatch batch_of(const GatesNetwork& network, std::span<const Features> networks) {
  std::vector<const Features*> all;
  for (const Features& features : networks) all.push_back(&features);
  return network.vocabulary().batch(all, at::kDouble);
}

at::Tensor embedded(const GatesNetwork& network, std::span<const Features> networks) {
  return network.embed(batch_of(network, networks));
}

// What GatesNetwork::embed() promises, vertex by vertex.
class Plain {
 public:
  Plain(const GatesNetwork& network, std::int64_t steps) : network_(network), steps_(steps) {}

  at::Tensor embed(std::span<const Features> all, std::size_t which) const {
    const Features& features = all[which];
    // Kinds are numbered, and attributes standardized, as of all networks.
    std::map<std::uint64_t, std::int64_t> number;
    std::array<std::vector<double>, 3> attributes;
    double shares = 0;
    for (const Features& other : all) {
      for (const auto& [graph, count] : other.graphs) {
        shares += std::log2(1.0 + count);
        for (const Vertex& v : graph.vertices) {
          if (v.role == Role::exit) continue;
          for (std::size_t i = 0; i < 3; ++i) attributes[i].push_back(v.attributes[i]);
          if (v.role != Role::entrance) {
            number.try_emplace(v.kind, static_cast<std::int64_t>(number.size()) + 1);
          }
        }
      }
    }
    const double share = static_cast<double>(all.size()) / shares;
    std::vector<std::vector<at::Tensor>> embedding;  // of each vertex
    for (const auto& [graph, count] : features.graphs) {
      auto& its = embedding.emplace_back(graph.vertices.size());
      for (std::size_t v = 0; v < its.size(); ++v) {
        const Vertex& vertex = graph.vertices[v];
        if (!is_operator(vertex)) continue;
        its[v] = network_.kinds[number.at(vertex.kind)];
        for (std::size_t i = 0; i < 3; ++i) {
          double square = 0;
          for (const double x : attributes[i]) square += std::pow(x - mean(attributes[i]), 2);
          const double deviation = std::sqrt(square / static_cast<double>(attributes[i].size()));
          its[v] = its[v] + network_.attributes[static_cast<std::int64_t>(i)] *
                                ((vertex.attributes[i] - mean(attributes[i])) / deviation);
        }
      }
    }
    for (std::int64_t step = 1;; ++step) {
      at::Tensor sum = at::zeros({network_.forward.matrix[0].size(1)}, at::kDouble);
      std::vector<std::vector<at::Tensor>> held;
      for (std::size_t g = 0; g < features.graphs.size(); ++g) {
        const auto& [graph, count] = features.graphs[g];
        held.push_back(flow(graph, embedding[g], {}));
        sum = sum + held.back().back() * (std::log2(1.0 + count) * share);
      }
      if (step == steps_) return sum;
      for (std::size_t g = 0; g < features.graphs.size(); ++g) {
        const at::Tensor back =
            network_.turn.linear[1](at::relu(network_.turn.linear[0](held[g].back())));
        const OperatorGraph& graph = features.graphs[g].first;
        const auto returned = flow(graph, embedding[g], back);
        for (std::size_t v = 0; v < graph.vertices.size(); ++v) {
          if (graph.vertices[v].role != Role::weighted) continue;
          // Nothing is learned through the first two.
          const at::Tensor seen =
              at::cat({embedding[g][v].detach(), held[g][v].detach(), returned[v]});
          embedding[g][v] = embedding[g][v] + 0.1 * network_.update.linear[1](
                                                        at::relu(network_.update.linear[0](seen)));
        }
      }
    }
  }

 private:
  static bool is_operator(const Vertex& v) {
    return v.role == Role::plain || v.role == Role::weighted;
  }

  // What vertices hold after all layers: forwards, the exit what arrives; backwards from it.
  std::vector<at::Tensor> flow(const OperatorGraph& graph, const std::vector<at::Tensor>& embedding,
                               const at::Tensor& back) const {
    const bool forwards = !back.defined();
    const InformationFlow& layers = forwards ? network_.forward : network_.backward;
    const std::size_t n = graph.vertices.size();
    std::vector<at::Tensor> held(n);
    std::int64_t place = 0;
    for (std::size_t v = 0; v < n; ++v) {
      held[v] = at::zeros({layers.matrix[0].size(0)}, at::kDouble);
      const Role role = graph.vertices[v].role;
      if (forwards && role == Role::entrance) {
        held[v] = network_.source_layer(network_.source[std::min<std::int64_t>(place++, 3)]);
      }
      if (!forwards && role == Role::exit) held[v] = back;
    }
    for (std::size_t l = 0; l < layers.matrix.size(); ++l) {
      std::vector<at::Tensor> next(n);
      for (std::size_t v = 0; v < n; ++v) {
        const bool source = graph.vertices[v].role == (forwards ? Role::entrance : Role::exit);
        at::Tensor sum = source ? held[v] : at::zeros_like(held[v]);
        for (const auto& edge : graph.edges) {
          const std::uint32_t at = forwards ? edge.to : edge.from;
          const std::uint32_t from = forwards ? edge.from : edge.to;
          if (at == v && is_operator(graph.vertices[v])) sum = sum + edge.ways * held[from];
        }
        next[v] = at::matmul(sum, layers.matrix[l]);
        if (is_operator(graph.vertices[v])) {
          next[v] = next[v] * at::sigmoid(layers.gate[l](embedding[v]));
        }
        if (l + 1 < layers.matrix.size()) next[v] = at::relu(next[v]);
      }
      held = next;
    }
    if (forwards) {
      for (const auto& edge : graph.edges) {
        if (edge.to + 1 == n) held[n - 1] = held[n - 1] + edge.ways * held[edge.from];
      }
    }
    return held;
  }

  const GatesNetwork& network_;
  std::int64_t steps_;
};

void expect_plain(std::int64_t steps) {
  const auto all = networks();
  const GatesNetwork network({.width = 5, .steps = steps}, all, Rng(1), at::kDouble);
  EXPECT_EQ(network.vocabulary().longest_way(), 3);
  const at::Tensor embeddings = embedded(network, all);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const at::Tensor expected = Plain(network, steps).embed(all, i);
    const double error =
        (embeddings[static_cast<std::int64_t>(i)] - expected).abs().max().item<double>();
    EXPECT_LT(error, 1e-12 * (1 + expected.abs().max().item<double>())) << "network " << i;
  }
}

// Derivatives of all weights but those that score, at one entry of each.
void expect_gradients(const GatesNetworkOptions& options) {
  const auto all = networks();
  const GatesNetwork network(options, all, Rng(2), at::kDouble);
  const OperatorBatch batch = batch_of(network, all);
  const auto loss = [&] { return network.head(network.embed(batch), nullptr).square().sum(); };
  loss().backward();
  Rng rng(3);
  for (const at::Tensor& weights : network.weights()) {
    ASSERT_TRUE(weights.grad().defined());
    const auto entry =
        static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(weights.numel())));
    const at::NoGradGuard no_gradients;
    at::Tensor value = weights.view({-1})[entry];
    constexpr double step = 1e-5;
    const double before = value.item<double>();
    value.fill_(before + step);
    const double above = loss().item<double>();
    value.fill_(before - step);
    const double below = loss().item<double>();
    value.fill_(before);
    const double gradient = weights.grad().view({-1})[entry].item<double>();
    EXPECT_NEAR(gradient, (above - below) / (2 * step), 1e-6 * (1 + std::abs(gradient)));
  }
}

TEST(Gates, IsTheFlowOfInformation) { expect_plain(1); }
TEST(Gates, GradientsAreFiniteDifferences) { expect_gradients({.width = 4}); }

TEST(Gates, TellsNetworksOfTheSameOperatorsApart) {
  // The order of a chain is in the flow alone: without it, both would be the same operators.
  const std::vector<Features> all{network({{chain({11, 12, 3}), 1}}),
                                  network({{chain({12, 11, 3}), 1}})};
  const GatesNetwork gates({.width = 6}, all, Rng(1), at::kDouble);
  const at::Tensor embeddings = embedded(gates, all);
  EXPECT_GT((embeddings[0] - embeddings[1]).abs().max().item<double>(), 1e-6);
}

TEST(Gates, AShutOperatorLetsNothingThrough) {
  OperatorGraph both = chain({11});
  both.edges.push_back({.from = 0, .to = 2});
  std::swap(both.edges[1], both.edges[2]);
  const std::vector<Features> all{network({{both, 1}}), network({{chain({}), 1}}),
                                  network({{chain({12}), 1}})};
  const GatesNetwork gates({.width = 6}, all, Rng(1), at::kDouble);
  EXPECT_FALSE(at::allclose(embedded(gates, all)[0], embedded(gates, all)[1]));
  const at::NoGradGuard no_gradients;
  gates.forward.gate[0].bias.fill_(-1e4);
  const at::Tensor embeddings = embedded(gates, all);
  EXPECT_TRUE(at::equal(embeddings[0], embeddings[1]));
  EXPECT_EQ(embeddings[2].abs().max().item<double>(), 0);
}

TEST(Gates, GraphsThatDifferInTheOrderOfVerticesAreEqual) {
  OperatorGraph swapped = tangle();
  // Vertices 2 and 3 in turn.
  std::swap(swapped.vertices[2], swapped.vertices[3]);
  for (auto& edge : swapped.edges) {
    for (std::uint32_t* end : {&edge.from, &edge.to}) {
      if (*end == 2 || *end == 3) *end = 5 - *end;
    }
  }
  std::ranges::sort(swapped.edges, {}, [](const auto& e) { return std::pair(e.to, e.from); });
  const std::vector<Features> all{network({{tangle(), 1}}), network({{swapped, 1}})};
  const GatesNetwork gates({.width = 6}, all, Rng(1), at::kDouble);
  const at::Tensor embeddings = embedded(gates, all);
  EXPECT_TRUE(at::allclose(embeddings[0], embeddings[1], 1e-12, 1e-14));
  const GatesNetwork there_and_back({.width = 6, .steps = 3}, all, Rng(1), at::kDouble);
  const at::Tensor twice = embedded(there_and_back, all);
  EXPECT_TRUE(at::allclose(twice[0], twice[1], 1e-12, 1e-14));
}

TEST(Gates, SomeRowsAreThoseOfAll) {
  const auto all = networks();
  const GatesNetwork gates({.width = 6, .steps = 2}, all, Rng(1), at::kDouble);
  const Scorer scorer = gates.scorer(all);
  const at::Tensor scores = scorer(all_rows(all.size()), nullptr);
  const std::vector<std::int64_t> some{4, 1}, turned{2, 0, 4, 3, 1};
  EXPECT_TRUE(at::allclose(scorer(some, nullptr), scores.index_select(0, row_tensor(some))));
  EXPECT_TRUE(at::allclose(scorer(turned, nullptr), scores.index_select(0, row_tensor(turned))));
}

TEST(Gates, OperatorsThatWereNotSeenAreKnownByTheirAttributes) {
  const auto known = networks();
  const GatesNetwork gates({.width = 6}, known, Rng(1), at::kDouble);
  // 15 and 27 have other kinds, and equal attributes; 16 has others.
  const std::vector<Features> other{network({{chain({15}), 1}}), network({{chain({27}), 1}}),
                                    network({{chain({16}), 1}})};
  const at::Tensor embeddings = embedded(gates, other);
  EXPECT_TRUE(at::equal(embeddings[0], embeddings[1]));
  EXPECT_FALSE(at::allclose(embeddings[0], embeddings[2]));
}

TEST(Gates, RanksCellsFromFewOfThem) {
  for (const PredictorLoss loss : {PredictorLoss::hinge, PredictorLoss::listwise}) {
    GatesPredictor model({.width = 64, .fit = {.loss = loss}}, Rng(1));
    EXPECT_GT(tau_on_cells(model, 1, {.graphs = true}), 0.65);
  }
}

TEST(Gates, NeedsGraphs) {
  GatesPredictor model({.fit = {.epochs = 1}}, Rng(1));
  const std::vector<Features> without{{.decisions = {1}}};
  const auto with = networks();
  EXPECT_THAT(throws<Error>([&] { model.fit(without, std::vector<double>{1}); }),
              HasSubstr("graphs"));
  EXPECT_THROW(model.predict(with), Error);
  model.fit(with, std::vector<double>{1, 2, 3, 4, 5});
  EXPECT_THAT(throws<Error>([&] { model.predict(without); }), HasSubstr("\"graphs\": true"));
  EXPECT_THROW(GatesPredictor({.width = 0}, Rng(1)), ConfigError);
}

TEST(TaGates, UpdatesEmbeddingsByBothFlows) {
  expect_plain(2);
  expect_plain(4);
}

TEST(TaGates, GradientsAreThoseOfTheFlowsWithTheInputOfUpdatesCut) {
  const auto all = networks();
  for (const std::int64_t steps : {2, 3}) {
    const GatesNetwork network({.width = 4, .steps = steps}, all, Rng(2), at::kDouble);
    const Plain plain(network, steps);
    std::vector<at::Tensor> embeddings;
    for (std::size_t i = 0; i < all.size(); ++i) embeddings.push_back(plain.embed(all, i));
    const auto gradients = [&](const at::Tensor& embedded) {
      return torch::autograd::grad({network.head(embedded, nullptr).square().sum()},
                                   network.weights());
    };
    const auto got = gradients(network.embed(batch_of(network, all)));
    const auto expected = gradients(at::stack(embeddings));
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_TRUE(at::allclose(got[i], expected[i], 1e-9, 1e-12)) << i;
    }
  }
}

TEST(TaGates, NoiseTellsEqualOperatorsApart) {
  // Two equal operators beside each other, one of them before a third.
  const OperatorGraph graph{
      .vertices = {entrance(), operator_of(11), operator_of(11), operator_of(12), exit_vertex()},
      .edges = {{.from = 0, .to = 1},
                {.from = 0, .to = 2},
                {.from = 1, .to = 3},
                {.from = 2, .to = 4},
                {.from = 3, .to = 4}}};
  OperatorGraph mirrored = graph;
  mirrored.edges[2].from = 2;
  mirrored.edges[3].from = 1;
  const std::vector<Features> all{network({{graph, 1}}), network({{mirrored, 1}})};
  const GatesNetwork without({.width = 6, .steps = 2}, all, Rng(1), at::kDouble);
  const GatesNetwork with({.width = 6, .steps = 2, .noise = 0.1}, all, Rng(1), at::kDouble);
  EXPECT_TRUE(at::allclose(embedded(without, all)[0], embedded(without, all)[1]));
  EXPECT_FALSE(at::allclose(embedded(with, all)[0], embedded(with, all)[1]));
  EXPECT_TRUE(at::equal(embedded(with, all), embedded(with, all)));
}

TEST(TaGates, RanksCellsFromFewOfThem) {
  TaGatesPredictor model({.width = 48, .steps = 2}, Rng(1));
  EXPECT_GT(tau_on_cells(model, 1, {.graphs = true}), 0.65);
  EXPECT_THROW(TaGatesPredictor({.steps = 1}, Rng(1)), ConfigError);
}

}  // namespace
}  // namespace espalier
