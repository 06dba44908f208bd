#include "study/rank_check.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "core/error.hpp"
#include "core/stats.hpp"
#include "study/config.hpp"
#include "study/results.hpp"
#include "study/search.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/study/small_run.hpp"

namespace espalier {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Json table(const std::string& column) {
  return {{"type", "table"},
          {"file", std::string(ESPALIER_SOURCE_DIR) + "/benchmarks/tables/nasbench201.csv.gz"},
          {"key", "arch"},
          {"metrics", {{"accuracy", column}}}};
}

// A run that looks accuracies up.
Json table_run(const std::string& column, const Json& goal = nullptr) {
  Json objective = {{"metric", "accuracy"}};
  if (!goal.is_null()) objective["goal"] = goal;
  return {{"space", {{"type", "nasbench201"}}},
          {"evaluator", table(column)},
          {"strategy", {{"type", "random"}}},
          {"objectives", {objective}},
          {"budget", {{"trials", 2}}}};
}

class RankCheckTest : public testing::Test {
 protected:
  void record(const Json& config) {
    run_search(read_config(config, catalogue_), catalogue_, {.directory = run_});
  }
  RankCheck check(RankCheckOptions options) {
    options.run = run_;
    return rank_check(options, catalogue_).value();
  }

  TemporaryDirectory directory_;
  std::filesystem::path run_ = directory_.path() / "run";
  Catalogue catalogue_ = Catalogue::standard();
};

TEST_F(RankCheckTest, ComparesWithATable) {
  record(table_run("c10_valid"));
  const RankCheck result = check({.truth = table("c10_test"), .sample = 500});
  EXPECT_EQ(result.metric, "accuracy");
  EXPECT_EQ(result.top, 100);
  ASSERT_EQ(result.networks.size(), 500u);
  std::vector<double> scores, truth, params;
  const auto space = catalogue_.spaces.create({{"type", "nasbench201"}}, "");
  for (const RankedNetwork& network : result.networks) {
    scores.push_back(network.scores[0]);
    params.push_back(network.scores[1]);
    truth.push_back(network.truth);
    EXPECT_EQ(network.scores[1],
              static_cast<double>(Network(*space, network.architecture).cost().params));
  }
  ASSERT_EQ(result.scores.size(), 3u);
  const ScoreRanking& evaluator = result.scores[0];
  EXPECT_EQ(evaluator.score, "evaluator");
  EXPECT_DOUBLE_EQ(evaluator.kendall_tau.value, kendall_tau_b(scores, truth));
  EXPECT_DOUBLE_EQ(evaluator.spearman.value, spearman(scores, truth));
  EXPECT_DOUBLE_EQ(evaluator.precision.value, precision_at_top(scores, truth, 100));
  EXPECT_DOUBLE_EQ(result.scores[1].kendall_tau.value, kendall_tau_b(params, truth));
  // Validation accuracy ranks better than the size does, and the pairs know it.
  EXPECT_GT(evaluator.kendall_tau.interval.low, 0.8);
  EXPECT_DOUBLE_EQ(evaluator.tau_above_params.value,
                   evaluator.kendall_tau.value - result.scores[1].kendall_tau.value);
  EXPECT_GT(evaluator.tau_above_params.interval.low, 0);
  EXPECT_EQ(result.scores[1].tau_above_params.value, 0);
  EXPECT_EQ(result.scores[1].tau_above_params.interval.high, 0);
}

TEST_F(RankCheckTest, FollowsTheDirectionOfTheMetric) {
  // What is to be small: the order of evaluator and truth stays, that of the params turns.
  record(table_run("c10_valid", "minimize"));
  const RankCheck result = check({.truth = table("c10_test"), .sample = 100, .top = 10});
  EXPECT_EQ(result.top, 10);
  EXPECT_GT(result.scores[0].kendall_tau.value, 0.7);
  EXPECT_LT(result.scores[1].kendall_tau.value, 0);
}

TEST_F(RankCheckTest, ASampleIsTheBeginningOfALargerOne) {
  record(table_run("c10_valid"));
  const auto first = [&](int sample) {
    return check({.truth = table("c10_test"), .sample = sample}).networks;
  };
  const std::vector<RankedNetwork> small = first(20), large = first(40), again = first(20);
  ASSERT_EQ(small.size(), 20u);
  ASSERT_EQ(large.size(), 40u);
  ASSERT_EQ(again.size(), 20u);
  for (std::size_t i = 0; i < small.size(); ++i) {
    EXPECT_EQ(small[i].architecture, large[i].architecture);
    EXPECT_EQ(small[i].architecture, again[i].architecture);
  }
  EXPECT_EQ(read_results(run_ / "rank_check", catalogue_).trials.size(), 40u);
  // Another truth belongs elsewhere.
  EXPECT_THAT(throws<ConfigError>([&] { check({.truth = table("c10_valid"), .sample = 20}); }),
              HasSubstr("/evaluator/metrics/accuracy"));
  check({.truth = table("c10_valid"), .out = directory_.path() / "other", .sample = 20});
}

TEST_F(RankCheckTest, RunsOfOneSpaceShareASampleWhateverTheirWorkers) {
  const std::filesystem::path out = directory_.path() / "sample";
  Json config = table_run("c10_valid");
  record(config);
  const RankCheck first = check({.truth = table("c10_test"), .out = out, .sample = 20});
  run_ = directory_.path() / "second";
  config["compute"] = {{"workers", 2}, {"batch", 3}};
  // The metric that the evaluator measures, though it is not the first one.
  config["objectives"].insert(config["objectives"].begin(), Json{{"metric", "params"}});
  record(config);
  const RankCheck second = check({.truth = table("c10_test"), .out = out, .sample = 20});
  EXPECT_EQ(second.metric, "accuracy");
  ASSERT_EQ(second.networks.size(), 20u);
  EXPECT_EQ(first.networks[7].architecture, second.networks[7].architecture);
}

TEST_F(RankCheckTest, ATruthThatDoesNotMeasureItIsNamedBeforeAnythingIsPrepared) {
  record(table_run("c10_valid"));
  Json other = table("c10_test");
  other["metrics"] = {{"test", "c10_test"}};
  EXPECT_THAT(throws<ConfigError>([&] { check({.truth = other, .sample = 20}); }),
              AllOf(HasSubstr("--truth, which must measure \"accuracy\""), HasSubstr("--out")));
}

TEST_F(RankCheckTest, SharedWeightsAreReadAndTheTruthIsTrained) {
  Json config = small_run();
  config["evaluator"] = {{"type", "one_shot"},
                         {"train", {{"epochs", 1}, {"batch_size", 16}}},
                         {"recalibration", {{"batches", 2}, {"batch_size", 16}}}};
  config["compute"] = {{"workers", 2}, {"batch", 2}};
  config["final"].erase("export");
  record(config);
  const auto written =
      std::filesystem::last_write_time(run_ / "checkpoints" / "evaluator" / "supernet.safetensors");
  const RankCheck result = check({.sample = 5});
  EXPECT_EQ(result.top, 1);
  ASSERT_EQ(result.networks.size(), 5u);
  EXPECT_EQ(
      std::filesystem::last_write_time(run_ / "checkpoints" / "evaluator" / "supernet.safetensors"),
      written);  // trained already
  // Scores are those of the run.
  const Results recorded = read_results(run_, catalogue_);
  int same = 0;
  for (const RankedNetwork& network : result.networks) {
    for (const Trial& trial : recorded.trials) {
      if (trial.candidate.architecture != network.architecture) continue;
      EXPECT_EQ(trial.metrics[0], network.scores[0]);
      ++same;
    }
  }
  EXPECT_GT(same, 0);
  // The truth is what the run's final training says, with as many workers as the run has threads.
  const Results truth = read_results(run_ / "rank_check", catalogue_);
  EXPECT_EQ(truth.config["evaluator"]["train"]["epochs"], 2);
  EXPECT_EQ(truth.config["compute"]["workers"], 2);
  EXPECT_EQ(truth.config["compute"]["threads_per_trial"], 1);
}

TEST_F(RankCheckTest, TheWeightsThatTrialsKeepStayAsTheyAre) {
  Json config = small_run();
  config["evaluator"]["weights"] = {{"from", "parent"}};
  config["final"].erase("export");
  record(config);
  const std::filesystem::path kept = run_ / "checkpoints" / "evaluator";
  std::vector<std::string> before;
  for (int trial = 0; trial < 4; ++trial) {
    before.push_back(read_file(kept / fmt::format("trial-{}.safetensors", trial)));
  }
  check({.sample = 5});
  for (int trial = 0; trial < 4; ++trial) {
    const auto file = fmt::format("trial-{}.safetensors", trial);
    EXPECT_EQ(read_file(kept / file), before[static_cast<std::size_t>(trial)]) << file;
  }
}

TEST_F(RankCheckTest, GoesOnAfterAStop) {
  record(table_run("c10_valid"));
  std::atomic<int> polls = 0;
  RankCheckOptions options{
      .run = run_, .truth = table("c10_test"), .sample = 50, .stop_requested = [&] {
        return ++polls > 10;
      }};
  EXPECT_FALSE(rank_check(options, catalogue_).has_value());
  EXPECT_LT(read_results(run_ / "rank_check", catalogue_).trials.size(), 50u);
  options.stop_requested = {};
  const RankCheck result = rank_check(options, catalogue_).value();
  EXPECT_EQ(result.networks.size(), 50u);
  RankCheckOptions whole = options;
  whole.out = directory_.path() / "whole";
  EXPECT_EQ(rank_check(whole, catalogue_).value().scores[0].kendall_tau.value,
            result.scores[0].kendall_tau.value);
}

TEST_F(RankCheckTest, WhatCannotBeMeasuredIsLeftOut) {
  // A program that fails for some of the networks, and does not say which values are better.
  record(table_run("c10_valid"));
  const Json lengths = {{"type", "command"},
                        {"argv", {"sh", "-c", R"(x=$(cat); case "$x" in *skip_connect~0*) exit 1;;
                       *) echo "{\"accuracy\": ${#x}}";; esac)"}},
                        {"metrics", {"accuracy"}}};
  const RankCheck result = check({.truth = lengths, .sample = 20, .top = 20});
  const auto space = catalogue_.spaces.create({{"type", "nasbench201"}}, "");
  EXPECT_GT(result.networks.size(), 2u);
  EXPECT_LT(result.networks.size(), 20u);
  EXPECT_EQ(result.top, static_cast<int>(result.networks.size()));
  for (const RankedNetwork& network : result.networks) {
    EXPECT_THAT(space->to_string(network.architecture), Not(HasSubstr("skip_connect~0")));
  }
  // The other way round, it is the run's evaluator that fails.
  Json config = table_run("c10_valid", "maximize");
  config["evaluator"] = lengths;
  run_ = directory_.path() / "lengths";
  record(config);
  const RankCheck turned = check({.truth = table("c10_test"), .sample = 20});
  ASSERT_EQ(turned.networks.size(), result.networks.size());
  EXPECT_EQ(turned.networks[0].scores[0], result.networks[0].truth);
  Json none = lengths;
  none["argv"] = {"false"};
  EXPECT_THAT(throws<Error>(
                  [&] { check({.truth = none, .out = directory_.path() / "none", .sample = 4}); }),
              HasSubstr("0 of 4 networks"));
}

TEST_F(RankCheckTest, WhatCannotBeCheckedIsRefused) {
  EXPECT_THROW(check({}), IoError);  // no run
  record(table_run("c10_valid"));
  EXPECT_THAT(throws<ConfigError>([&] { check({}); }), HasSubstr("no final training"));
  EXPECT_THAT(throws<ConfigError>([&] { check({.truth = table("c10_test"), .sample = 1}); }),
              HasSubstr("a sample of 1"));
  EXPECT_THAT(
      throws<ConfigError>([&] { check({.truth = table("c10_test"), .sample = 5, .top = 6}); }),
      HasSubstr("top 6 of a sample of 5"));
  throws<ConfigError>([&] { check({.truth = table("c10_test"), .bootstrap = {.resamples = 0}}); });
  Json other = table("c10_test");
  other["metrics"] = {{"loss", "c10_test"}};
  EXPECT_THAT(throws<ConfigError>([&] { check({.truth = other}); }), HasSubstr("\"accuracy\""));
  EXPECT_FALSE(std::filesystem::exists(run_ / "rank_check"));
}

TEST_F(RankCheckTest, ObjectivesThatTheEvaluatorDoesNotMeasureAreRefused) {
  Json config = table_run("c10_valid");
  config["objectives"] = {{{"metric", "params"}}};
  record(config);
  EXPECT_THAT(throws<ConfigError>([&] { check({.truth = table("c10_test")}); }),
              HasSubstr("/objectives: the run's evaluator measures none of them"));
}

}  // namespace
}  // namespace espalier
