#include "predictors/catalogue.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "predictors/ensemble.hpp"
#include "predictors/normal_scores.hpp"
#include "predictors/xgboost.hpp"
#include "tests/core/throws.hpp"
#include "tests/predictors/cells.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

constexpr EncodingOptions with_graphs{.graphs = true};

// What every predictor promises.
class EveryPredictor : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "xgboost" && !has_xgboost()) GTEST_SKIP() << "built without XGBoost";
  }
  std::unique_ptr<Predictor> make(std::uint64_t seed = 1) const {
    const PredictorRegistry registry = predictor_registry();
    return registry.create(registry.sample(GetParam()), "", {Rng(seed)});
  }
};

TEST_P(EveryPredictor, LearnsAndIsAFunctionOfItsGenerator) {
  const auto all = sample_cells(60, 3);
  const auto features = encode_cells(all, with_graphs);
  const auto values = accuracies_of(all);
  const auto learn = [&] {
    const auto predictor = make();
    predictor->fit(features, values);
    return predictor->predict(features);
  };
  const auto predictions = learn();
  ASSERT_EQ(predictions.size(), all.size());
  EXPECT_GT(kendall_tau_b(means_of(predictions), values), 0.4);
  for (const Prediction& p : predictions) {
    EXPECT_TRUE(std::isfinite(p.mean));
    EXPECT_GE(p.variance, 0);
    EXPECT_TRUE(std::isfinite(p.variance));
  }
  EXPECT_EQ(means_of(learn()), means_of(predictions));
}

TEST_P(EveryPredictor, LearnsFromOneNetworkAndFromEqualValues) {
  const auto features = encode_cells(sample_cells(6, 4), with_graphs);
  const auto predictor = make();
  predictor->fit(std::span(features).first(1), std::vector<double>{3});
  for (const Prediction& p : predictor->predict(features)) EXPECT_TRUE(std::isfinite(p.mean));
  predictor->fit(features, std::vector<double>(6, 7));
  for (const Prediction& p : predictor->predict(features)) EXPECT_NEAR(p.mean, 7, 0.5);
  EXPECT_TRUE(predictor->predict({}).empty());
}

TEST_P(EveryPredictor, LearnsFromDecisionsAlone) {
  const auto features =
      encode_cells(sample_cells(20, 4), {.patterns = Patterns::none, .costs = false});
  const auto values = accuracies_of(sample_cells(20, 4));
  const auto predictor = make();
  if (GetParam() == "gcn" || GetParam() == "gates" || GetParam() == "ta_gates") {
    EXPECT_THROW(predictor->fit(features, values), Error);
    return;
  }
  predictor->fit(features, values);
  EXPECT_EQ(predictor->predict(features).size(), 20u);
}

TEST_P(EveryPredictor, RefusesWhatItCannotLearnFrom) {
  const auto features = encode_cells(sample_cells(3, 4), with_graphs);
  const auto predictor = make();
  EXPECT_THROW(predictor->predict(features), Error);
  EXPECT_THROW(predictor->fit({}, {}), Error);
  EXPECT_THROW(predictor->fit(features, std::vector<double>{1, 2}), Error);
  EXPECT_THROW(predictor->fit(features, std::vector<double>{1, std::nan(""), 2}), NumericalError);
  EXPECT_THROW(predictor->predict(features), Error);
}

INSTANTIATE_TEST_SUITE_P(All, EveryPredictor, testing::ValuesIn(predictor_registry().names()),
                         [](const auto& its) { return its.param; });

TEST(PredictorRegistry, NamesThePredictors) {
  EXPECT_THAT(predictor_registry().names(),
              ElementsAre("gaussian_process", "ridge", "random_forest", "mlp", "lstm", "gcn",
                          "gates", "ta_gates", "xgboost", "ensemble"));
}

TEST(PredictorRegistry, AnEnsembleIsOfAnyOther) {
  const PredictorRegistry registry = predictor_registry();
  const Json config = {
      {"type", "ensemble"},
      {"members", 3},
      {"member", {{"type", "random_forest"}, {"trees", 2}, {"values", "normal_scores"}}}};
  const auto made = registry.create(config, "", {Rng(1)});
  EXPECT_NE(dynamic_cast<Ensemble*>(made.get()), nullptr);
  const auto error = [&](const Json& member) {
    return throws<ConfigError>([&] {
      registry.create({{"type", "ensemble"}, {"member", member}}, "/predictor", {Rng(1)});
    });
  };
  EXPECT_THAT(error({{"type", "random_forest"}, {"trees", 0}}),
              StartsWith("/predictor/member/trees: "));
  EXPECT_THAT(error({{"type", "ensemble"}}), StartsWith("/predictor/member/type: "));
}

TEST(PredictorRegistry, AnyLearnsNormalScoresWhereItIsTold) {
  const auto made = predictor_registry().create(
      {{"type", "gaussian_process"}, {"values", "normal_scores"}}, "", {Rng(1)});
  EXPECT_NE(dynamic_cast<NormalScored*>(made.get()), nullptr);
}

}  // namespace
}  // namespace espalier
