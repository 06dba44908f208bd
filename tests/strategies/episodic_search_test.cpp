#include "strategies/episodic_search.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

// Draws a given row of architectures again and again, and writes down what it learns from.
class Scripted : public EpisodicSearch {
 public:
  Scripted(const RunContext& context, const StartOptions& start, std::vector<Architecture> row)
      : EpisodicSearch(context, start, RewardKind::rank), row_(std::move(row)) {}

  std::vector<std::pair<Architecture, std::uint64_t>> learned;

 protected:
  Episode draw(Rng&) override {
    return {.drawn = row_[next_++ % row_.size()], .canonical = {}, .values = {}};
  }
  Episode recall(const Architecture& a) override {
    return {.drawn = a, .canonical = {}, .values = {}};
  }
  void learn(const Episode& episode, std::uint64_t trial_id) override {
    EXPECT_GT(rewards().size(), trial_id);
    learned.emplace_back(episode.drawn, trial_id);
  }

 private:
  std::vector<Architecture> row_;
  std::size_t next_ = 0;
};

using testing::ElementsAre;
using testing::Pair;

TEST(EpisodicSearch, WhatWasToldIsLearnedFromAgainWithoutATrial) {
  Scripted strategy(test_context(test_space({2, 3, 4}, true)), {},
                    {{{1, 1, 1}}, {{0, 2, 3}}, {{0, 2, 1}}, {{1, 0, 0}}});
  const auto trials = drive(strategy, 3);
  // The third is the second, whose last decision is inactive.
  EXPECT_EQ(trials[1].candidate.architecture, (Architecture{{0, 2, 0}}));
  EXPECT_EQ(trials[2].candidate.architecture, (Architecture{{1, 0, 0}}));
  EXPECT_THAT(strategy.learned,
              ElementsAre(Pair(Architecture{{1, 1, 1}}, 0), Pair(Architecture{{0, 2, 3}}, 1),
                          Pair(Architecture{{0, 2, 1}}, 1), Pair(Architecture{{1, 0, 0}}, 2)));
}

TEST(EpisodicSearch, WhatIsInFlightIsDrawnAgain) {
  Scripted strategy(test_context(test_space({5})), {}, {{{1}}, {{1}}, {{2}}});
  const auto candidates = strategy.ask(2);
  EXPECT_EQ(candidates[1].architecture, (Architecture{{2}}));
  EXPECT_TRUE(strategy.learned.empty());
}

TEST(EpisodicSearch, RandomOnesTakeThePlaceOfKnownAndInvalidOnes) {
  Scripted known(test_context(test_space({5, 5})), {}, {{{1, 1}}});
  std::set<Architecture> asked;
  for (const Trial& trial : drive(known, 100)) asked.insert(trial.candidate.architecture);
  EXPECT_EQ(asked.size(), 25u);
  EXPECT_TRUE(known.finished());

  const auto space =
      std::make_shared<const TestSpace>(std::vector<int>{2, 2}, false, Architecture{{1, 1}});
  Scripted invalid(test_context(space), {}, {{{1, 1}}});
  EXPECT_EQ(drive(invalid, 10).size(), 3u);
}

TEST(EpisodicSearch, KnownArchitecturesComeFirstAndAreLearnedFrom) {
  StartOptions start;
  start.initial = {"d1=3", "d1=0"};
  Scripted strategy(test_context(test_space({5})), start, {{{1}}});
  const auto trials = drive(strategy, 3);
  EXPECT_EQ(trials[0].candidate.architecture, (Architecture{{3}}));
  EXPECT_EQ(trials[2].candidate.architecture, (Architecture{{1}}));
  EXPECT_EQ(strategy.learned.size(), 3u);
}

}  // namespace
}  // namespace espalier
