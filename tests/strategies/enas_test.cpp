#include "strategies/enas.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/stats.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/fake_training.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

EnasSearchOptions small() {
  EnasSearchOptions options;
  options.policy = PolicyKind::independent;
  options.learning_rate = 0.1;
  return options;
}

double planted(const Architecture& a) { return planted_trial({.architecture = a}).metrics[0]; }

// Which epochs' weights know what is planted; by the others all are alike.
std::shared_ptr<FakeTraining> training_of(int epochs, int knows_from) {
  auto training = std::make_shared<FakeTraining>(epochs);
  training->accuracy = [knows_from](const Architecture& a, int trained) {
    return trained >= knows_from ? 100.0 * planted(a) / 6 : 50.0;
  };
  return training;
}

void run(Enas& enas, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    for (const Candidate& c : enas.ask(1000)) enas.tell(accuracy_trial(c, 0));
  }
}

TEST(Enas, ThePolicyLearnsFromBatchesByTheWeightsOfItsEpoch) {
  // What trials say does not matter, and neither do the weights of earlier epochs.
  const auto space = test_space({5, 5, 5, 5, 5, 5});
  const auto training = training_of(6, 3);
  Enas enas(sharing_context(space, training), small());
  const auto mean_of = [](const std::vector<std::vector<Architecture>>& steps, std::size_t from) {
    std::vector<double> scores;
    for (std::size_t i = from; i < steps.size(); ++i) scores.push_back(planted(steps[i].at(0)));
    return mean(scores);
  };
  run(enas, 2);
  EXPECT_EQ(training->learned.size(), 6u);  // one architecture for each step
  for (const auto& step : training->learned) EXPECT_EQ(step.size(), 1u);
  EXPECT_EQ(training->asked.size(), 2u * 30 * 10);
  EXPECT_LT(mean_of(training->learned, 0), 2.5);
  run(enas, 4);
  // The policy now draws what learned batches reward, for the weights and as candidates.
  std::vector<double> last;
  for (std::size_t i = training->asked.size() - 100; i < training->asked.size(); ++i) {
    last.push_back(planted(training->asked[i]));
  }
  EXPECT_GT(mean(last), 3.5);
  EXPECT_GT(mean_of(training->learned, 15), 3);
}

// Whose second decision is active only while the first is not 0.
class GatedSpace : public TestSpace {
 public:
  GatedSpace() : TestSpace({2, 5, 5, 5}) {}
  Architecture canonical(const Architecture& a) const override {
    Architecture result = a;
    if (a.choices[0] == 0) result.choices[1] = 0;
    return result;
  }
  bool active(const Architecture& a, DecisionId d) const override {
    return d != 1 || a.choices[0] != 0;
  }
};

TEST(Enas, LearnsFromWhatWasDrawnAlsoWhereThatIsNotActive) {
  EnasSearchOptions options;
  options.updates = 3;
  options.learning_rate = 0.1;
  options.batch = 20;
  options.candidates = 60;
  const auto space = std::make_shared<GatedSpace>();
  Enas enas(sharing_context(space, training_of(1, 0)), options);
  std::vector<Architecture> got;
  for (const Candidate& c : enas.ask(1000)) got.push_back(c.architecture);

  const auto candidates = [&](bool as_drawn) {
    const Rng rng = Rng(1).fork("round").fork(0);
    PolicyGradient gradient(
        make_policy(PolicyKind::lstm, *space, static_cast<std::size_t>(options.hidden),
                    Rng(1).fork("parameters")),
        {.learning_rate = options.learning_rate,
         .entropy = options.entropy,
         .momentum = options.baseline});
    gradient.policy().limit_logits(options.logit_limit);
    for (std::uint64_t update = 0; update < 3; ++update) {
      std::vector<PolicyExperience> experience;
      for (std::uint64_t i = 0; i < 20; ++i) {
        Rng own = rng.fork("update").fork(update).fork(i);
        PolicyDraw draw = gradient.policy().draw(own);
        const Architecture a = space->canonical(draw.architecture);
        if (!as_drawn) draw = gradient.policy().recall(a);
        experience.push_back({.draw = draw, .active = {}, .reward = planted(a) / 6});
        for (DecisionId d = 0; d < 4; ++d) experience.back().active.push_back(space->active(a, d));
      }
      gradient.update(experience);
    }
    Rng draws = rng.fork("candidates");
    std::vector<Architecture> result;
    for (int i = 0; i < options.candidates; ++i) {
      for (int j = 0; j < 20; ++j) {
        const Architecture a = space->canonical(gradient.policy().draw(draws).architecture);
        if (std::ranges::find(result, a) != result.end()) continue;
        result.push_back(a);
        break;
      }
    }
    return result;
  };
  EXPECT_EQ(got, candidates(true));
  EXPECT_NE(got, candidates(false));
}

