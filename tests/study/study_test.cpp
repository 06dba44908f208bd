#include "study/study.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <fstream>
#include <limits>
#include <mutex>
#include <new>
#include <stdexcept>
#include <thread>

#include "core/error.hpp"
#include "core/json.hpp"
#include "evaluators/train.hpp"
#include "study/store.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/toy_space.hpp"
#include "tests/study/fakes.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

StudyOptions trials(std::uint64_t count, std::size_t batch = 1, std::size_t workers = 1) {
  return {.budget = {.trials = count}, .batch = batch, .workers = workers};
}

StudyOptions recorded(const std::filesystem::path& directory, std::uint64_t count,
                      std::size_t batch = 1, std::size_t workers = 1) {
  StudyOptions options = trials(count, batch, workers);
  options.directory = directory;
  options.resume = true;
  return options;
}

std::vector<Trial> run(const StrategyFactory& strategy, StudyOptions options,
                       FunctionEvaluator::Function function = toy_values) {
  return Study(test_space({5, 5, 5, 5, 5}), strategy, evaluator_of(std::move(function)),
               maximize_score(), {}, std::move(options))
      .run();
}

TEST(Study, AsksForATrialOnceTheOneABatchBeforeItIsTold) {
  std::vector<std::string> log;
  run(logged(random_strategy(), log), trials(5, 3));
  EXPECT_THAT(log, ElementsAre("ask 3", "tell 0", "ask 1", "tell 1", "ask 1", "tell 2", "ask 1",
                               "tell 3", "ask 1", "tell 4"));
  log.clear();
  // What the budget does not reach is asked for as in a longer run, and not evaluated.
  run(logged(random_strategy(), log), trials(2, 3));
  EXPECT_THAT(log, ElementsAre("ask 3", "tell 0", "ask 1", "tell 1"));
}

TEST(Study, AStrategyMayWaitForTells) {
  // Generations of two: no third candidate before both are told.
  class Generations : public Strategy {
   public:
    std::vector<Candidate> ask(std::size_t max_count) override {
      std::vector<Candidate> candidates;
      while (candidates.size() < max_count && asked_ < told_ / 2 * 2 + 2) {
        candidates.push_back({.trial_id = asked_++, .architecture = {{0, 0}}});
      }
      return candidates;
    }
    void tell(const Trial&) override { ++told_; }

   private:
    std::uint64_t asked_ = 0, told_ = 0;
  };
  std::vector<std::string> log;
  const StrategyFactory factory =
      logged([](const RunContext&) { return std::make_unique<Generations>(); }, log);
  Study study(test_space({2, 2}), factory, evaluator_of(toy_values), maximize_score(), {},
              trials(4, 4));
  EXPECT_EQ(study.run().size(), 4u);
  EXPECT_THAT(log, ElementsAre("ask 4", "ask 2", "tell 0", "ask 3", "tell 1", "ask 4", "ask 2",
                               "tell 2", "ask 3", "tell 3"));
}

TEST(Study, EvaluatesEachTrialWithAGeneratorOfItsOwn) {
  StudyOptions options = trials(6, 2);
  options.seed = 9;
  const auto all = run(random_strategy(), options, [](const Candidate&, const Network&, Rng& rng) {
    return std::vector<double>{rng.uniform(), 0};
  });
  for (const Trial& trial : all) {
    Rng expected = Rng(9).fork("trial").fork(trial.candidate.trial_id);
    EXPECT_EQ(trial.metrics.at("score"), expected.uniform());
  }
}

TEST(Study, ResultsDependOnTheBatchAndNeverOnTheWorkers) {
  const auto one = run(evolution_strategy(), trials(60, 4, 1));
  EXPECT_EQ(one.size(), 60u);
  EXPECT_EQ(run(evolution_strategy(), trials(60, 4, 2)), one);
  EXPECT_EQ(run(evolution_strategy(), trials(60, 4, 4)), one);
  EXPECT_NE(run(evolution_strategy(), trials(60, 1)), one);
}

TEST(Study, TellsInOrderWhateverIsFinishedFirst) {
  std::mutex mutex;
  std::condition_variable changed;
  bool one_done = false;
  std::vector<std::string> log;
  // Trial 0 waits for trial 1, so it is finished last.
  run(logged(random_strategy(), log), trials(2, 2, 2),
      [&](const Candidate& candidate, const Network&, Rng&) {
        std::unique_lock lock(mutex);
        if (candidate.trial_id == 0) changed.wait(lock, [&] { return one_done; });
        one_done = one_done || candidate.trial_id == 1;
        changed.notify_all();
        return std::vector<double>{0, 0};
      });
  EXPECT_THAT(log, ElementsAre("ask 2", "tell 0", "ask 1", "tell 1"));
}

TEST(Study, AnEvaluatorThatIsNotThreadSafeIsCalledOnce) {
  std::set<std::thread::id> threads;
  const auto evaluator = evaluator_of([&](const Candidate& c, const Network& n, Rng& rng) {
    threads.insert(std::this_thread::get_id());
    return toy_values(c, n, rng);
  });
  evaluator->safe = false;
  Study(test_space({5, 5}), random_strategy(), evaluator, maximize_score(), {}, trials(20, 4, 4))
      .run();
  EXPECT_EQ(threads, std::set{std::this_thread::get_id()});
}

