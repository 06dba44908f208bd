#include "study/strategy_comparison.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "core/error.hpp"
#include "study/results.hpp"
#include "study/search.hpp"
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

using Found = std::vector<std::pair<std::string, std::vector<std::vector<SearchStep>>>>;
Found found(const StrategyComparison& comparison) {
  Found result;
  for (const StrategySearches& searches : comparison.strategies) {
    result.emplace_back(searches.name, searches.seeds);
  }
  return result;
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
  EXPECT_EQ(one.strategies[0].name, "local_search");
  // The run of seed 2, from its record.
  run["seed"] = 2;
  const TemporaryDirectory directory;
  run_search(read_config(run, catalogue()), catalogue(), {.directory = directory.path() / "run"});
  std::vector<SearchStep> expected;
  for (const Trial& trial : read_results(directory.path() / "run", catalogue()).trials) {
    const double value = trial.metrics.at("accuracy");
    if (!expected.empty() && value <= expected.back().value) continue;
    expected.push_back({static_cast<double>(trial.candidate.trial_id + 1),
                        value,
                        {trial.metrics.at("test_accuracy")}});
  }
  EXPECT_EQ(comparison.strategies[1].seeds[1], expected);
}

TEST(StrategyComparison, DoesNotDependOnThreads) {
  EXPECT_EQ(found(compare(problem_json(), {.seeds = 6, .threads = 1})),
            found(compare(problem_json(), {.seeds = 6, .threads = 3})));
}

TEST(StrategyComparison, StepsAreFoundByEvaluations) {
  StrategyComparison comparison{.problem = "p", .value = "accuracy", .optimum = 0.3};
  const std::vector<SearchStep> search{{.evaluations = 3, .value = 0.1, .reported = {}},
                                       {.evaluations = 7, .value = 0.1 + 0.2, .reported = {}}};
  EXPECT_EQ(StrategyComparison::step_at(search, 2), nullptr);
  EXPECT_EQ(StrategyComparison::step_at(search, 3), &search[0]);
  EXPECT_EQ(StrategyComparison::step_at(search, 6), &search[0]);
  EXPECT_EQ(StrategyComparison::step_at(search, 100), &search[1]);
  EXPECT_EQ(comparison.evaluations_to(search, 0), 7u);
  EXPECT_EQ(comparison.evaluations_to(search, 0.2), 3u);
  EXPECT_EQ(comparison.evaluations_to({search[0]}, 0.1), std::nullopt);
  comparison.higher_is_better = false;
  comparison.optimum = 0.1;
  EXPECT_EQ(comparison.evaluations_to(search, 0), 3u);
}

TEST(StrategyComparison, CountsFullEvaluationsByTheirFidelity) {
  Json json = problem_json();
  // A lower fidelity that is above all full ones: it is never what was found.
  json["evaluator"]["fidelities"] =
      Json::array({{{"fidelity", 0.1}, {"metrics", {{"accuracy", "c10_test"}}}}});
  json["budget"] = {{"evaluations", 8}};
  json["strategies"] = {{"hyperband", {{"type", "hyperband"}}}, {"random", {{"type", "random"}}}};
  const StrategyComparison comparison = compare(json, {.seeds = 2});
  EXPECT_EQ(comparison.budget, 8);
  EXPECT_DOUBLE_EQ(*comparison.optimum, 91.6067);
  Json run = json;
  run.erase("strategies");
  run["strategy"] = json["strategies"]["hyperband"];
  run["seed"] = 2;
  const TemporaryDirectory directory;
  run_search(read_config(run, catalogue()), catalogue(), {.directory = directory.path() / "run"});
  std::vector<SearchStep> expected;
  double sum = 0;
  for (const Trial& trial : read_results(directory.path() / "run", catalogue()).trials) {
    sum += trial.candidate.fidelity;
    const double value = trial.metrics.at("accuracy");
    if (trial.candidate.fidelity < 1 || (!expected.empty() && value <= expected.back().value)) {
      continue;
    }
    expected.push_back({std::round(sum * 1e9) / 1e9, value, {trial.metrics.at("test_accuracy")}});
  }
  EXPECT_EQ(comparison.strategies[0].seeds[1], expected);
  EXPECT_EQ(expected[0].evaluations, 3);  // nine, three and one of the first bracket
  EXPECT_EQ(comparison.strategies[1].seeds[0].front().evaluations, 1);
  // Both bounds count.
  json["budget"] = {{"evaluations", 8}, {"trials", 5}};
  EXPECT_EQ(compare(json, {.seeds = 1}).budget, 5);
}

