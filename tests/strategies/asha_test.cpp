#include "strategies/asha.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/strategies/rung_trace.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

const auto space = test_space({10, 10, 10, 10});

TEST(Asha, PromotesByHand) {
  Asha strategy(test_context(space), {});
  const auto trials = drive(strategy, 14, 1,
                            scores({5, 9, 1,     // the best of three goes on
                                    8,           // 1, at 1/3
                                    7, 10,       // new; of five one may go on, and now it is 5
                                    6,           // 5, at 1/3
                                    2, 3, 4, 0,  // new; of nine three may go on: 4 as well
                                    9,           // 4, at 1/3, the best of three there
                                    3}));        // and evaluated fully
  EXPECT_THAT(in_short(trials),
              ElementsAre(Asked{9, -1}, Asked{9, -1}, Asked{9, -1}, Asked{3, 1}, Asked{9, -1},
                          Asked{9, -1}, Asked{3, 5}, Asked{9, -1}, Asked{9, -1}, Asked{9, -1},
                          Asked{9, -1}, Asked{3, 4}, Asked{1, 11}, Asked{9, -1}));
}

TEST(Asha, NeverWaits) {
  Asha strategy(test_context(space), {});
  std::vector<Candidate> in_flight = strategy.ask(5);
  EXPECT_THAT(in_flight, SizeIs(5));
  for (int i = 0; i < 3; ++i) strategy.tell(complete_trial(in_flight[static_cast<size_t>(i)]));
  // Two are in flight: one promotion, then new ones.
  const std::vector<Candidate> more = strategy.ask(3);
  ASSERT_THAT(more, SizeIs(3));
  EXPECT_TRUE(more[0].parent);
  EXPECT_FALSE(more[1].parent);
  EXPECT_FALSE(more[2].parent);
}

TEST(Asha, HigherRungsComeFirst) {
  Asha strategy(test_context(space), {});
  // Nine told at once: three promotions; all three told at once: the full one comes before new
  // promotions of the lowest rung.
  for (const Candidate& c : strategy.ask(9)) strategy.tell(complete_trial(c));
  const auto promoted = strategy.ask(3);
  const auto fresh = strategy.ask(3);
  for (const auto* group : {&promoted, &fresh}) {
    for (const Candidate& c : *group) strategy.tell(complete_trial(c));
  }
  const auto next = strategy.ask(2);
  EXPECT_EQ(next[0].fidelity, 1);
  EXPECT_DOUBLE_EQ(next[1].fidelity, 1.0 / 3);
}

TEST(Asha, FailedTrialsAreNeverPromoted) {
  Asha strategy(test_context(space), {});
  const auto trials = drive(strategy, 40, 1, [](const Candidate& c) {
    return c.trial_id < 7 ? failed_trial(c) : complete_trial(c);
  });
  std::size_t promoted = 0;
  for (const Trial& trial : trials) {
    if (!trial.candidate.parent) continue;
    ++promoted;
    EXPECT_EQ(trials[*trial.candidate.parent].state, TrialState::complete);
  }
  EXPECT_GT(promoted, 0u);
  // They count: of eight trials, two may go on, and there is one.
  EXPECT_EQ(trials[8].candidate.parent, 7u);
}

TEST(Asha, AnExhaustedSpaceEndsWithThePromotions) {
  Asha strategy(test_context(test_space({3, 3})), {});
  // All in flight at once: three of nine, one of three.
  EXPECT_EQ(drive(strategy, 100, 100).size(), 9u + 3 + 1);
  EXPECT_TRUE(strategy.finished());
}

}  // namespace
}  // namespace espalier
