#include "strategies/surrogate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>
#include <numeric>
#include <utility>
#include <vector>

#include "core/json.hpp"
#include "core/stats.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

constexpr EncodingOptions decisions_only{.patterns = Patterns::none, .costs = false};

// Predicts of each network the sum of its numbers, and how often it was fitted as the variance.
class Fake : public Predictor {
 public:
  void fit(std::span<const Features> networks, std::span<const double> values) override {
    ++fits;
    seen = networks.size();
    learned.assign(values.begin(), values.end());
  }
  std::vector<Prediction> predict(std::span<const Features> networks) const override {
    std::vector<Prediction> result;
    for (const Features& f : networks) {
      double sum = 0;
      for (std::size_t i = 0; i < f.decisions.size(); ++i) {
        sum += static_cast<double>(i) * f.decisions[i];
      }
      result.push_back({.mean = sum, .variance = static_cast<double>(fits)});
    }
    return result;
  }
  int fits = 0;
  std::size_t seen = 0;
  std::vector<double> learned;
};

struct FakeModels {
  std::vector<Fake*> made;
  SurrogateOptions options(bool anew, bool believes) {
    return {.features = decisions_only,
            .make =
                [this](const Rng&) {
                  auto fake = std::make_unique<Fake>();
                  made.push_back(fake.get());
                  return fake;
                },
            .anew = anew,
            .believes = believes};
  }
};

std::vector<Candidate> candidates_of(const std::vector<Architecture>& architectures) {
  std::vector<Candidate> candidates;
  for (const Architecture& a : architectures) {
    candidates.push_back({.trial_id = candidates.size(), .architecture = a});
  }
  return candidates;
}

const std::vector<Architecture> some{{{0, 1}}, {{3, 2}}, {{1, 1}}, {{2, 0}}};

TEST(Surrogate, LearnsNormalScoresOfObjectivesAndOfWhatIsBounded) {
  FakeModels models;
  const auto context = test_context(test_space({4, 4}), 1, two_goals());
  Surrogate surrogate(context, models.options(true, false));
  EXPECT_FALSE(surrogate.ready());
  for (const Candidate& c : candidates_of(some)) surrogate.tell(complete_trial(c));
  surrogate.tell(failed_trial({.trial_id = 4, .architecture = {{3, 3}}}));
  EXPECT_TRUE(surrogate.ready());
  EXPECT_EQ(surrogate.size(), 4u);
  surrogate.fit({}, Rng(1));
  ASSERT_EQ(models.made.size(), 3u);  // score, size, and the bound on size
  // Scores 3, 9, 4, 2 (weights 1 and 3); sizes 1, 5, 2, 2, to be minimized.
  const double outer = normal_quantile(0.125), inner = normal_quantile(0.375);
  EXPECT_THAT(models.made[0]->learned,
              testing::Pointwise(testing::DoubleNear(1e-12), {inner, -outer, -inner, outer}));
  EXPECT_EQ(models.made[1]->learned[1], outer);
  const std::vector<double> sizes{outer, -outer, 0, 0};
  EXPECT_THAT(models.made[2]->learned, testing::Pointwise(testing::DoubleNear(1e-12), sizes));
}

TEST(Surrogate, ModelsAreMadeAnewOrKept) {
  for (const bool anew : {true, false}) {
    FakeModels models;
    Surrogate surrogate(test_context(test_space({4, 4})), models.options(anew, false));
    for (const Candidate& c : candidates_of(some)) surrogate.tell(complete_trial(c));
    for (int i = 0; i < 3; ++i) surrogate.fit({}, Rng(1));
    EXPECT_EQ(models.made.size(), anew ? 3u : 1u);
  }
}

TEST(Surrogate, BelievesWhatIsPredictedOfThoseInFlight) {
  FakeModels models;
  Surrogate surrogate(test_context(test_space({4, 4})), models.options(false, true));
  for (const Candidate& c : candidates_of(some)) surrogate.tell(complete_trial(c));
  const std::vector<Architecture> in_flight{{{3, 3}}};
  surrogate.fit(in_flight, Rng(1));
  EXPECT_EQ(models.made[0]->seen, 5u);
  EXPECT_EQ(models.made[0]->learned.back(), 3 + 7);  // the places of the ones
}