TEST(Study, ExceptionsAndNumbersThatAreNotFiniteMakeFailedTrials) {
  const auto all = run(random_strategy(), trials(6),
                       [](const Candidate& c, const Network&, Rng&) -> std::vector<double> {
                         switch (c.trial_id) {
                           case 0:
                             throw NumericalError("the loss is nan");
                           case 1:
                             throw std::runtime_error("a\nb\nException raised from x at 0x123");
                           case 2:
                             return {std::nan(""), 0};
                           case 3:
                             return {1, std::numeric_limits<double>::infinity()};
                           case 4:
                             throw std::runtime_error("");
                           default:
                             return {1, 2};
                         }
                       });
  ASSERT_EQ(all.size(), 6u);
  const std::vector<std::string> errors = {"the loss is nan", "a\nb", "score is nan", "size is inf",
                                           "an exception without a text"};
  for (std::size_t i = 0; i < errors.size(); ++i) {
    EXPECT_EQ(all[i].state, TrialState::failed);
    EXPECT_EQ(all[i].error, errors[i]);
    EXPECT_EQ(all[i].metrics.find("score"), std::nullopt);
  }
  EXPECT_EQ(all[5].state, TrialState::complete);
  EXPECT_EQ(all[5].error, "");
}

TEST(Study, BugsEndTheRunAndKeepWhatWasTold) {
  for (const std::size_t workers : {1u, 2u}) {
    TemporaryDirectory directory;
    const auto evaluate = [](const Candidate& c, const Network&, Rng&) -> std::vector<double> {
      if (c.trial_id == 3) throw std::out_of_range("vector::at");
      return {1, 2};
    };
    EXPECT_EQ(throws<std::out_of_range>([&] {
                run(random_strategy(), recorded(directory.path(), 9, 2, workers), evaluate);
              }),
              "vector::at");
    const RunStore store = RunStore::open(directory.path(), RunStore::Access::read);
    EXPECT_EQ(store.told().size(), 3u);
  }
  EXPECT_THROW(run(random_strategy(), trials(2),
                   [](auto&&...) -> std::vector<double> { throw std::bad_alloc(); }),
               std::bad_alloc);
  EXPECT_THROW(run(random_strategy(), trials(2), [](auto&&...) -> std::vector<double> { throw 7; }),
               int);
  EXPECT_EQ(throws<std::logic_error>([] {
              run(random_strategy(), trials(2), [](auto&&...) -> std::vector<double> {
                return {1, 2, 3};
              });
            }),
            "the evaluator gave 3 values for its 2 metrics");
}

