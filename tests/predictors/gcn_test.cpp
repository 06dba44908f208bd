#include "predictors/gcn.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.hpp"
#include "predictors/gcn_network.hpp"
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

at::Tensor embedded(const GcnNetwork& network, std::span<const Features> networks) {
  std::vector<const Features*> all;
  for (const Features& features : networks) all.push_back(&features);
  return network.embed(network.vocabulary().batch(all, at::kDouble), nullptr);
}

// One network by dense matrices: row 0 reads all vertices, row v those that read vertex v.
at::Tensor plain(const GcnNetwork& network, std::span<const Features> all, std::size_t which) {
  std::map<std::uint64_t, std::int64_t> number;
  std::array<std::vector<double>, 3> known;
  double shares = 0;
  for (const Features& other : all) {
    for (const auto& [graph, count] : other.graphs) {
      shares += std::log2(1.0 + count);
      for (const Vertex& v : graph.vertices) {
        if (v.role == Role::exit) continue;
        for (std::size_t i = 0; i < 3; ++i) known[i].push_back(v.attributes[i]);
        if (v.role != Role::entrance) {
          number.try_emplace(v.kind, static_cast<std::int64_t>(number.size()) + 1);
        }
      }
    }
  }
  std::vector<at::Tensor> rows{network.ends[5]};
  std::vector<double> counts{1};
  std::vector<std::pair<std::int64_t, std::int64_t>> edges;
  for (const auto& [graph, count] : all[which].graphs) {
    const auto first = static_cast<std::int64_t>(rows.size());
    std::int64_t place = 0;
    for (const Vertex& v : graph.vertices) {
      at::Tensor row = v.role == Role::entrance ? network.ends[place++]
                       : v.role == Role::exit   ? network.ends[4]
                                                : network.kinds[number.at(v.kind)];
      if (v.role == Role::plain || v.role == Role::weighted) {
        for (std::size_t i = 0; i < 3; ++i) {
          double square = 0;
          for (const double x : known[i]) square += std::pow(x - mean(known[i]), 2);
          const double deviation = std::sqrt(square / static_cast<double>(known[i].size()));
          row = row + network.attributes[static_cast<std::int64_t>(i)] *
                          ((v.attributes[i] - mean(known[i])) / deviation);
        }
      }
      rows.push_back(row);
      counts.push_back(std::log2(1.0 + count) * static_cast<double>(all.size()) / shares);
    }
    for (const auto& edge : graph.edges) edges.emplace_back(first + edge.from, first + edge.to);
  }
  const auto n = static_cast<std::int64_t>(rows.size());
  at::Tensor adjacency = at::eye(n, at::kDouble);
  adjacency[0] = at::tensor(at::ArrayRef<double>(counts), at::kDouble);
  for (const auto& [from, to] : edges) adjacency[from][to] = 1;
  at::Tensor x = at::stack(rows);
  for (std::size_t l = 0; l < network.layers.size(); ++l) {
    const auto& layer = network.layers[l];
    if (l > 0) x = at::matmul(x, layer.matrix);
    x = at::matmul(adjacency, x) + layer.bias;
    const at::Tensor centered = x - x.mean(1, true);
    x = at::relu(centered / (centered.square().mean(1, true) + 1e-5).sqrt() * layer.scale +
                 layer.offset);
  }
  return x[0];
}

TEST(Gcn, IsTheConvolutionOfReaders) {
  const auto all = networks();
  for (const int layers : {1, 4}) {
    const GcnNetwork network({.layers = layers, .width = 7}, all, Rng(1), at::kDouble);
    const at::Tensor embeddings = embedded(network, all);
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_TRUE(at::allclose(embeddings[static_cast<std::int64_t>(i)], plain(network, all, i),
                               1e-10, 1e-12))
          << i;
    }
  }
}

TEST(Gcn, TellsNetworksOfTheSameOperatorsApart) {
  const std::vector<Features> all{network({{chain({11, 12, 3}), 1}}),
                                  network({{chain({12, 11, 3}), 1}})};
  const GcnNetwork gcn({.width = 6}, all, Rng(1), at::kDouble);
  const at::Tensor embeddings = embedded(gcn, all);
  EXPECT_GT((embeddings[0] - embeddings[1]).abs().max().item<double>(), 1e-6);
}

TEST(Gcn, GradientsAreFiniteDifferences) {
  const auto all = networks();
  const GcnNetwork network({.layers = 2, .width = 4}, all, Rng(2), at::kDouble);
  const Scorer scorer = network.scorer(all);
  const auto loss = [&] { return scorer(all_rows(all.size()), nullptr).square().sum(); };
  loss().backward();
  for (const at::Tensor& weights : network.weights()) {
    const at::NoGradGuard no_gradients;
    at::Tensor value = weights.view({-1})[weights.numel() - 1];
    constexpr double step = 1e-6;
    const double before = value.item<double>();
    value.fill_(before + step);
    const double above = loss().item<double>();
    value.fill_(before - step);
    const double below = loss().item<double>();
    value.fill_(before);
    const double gradient = weights.grad().view({-1})[weights.numel() - 1].item<double>();
    EXPECT_NEAR(gradient, (above - below) / (2 * step), 1e-5 * (1 + std::abs(gradient)));
  }
}

TEST(Gcn, PredictsTheOrderOfTheRelation) {
  const auto sampled = sample_cells(60, 4);
  const auto features = encode_cells(sampled, {.graphs = true});
  const auto values = accuracies_of(sampled);
  GcnPredictor model({.width = 16, .fit = {.loss = PredictorLoss::relation, .epochs = 40}}, Rng(1));
  model.fit(features, values);
  std::vector<double> predicted;
  for (const Prediction& p : model.predict(features)) predicted.push_back(p.mean);
  EXPECT_GT(kendall_tau_b(predicted, values), 0.5);
  EXPECT_NEAR(mean(predicted), mean(values), 1e-3);
}

TEST(Gcn, RanksCellsFromFewOfThem) {
  for (const PredictorLoss loss : {PredictorLoss::relation, PredictorLoss::hinge}) {
    GcnPredictor model({.width = 48, .fit = {.loss = loss, .epochs = 150, .learning_rate = 2e-3}},
                       Rng(1));
    EXPECT_GT(tau_on_cells(model, 1, {.graphs = true}), 0.6);
  }
}

TEST(Gcn, Refuses) {
  GcnPredictor model({.fit = {.epochs = 1}}, Rng(1));
  const std::vector<Features> without{{.decisions = {1}}};
  EXPECT_THAT(throws<Error>([&] { model.fit(without, std::vector<double>{1}); }),
              HasSubstr("graphs"));
  EXPECT_THROW(model.predict(without), Error);
  EXPECT_THROW(GcnPredictor({.layers = 0}, Rng(1)), ConfigError);
  EXPECT_EQ(gcn_option_table().read({{"loss", "relation"}}, "").fit.loss, PredictorLoss::relation);
}

}  // namespace
}  // namespace espalier
