#include "strategies/model_based.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "core/error.hpp"
#include "predictors/gaussian_process.hpp"
#include "strategies/proposers.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

ModelBasedPlan plan_of(std::size_t samples, std::size_t batch, bool anew = true) {
  return {.samples = samples,
          .batch = batch,
          .surrogate = {.features = {.patterns = Patterns::none, .costs = false},
                        .make = [](const Rng&) { return std::make_unique<GaussianProcess>(); },
                        .anew = anew},
          .propose = [](ProposalContext& context) {
            return mutations_of_best(context, 40, Comparison::drawn);
          }};
}

TEST(ModelBasedSearch, ProposesABatchWithEachFit) {
  std::vector<std::uint64_t> rounds;
  ModelBasedPlan plan = plan_of(6, 4);
  plan.propose = [&, propose = plan.propose](ProposalContext& context) {
    EXPECT_EQ(context.count, 4u);
    rounds.push_back(context.round);
    return propose(context);
  };
  ModelBasedSearch search(test_context(test_space({5, 5, 5})), {}, plan);
  drive(search, 15);
  EXPECT_THAT(rounds, testing::ElementsAre(0, 1, 2));
}

TEST(ModelBasedSearch, ASnapshotGoesOnAsIfNothingHadHappened) {
  // To the end of the space, with failed trials and candidates in flight.
  const auto space = test_space({4, 4, 4}, true);
  StartOptions start;
  start.initial = {{{"d1", "1"}, {"d2", "2"}, {"d3", "3"}}};
  const auto outcome = [](const Candidate& c) {
    return c.trial_id % 5 == 3 ? failed_trial(c) : complete_trial(c);
  };
  const auto make = [&] {
    return std::make_unique<ModelBasedSearch>(test_context(space), start, plan_of(6, 4));
  };
  for (const std::size_t at : {0u, 2u, 4u, 11u, 20u, 25u}) {
    const TemporaryDirectory directory;
    auto uninterrupted = make(), resumed = make();
    std::vector<Candidate> in_flight;
    for (std::size_t i = 0; i < at; ++i) {
      in_flight = uninterrupted->ask(2);
      if (i + 1 == at) break;
      for (const Candidate& c : in_flight) uninterrupted->tell(outcome(c));
    }
    ASSERT_TRUE(uninterrupted->save(directory.path()));
    resumed->load(directory.path());
    std::vector<std::vector<Candidate>> sequences;
    for (Strategy* strategy :
         {static_cast<Strategy*>(uninterrupted.get()), static_cast<Strategy*>(resumed.get())}) {
      auto& sequence = sequences.emplace_back();
      for (const Candidate& c : in_flight) strategy->tell(outcome(c));
      for (const Trial& trial : drive(*strategy, 100, 3, outcome)) {
        sequence.push_back(trial.candidate);
      }
    }
    EXPECT_EQ(sequences[0], sequences[1]) << at;
    EXPECT_EQ(sequences[0].size() + 2 * at, 52u);
  }
}

TEST(ModelBasedSearch, KeptModelsAreReplayed) {
  const TemporaryDirectory directory;
  const ModelBasedSearch search(test_context(test_space({3})), {}, plan_of(2, 1, false));
  EXPECT_FALSE(search.save(directory.path()));
}

TEST(ModelBasedSearch, ABrokenSnapshotIsRefused) {
  const TemporaryDirectory directory;
  ModelBasedSearch search(test_context(test_space({3})), {}, plan_of(2, 1));
  EXPECT_THROW(search.load(directory.path()), IoError);
  for (const char* text : {R"({"format": 2})", R"({"format": 1})"}) {
    std::ofstream(directory.path() / "search.json") << text;
    EXPECT_THROW(search.load(directory.path()), IoError);
  }
}

TEST(ModelBasedSearch, WhatProposesNothingIsRandom) {
  ModelBasedPlan plan = plan_of(4, 2);
  plan.propose = [](ProposalContext&) { return std::vector<Architecture>{}; };
  ModelBasedSearch search(test_context(test_space({3, 3})), {}, plan);
  EXPECT_EQ(drive(search, 100).size(), 9u);
  EXPECT_TRUE(search.finished());
}

}  // namespace
}  // namespace espalier