TEST(Enas, CandidatesOfARoundDiffer) {
  Enas enas(sharing_context(test_space({2, 3}, true), training_of(3, 0)), small());
  const std::vector<Candidate> round = enas.ask(1000);
  EXPECT_LE(round.size(), 4u);
  for (std::size_t i = 0; i < round.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(round[i].architecture, round[j].architecture);
  }
}

TEST(Enas, ConstraintsAndFurtherObjectivesCount) {
  const auto space = test_space({5, 5, 5, 5, 5, 5});
  const auto mean_size = [&](Goals goals, std::optional<RewardKind> reward) {
    EnasSearchOptions options = small();
    options.reward = reward;
    const auto training = std::make_shared<FakeTraining>(8);
    Enas enas(sharing_context(space, training, std::move(goals)), options);
    run(enas, 8);
    std::vector<double> sizes;
    for (std::size_t i = training->asked.size() - 200; i < training->asked.size(); ++i) {
      sizes.push_back(size_of(training->asked[i]));
    }
    return mean(sizes);
  };
  // All are as accurate: sizes are 12 on average.
  EXPECT_NEAR(mean_size(accuracy_goal(), std::nullopt), 12, 2.5);
  EXPECT_LT(mean_size(accuracy_and_size(), std::nullopt), 8);
  const Goals constrained(*accuracy_metrics(), {{"accuracy", Direction::maximize}},
                          {{.metric = "size", .upper = 7}});
  EXPECT_LT(mean_size(constrained, std::nullopt), 9);
  EXPECT_LT(mean_size(constrained, RewardKind::rank), 9);
}

TEST(Enas, NeedsMetricsThatAreKnownWithoutAnEvaluation) {
  RunContext context = sharing_context(test_space({3, 3}), training_of(2, 0), accuracy_and_size());
  context.known_metrics = [](const Architecture&) { return Metrics(accuracy_metrics()); };
  EXPECT_THAT(throws<ConfigError>([&] { Enas(context, small()); }),
              testing::StartsWith("\"enas\" learns from"));
  context.goals = Goals(*accuracy_metrics(), {{"accuracy", Direction::maximize}},
                        {{.metric = "size", .upper = 7}});
  EXPECT_THAT(throws<ConfigError>([&] { Enas(context, small()); }),
              testing::StartsWith("\"enas\" learns from"));
  EnasSearchOptions value = small();
  value.reward = RewardKind::value;
  EXPECT_THAT(throws<ConfigError>([&] {
                Enas(sharing_context(test_space({3}), training_of(2, 0), accuracy_and_size()),
                     value);
              }),
              HasSubstr("/reward"));
}

TEST(Enas, ArchitecturesThatCannotBeMeasuredAreTheWorst) {
  const auto training = training_of(8, 100);
  RunContext context = sharing_context(test_space({5, 5}), training);
  context.known_metrics = [known = context.known_metrics](const Architecture& a) {
    if (a.choices[0] > 1) throw UnsupportedError("no such latency");
    return known(a);
  };
  Enas enas(context, small());
  run(enas, 8);
  double measurable = 0;
  for (std::uint32_t first : {0u, 1u}) {
    for (std::uint32_t second = 0; second < 5; ++second) {
      const PolicyDraw its = enas.policy().recall(Architecture{{first, second}});
      measurable += std::exp(its.log_probs[0] + its.log_probs[1]);
    }
  }
  EXPECT_GT(measurable, 0.6);  // 0.4 at first; the limit of the logits leaves 0.86
}

}  // namespace
}  // namespace espalier