TEST(Surrogate, PredictedIsTheMeanAndDrawnHasMeanAndVariance) {
  FakeModels models;
  const auto context = test_context(test_space({4, 4}), 1, two_goals());
  Surrogate surrogate(context, models.options(true, false));
  for (const Candidate& c : candidates_of(some)) surrogate.tell(complete_trial(c));
  surrogate.fit({}, Rng(1));
  const std::vector<Architecture> one{{{2, 3}}};  // predicted 2 + 7 = 9, variance 1
  const Individual predicted = surrogate.predicted(one)[0];
  EXPECT_THAT(predicted.costs, testing::ElementsAre(-9, -9));
  // Sizes of 1 to 5 were told, so that a normal score of 9 is a size far beyond the bound of 8.
  const double last = normal_quantile(0.875);
  EXPECT_NEAR(predicted.violation, (5 + 3 / last * (9 - last) - 8) / 8, 1e-12);
  EXPECT_EQ(predicted.architecture, one[0]);
  std::vector<double> first, second;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const Individual drawn = surrogate.drawn(one, Rng(2).fork(i))[0];
    EXPECT_EQ(surrogate.drawn(one, Rng(2).fork(i))[0].costs, drawn.costs);
    first.push_back(drawn.costs[0]);
    second.push_back(drawn.costs[1]);
  }
  EXPECT_NEAR(mean(first), -9, 0.1);
  EXPECT_NEAR(standard_deviation(first), 1, 0.05);
  double covariance = 0;
  for (std::size_t i = 0; i < first.size(); ++i) covariance += (first[i] + 9) * (second[i] + 9);
  EXPECT_NEAR(covariance / 2000, 0, 0.1);  // independent
}

// Predicts the same of all networks.
class Constant : public Predictor {
 public:
  explicit Constant(Prediction prediction) : prediction_(prediction) {}
  void fit(std::span<const Features>, std::span<const double>) override {}
  std::vector<Prediction> predict(std::span<const Features> networks) const override {
    return std::vector<Prediction>(networks.size(), prediction_);
  }

 private:
  Prediction prediction_;
};

// What a network promises whose metrics are predicted so, objectives first, after trials with these
// scores and sizes.
double promise(const Goals& goals, const std::vector<Prediction>& predicted,
               const std::vector<std::pair<double, double>>& told,
               const std::vector<Architecture>& in_flight = {}) {
  std::size_t made = 0;
  Surrogate surrogate(
      test_context(test_space({4, 4}), 1, goals),
      {.features = decisions_only,
       .make = [&](const Rng&) { return std::make_unique<Constant>(predicted.at(made++)); },
       .believes = true});
  for (std::size_t i = 0; i < told.size(); ++i) {
    const Candidate candidate{.trial_id = i, .architecture = some[i]};
    surrogate.tell({.candidate = candidate,
                    .metrics = Metrics(test_metrics(), {told[i].first, told[i].second})});
  }
  surrogate.fit(in_flight, Rng(1));
  return surrogate.expected_improvements({{{3, 3}}}, Rng(1))[0];
}

