#include "study/strategy_comparison.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>

#include "core/error.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string nasbench201_table =
    std::string(ESPALIER_SOURCE_DIR) + "/benchmarks/tables/nasbench201.csv.gz";

Json problem_json() {
  return Json{{"space", {{"type", "nasbench201"}}},
              {"evaluator",
               {{"type", "table"},
                {"file", nasbench201_table},
                {"key", "arch"},
                {"metrics", {{"accuracy", "c10_valid"}, {"size", "params_m"}}},
                {"report", {{"test_accuracy", "c10_test"}}}}},
              {"objectives", {{{"metric", "accuracy"}, {"goal", "maximize"}}}},
              {"budget", {{"trials", 60}}},
              {"strategies",
               {{"random", {{"type", "random"}}},
                {"climb", {{"type", "local_search"}, {"improvement", "first"}}}}}};
}

const Catalogue& catalogue() {
  static const Catalogue standard = Catalogue::standard();
  return standard;
}

StrategyComparison compare(const Json& json, const StrategyComparisonOptions& options) {
  return *compare_strategies(read_problem(json, "cells", catalogue()), catalogue(), options);
}

std::vector<std::vector<std::uint64_t>> trials_of(const StrategyComparison& comparison) {
  std::vector<std::vector<std::uint64_t>> trials;
  for (const StrategySearches& searches : comparison.strategies) {
    for (const auto& search : searches.seeds) {
      auto& its = trials.emplace_back();
      for (const SearchStep& step : search) its.push_back(step.trials);
    }
  }
  return trials;
}

TEST(StrategyComparison, IsWhatRunsOfTheSeedsFind) {
  const Json json = problem_json();
  const StrategyComparison comparison = compare(json, {.seeds = 3});
  EXPECT_EQ(comparison.value, "accuracy");
  EXPECT_DOUBLE_EQ(*comparison.optimum, 91.6067);
  EXPECT_THAT(comparison.reported, ElementsAre("test_accuracy"));
  ASSERT_EQ(comparison.strategies.size(), 2u);
  EXPECT_EQ(comparison.strategies[1].name, "climb");
  Json run = json;
  run.erase("strategies");
  run["strategy"] = json["strategies"]["climb"];
  const Problem one = read_problem(run, "one", catalogue());
  EXPECT_EQ(one.strategies[0].first, "local_search");
  const TemporaryDirectory directory;
  const auto& search = comparison.strategies[1].seeds[1];
  for (std::size_t i = 1; i < search.size(); ++i) {
    EXPECT_GT(search[i].value, search[i - 1].value);
    EXPECT_GT(search[i].trials, search[i - 1].trials);
  }
  const auto alone = compare(run, {.seeds = 2}).strategies[0].seeds[1];
  ASSERT_EQ(alone.size(), search.size());
  EXPECT_EQ(alone.back().value, search.back().value);
  EXPECT_EQ(alone.back().reported, search.back().reported);
}

TEST(StrategyComparison, DoesNotDependOnThreads) {
  EXPECT_EQ(trials_of(compare(problem_json(), {.seeds = 6, .threads = 1})),
            trials_of(compare(problem_json(), {.seeds = 6, .threads = 3})));
}

TEST(StrategyComparison, StepsAreFoundByTrials) {
  StrategyComparison comparison{.problem = "p", .value = "accuracy", .optimum = 0.3};
  const std::vector<SearchStep> search{{.trials = 3, .value = 0.1, .reported = {}},
                                       {.trials = 7, .value = 0.1 + 0.2, .reported = {}}};
  EXPECT_EQ(StrategyComparison::step_at(search, 2), nullptr);
  EXPECT_EQ(StrategyComparison::step_at(search, 3), &search[0]);
  EXPECT_EQ(StrategyComparison::step_at(search, 6), &search[0]);
  EXPECT_EQ(StrategyComparison::step_at(search, 100), &search[1]);
  EXPECT_EQ(comparison.trials_to(search, 0), 7u);
  EXPECT_EQ(comparison.trials_to(search, 0.2), 3u);
  EXPECT_EQ(comparison.trials_to({search[0]}, 0.1), std::nullopt);
  comparison.higher_is_better = false;
  comparison.optimum = 0.1;
  EXPECT_EQ(comparison.trials_to(search, 0), 3u);
}

TEST(StrategyComparison, SeveralObjectivesAreSharesOfTheTrueFront) {
  Json json = problem_json();
  json["objectives"].push_back({{"metric", "size"}, {"goal", "minimize"}});
  json["constraints"] = {{{"metric", "size"}, {"max", 0.3}}};
  json["budget"]["trials"] = 300;
  json["strategies"] = {{"nsga2", {{"type", "nsga2"}, {"population", 20}}}};
  const StrategyComparison comparison = compare(json, {.seeds = 2});
  EXPECT_EQ(comparison.value, "hypervolume");
  EXPECT_EQ(comparison.optimum, 1);
  for (const auto& search : comparison.strategies[0].seeds) {
    EXPECT_GT(search.back().value, 0.8);
    EXPECT_LE(search.back().value, 1);
  }
}

