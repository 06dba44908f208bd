#include "strategies/random.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

RandomSearch random_search(std::shared_ptr<const SearchSpace> space, RandomOptions options = {}) {
  return RandomSearch(test_context(std::move(space)), options);
}

std::set<Architecture> distinct(const std::vector<Trial>& trials) {
  std::set<Architecture> architectures;
  for (const Trial& trial : trials) architectures.insert(trial.candidate.architecture);
  return architectures;
}

TEST(RandomSearch, WithoutReplacementAsksForEachArchitectureOnce) {
  const auto space = test_space({4, 5, 6}, true);  // 5 + 3 * 5 * 6 canonical ones
  for (std::size_t batch : {1u, 7u, 1000u}) {
    auto strategy = random_search(space);
    const auto trials = drive(strategy, 1000, batch);
    EXPECT_EQ(trials.size(), 95u);
    EXPECT_EQ(distinct(trials).size(), 95u);
    EXPECT_TRUE(strategy.finished());
  }
}

TEST(RandomSearch, FindsTheRareArchitectures) {
  // Half of all draws are d1=0 in the canonical form; the other 999 share the rest.
  const auto space = test_space({2, 1, 999}, true);
  auto strategy = random_search(space);
  EXPECT_EQ(distinct(drive(strategy, 5000, 1000)).size(), 1000u);
  EXPECT_TRUE(strategy.finished());
}

TEST(RandomSearch, EndsALargeSpaceAfterManyDrawsInVain) {
  // 3 * 2^19 > 2^20 vectors, of which the constraint leaves 3.
  class Narrow : public TestSpace {
   public:
    Narrow() : TestSpace({3, 1 << 10, 1 << 10}) {}
    Architecture canonical(const Architecture& a) const override { return {{a.choices[0], 0, 0}}; }
  };
  auto strategy = random_search(std::make_shared<const Narrow>());
  EXPECT_EQ(distinct(drive(strategy, 10)).size(), 3u);
  EXPECT_TRUE(strategy.finished());
}

TEST(RandomSearch, RemembersArchitecturesOfSpacesTooLargeForBits) {
  class Huge : public TestSpace {
   public:
    Huge() : TestSpace({100, 1 << 20, 1 << 20}) {}
    Architecture canonical(const Architecture& a) const override { return {{a.choices[0], 0, 0}}; }
  };
  auto strategy = random_search(std::make_shared<const Huge>());
  EXPECT_EQ(distinct(drive(strategy, 200)).size(), 100u);
  EXPECT_TRUE(strategy.finished());
}

TEST(RandomSearch, WithReplacementNeverEnds) {
  RandomOptions options;
  options.replacement = true;
  auto strategy = random_search(test_space({2, 2}), options);
  const auto trials = drive(strategy, 100);
  EXPECT_EQ(trials.size(), 100u);
  EXPECT_EQ(distinct(trials).size(), 4u);
  EXPECT_FALSE(strategy.finished());
}

TEST(RandomSearch, DrawsUniformly) {
  RandomOptions options;
  options.replacement = true;
  auto strategy = random_search(test_space({3, 4}), options);
  std::map<Architecture, int> counts;
  for (const Trial& trial : drive(strategy, 12000)) ++counts[trial.candidate.architecture];
  double chi_square = 0;
  for (const auto& [architecture, count] : counts) {
    chi_square += (count - 1000.0) * (count - 1000.0) / 1000.0;
  }
  EXPECT_EQ(counts.size(), 12u);
  EXPECT_LT(chi_square, 31.3);  // the 99.9% quantile of 11 degrees of freedom; the seed is fixed
}

TEST(RandomSearch, KnownArchitecturesComeFirstAndOnce) {
  RandomOptions options;
  options.initial = {"d1=2,d2=3", "d1=0,d2=1"};
  auto strategy = random_search(test_space({3, 4}), options);
  const auto trials = drive(strategy, 100, 5);
  EXPECT_EQ(trials[0].candidate.architecture, (Architecture{{2, 3}}));
  EXPECT_EQ(trials[1].candidate.architecture, (Architecture{{0, 1}}));
  EXPECT_EQ(trials.size(), 12u);
  EXPECT_EQ(distinct(trials).size(), 12u);
}

TEST(RandomSearch, AScreenRaisesWhatItScreensBy) {
  const auto space = test_space({8, 8, 8, 8, 8, 8});
  const auto mean_size = [&](std::optional<ScreenOptions> screen) {
    RandomOptions options;
    options.screen = std::move(screen);
    auto strategy = random_search(space, options);
    double sum = 0;
    for (const Trial& trial : drive(strategy, 100)) sum += trial.metrics[1];
    return sum / 100;
  };
  // The standard deviation is 5.61; the tolerances are three standard errors.
  EXPECT_NEAR(mean_size({}), 21, 1.7);
  // The mean of the best of 10 is 1.54 standard deviations higher.
  EXPECT_NEAR(mean_size({{.metrics = {"sum"}, .samples = 10}}), 29.6, 1.0);
}

TEST(RandomSearch, AScreenDoesNotStopTheSearchOfAllArchitectures) {
  RandomOptions options;
  options.screen = {.metrics = {"sum"}, .samples = 10};
  auto strategy = random_search(test_space({3, 4}), options);
  const auto trials = drive(strategy, 100);
  EXPECT_EQ(distinct(trials).size(), 12u);
  EXPECT_TRUE(strategy.finished());
}

TEST(RandomOptionTable, Reads) {
  const auto options = random_option_table().read(
      {{"replacement", true}, {"initial", {"x"}}, {"screen", {{"metrics", {"params"}}}}}, "");
  EXPECT_TRUE(options.replacement);
  EXPECT_EQ(options.initial.size(), 1u);
  EXPECT_EQ(options.screen->samples, 10);
}

}  // namespace
}  // namespace espalier
