#include "predictors/lstm.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "predictors/lstm_network.hpp"
#include "tests/core/throws.hpp"
#include "tests/predictors/cells.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

TEST(Lstm, IsTheRecurrenceOfItsEquations) {
  constexpr std::size_t width = 3;
  const std::vector<Features> networks{{.choices = {1, 0, 3}}, {.choices = {2, 2, 0}}};
  const LstmNetwork network(width, networks, Rng(1), at::kDouble);
  const at::Tensor chosen = at::tensor({1, 0, 3, 2, 2, 0}, at::kLong).view({2, 3});
  const at::Tensor embeddings = network.embed(chosen);
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const auto unit = [](std::vector<double> x) {
    double square = 0;
    for (const double v : x) square += v * v;
    for (double& v : x) v /= std::sqrt(square);
    return x;
  };
  for (std::int64_t n = 0; n < 2; ++n) {
    std::vector<double> held(width), cell(width), sum(width);
    for (std::int64_t d = 0; d < 3; ++d) {
      const at::Tensor x =
          at::cat({network.choices[chosen[n][d].item<std::int64_t>()], network.decisions[d]});
      std::vector<double> gates(4 * width);
      for (std::size_t g = 0; g < gates.size(); ++g) {
        const auto row = static_cast<std::int64_t>(g);
        gates[g] = (network.read.bias[row] + network.state.bias[row]).item<double>();
        for (std::int64_t i = 0; i < x.size(0); ++i) {
          gates[g] += (network.read.weight[row][i] * x[i]).item<double>();
        }
        for (std::size_t i = 0; i < width; ++i) {
          gates[g] +=
              network.state.weight[row][static_cast<std::int64_t>(i)].item<double>() * held[i];
        }
      }
      for (std::size_t i = 0; i < width; ++i) {
        cell[i] = sigmoid(gates[width + i]) * cell[i] +
                  sigmoid(gates[i]) * std::tanh(gates[2 * width + i]);
        held[i] = sigmoid(gates[3 * width + i]) * std::tanh(cell[i]);
      }
      const auto output = unit(held);
      for (std::size_t i = 0; i < width; ++i) sum[i] += output[i];
    }
    const auto expected = unit(sum);
    for (std::size_t i = 0; i < width; ++i) {
      EXPECT_NEAR(embeddings[n][static_cast<std::int64_t>(i)].item<double>(), expected[i], 1e-12);
    }
  }
}

TEST(Lstm, RanksCellsFromFewOfThem) {
  LstmPredictor model({.width = 48}, Rng(1));
  EXPECT_GT(tau_on_cells(model, 1, {.graphs = true}), 0.45);
}

TEST(Lstm, ChoicesThatWereNotSeenAreNone) {
  const std::vector<Features> networks{{.choices = {1, 0, 3}}, {.choices = {3, 3, 0}}};
  LstmPredictor model({.fit = {.epochs = 2}}, Rng(1));
  model.fit(networks, std::vector<double>{1, 2});
  // Nor those between others.
  const auto other = model.predict(std::vector<Features>{
      {.choices = {1, 1, 9}}, {.choices = {1, 1, 4}}, {.choices = {1, 1, 2}}});
  EXPECT_EQ(other[0].mean, other[1].mean);
  EXPECT_EQ(other[0].mean, other[2].mean);
  EXPECT_THAT(throws<Error>([&] {
                model.predict(std::vector<Features>{{.choices = {1, 1}}});
              }),
              HasSubstr("2 choices"));
}

TEST(Lstm, NeedsChoices) {
  LstmPredictor model({}, Rng(1));
  const std::vector<Features> without{{.decisions = {1}}};
  EXPECT_THAT(throws<Error>([&] { model.fit(without, std::vector<double>{1}); }),
              HasSubstr("choices"));
  EXPECT_THROW(model.predict(without), Error);
  EXPECT_THROW(LstmPredictor({.width = 0}, Rng(1)), ConfigError);
}

}  // namespace
}  // namespace espalier