TEST(StrategyComparison, CheckpointsReachTheBudget) {
  EXPECT_THAT(usual_checkpoints(50), ElementsAre(10, 20, 50));
  EXPECT_THAT(usual_checkpoints(25.5), ElementsAre(10, 20, 26));
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
    EXPECT_LE(search.back().value, 1 + 1e-9);
  }
  // All of the space has all of it.
  json["budget"]["trials"] = 15625;
  json["strategies"] = {{"random", {{"type", "random"}}}};
  const auto all = compare(json, {.seeds = 1});
  EXPECT_NEAR(all.strategies[0].seeds[0].back().value, 1, 1e-9);
}

TEST(StrategyComparison, GoesOnWhereItWasStopped) {
  const TemporaryDirectory directory;
  const auto problem = read_problem(problem_json(), "cells", catalogue());
  const auto kept = directory.path() / "cells" / "random.json";
  // Stopped when the first strategy is kept.
  const auto stopped = compare_strategies(
      problem, catalogue(), {.seeds = 2, .out = directory.path(), .stop_requested = [&] {
                               return std::filesystem::exists(kept);
                             }});
  EXPECT_FALSE(stopped);
  ASSERT_TRUE(std::filesystem::exists(kept));
  const auto whole =
      compare_strategies(problem, catalogue(), {.seeds = 2, .out = directory.path()});
  EXPECT_EQ(found(*whole), found(compare(problem_json(), {.seeds = 2})));
  // More seeds go on from what is kept, fewer leave it.
  Json changed = read_json_file(kept.string());
  changed["searches"][0]["steps"] = Json::array();
  std::ofstream(kept) << changed.dump();
  const auto more = compare(problem_json(), {.seeds = 3, .out = directory.path()});
  EXPECT_THAT(more.strategies[0].seeds, ElementsAre(IsEmpty(), Not(IsEmpty()), Not(IsEmpty())));
  EXPECT_EQ(
      compare(problem_json(), {.seeds = 1, .out = directory.path()}).strategies[0].seeds.size(),
      1u);
  EXPECT_EQ(read_json_file(kept.string())["searches"].size(), 3u);
}

TEST(StrategyComparison, KeptSearchesOfSomethingElseAreRefused) {
  const TemporaryDirectory directory;
  compare(problem_json(), {.seeds = 1, .out = directory.path()});
  Json other = problem_json();
  other["budget"]["trials"] = 50;
  EXPECT_THAT(throws<IoError>([&] { compare(other, {.seeds = 1, .out = directory.path()}); }),
              HasSubstr("/config/budget/trials was 60 and is 50 now"));
  // What no search depends on may change.
  other = problem_json();
  other["budget"]["minutes"] = 5;
  other["final"] = {{"export", {"dot"}}};
  compare(other, {.seeds = 1, .out = directory.path()});
  const auto kept = directory.path() / "cells" / "random.json";
  Json broken = read_json_file(kept.string());
  broken["searches"] = 3;
  std::ofstream(kept) << broken.dump();
  EXPECT_THAT(
      throws<IoError>([&] { compare(problem_json(), {.seeds = 1, .out = directory.path()}); }),
      HasSubstr("random.json: is no record of searches"));
}