TEST(Surrogate, PromisesTheGrowthOfTheHypervolumeTimesTheProbabilityToKeepTheConstraints) {
  const std::vector<std::pair<double, double>> told{{10, 1}, {20, 2}, {30, 3}, {40, 4}};
  const double outer = normal_quantile(0.875), inner = normal_quantile(0.625);
  // Between the scores of 30 and 40, and the sizes of 3 and 2: a score of 35, a size of 2.5. The
  // reference point is (7, 4.3), the volume before 3 + 13 + 23 + 9.9, after 1.5 + 27 + 23 + 9.9.
  const Prediction score{.mean = (inner + outer) / 2}, size{.mean = 0};
  const Goals free(*test_metrics(),
                   {{"score", Direction::maximize}, {"size", Direction::minimize}});
  EXPECT_NEAR(promise(free, {score, size}, told), 12.5, 1e-9);
  // Of what is not certain, by a draw for each objective.
  Rng draw = Rng(1).fork(ArchitectureHash()(Architecture{{3, 3}}));
  const NormalScale scores(std::vector<double>{-10, -20, -30, -40}),
      sizes(std::vector<double>{1, 2, 3, 4});
  const double drawn_score = -scores.value(-inner + 0.1 * draw.normal());
  const double drawn_size = sizes.value(-inner + 0.2 * draw.normal());
  ASSERT_GT(drawn_score, 20);
  ASSERT_LT(drawn_score, 40);
  ASSERT_GT(drawn_size, 1);
  ASSERT_LT(drawn_size, 4);
  double grown = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    // Of each strip of sizes, what lies above the score so far.
    const double from = std::max(told[i].second, drawn_size);
    const double to = i < 3 ? told[i + 1].second : 4.3;
    grown += std::max(0.0, to - from) * std::max(0.0, drawn_score - told[i].first);
  }
  EXPECT_NEAR(
      promise(free, {{.mean = inner, .variance = 0.01}, {.mean = inner, .variance = 0.04}}, told),
      grown, 1e-9);
  // A point that others dominate promises nothing.
  EXPECT_NEAR(promise(free, {{.mean = -inner}, {.mean = -inner}}, told), 0, 1e-12);
  // A bound of 8 on the size, whose normal score lies on the line through those of 2 and 4; one
  // more is predicted, with a deviation of 2.
  const double bound = outer + 2 * (outer + inner);
  EXPECT_NEAR(promise(two_goals(), {score, size, {.mean = bound + 1, .variance = 4}}, told),
              12.5 * normal_probability(-0.5), 1e-9);

  // One objective: the expected improvement on the best score.
  const double u = (1 - outer) / 0.5;
  const double density = std::exp(-u * u / 2) / std::sqrt(2 * std::numbers::pi);
  EXPECT_NEAR(promise(one_goal(), {{.mean = 1, .variance = 0.25}}, told),
              0.5 * (u * normal_probability(u) + density), 1e-12);
  // Nothing keeps the bound yet: the probability to keep it is all that counts.
  const std::vector<std::pair<double, double>> broken{{10, 9}, {20, 10}};
  const double below = 3 * normal_quantile(0.25);
  EXPECT_NEAR(promise(two_goals(), {score, size, {.mean = below + 1, .variance = 4}}, broken),
              normal_probability(-0.5), 1e-12);
  // Equal bounds: the density of the normal score.
  const Goals equal(*test_metrics(), {{"score", Direction::maximize}},
                    {{.metric = "size", .lower = 8, .upper = 8}});
  for (const double deviation : {0.5, 2.0}) {
    const double away = 1 / deviation;
    EXPECT_NEAR(
        promise(equal, {score, {.mean = below + 1, .variance = deviation * deviation}}, broken),
        std::exp(-away * away / 2) / std::sqrt(2 * std::numbers::pi) / deviation, 1e-12);
  }
}

TEST(Surrogate, WhatIsBelievedIsToBeImprovedOn) {
  const std::vector<std::pair<double, double>> told{{10, 1}, {20, 2}, {30, 3}, {40, 4}};
  const std::vector<Architecture> in_flight{{{3, 0}}};
  // A mean beyond the best told: believed of one in flight, others are no better on average.
  EXPECT_NEAR(promise(one_goal(), {{.mean = 2, .variance = 0.25}}, told, in_flight),
              0.5 / std::sqrt(2 * std::numbers::pi), 1e-12);
  // The same point again adds nothing to the front, unless it breaks the constraints.
  const double inner = normal_quantile(0.625), outer = normal_quantile(0.875);
  const Prediction score{.mean = (inner + outer) / 2}, size{.mean = 0};
  const double bound = outer + 2 * (outer + inner);
  EXPECT_NEAR(promise(two_goals(), {score, size, {.mean = bound - 9}}, told, in_flight), 0, 1e-12);
  EXPECT_NEAR(
      promise(two_goals(), {score, size, {.mean = bound + 1, .variance = 4}}, told, in_flight),
      12.5 * normal_probability(-0.5), 1e-9);
  // While none told keeps the constraints, one that is only believed to do is none to improve on.
  const std::vector<std::pair<double, double>> broken{{10, 9}, {20, 10}};
  const double below = 3 * normal_quantile(0.25);
  EXPECT_NEAR(
      promise(two_goals(), {score, size, {.mean = below - 1, .variance = 4}}, broken, in_flight),
      normal_probability(0.5), 1e-12);
}

TEST(Surrogate, BestAreSortedAndSavedAndLoaded) {
  FakeModels models;
  const auto context = test_context(test_space({4, 4}));
  Surrogate surrogate(context, models.options(true, false)),
      other(context, models.options(true, false));
  for (const Candidate& c : candidates_of(some)) surrogate.tell(complete_trial(c));
  other.load(surrogate.save());
  for (Surrogate* s : {&surrogate, &other}) {
    const auto best = s->best(2);
    ASSERT_EQ(best.size(), 2u);
    EXPECT_EQ(best[0].architecture, some[1]);
    EXPECT_EQ(best[1].architecture, some[2]);
    EXPECT_EQ(best[1].trial_id, 2u);
    EXPECT_EQ(s->best(9).size(), 4u);
  }
}

}  // namespace
}  // namespace espalier
