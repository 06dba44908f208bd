#include "predictors/normal_scores.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/predictors/cells.hpp"

namespace espalier {
namespace {

TEST(NormalScores, AreTheQuantilesAtTheRanks) {
  const std::vector<double> values{10, 70, 10, 90};
  // Ranks 1.5, 3, 1.5, 4.
  const std::vector<double> scores = normal_scores(values);
  EXPECT_DOUBLE_EQ(scores[0], normal_quantile(0.25));
  EXPECT_DOUBLE_EQ(scores[1], normal_quantile(0.625));
  EXPECT_DOUBLE_EQ(scores[2], normal_quantile(0.25));
  EXPECT_DOUBLE_EQ(scores[3], normal_quantile(0.875));
  EXPECT_THROW(normal_scores(std::vector<double>{1, std::nan("")}), NumericalError);
}

TEST(NormalScale, GoesThereAndBack) {
  const std::vector<double> values{10, 70, 10, 90};
  const NormalScale scale(values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_DOUBLE_EQ(scale.score(values[i]), scale.scores()[i]);
    EXPECT_DOUBLE_EQ(scale.value(scale.scores()[i]), values[i]);
  }
  EXPECT_DOUBLE_EQ(scale.score(40), (normal_quantile(0.25) + normal_quantile(0.625)) / 2);
  // Beyond them, by the one in the middle: 70.
  const double above = (normal_quantile(0.875) - normal_quantile(0.625)) / 20;
  const double below = (normal_quantile(0.625) - normal_quantile(0.25)) / 60;
  EXPECT_NEAR(scale.score(110), normal_quantile(0.875) + 20 * above, 1e-12);
  EXPECT_NEAR(scale.score(-10), normal_quantile(0.25) - 20 * below, 1e-12);
  for (const double value : {-10.0, 12.5, 80.0, 110.0}) {
    EXPECT_NEAR(scale.value(scale.score(value)), value, 1e-9);
  }
}

TEST(NormalScale, OutermostValuesAndScoresAreExact) {
  for (int count = 2; count <= 40; ++count) {
    std::vector<double> values;
    for (int i = 0; i < count; ++i) values.push_back(0.1 * i * i);
    const NormalScale scale(values);
    EXPECT_EQ(scale.score(values.front()), scale.scores().front());
    EXPECT_EQ(scale.score(values.back()), scale.scores().back());
    EXPECT_EQ(scale.value(scale.scores().front()), values.front());
    EXPECT_EQ(scale.value(scale.scores().back()), values.back());
  }
}

TEST(NormalScale, RankScoresStayAmongThoseGiven) {
  const NormalScale scale(std::vector<double>{10, 70, 10, 90});
  EXPECT_EQ(scale.rank_score(40), scale.score(40));
  EXPECT_EQ(scale.rank_score(1e40), scale.score(90));
  EXPECT_EQ(scale.rank_score(-1e40), scale.score(10));
}

TEST(NormalScale, OfEqualValuesAndOfNone) {
  const NormalScale equal(std::vector<double>{4, 4, 4});
  EXPECT_EQ(equal.score(7), 0);
  EXPECT_EQ(equal.value(1), 4);
  const NormalScale none(std::vector<double>{});
  EXPECT_EQ(none.score(7), 7);
  EXPECT_EQ(none.value(7), 7);
  EXPECT_EQ(none.rank_score(7), 0);
}

// Knows what it was told, with a deviation of 1.
class Echo : public Predictor {
 public:
  void fit(std::span<const Features>, std::span<const double> values) override {
    told = {values.begin(), values.end()};
  }
  std::vector<Prediction> predict(std::span<const Features>) const override {
    check_fitted(!told.empty());
    std::vector<Prediction> predictions;
    for (const double value : told) predictions.push_back({.mean = value, .variance = 1});
    return predictions;
  }
  std::vector<double> told;
};

TEST(NormalScored, PredictsInTheUnitsOfTheValues) {
  auto inner = std::make_unique<Echo>();
  const Echo& echo = *inner;
  NormalScored predictor(std::move(inner));
  EXPECT_THROW(predictor.predict({}), Error);
  const auto networks = networks_of({{1}, {2}, {3}, {4}});
  const std::vector<double> values{10, 70, 80, 90};
  predictor.fit(networks, values);
  EXPECT_EQ(echo.told, normal_scores(values));
  const NormalScale scale(values);
  const auto predictions = predictor.predict(networks);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(predictions[i].mean, values[i], 1e-9);
    const double up = scale.value(echo.told[i] + 1), down = scale.value(echo.told[i] - 1);
    EXPECT_NEAR(std::sqrt(predictions[i].variance), (up - down) / 2, 1e-9);
  }
  EXPECT_THROW(predictor.fit(networks, std::vector<double>(3)), Error);
}

}  // namespace
}  // namespace espalier