TEST(Study, EndsWithItsBudgetOrTheSpace) {
  EXPECT_EQ(run(random_strategy(), trials(17, 4)).size(), 17u);
  Study small(test_space({2, 3}), random_strategy(), evaluator_of(toy_values), maximize_score(), {},
              trials(100, 4));
  EXPECT_EQ(small.run().size(), 6u);
  EXPECT_FALSE(small.interrupted());
  StudyOptions options = trials(1'000'000'000);
  options.budget.minutes = 1e-6;
  EXPECT_LT(run(evolution_strategy(), options).size(), 1'000'000'000u);
}

void wait(std::chrono::steady_clock::duration time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
  }
}

// Takes longer to prepare than the budget has.
class SlowToPrepare : public FunctionEvaluator {
 public:
  using FunctionEvaluator::FunctionEvaluator;
  void prepare(const PrepareContext& context) override {
    FunctionEvaluator::prepare(context);
    wait(std::chrono::milliseconds(3100));
  }
};

TEST(Study, ThePreparationIsNotInTheBudget) {
  StudyOptions options = trials(3);
  options.budget.minutes = 3.0 / 60;
  Study study(test_space({5, 5, 5}), random_strategy(), std::make_shared<SlowToPrepare>(toy_values),
              maximize_score(), {}, options);
  EXPECT_EQ(study.run().size(), 3u);
}

TEST(Study, WhatIsInFlightWhenTheTimeIsOverIsNotBegun) {
  StudyOptions options = trials(100, 8);
  options.budget.minutes = 1.0 / 60;
  int evaluated = 0;
  const auto slow = [&](const Candidate& candidate, const Network& network, Rng& rng) {
    ++evaluated;
    wait(std::chrono::milliseconds(1100));
    return toy_values(candidate, network, rng);
  };
  Study study(test_space({5, 5, 5}), random_strategy(), evaluator_of(slow), maximize_score(), {},
              options);
  EXPECT_EQ(study.run().size(), 1u);
  EXPECT_EQ(evaluated, 1);
  EXPECT_FALSE(study.interrupted());
}

TEST(Study, ARunWhoseTimeIsOverEvaluatesNothingMore) {
  TemporaryDirectory directory;
  StudyOptions options = recorded(directory.path(), 100, 8);
  options.budget.minutes = 1.0 / 60;
  options.workers = 3;
  std::atomic<int> evaluated = 0;
  const auto slow = [&](const Candidate& candidate, const Network& network, Rng& rng) {
    ++evaluated;
    wait(std::chrono::milliseconds(1100));
    return toy_values(candidate, network, rng);
  };
  const auto all = run(random_strategy(), options, slow);
  const int before = evaluated;
  EXPECT_EQ(run(random_strategy(), options, slow), all);
  EXPECT_EQ(evaluated, before);
}

TEST(Study, WhatCannotBeWrittenEndsTheRunAndCostsNoTrial) {
  const auto whole = run(random_strategy(), trials(6));
  TemporaryDirectory directory;
  const auto full = [&](const Candidate& candidate, const Network& network, Rng& rng) {
    if (candidate.trial_id == 3) throw IoError("weights.safetensors", "the disk is full");
    return toy_values(candidate, network, rng);
  };
  EXPECT_THAT(throws<IoError>([&] { run(random_strategy(), recorded(directory.path(), 6), full); }),
              HasSubstr("the disk is full"));
  EXPECT_EQ(run(random_strategy(), recorded(directory.path(), 6)), whole);
}

TEST(Study, WhatAKilledProcessLeftHalfWrittenIsRemoved) {
  TemporaryDirectory directory;
  run(evolution_strategy(), recorded(directory.path(), 4));
  const std::filesystem::path kept = directory.path() / "checkpoints" / "evaluator";
  std::filesystem::create_directories(kept);
  for (const char* name : {"weights.safetensors.77-3.tmp", "mine.tmp", "weights.safetensors"}) {
    write_file_atomically(kept / name, "x");
  }
  run(evolution_strategy(), recorded(directory.path(), 6));
  EXPECT_FALSE(std::filesystem::exists(kept / "weights.safetensors.77-3.tmp"));
  EXPECT_TRUE(std::filesystem::exists(kept / "mine.tmp"));
  EXPECT_TRUE(std::filesystem::exists(kept / "weights.safetensors"));
}

TEST(Study, ChecksItsOptions) {
  const auto message = [](StudyOptions options) {
    return throws<ConfigError>([&] { run(random_strategy(), options); });
  };
  EXPECT_EQ(message({}), "/budget: needs \"trials\", \"evaluations\" or \"minutes\"");
  EXPECT_EQ(message({.budget = {.trials = 0}}), "/budget/trials: must be >= 1");
  EXPECT_EQ(message({.budget = {.evaluations = 0}}), "/budget/evaluations: must be > 0");
  EXPECT_EQ(message({.budget = {.minutes = 0}}), "/budget/minutes: must be > 0");
  EXPECT_EQ(message(trials(1, 0)), "/compute/batch: must be >= 1");
  EXPECT_EQ(message(trials(1, 1, 0)), "/compute/workers: must be >= 1");
  StudyOptions options = trials(1);
  options.threads_per_trial = 0;
  EXPECT_EQ(message(options), "/compute/threads_per_trial: must be >= 1");
  options = trials(1);
  options.snapshot_every = 0;
  EXPECT_EQ(message(options), "snapshot_every must be >= 1");
  options = trials(1);
  options.snapshot_seconds = -1;
  EXPECT_EQ(message(options), "snapshot_seconds must be >= 0");
}

// --- Strategies that break their contract

class Scripted : public Strategy {
 public:
  explicit Scripted(std::vector<Candidate> answer) : answer_(std::move(answer)) {}
  std::vector<Candidate> ask(std::size_t) override { return answer_; }
  void tell(const Trial&) override {}

 private:
  std::vector<Candidate> answer_;
};

std::string scripted_error(const std::vector<Candidate>& answer) {
  return throws<Error>([&] {
    Study(
        test_space({2, 2}), [&](const RunContext&) { return std::make_unique<Scripted>(answer); },
        evaluator_of(toy_values), maximize_score(), {}, trials(4, 2))
        .run();
  });
}

TEST(Study, FindsStrategiesThatBreakTheirContract) {
  EXPECT_EQ(scripted_error({{.trial_id = 1, .architecture = {{0, 0}}}}),
            "the strategy gave the id 1 to its candidate 0");
  EXPECT_EQ(scripted_error({{.trial_id = 0, .architecture = {{0, 2}}}}),
            "candidate 0 of the strategy is not an architecture of the space");
  EXPECT_EQ(scripted_error({{.trial_id = 0, .architecture = {{0, 0}}},
                            {.trial_id = 1, .architecture = {{0, 0}}},
                            {.trial_id = 2, .architecture = {{0, 0}}}}),
            "the strategy gave 3 candidates where 2 were asked for");
  EXPECT_EQ(scripted_error({}), "the strategy proposes nothing after trial 0, and is not finished");
}

// --- Metrics

TEST(Study, MeasuresNetworkMetricsThatAreNamed) {
  const std::shared_ptr<const SearchSpace> space = toy_space();
  int calls = 0;
  StudyOptions options = trials(30);
  options.network_metrics.push_back(
      {.info = {"calls"}, .value = [&](const Network&) -> double { return ++calls; }});
  Study study(space, random_strategy(), evaluator_of([](auto&&...) {
                return std::vector<double>{1, 2};
              }),
              {{"score", Direction::maximize}, {"macs", Direction::minimize}},
              {{.metric = "params", .upper = 400}}, options);
  std::vector<std::string> names;
  for (const MetricInfo& info : study.metrics()->metrics()) names.push_back(info.name);
  EXPECT_THAT(names, ElementsAre("score", "size", "params", "macs"));
  for (const Trial& trial : study.run()) {
    const Cost expected = cost(space->build(trial.candidate.architecture));
    EXPECT_EQ(trial.metrics.at("params"), static_cast<double>(expected.params));
    EXPECT_EQ(trial.metrics.at("macs"), static_cast<double>(expected.macs));
    EXPECT_EQ(study.goals().feasible(trial), expected.params <= 400);
  }
  EXPECT_EQ(calls, 0);
}

TEST(Study, ANetworkMetricIsComputedOncePerArchitecture) {
  int calls = 0;
  StudyOptions options = trials(200);
  options.network_metrics = {
      {.info = {"calls"}, .value = [&](const Network&) -> double { return ++calls; }}};
  const auto with_replacement = [](const RunContext& context) {
    RandomOptions random;
    random.replacement = true;
    return std::make_unique<RandomSearch>(context, random);
  };
  Study(test_space({3, 3}), with_replacement, evaluator_of(toy_values),
        {{"calls", Direction::minimize}}, {}, options)
      .run();
  EXPECT_EQ(calls, 9);
}

TEST(Study, StrategiesAreNotToldOfMetricsForReports) {
  class Watching : public Strategy {
   public:
    Watching(std::unique_ptr<Strategy> inner, std::vector<std::vector<double>>& told)
        : inner_(std::move(inner)), told_(&told) {}
    std::vector<Candidate> ask(std::size_t n) override { return inner_->ask(n); }
    void tell(const Trial& trial) override {
      const auto values = trial.metrics.values();
      told_->emplace_back(values.begin(), values.end());
      inner_->tell(trial);
    }

   private:
    std::unique_ptr<Strategy> inner_;
    std::vector<std::vector<double>>* told_;
  };
  std::vector<std::vector<double>> told;
  const auto evaluator = evaluator_of([](auto&&...) {
    return std::vector<double>{std::nan(""), 3, 4};
  });
  evaluator->metrics_ = {{.name = "test", .report_only = true}, {"score"}, {"size"}};
  const auto factory = [&](const RunContext& context) {
    return std::make_unique<Watching>(random_strategy()(context), told);
  };
  Study study(test_space({5, 5}), factory, evaluator, maximize_score(), {}, trials(1));
  const std::vector<Trial> all = study.run();
  // What is only reported may be missing, and comes last.
  EXPECT_EQ(all[0].state, TrialState::complete);
  EXPECT_EQ(all[0].metrics.at("score"), 3);
  EXPECT_EQ(all[0].metrics.find("test"), std::nullopt);
  EXPECT_EQ(told, (std::vector<std::vector<double>>{{3, 4}}));
  EXPECT_EQ(throws<ConfigError>([&] {
              Study(test_space({5, 5}), factory, evaluator, {{"test", Direction::maximize}}, {},
                    trials(1));
            }),
            "/objectives/0/metric: the metric \"test\" is for reports only: no objective and no "
            "constraint may use it");
}

TEST(Study, NamesTheNearestMetric) {
  const auto make = [](std::vector<Objective> objectives, std::vector<Constraint> constraints) {
    Study(test_space({5, 5}), random_strategy(), evaluator_of(toy_values), objectives, constraints,
          trials(1));
  };
  EXPECT_EQ(throws<ConfigError>([&] {
              make({{"scor", Direction::maximize}}, {});
            }),
            "/objectives/0/metric: unknown metric \"scor\"; did you mean \"score\"?");
  EXPECT_EQ(throws<ConfigError>([&] { make(maximize_score(), {{.metric = "parms"}}); }),
            "/constraints/0/metric: unknown metric \"parms\"; did you mean \"params\"?");
}

TEST(Study, ScreensByNetworkMetricsAndKeepsConstraints) {
  const std::shared_ptr<const SearchSpace> space = toy_space();
  const auto screened = [](const RunContext& context) {
    RandomOptions options;
    options.screen = ScreenOptions{.metrics = {"macs"}, .samples = 20, .goal = Direction::maximize};
    return std::make_unique<RandomSearch>(context, options);
  };
  const auto mean_macs = [&](const StrategyFactory& strategy, std::vector<Constraint> constraints) {
    const auto all = Study(space, strategy, evaluator_of([](auto&&...) {
                             return std::vector<double>{0, 0};
                           }),
                           maximize_score(), constraints, trials(4))
                         .run();
    double sum = 0;
    for (const Trial& trial : all) {
      const Cost costs = cost(space->build(trial.candidate.architecture));
      for (const Constraint& constraint : constraints) EXPECT_LE(costs.params, constraint.upper);
      sum += static_cast<double>(costs.macs);
    }
    return sum / static_cast<double>(all.size());
  };
  const double free = mean_macs(screened, {});
  EXPECT_GT(free, mean_macs(random_strategy(), {}));
  // Of a space of 15 kinds of network, the larger ones are cut off.
  std::vector<double> params;
  enumerate(*space, [&](const Architecture& a) {
    params.push_back(static_cast<double>(space->quick_cost(a).params));
    return true;
  });
  std::ranges::sort(params);
  EXPECT_LT(mean_macs(screened, {{.metric = "params", .upper = params[params.size() / 2]}}), free);
}

TEST(Study, AScreenRanksWhatCannotBeMeasuredLast) {
  // A metric that only some networks have, as that of a look-up table with missing rows.
  StudyOptions options = trials(30);
  options.network_metrics = {{.info = {.name = "rare", .direction = Direction::minimize},
                              .value = [](const Network& network) -> double {
                                if (network.architecture().choices[0] != 0) {
                                  throw UnsupportedError("no such row");
                                }
                                return network.architecture().choices[1];
                              }}};
  for (const std::string metric : {"rare", "own"}) {
    options.screen = [](const std::string&) -> Screen {
      return {.score = [](std::span<const Architecture> a) {
        return std::vector<double>(a.size(), 1);
      }};
    };
    const auto strategy = [&](const RunContext& context) {
      RandomOptions random;
      random.screen =
          ScreenOptions{.metrics = {metric}, .samples = 40, .goal = Direction::maximize};
      random.replacement = true;
      return std::make_unique<RandomSearch>(context, random);
    };
    const auto all = Study(test_space({2, 3}), strategy, evaluator_of(toy_values), maximize_score(),
                           {{.metric = "rare", .upper = 10}}, options)
                         .run();
    for (const Trial& trial : all) EXPECT_EQ(trial.state, TrialState::complete) << metric;
  }
}

TEST(Study, KnowsItsScreens) {
  const auto with = [](const std::string& metric) {
    return [metric](const RunContext& context) {
      RandomOptions options;
      options.screen =
          ScreenOptions{.metrics = {metric}, .samples = 2, .goal = Direction::maximize};
      return std::make_unique<RandomSearch>(context, options);
    };
  };
  EXPECT_EQ(throws<ConfigError>([&] { run(with("parms"), trials(1)); }),
            "/screen/metrics: unknown metric \"parms\"; did you mean \"params\"?");
  StudyOptions options = trials(3);
  int scored = 0;
  options.screen = [&](const std::string& metric) -> Screen {
    EXPECT_EQ(metric, "own");
    return {.score = [&](std::span<const Architecture> a) {
      scored += static_cast<int>(a.size());
      return std::vector<double>(a.size(), 0);
    }};
  };
  run(with("own"), options);
  EXPECT_EQ(scored, 6);
}

// --- Stopping and resuming

// A stop after some evaluations.
StudyOptions stopping_after(StudyOptions options, std::atomic<int>& evaluations, int count) {
  options.stop_requested = [&evaluations, count] { return evaluations >= count; };
  return options;
}

TEST(Study, ResumedRunsEqualUninterruptedOnes) {
  for (const std::size_t batch : {1u, 3u}) {
    const auto whole = run(evolution_strategy(), trials(50, batch));
    for (const std::size_t workers : {1u, 2u}) {
      TemporaryDirectory directory;
      std::vector<Trial> last;
      for (int stop = 1; last.size() < 50; stop = stop * 2 + 1) {
        std::atomic<int> evaluations = 0;
        const auto counted = [&](const Candidate& c, const Network& n, Rng& rng) {
          ++evaluations;
          return toy_values(c, n, rng);
        };
        Study study(
            test_space({5, 5, 5, 5, 5}), evolution_strategy(), evaluator_of(counted),
            maximize_score(), {},
            stopping_after(recorded(directory.path(), 50, batch, workers), evaluations, stop));
        last = study.run();
        EXPECT_EQ(study.interrupted(), last.size() < 50);
        for (std::size_t i = 0; i < last.size(); ++i) EXPECT_EQ(last[i], whole[i]);
      }
      EXPECT_EQ(last, whole);
    }
  }
}

TEST(Study, RunsOfLowerFidelitiesAreResumed) {
  for (const StrategyFactory& strategy : {asha_strategy(), hyperband_strategy()}) {
    for (const std::size_t batch : {1u, 4u}) {
      const auto whole = run(strategy, trials(60, batch));
      EXPECT_TRUE(std::ranges::any_of(
          whole, [](const Trial& trial) { return trial.candidate.parent.has_value(); }));
      TemporaryDirectory directory;
      for (const std::uint64_t count : {1u, 10u, 13u, 40u, 60u}) {
        const auto told = run(strategy, recorded(directory.path(), count, batch, 2));
        ASSERT_EQ(told.size(), count);
        for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(told[i], whole[i]);
      }
    }
  }
}

TEST(Study, EndsWithTheSumOfTheFidelities) {
  for (const std::size_t batch : {1u, 4u}) {
    StudyOptions options = trials(1000, batch);
    options.budget = {.evaluations = 5};
    const auto told = run(hyperband_strategy(), options);
    double sum = 0;
    for (const Trial& trial : told) {
      EXPECT_LT(sum, 5 - 1e-9);
      sum += trial.candidate.fidelity;
    }
    EXPECT_GE(sum, 5 - 1e-9);
    EXPECT_GT(told.size(), 10u);
    // One that is extended goes on as if it had had the budget from the start.
    TemporaryDirectory directory;
    options = recorded(directory.path(), 1, batch);
    for (const double evaluations : {0.1, 1.0, 2.5, 5.0}) {
      options.budget = {.evaluations = evaluations};
      const auto part = run(hyperband_strategy(), options);
      EXPECT_EQ(part, std::vector<Trial>(told.begin(), told.begin() + std::ssize(part)));
    }
    EXPECT_EQ(run(hyperband_strategy(), options), told);
    options.budget = {.evaluations = 4};
    EXPECT_THAT(throws<ConfigError>([&] { run(hyperband_strategy(), options); }),
                HasSubstr("/budget/evaluations: was 5.0 when the run began and is 4.0 now"));
  }
  // Full evaluations are one each.
  StudyOptions options = trials(1000);
  options.budget = {.evaluations = 7};
  EXPECT_EQ(run(random_strategy(), options).size(), 7u);
}

TEST(Study, TrainingsThatGoOnAreResumed) {
  TrainEvaluatorOptions train;
  train.train.epochs = 4;
  train.train.batch_size = 16;
  train.lower_fidelity = LowerFidelity::first_epochs;
  const auto strategy = [](const RunContext& context) {
    AshaOptions options;
    options.eta = 2;
    options.min_fidelity = 0.25;
    return std::make_unique<Asha>(context, options);
  };
  const auto run_to = [&](const std::filesystem::path& directory, std::uint64_t count) {
    return Study(toy_space(), strategy, std::make_shared<TrainEvaluator>(toy_context(), train),
                 {{"accuracy", Direction::maximize}}, {}, recorded(directory, count, 2))
        .run();
  };
  TemporaryDirectory directory;
  const auto whole = run_to(directory.path() / "whole", 14);
  EXPECT_TRUE(std::ranges::any_of(whole, [](const Trial& trial) {
    return trial.candidate.fidelity == 1 && trial.state == TrialState::complete;
  }));
  for (const std::uint64_t count : {3u, 6u, 14u}) {
    const auto told = run_to(directory.path() / "parts", count);
    EXPECT_EQ(told, std::vector<Trial>(whole.begin(), whole.begin() + std::ssize(told)));
  }
  // What a kill takes of the checkpoints costs time alone.
  for (const std::uint64_t count : {3u, 6u, 9u, 14u}) {
    const auto told = run_to(directory.path() / "without", count);
    EXPECT_EQ(told, std::vector<Trial>(whole.begin(), whole.begin() + std::ssize(told)));
    std::filesystem::remove_all(directory.path() / "without" / "checkpoints");
  }
}

TEST(Study, AnExtendedRunEqualsOneThatHadTheBudgetFromTheStart) {
  for (const std::size_t batch : {1u, 4u}) {
    const auto whole = run(evolution_strategy(), trials(40, batch));
    for (const std::size_t workers : {1u, 2u}) {
      TemporaryDirectory directory;
      for (const std::uint64_t budget : {2u, 3u, 8u, 9u, 40u}) {
        const auto told =
            run(evolution_strategy(), recorded(directory.path(), budget, batch, workers));
        EXPECT_EQ(told, std::vector<Trial>(whole.begin(),
                                           whole.begin() + static_cast<std::ptrdiff_t>(budget)));
      }
    }
  }
}

TEST(Study, AResumedRunEvaluatesOnlyWhatWasNotTold) {
  TemporaryDirectory directory;
  const auto whole = run(evolution_strategy(), recorded(directory.path(), 20, 4));
  EXPECT_EQ(RunStore::open(directory.path(), RunStore::Access::read).asked().size(), 23u);
  std::vector<std::uint64_t> evaluated;
  const auto resumed = run(evolution_strategy(), recorded(directory.path(), 24, 4),
                           [&](const Candidate& c, const Network& n, Rng& rng) {
                             evaluated.push_back(c.trial_id);
                             return toy_values(c, n, rng);
                           });
  EXPECT_THAT(evaluated, ElementsAre(20, 21, 22, 23));
  EXPECT_EQ(std::vector<Trial>(resumed.begin(), resumed.begin() + 20), whole);
}

TEST(Study, AStopWaitsForWhatIsBeingEvaluated) {
  // Both workers are busy when the stop comes; what waits behind them is not begun.
  std::atomic<int> begun = 0;
  TemporaryDirectory directory;
  StudyOptions options = recorded(directory.path(), 100, 6, 2);
  options.stop_requested = [&] { return begun >= 2; };
  Study study(test_space({5, 5, 5, 5, 5}), random_strategy(),
              evaluator_of([&](const Candidate& c, const Network& n, Rng& rng) {
                ++begun;
                while (begun < 2) std::this_thread::yield();
                return toy_values(c, n, rng);
              }),
              maximize_score(), {}, options);
  const auto told = study.run();
  EXPECT_TRUE(study.interrupted());
  EXPECT_GE(told.size(), 1u);
  EXPECT_EQ(RunStore::open(directory.path(), RunStore::Access::read).told().size(), told.size());
}

TEST(Study, WhatAStopLeftHalfPreparedEvaluatesNothing) {
  // Three candidates are on record when the run goes on, and the stop comes while it prepares.
  TemporaryDirectory directory;
  run(evolution_strategy(), recorded(directory.path(), 20, 4));
  StudyOptions options = recorded(directory.path(), 24, 4, 2);
  options.stop_requested = [] { return true; };
  std::atomic<int> evaluated = 0;
  Study study(test_space({5, 5, 5, 5, 5}), evolution_strategy(),
              evaluator_of([&](const Candidate& c, const Network& n, Rng& rng) {
                ++evaluated;
                return toy_values(c, n, rng);
              }),
              maximize_score(), {}, options);
  EXPECT_EQ(study.run().size(), 20u);
  EXPECT_TRUE(study.interrupted());
  EXPECT_EQ(evaluated, 0);
}

TEST(Study, WhatTookLongIsCommittedAtOnce) {
  // Two at a time, so that the second of a pair is told right after the first was committed.
  TemporaryDirectory directory;
  std::vector<std::string> log;
  StudyOptions options = recorded(directory.path(), 8, 2, 2);
  options.stop_requested = [&] {
    const auto tells = std::ranges::count_if(
        log, [](const std::string& call) { return call.starts_with("tell"); });
    EXPECT_EQ(RunStore::open(directory.path(), RunStore::Access::read).told().size(),
              static_cast<std::size_t>(tells));
    return false;
  };
  run(logged(random_strategy(), log), options, [](const Candidate& c, const Network& n, Rng& rng) {
    const auto begin = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(15)) {
    }
    return toy_values(c, n, rng);
  });
  EXPECT_GT(log.size(), 8u);
}

