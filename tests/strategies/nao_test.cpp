#include "strategies/nao.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/stats.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

template <class Options>
Options quick() {
  Options options;
  options.samples = 40;
  options.network = {.width = 24, .epochs = 60, .batch = 20, .learning_rate = 5e-3};
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

TEST(Nao, UnlabelledArchitecturesChangeWhatIsFound) {
  const auto context = test_context(test_space({4, 4, 4, 4, 4, 4}));
  auto options = quick<SemiNasOptions>();
  EXPECT_EQ(options.unlabelled, 500);
  options.unlabelled = 100;
  const auto semi = nao(context, options);
  const auto plain = nao(context, quick<NaoOptions>());
  const auto semi_trials = drive(*semi, 50), plain_trials = drive(*plain, 50);
  EXPECT_EQ(semi_trials[39], plain_trials[39]);
  EXPECT_NE(semi_trials, plain_trials);
}

TEST(NaoOptionTable, ReadsAndChecks) {
  EXPECT_EQ(nao_option_table().read(Json::object(), "").unlabelled, 0);
  EXPECT_EQ(semi_nas_option_table().read(Json::object(), "").unlabelled, 500);
  EXPECT_THROW(nao_option_table().read({{"batch", 0}}, ""), ConfigError);
  EXPECT_THROW(nao_option_table().read({{"network", {{"epochs", 0}}}}, ""), ConfigError);
}

}  // namespace
}  // namespace espalier
