#include "predictors/mlp.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/predictors/cells.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

std::vector<double> means(const Predictor& predictor, std::span<const Features> networks) {
  std::vector<double> result;
  for (const Prediction& p : predictor.predict(networks)) result.push_back(p.mean);
  return result;
}

TEST(Mlp, ReadsEachKindOfFeature) {
  // Values that only one kind tells.
  Rng rng(5);
  std::vector<Features> networks(120);
  for (Features& network : networks) {
    network.decisions = {rng.normal(), 1.0};
    network.patterns = {{7, static_cast<std::uint32_t>(1 + rng.below(6))}};
    if (rng.bernoulli(0.5)) network.patterns.push_back({9, 1});
    network.costs = {20 + rng.normal()};
  }
  const auto learned = [&](auto value) {
    std::vector<double> values;
    for (const Features& network : networks) values.push_back(value(network));
    MlpPredictor model({.dropout = 0}, Rng(1));
    model.fit(std::span(networks).first(80), std::span(values).first(80));
    return kendall_tau_b(means(model, std::span(networks).subspan(80)),
                         std::span(values).subspan(80));
  };
  EXPECT_GT(learned([](const Features& f) { return f.decisions[0]; }), 0.8);
  EXPECT_GT(learned([](const Features& f) { return f.patterns[0].second; }), 0.8);
  // Of two values, at most 0.71.
  EXPECT_GT(learned([](const Features& f) { return f.patterns.size(); }), 0.65);
  EXPECT_GT(learned([](const Features& f) { return f.costs[0]; }), 0.8);
}

TEST(Mlp, RanksCellsFromFewOfThem) {
  for (const PredictorLoss loss : {PredictorLoss::regression, PredictorLoss::hinge,
                                   PredictorLoss::cross_entropy, PredictorLoss::listwise}) {
    MlpPredictor model({.fit = {.loss = loss}}, Rng(1));
    EXPECT_GT(tau_on_cells(model, 1, {.graphs = true}),
              loss == PredictorLoss::regression ? 0.5 : 0.6);
  }
}

TEST(Neural, PredictsInTheUnitOfTheValues) {
  const auto networks = encode_cells(sample_cells(60, 2), {.graphs = true});
  std::vector<double> values;
  for (const Features& network : networks) values.push_back(500 + 30 * network.costs[0]);
  for (const PredictorLoss loss : {PredictorLoss::regression, PredictorLoss::hinge,
                                   PredictorLoss::cross_entropy, PredictorLoss::listwise}) {
    MlpPredictor model({.fit = {.loss = loss}}, Rng(1));
    model.fit(networks, values);
    const auto predicted = means(model, networks);
    EXPECT_NEAR(mean(predicted), mean(values), 0.2 * standard_deviation(values));
    EXPECT_NEAR(standard_deviation(predicted), standard_deviation(values),
                0.3 * standard_deviation(values));
    for (const Prediction& p : model.predict(networks)) EXPECT_EQ(p.variance, 0);
  }
}

TEST(Neural, IsAFunctionOfItsGeneratorAndWhatItWasFittedTo) {
  const auto sampled = sample_cells(40, 3);
  const auto networks = encode_cells(sampled, {.graphs = true});
  const auto values = accuracies_of(sampled);
  const FitOptions fit{.epochs = 5, .batch = 16};
  MlpPredictor model({.fit = fit}, Rng(1)), same({.fit = fit}, Rng(1)), other({.fit = fit}, Rng(2));
  model.fit(networks, values);
  const auto first = means(model, networks);
  // What was learned before is gone.
  same.fit(std::span(networks).first(10), std::span(values).first(10));
  same.fit(networks, values);
  other.fit(networks, values);
  EXPECT_EQ(means(same, networks), first);
  EXPECT_NE(means(other, networks), first);
}

TEST(Neural, ConstantValuesAndOneNetworkArePredicted) {
  const auto networks = encode_cells(sample_cells(5, 7), {.graphs = true});
  for (const PredictorLoss loss : {PredictorLoss::hinge, PredictorLoss::listwise}) {
    MlpPredictor model({.fit = {.loss = loss, .epochs = 3}}, Rng(1));
    model.fit(networks, std::vector<double>(5, 4.5));
    for (const double m : means(model, networks)) EXPECT_DOUBLE_EQ(m, 4.5);
    model.fit(std::span(networks).first(1), std::vector<double>{2});
    for (const double m : means(model, networks)) EXPECT_DOUBLE_EQ(m, 2);
  }
  MlpPredictor model({.fit = {.loss = PredictorLoss::regression}}, Rng(1));
  model.fit(networks, std::vector<double>(5, 4.5));
  for (const double m : means(model, networks)) EXPECT_DOUBLE_EQ(m, 4.5);
  EXPECT_TRUE(model.predict({}).empty());
}

TEST(Neural, RefusesWhatItCannotLearnFrom) {
  const auto networks = encode_cells(sample_cells(3, 7), {.graphs = true});
  MlpPredictor model({}, Rng(1));
  EXPECT_THAT(throws<Error>([&] { model.predict(networks); }), HasSubstr("before it was fitted"));
  EXPECT_THAT(throws<Error>([&] { model.fit(networks, std::vector<double>(2)); }),
              HasSubstr("3 networks and 2 values"));
  EXPECT_THROW(model.fit(networks, std::vector<double>{1, std::nan(""), 2}), NumericalError);
  EXPECT_THROW(MlpPredictor({.layers = 0}, Rng(1)), ConfigError);
  EXPECT_THROW(MlpPredictor({.fit = {.epochs = 0}}, Rng(1)), ConfigError);
  EXPECT_THROW(MlpPredictor({.fit = {.loss = PredictorLoss::relation}}, Rng(1)), Error);
}

}  // namespace
}  // namespace espalier