TEST(Study, RefusesADirectoryThatIsInUse) {
  TemporaryDirectory directory;
  StudyOptions options = recorded(directory.path(), 3);
  run(random_strategy(), options);
  options.resume = false;
  EXPECT_THAT(throws<IoError>([&] { run(random_strategy(), options); }),
              HasSubstr("holds a run already; resume it, or choose another directory"));
  TemporaryDirectory other;
  std::ofstream(other.path() / "thesis.txt") << "do not lose me";
  EXPECT_THAT(throws<IoError>([&] { check_run_directory(other.path(), false); }),
              HasSubstr("exists already and is not an empty directory"));
  EXPECT_THAT(throws<IoError>([&] { check_run_directory(other.path() / "thesis.txt", false); }),
              HasSubstr("exists already and is not an empty directory"));
  // A resume without a run to resume begins one, under the same conditions...
  EXPECT_THAT(throws<IoError>([&] { check_run_directory(other.path(), true); }),
              HasSubstr("exists already and is not an empty directory"));
  check_run_directory(other.path() / "new", false);
  check_run_directory(other.path() / "new", true);
  // ... but for what a kill leaves of a run's first moments.
  TemporaryDirectory begun;
  std::ofstream(begun.path() / "run.db.new") << "";
  std::ofstream(begun.path() / "run.db.new-journal") << "";
  check_run_directory(begun.path(), true);
  EXPECT_THAT(throws<IoError>([&] { check_run_directory(begun.path(), false); }),
              HasSubstr("exists already and is not an empty directory"));
}