TEST(StrategyComparison, AReportMayHaveGaps) {
  const TemporaryDirectory directory;
  // Two cells are worth something, of which the better one has no test accuracy.
  const std::string good = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|",
                    better = "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|none~2|";
  const auto table = directory.path() / "table.csv";
  std::ofstream(table) << "arch,valid,test\n" << good << ",50,49\n" << better << ",60,\n";
  Json json = problem_json();
  json["evaluator"] = {{"type", "table"},
                       {"file", table.string()},
                       {"key", "arch"},
                       {"metrics", {{"accuracy", "valid"}}},
                       {"report", {{"test_accuracy", "test"}}}};
  json["strategies"] = {{"random", {{"type", "random"}, {"initial", {good, better}}}}};
  json["budget"]["trials"] = 5;
  for (int time = 0; time < 2; ++time) {  // run, then kept
    const auto comparison = compare(json, {.seeds = 1, .out = directory.path() / "out"});
    const auto& search = comparison.strategies[0].seeds[0];
    ASSERT_EQ(search.size(), 2u);
    EXPECT_EQ(search[0].reported[0], 49);
    EXPECT_TRUE(std::isnan(search[1].reported[0]));
    EXPECT_EQ(comparison.optimum, 60);
    EXPECT_EQ(comparison.strategies[0].failed, 3u);
    EXPECT_THAT(comparison.strategies[0].first_error, HasSubstr("has no row"));
  }
  // What failed with other seeds does not count.
  EXPECT_EQ(compare(json, {.seeds = 2, .out = directory.path() / "out"}).strategies[0].failed, 6u);
  EXPECT_EQ(compare(json, {.seeds = 1, .out = directory.path() / "out"}).strategies[0].failed, 3u);
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
  json["strategies"] = {{"../a", {{"type", "random"}}}};
  EXPECT_THAT(throws<ConfigError>(read),
              HasSubstr("/strategies/..~1a: names a strategy and a file"));
  json["strategies"] = {{"a", {{"type", "random"}}},
                        {"b", {{"type", "random"}, {"screen", {{"metrics", {"mcas"}}}}}}};
  EXPECT_THAT(throws<ConfigError>([&] { compare(json, {}); }),
              HasSubstr("/strategies/b/screen/metrics: unknown metric"));
  json = problem_json();
  json["budget"] = {{"minutes", 1}};
  EXPECT_THAT(throws<ConfigError>([&] { compare(json, {}); }),
              HasSubstr("/budget/trials: is missing"));
  json = problem_json();
  json["space"].update({{"input", {1, 8, 8}}, {"classes", 4}, {"channels", 4}, {"cells", 1}});
  json["data"] = {{"type", "synthetic"}, {"input", {1, 8, 8}}, {"classes", 4}, {"images", 96}};
  json["evaluator"] = {{"type", "one_shot"}, {"train", {{"rule", "strategy"}, {"epochs", 1}}}};
  EXPECT_THAT(throws<ConfigError>([&] { compare(json, {}); }),
              HasSubstr("/evaluator/train/rule: searches that train the weights themselves"));
  json = problem_json();
  json["objectives"].push_back({{"metric", "size"}, {"goal", "minimize"}});
  json["constraints"] = {{{"metric", "size"}, {"max", 0.001}}};
  EXPECT_THAT(throws<ConfigError>([&] { compare(json, {}); }),
              HasSubstr("/objectives: several objectives"));
}

TEST(StrategyComparison, SearchesKeepNothingThatAnotherWouldFind) {
  Json json = problem_json();
  json["space"].update({{"input", {1, 8, 8}}, {"classes", 4}, {"channels", 4}, {"cells", 1}});
  json["data"] = {{"type", "synthetic"}, {"input", {1, 8, 8}}, {"classes", 4}, {"images", 96}};
  json["evaluator"] = {
      {"type", "train"}, {"train", {{"epochs", 1}}}, {"weights", {{"from", "parent"}}}};
  TemporaryDirectory directory;
  EXPECT_THAT(throws<ConfigError>([&] { compare(json, {.out = directory.path() / "out"}); }),
              HasSubstr("/evaluator/weights/from: \"parent\" keeps weights in the directory of a "
                        "run, and here are several searches"));
}

TEST(StrategyComparison, KeepsWhatAProgramWroteBeforeItFailed) {
  Json json = problem_json();
  json["evaluator"] = {{"type", "command"},
                       {"argv", {"sh", "-c", "printf '\\377' >&2; exit 1"}},
                       {"metrics", {"accuracy"}}};
  json["budget"] = {{"trials", 1}};
  TemporaryDirectory directory;
  const StrategyComparison comparison =
      compare(json, {.seeds = 1, .out = directory.path() / "out"});
  EXPECT_EQ(comparison.strategies.size(), 2u);
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "out" / "cells" / "random.json"));
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
