#include "strategies/weight_sharing_search.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "core/error.hpp"
#include "strategies/cars.hpp"
#include "strategies/enas.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/fake_training.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

EnasSearchOptions enas_options() {
  EnasSearchOptions options;
  options.hidden = 6;
  options.updates = 4;
  options.batch = 3;
  options.candidates = 5;
  options.learning_rate = 0.05;
  return options;
}

CarsOptions cars_options() {
  CarsOptions options;
  options.population = 6;
  options.warmup = 2;
  options.epochs = 1;
  return options;
}

std::vector<std::function<std::unique_ptr<Strategy>(const RunContext&)>> both() {
  return {
      [](const RunContext& context) { return std::make_unique<Enas>(context, enas_options()); },
      [](const RunContext& context) { return std::make_unique<Cars>(context, cars_options()); }};
}

double planted(const Architecture& a) { return planted_trial({.architecture = a}).metrics[0]; }

std::shared_ptr<FakeTraining> planted_training(int epochs) {
  auto training = std::make_shared<FakeTraining>(epochs);
  training->accuracy = [](const Architecture& a, int) { return planted(a); };
  return training;
}

Trial outcome(const Candidate& c) {
  Trial trial = accuracy_trial(c, planted(c.architecture));
  if (c.trial_id % 5 == 3) trial.state = TrialState::failed;
  return trial;
}

TEST(WeightSharingSearch, TrainsOnlyWhileNothingIsInFlightAndEndsWithItsEpochs) {
  for (const auto& make : both()) {
    const auto training = std::make_shared<FakeTraining>(5);
    const auto strategy = make(sharing_context(test_space({4, 4, 4}), training));
    EXPECT_TRUE(strategy->ask(0).empty());
    EXPECT_EQ(training->trained_epochs(), 0);
    int rounds = 0;
    for (; !strategy->finished(); ++rounds) {
      const auto first = strategy->ask(2);
      ASSERT_EQ(first.size(), 2u);
      const int trained = training->trained_epochs();
      auto rest = strategy->ask(100);
      EXPECT_TRUE(strategy->ask(1).empty());
      rest.insert(rest.begin(), first.begin(), first.end());
      for (std::size_t i = 0; i < rest.size(); ++i) {
        EXPECT_EQ(rest[i].trial_id, rest[0].trial_id + i);
        EXPECT_EQ(training->trained_epochs(), trained);
        strategy->tell(accuracy_trial(rest[i], 10));
      }
    }
    EXPECT_EQ(training->trained_epochs(), 5);
    EXPECT_TRUE(strategy->ask(5).empty());
    EXPECT_EQ(rounds, dynamic_cast<Enas*>(strategy.get()) != nullptr ? 5 : 4);
  }
}

TEST(WeightSharingSearch, ASnapshotGoesOnAsIfNothingHadHappened) {
  const auto space = test_space({5, 5, 5, 5}, true);
  const std::vector<Json> initial{{{"d1", "1"}, {"d2", "2"}, {"d3", "3"}, {"d4", "4"}}};
  std::vector<std::function<std::unique_ptr<Strategy>(const RunContext&)>> all = both();
  all.push_back([&](const RunContext& context) {
    EnasSearchOptions options = enas_options();
    options.initial = initial;
    return std::make_unique<Enas>(context, options);
  });
  all.push_back([&](const RunContext& context) {
    CarsOptions options = cars_options();
    options.initial = initial;
    return std::make_unique<Cars>(context, options);
  });
  for (const auto& make : all) {
    for (const std::size_t at : {0u, 1u, 3u, 6u, 9u}) {
      const TemporaryDirectory directory;
      std::vector<std::unique_ptr<Strategy>> strategies;
      for (int i = 0; i < 2; ++i) {
        strategies.push_back(make(sharing_context(space, planted_training(12))));
      }
      std::vector<Candidate> in_flight;
      for (std::size_t i = 0; i < at; ++i) {
        in_flight = strategies[0]->ask(2);
        if (i + 1 == at) break;
        for (const Candidate& c : in_flight) strategies[0]->tell(outcome(c));
      }
      ASSERT_TRUE(strategies[0]->save(directory.path()));
      strategies[1]->load(directory.path());
      std::vector<std::vector<Candidate>> sequences;
      for (const auto& strategy : strategies) {
        auto& sequence = sequences.emplace_back();
        for (const Candidate& c : in_flight) strategy->tell(outcome(c));
        for (const Trial& trial : drive(*strategy, 1000, 3, outcome)) {
          sequence.push_back(trial.candidate);
        }
        EXPECT_TRUE(strategy->finished());
      }
      EXPECT_EQ(sequences[0], sequences[1]) << at;
      EXPECT_GT(sequences[0].size(), 30u);
    }
  }
}

TEST(WeightSharingSearch, AStopInTheMiddleOfItsTrainingAsksForNothing) {
  for (const auto& make : both()) {
    int polls = 0;
    RunContext context = sharing_context(test_space({4, 4}), planted_training(5));
    context.long_work.stop_requested = [&] { return ++polls > 2; };
    EXPECT_TRUE(make(context)->ask(4).empty());
    EXPECT_GT(polls, 2);
  }
}

TEST(WeightSharingSearch, KnownArchitecturesComeFirst) {
  const auto space = test_space({4, 4, 4});
  EnasSearchOptions enas = enas_options();
  CarsOptions cars = cars_options();
  enas.initial = cars.initial = {{{"d1", "3"}, {"d2", "2"}, {"d3", "1"}}};
  Enas one(sharing_context(space, planted_training(3)), enas);
  Cars two(sharing_context(space, planted_training(3)), cars);
  for (Strategy* strategy : {static_cast<Strategy*>(&one), static_cast<Strategy*>(&two)}) {
    EXPECT_EQ(strategy->ask(1).at(0).architecture, (Architecture{{3, 2, 1}}));
  }
}

TEST(WeightSharingSearch, RefusesRunsWithoutItsParts) {
  const auto space = test_space({4, 4});
  for (const auto& make : both()) {
    EXPECT_THAT(throws<ConfigError>([&] { make(sharing_context(space, nullptr)); }),
                HasSubstr("take {\"type\": \"one_shot\", \"train\": {\"rule\": \"strategy\"}}"));
    const Goals size(*accuracy_metrics(), {{"size", Direction::minimize}});
    EXPECT_THAT(
        throws<ConfigError>([&] { make(sharing_context(space, planted_training(2), size)); }),
        HasSubstr("needs the objective \"accuracy\""));
    const TemporaryDirectory directory;
    const auto strategy = make(sharing_context(space, planted_training(2)));
    EXPECT_THROW(strategy->load(directory.path()), IoError);
    for (const char* text : {R"({"format": 2})", R"({"format": 1})"}) {
      std::ofstream(directory.path() / "search.json") << text;
      EXPECT_THROW(strategy->load(directory.path()), IoError);
    }
  }
}

}  // namespace
}  // namespace espalier