TEST(Study, ADirectoryThatCannotBeMadeIsNamed) {
  TemporaryDirectory directory;
  std::ofstream(directory.path() / "file") << "";
  EXPECT_THAT(throws<IoError>(
                  [&] { run(random_strategy(), recorded(directory.path() / "file" / "run", 3)); }),
              HasSubstr("file/run: cannot be created: "));
}

TEST(Study, OnlyTheBudgetMayChange) {
  TemporaryDirectory directory;
  StudyOptions options = recorded(directory.path(), 10);
  options.config = {{"strategy", {{"population", 8}}},
                    {"compute", {{"workers", 1}, {"batch", 1}}},
                    {"budget", {{"trials", 10}}}};
  run(evolution_strategy(), options);
  EXPECT_EQ(read_json_file(directory.path() / "config.json"), options.config);
  const auto message = [&](StudyOptions changed) {
    return throws<ConfigError>([&] { run(evolution_strategy(), changed); });
  };
  StudyOptions changed = options;
  changed.config["strategy"]["population"] = 9;
  EXPECT_THAT(
      message(changed),
      HasSubstr("/strategy/population: was 8 when the run began and is "
                "9 now; only the budget of a run may be extended, and \"final\" have another "
                "\"train\" and \"export\""));
  changed = options;
  changed.config["strategy"]["sample"] = 9;
  EXPECT_THAT(message(changed), HasSubstr("/strategy/sample: was nothing when"));
  changed = options;
  changed.config["compute"]["batch"] = 2;
  EXPECT_THAT(message(changed), HasSubstr("/compute/batch: was 1"));
  changed = options;
  changed.seed = 2;
  EXPECT_THAT(message(changed), HasSubstr("/seed: the study's value was 1"));
  changed = options;
  changed.budget.trials = 9;
  EXPECT_THAT(message(changed), HasSubstr("/budget/trials: was 10 when the run began and is 9"));
  changed = options;
  changed.budget.minutes = 1000;
  EXPECT_THAT(message(changed), HasSubstr("/budget/minutes: was nothing when"));
  changed = options;
  changed.config["compute"]["workers"] = 2;
  changed.workers = 2;
  changed.config["budget"]["trials"] = 12;
  changed.budget.trials = 12;
  EXPECT_EQ(run(evolution_strategy(), changed).size(), 12u);
  EXPECT_EQ(read_json_file(directory.path() / "config.json"), changed.config);
  changed.budget = {.minutes = 0.001};  // trials without bound
  changed.budget.trials.reset();
  EXPECT_THAT(message(changed), HasSubstr("/budget/minutes"));
}

