#include "strategies/nao.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <vector>

#include "core/stats.hpp"
#include "predictors/encoder_decoder.hpp"
#include "predictors/normal_scores.hpp"
#include "strategies/surrogate.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

template <class Options>
Options quick() {
  Options options;
  options.samples = 40;
  options.network = {.width = 24, .epochs = 100, .batch = 20, .learning_rate = 5e-3};
  return options;
}

TEST(Nao, WalksFromTheBestToBetterOnes) {
  const auto context = test_context(test_space({4, 4, 4, 4, 4, 4}));
  const auto strategy = nao(context, quick<NaoOptions>());
  const auto trials = drive(*strategy, 65);
  std::vector<double> random, walked;
  for (const Trial& trial : trials) {
    (trial.candidate.trial_id < 40 ? random : walked).push_back(trial.metrics[0]);
  }
  // Beyond the better half of those from which it set out.
  EXPECT_GT(mean(walked), quantile(random, 0.8));
}

// What is asked for next to 40 trials is what walks decode, with these values, the worst first.
void expect_walks(const RunContext& context, const Outcome& outcome,
                  const std::function<std::vector<double>(std::vector<Individual>)>& values) {
  const auto options = quick<NaoOptions>();
  const auto strategy = nao(context, options);
  Surrogate told(context, {});
  std::set<Architecture> asked;
  for (const Trial& trial : drive(*strategy, 40, 1, outcome)) {
    told.tell(trial);
    asked.insert(trial.candidate.architecture);
  }
  std::vector<Individual> worst_first = told.best(40);
  std::ranges::reverse(worst_first);
  // Symbol 0 is for decisions that are not active.
  std::vector<EncoderDecoder::Sequence> sequences;
  for (const Individual& individual : worst_first) {
    EncoderDecoder::Sequence& sequence = sequences.emplace_back(individual.architecture.choices);
    for (std::uint32_t& symbol : sequence) ++symbol;
  }
  EncoderDecoder model(options.network, std::vector<std::uint32_t>(6, 5),
                       context.rng.fork("draws").fork(40));
  model.train(sequences, values(worst_first));
  const std::vector<EncoderDecoder::Sequence> seeds(sequences.end() - options.seeds,
                                                    sequences.end());
  std::vector<Architecture> wanted;
  for (int step = 1; step <= 100; ++step) {
    for (const EncoderDecoder::Sequence& decoded : model.ascend(seeds, step)) {
      Architecture a{decoded};
      if (std::ranges::count(decoded, 0U) > 0) continue;
      for (std::uint32_t& choice : a.choices) --choice;
      if (asked.insert(a).second) wanted.push_back(a);
    }
  }
  ASSERT_GE(wanted.size(), 5U);
  const std::vector<Candidate> got = strategy->ask(5);
  ASSERT_EQ(got.size(), 5U);
  for (std::size_t k = 0; k < 5; ++k) EXPECT_EQ(got[k].architecture, wanted[k]) << k;
}

TEST(Nao, AsksForWhatWalksAlongTheGradientDecode) {
  expect_walks(test_context(test_space({4, 4, 4, 4, 4, 4})), complete_trial,
               [](const std::vector<Individual>& worst_first) {
                 std::vector<double> gains;
                 for (const Individual& individual : worst_first) gains.push_back(-individual.cost);
                 return normal_scores(gains);
               });
}

TEST(Nao, ThoseThatAreAsGoodShareAValueWithSeveralObjectives) {
  const Goals goals(*test_metrics(),
                    {{"score", Direction::maximize}, {"size", Direction::minimize}});
  expect_walks(
      test_context(test_space({4, 4, 4, 4, 4, 4}), 1, goals),
      [](const Candidate& c) {
        return Trial{.candidate = c, .metrics = Metrics(test_metrics(), {1, 1})};
      },
      [](const std::vector<Individual>& worst_first) {
        return std::vector<double>(worst_first.size(), 0.0);
      });
}

TEST(SemiNas, LearnsUnlabelledArchitecturesAsPredicted) {
  const auto context = test_context(test_space({4, 4, 4, 4, 4, 4}));
  auto options = quick<SemiNasOptions>();
  options.unlabelled = 200;
  options.network.epochs = 60;
  const auto strategy = nao(context, options);
  std::vector<double> random, walked;
  for (const Trial& trial : drive(*strategy, 65)) {
    (trial.candidate.trial_id < 40 ? random : walked).push_back(trial.metrics[0]);
  }
  // On average better than all but two of those; neither NAO nor labels at random come there.
  EXPECT_GT(mean(walked), quantile(random, 0.95));
}

TEST(NaoOptionTable, ReadsAndChecks) {
  EXPECT_EQ(nao_option_table().read(Json::object(), "").unlabelled, 0);
  EXPECT_EQ(semi_nas_option_table().read(Json::object(), "").unlabelled, 500);
  EXPECT_THROW(nao_option_table().read({{"batch", 0}}, ""), ConfigError);
  EXPECT_THROW(nao_option_table().read({{"network", {{"epochs", 0}}}}, ""), ConfigError);
}

}  // namespace
}  // namespace espalier