TEST(StrategyComparison, GoesOnWhereItWasStopped) {
  const TemporaryDirectory directory;
  std::atomic<int> polls = 0;
  const auto problem = read_problem(problem_json(), "cells", catalogue());
  // Stopped in the second strategy.
  const auto stopped = compare_strategies(
      problem, catalogue(),
      {.seeds = 2, .out = directory.path(), .stop_requested = [&] { return ++polls > 180; }});
  EXPECT_FALSE(stopped);
  const auto kept = directory.path() / "cells" / "random.json";
  ASSERT_TRUE(std::filesystem::exists(kept));
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "cells" / "climb.json"));
  const auto whole =
      compare_strategies(problem, catalogue(), {.seeds = 2, .out = directory.path()});
  EXPECT_EQ(trials_of(*whole), trials_of(compare(problem_json(), {.seeds = 2})));
  // What is kept is read, and only for the same config and seeds.
  std::string text = read_json_file(kept.string()).dump();
  Json changed = Json::parse(text);
  changed["searches"]["seeds"] = Json::array({Json::array(), Json::array()});
  std::ofstream(kept) << changed.dump();
  EXPECT_THAT(compare(problem_json(), {.seeds = 2, .out = directory.path()}).strategies[0].seeds,
              ElementsAre(IsEmpty(), IsEmpty()));
  EXPECT_THAT(compare(problem_json(), {.seeds = 1, .out = directory.path()}).strategies[0].seeds,
              ElementsAre(Not(IsEmpty())));
  changed["searches"]["seeds"] = 3;
  changed["of"]["seeds"] = 1;
  std::ofstream(kept) << changed.dump();
  EXPECT_THAT(
      throws<IoError>([&] { compare(problem_json(), {.seeds = 1, .out = directory.path()}); }),
      HasSubstr("random.json: is no record of searches"));
}

TEST(StrategyComparison, RefusesWhatCannotBeCompared) {
  Json json = problem_json();
  json["strategy"] = {{"type", "random"}};
  const auto read = [&] { read_problem(json, "p", catalogue()); };
  EXPECT_THAT(throws<ConfigError>(read), HasSubstr("/strategy: there are \"strategies\", too"));
  json.erase("strategy");
  json["strategies"] = Json::object();
  EXPECT_THAT(throws<ConfigError>(read), HasSubstr("/strategies: expected an object"));
  json["strategies"]["a"] = {{"type", "nsga2"}, {"population", 0}};
  EXPECT_THAT(throws<ConfigError>(read), HasSubstr("/strategies/a/population: "));
  json = problem_json();
  json["budget"] = {{"minutes", 1}};
  EXPECT_THAT(throws<ConfigError>([&] { compare(json, {}); }),
              HasSubstr("/budget/trials: is missing"));
  json = problem_json();
  json["objectives"].push_back({{"metric", "size"}, {"goal", "minimize"}});
  json["constraints"] = {{{"metric", "size"}, {"max", 0.001}}};
  EXPECT_THAT(throws<ConfigError>([&] { compare(json, {}); }),
              HasSubstr("/objectives: several objectives"));
}

TEST(StrategyComparison, TheShippedProblemsAreGood) {
  int problems = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(ESPALIER_SOURCE_DIR) + "/configs/compare")) {
    Json json = read_json_file(entry.path());
    Json& file = json["evaluator"]["file"];
    file = std::string(ESPALIER_SOURCE_DIR) + "/" + file.get<std::string>();
    json["budget"]["trials"] = 3;
    const Problem problem = read_problem(json, entry.path().stem(), catalogue());
    const auto comparison = compare_strategies(problem, catalogue(), {.seeds = 1});
    EXPECT_EQ(comparison->strategies.size(), problem.strategies.size());
    ++problems;
  }
  EXPECT_GE(problems, 7);
}

TEST(StrategyComparison, APageHasAChartOfEachProblem) {
  const StrategyComparison comparison = compare(problem_json(), {.seeds = 4});
  const std::string page = comparison_html({comparison, comparison});
  EXPECT_THAT(page, HasSubstr("distance from the best accuracy, 91.61"));
  EXPECT_THAT(page, HasSubstr("class=\"band c1\""));
  EXPECT_THAT(page, HasSubstr(">climb</text>"));
  EXPECT_THAT(page, HasSubstr("quartiles of 4 seeds"));
}

TEST(UsualCheckpoints, EndWithTheBudget) {
  EXPECT_THAT(usual_checkpoints(500), ElementsAre(10, 20, 50, 100, 200, 500));
  EXPECT_THAT(usual_checkpoints(7), ElementsAre(7));
  EXPECT_THAT(usual_checkpoints(120), ElementsAre(10, 20, 50, 100, 120));
}

}  // namespace
}  // namespace espalier