TEST(Study, AnotherMachineIsNamed) {
  TemporaryDirectory directory;
  run(evolution_strategy(), recorded(directory.path(), 10));
  {
    RunStore store = RunStore::open(directory.path(), RunStore::Access::write);
    Json meta = store.meta();
    meta["environment"]["libtorch"] = "0.4";
    store.set_meta(meta);
  }
  StudyOptions options = recorded(directory.path(), 20);
  options.threads_per_trial = 2;
  const std::string message = throws<ConfigError>([&] { run(evolution_strategy(), options); });
  EXPECT_THAT(message, HasSubstr("libtorch was \"0.4\" and is \""));
  EXPECT_THAT(message, HasSubstr("threads_per_trial was 1 and is 2 now"));
  EXPECT_THAT(message, HasSubstr("--continue-as-new"));
  options.continue_as_new = true;
  EXPECT_EQ(run(evolution_strategy(), options).size(), 20u);
  options.continue_as_new = false;  // from now on it is recorded here
  EXPECT_EQ(run(evolution_strategy(), options).size(), 20u);
}

TEST(Study, AReplayThatDiffersNamesTheTrial) {
  TemporaryDirectory directory;
  run(random_strategy(), recorded(directory.path(), 10));
  EXPECT_THAT(throws<Error>([&] { run(evolution_strategy(), recorded(directory.path(), 20)); }),
              HasSubstr("the replay of the run differs at trial 8: recorded d1="));
  class Silent : public Strategy {
    std::vector<Candidate> ask(std::size_t) override { return {}; }
    void tell(const Trial&) override {}
  };
  EXPECT_THAT(throws<Error>([&] {
                run([](const RunContext&) { return std::make_unique<Silent>(); },
                    recorded(directory.path(), 20));
              }),
              HasSubstr("now nothing"));
}

TEST(Study, FindsARecordThatContradictsItself) {
  const auto damaged = [](const auto& record, std::size_t batch = 1) {
    TemporaryDirectory directory;
    {
      run(random_strategy(), recorded(directory.path(), 2, batch));
      RunStore store = RunStore::open(directory.path(), RunStore::Access::write);
      record(store);
      store.commit();
    }
    return throws<IoError>([&] { run(random_strategy(), recorded(directory.path(), 20, batch)); });
  };
  const auto metrics =
      std::make_shared<const MetricTable>(std::vector<MetricInfo>{{"score"}, {"size"}});
  EXPECT_THAT(damaged([&](RunStore& store) {
                Trial trial;
                trial.candidate.trial_id = 2;
                trial.metrics = Metrics(metrics, {1, 2});
                store.add_told(trial, {});
              }),
              HasSubstr("it tells of trials that were not asked for"));
  EXPECT_THAT(damaged([&](RunStore& store) {
                store.add_asked({.trial_id = 2, .architecture = {{0, 0, 0, 0, 0}}}, 0, 9);
              }),
              HasSubstr("trial 2 was asked for after 0 tells"));
  EXPECT_THAT(damaged(
                  [&](RunStore& store) {
                    Trial trial;
                    trial.candidate.trial_id = 2;
                    trial.metrics = Metrics(
                        std::make_shared<const MetricTable>(std::vector<MetricInfo>{{"score"}}),
                        {1});
                    store.add_told(trial, {});
                  },
                  3),
              HasSubstr("run.db: is damaged: trial 2 does not fit the run"));
}

TEST(Study, PreparesTheEvaluatorOnceThereIsSomethingToEvaluate) {
  TemporaryDirectory directory;
  const auto evaluator = evaluator_of(toy_values);
  const auto study = [&](StudyOptions options) {
    Study(test_space({5, 5}), random_strategy(), evaluator, maximize_score(), {}, options).run();
  };
  study(recorded(directory.path(), 3));
  study(recorded(directory.path(), 3));  // nothing is left to do
  EXPECT_THAT(evaluator->prepared, ElementsAre(directory.path() / "checkpoints" / "evaluator"));
  study(trials(3));
  EXPECT_EQ(evaluator->prepared.back(), "");
}

// --- Snapshots

// Draws from a generator whose state is in its snapshots, and counts its calls.
class Saving : public Strategy {
 public:
  struct Calls {
    int asks = 0, tells = 0, loads = 0, saves = 0;
  };
  Saving(const RunContext& context, Calls& calls)
      : space_(context.space), rng_(context.rng), calls_(&calls) {}
  std::vector<Candidate> ask(std::size_t max_count) override {
    ++calls_->asks;
    std::vector<Candidate> candidates;
    for (std::size_t i = 0; i < max_count; ++i) {
      candidates.push_back({.trial_id = next_++, .architecture = sample_uniform(*space_, rng_)});
    }
    return candidates;
  }
  void tell(const Trial& trial) override {
    ++calls_->tells;
    if (trial.metrics[0] > 20) rng_.next();  // it learns
  }
  bool save(const std::filesystem::path& directory) const override {
    ++calls_->saves;
    std::ofstream(directory / "state") << next_ << "\n" << rng_.to_string();
    return true;
  }
  void load(const std::filesystem::path& directory) override {
    ++calls_->loads;
    std::ifstream in(directory / "state");
    std::string line;
    in >> next_ >> std::ws;
    std::getline(in, line);
    rng_ = Rng::from_string(line);
  }

 private:
  std::shared_ptr<const SearchSpace> space_;
  Rng rng_;
  Calls* calls_;
  std::uint64_t next_ = 0;
};

// Stops a run of 40 trials after 25, resumes it, and looks how many trials the strategy is told.
void expect_tells_after_a_stop(int tells, double snapshot_seconds,
                               const std::function<void(const std::filesystem::path&)>& stopped) {
  Saving::Calls calls;
  const auto saving = [&](const RunContext& context) {
    return std::make_unique<Saving>(context, calls);
  };
  const auto whole = run(saving, trials(40, 3));
  TemporaryDirectory directory;
  std::atomic<int> evaluations = 0;
  StudyOptions options = stopping_after(recorded(directory.path(), 40, 3), evaluations, 25);
  options.snapshot_seconds = snapshot_seconds;
  const auto counted = [&](const Candidate& c, const Network& n, Rng& rng) {
    ++evaluations;
    return toy_values(c, n, rng);
  };
  EXPECT_EQ(run(saving, options, counted).size(), 25u);
  const std::filesystem::path checkpoints = directory.path() / "checkpoints";
  stopped(checkpoints);
  // What a kill leaves: a snapshot that was not on record yet, and one that no longer was.
  for (const char* left : {"strategy-24.new", "strategy-7"}) {
    std::filesystem::create_directory(checkpoints / left);
    std::ofstream(checkpoints / left / "state") << "half";
  }
  calls = {};
  EXPECT_EQ(run(saving, recorded(directory.path(), 40, 3)), whole);
  EXPECT_EQ(calls.loads, tells < 40 ? 1 : 0);
  EXPECT_EQ(calls.tells, tells);  // of 40
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(checkpoints)) {
    left.push_back(entry.path().filename().string());
  }
  EXPECT_THAT(left, testing::UnorderedElementsAre("evaluator", "strategy-40"));
}

TEST(Study, SnapshotsSpareAStrategyTheReplay) {
  expect_tells_after_a_stop(20, 60, [](const std::filesystem::path& checkpoints) {
    EXPECT_TRUE(std::filesystem::exists(checkpoints / "strategy-20" / "state"));
    EXPECT_FALSE(std::filesystem::exists(checkpoints / "strategy-10"));  // the latest is enough
  });
}

TEST(Study, LongTrialsAreFollowedBySnapshots) {
  // As if each took longer.
  expect_tells_after_a_stop(15, 0, [](const std::filesystem::path& checkpoints) {
    EXPECT_TRUE(std::filesystem::exists(checkpoints / "strategy-25" / "state"));
  });
}

TEST(Study, ASnapshotThatIsLostIsReplayed) {
  expect_tells_after_a_stop(40, 60, [](const std::filesystem::path& checkpoints) {
    std::filesystem::remove_all(checkpoints / "strategy-20");
  });
}

TEST(Study, AFinishedRunHasNothingToDoAgain) {
  Saving::Calls calls;
  const auto saving = [&](const RunContext& context) {
    return std::make_unique<Saving>(context, calls);
  };
  for (const std::uint64_t count : {25U, 30U}) {  // where no snapshot is due, and where one is
    TemporaryDirectory directory;
    calls = {};
    const auto whole = run(saving, recorded(directory.path(), count, 3));
    EXPECT_EQ(calls.saves, 3);  // after 10 and 20 trials, and at the end, once
    const auto state =
        directory.path() / "checkpoints" / fmt::format("strategy-{}", count) / "state";
    const auto written = std::filesystem::last_write_time(state);
    calls = {};
    EXPECT_EQ(run(saving, recorded(directory.path(), count, 3)), whole);
    EXPECT_EQ(calls.loads, 1);
    EXPECT_EQ(calls.asks + calls.tells, 0);
    EXPECT_EQ(std::filesystem::last_write_time(state), written);
    // One that goes on is as one that never ended.
    EXPECT_EQ(run(saving, recorded(directory.path(), 40, 3)), run(saving, trials(40, 3)));
  }
}

}  // namespace
}  // namespace espalier
