#include "study/results.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "core/csv.hpp"
#include "core/error.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"
#include "study/report.hpp"
#include "study/search.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/study/fakes.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Trial trial(std::uint64_t id, double score, double size, double fidelity = 1) {
  Trial trial{.candidate = {.trial_id = id, .architecture = {}, .fidelity = fidelity},
              .metrics = Metrics(test_metrics(), {score, size})};
  return trial;
}

// two_goals: score is maximized, size minimized and at most 8.
TEST(ParetoFront, HoldsWhatNothingDominates) {
  const std::vector<Trial> trials{trial(0, 5, 5), trial(1, 4, 5),  trial(2, 9, 8),
                                  trial(3, 1, 1), trial(4, 99, 9), trial(5, 5, 5)};
  EXPECT_THAT(pareto_front(two_goals(), trials), ElementsAre(2, 0, 3));
  EXPECT_THAT(pareto_front(two_goals(), {}), IsEmpty());
}

TEST(ParetoFront, LeavesOutFailedAndPartialTrials) {
  std::vector<Trial> trials{trial(0, 5, 5, 0.5), trial(1, 9, 1, 0.25)};
  EXPECT_THAT(pareto_front(two_goals(), trials), ElementsAre(0));
  trials.push_back(failed_trial({.trial_id = 2, .architecture = {}}));
  EXPECT_THAT(pareto_front(two_goals(), trials), ElementsAre(0));
  trials.push_back(trial(3, 1, 9));  // the first full one, but it breaks the constraint
  EXPECT_THAT(pareto_front(two_goals(), trials), IsEmpty());
}

TEST(HighestFidelity, IsThatOfACompleteTrial) {
  std::vector<Trial> trials{trial(0, 5, 5, 0.25), trial(1, 5, 5, 0.5)};
  trials.push_back(failed_trial({.trial_id = 2, .architecture = {}}));
  EXPECT_EQ(highest_fidelity(trials), 0.5);
  EXPECT_EQ(highest_fidelity({}), 0);
}

TEST(Choose, TakesTheFirstObjectiveOrTheKnee) {
  const std::vector<Trial> trials{trial(0, 10, 8), trial(1, 9, 2), trial(2, 0, 0)};
  const std::vector<std::size_t> front = pareto_front(two_goals(), trials);
  EXPECT_EQ(choose(two_goals(), trials, front, Choose::first_objective), 0u);
  EXPECT_EQ(choose(two_goals(), trials, front, Choose::knee), 1u);
  EXPECT_EQ(choose(two_goals(), trials, {}, Choose::knee), std::nullopt);
  const std::vector<std::size_t> alone{2};
  EXPECT_EQ(choose(two_goals(), trials, alone, Choose::knee), 2u);
}

// A run of table look-ups, whose numbers are known.
Json table_config(const std::string& file) {
  return {{"space",
           {{"type", "chain"},
            {"input", {1, 8, 8}},
            {"classes", 4},
            {"stages", {{{"widths", {4, 8}}, {"depths", {1}}, {"kernels", {3}}}}}}},
          {"evaluator",
           {{"type", "table"},
            {"file", file},
            {"metrics", {{"accuracy", "acc"}}},
            {"report", {{"test", "test"}}}}},
          {"strategy", {{"type", "random"}}},
          {"hardware", {{{"type", "roofline"}, {"device", "cortex_m7"}}}},
          {"objectives", {{{"metric", "accuracy"}}, {{"metric", "params"}}}},
          {"budget", {{"trials", 100}}}};
}

class ResultsOfARun : public testing::Test {
 protected:
  ResultsOfARun() : out_(directory_.path() / "run"), catalogue_(Catalogue::standard()) {
    const std::string file = (directory_.path() / "table.csv").string();
    const std::shared_ptr<const SearchSpace> space =
        catalogue_.spaces.create(table_config(file)["space"], "");
    std::string csv;
    std::vector<std::string> row;
    for (const Decision& decision : space->decisions()) row.push_back(decision.name);
    row.insert(row.end(), {"acc", "test", "low"});
    csv = csv_row(row);
    enumerate(*space, [&](const Architecture& a) {
      row.clear();
      for (std::size_t d = 0; d < a.choices.size(); ++d) {
        row.push_back(choice_label(space->decisions()[d], a.choices[d]));
      }
      row.push_back(std::to_string(50 + count_));
      row.push_back(count_ == 0 ? "" : "40.5");
      row.push_back(std::to_string(1000 + count_));
      csv += csv_row(row);
      ++count_;
      return true;
    });
    write_file_atomically(file, csv);
    config_ = read_config(table_config(file), catalogue_);
  }

  Results run() {
    run_search(config_, catalogue_, {.directory = out_});
    return read_results(out_, catalogue_);
  }

  TemporaryDirectory directory_;
  std::filesystem::path out_;
  Catalogue catalogue_;
  std::size_t count_ = 0;
  RunConfig config_;
};

TEST_F(ResultsOfARun, AreReadBack) {
  const Results results = run();
  ASSERT_EQ(results.trials.size(), count_);
  EXPECT_EQ(results.timings.size(), count_);
  config_.compute.prepare_threads = 1;  // the run's own, from here on
  EXPECT_EQ(results.config, write_config(config_, catalogue_));
  EXPECT_EQ(results.metrics->metrics()[0].unit, "%");
  EXPECT_TRUE(results.metrics->metrics()[2].report_only);
  for (const Trial& trial : results.trials) {
    const NamedValues values = all_metrics(results, trial);
    std::vector<std::string> names;
    for (const auto& [name, value] : values) names.push_back(name);
    const bool first = trial.metrics.at("accuracy") == 50;
    if (first) {
      EXPECT_THAT(names,
                  ElementsAre("accuracy", "params", "macs", "storage_bytes", "peak_memory_bytes",
                              "latency_ms@cortex_m7", "energy_mj@cortex_m7"));
    } else {
      EXPECT_THAT(names,
                  ElementsAre("accuracy", "params", "test", "macs", "storage_bytes",
                              "peak_memory_bytes", "latency_ms@cortex_m7", "energy_mj@cortex_m7"));
    }
    const Cost expected = cost(results.space->build(trial.candidate.architecture));
    EXPECT_EQ(trial.metrics.at("params"), static_cast<double>(expected.params));
  }
}

TEST_F(ResultsOfARun, AreWrittenAsJsonCsvAndText) {
  const Results results = run();
  std::vector<std::size_t> all(results.trials.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  const Json json = results_json(results, all);
  EXPECT_EQ(json["objectives"], (Json{{{"metric", "accuracy"}, {"goal", "maximize"}},
                                      {{"metric", "params"}, {"goal", "minimize"}}}));
  ASSERT_EQ(json["trials"].size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Json& trial = json["trials"][i];
    EXPECT_EQ(trial["id"], i);
    EXPECT_EQ(trial["state"], "complete");
    EXPECT_EQ(trial["feasible"], true);
    EXPECT_EQ(architecture_from_json(*results.space, trial["architecture"]),
              results.trials[i].candidate.architecture);
    EXPECT_EQ(results.space->parse(trial["arch"].get<std::string>()),
              results.trials[i].candidate.architecture);
    EXPECT_EQ(trial["metrics"]["accuracy"], results.trials[i].metrics.at("accuracy"));
  }
  EXPECT_EQ(json["chosen"], results.trials[*results.chosen()].candidate.trial_id);

  const CsvTable csv = CsvTable::parse(results_csv(results, all), "csv");
  EXPECT_EQ(csv.row_count(), all.size());
  EXPECT_EQ(csv.text(0, csv.column("arch")), json["trials"][0]["arch"].get<std::string>());
  EXPECT_EQ(csv.numbers("accuracy")[1], results.trials[1].metrics.at("accuracy"));

  const std::string text = results_table(results, all);
  EXPECT_THAT(text, HasSubstr("trial  accuracy"));
  EXPECT_THAT(text, HasSubstr("chosen"));

  // The files hold the front, and no time and no path.
  const Json pareto = read_json_file(out_ / "pareto.json");
  EXPECT_EQ(pareto, results_json(results, results.front()));
  EXPECT_EQ(read_file(out_ / "pareto.csv"), results_csv(results, results.front()));
  EXPECT_THAT(read_file(out_ / "pareto.json"), testing::Not(HasSubstr(out_.string())));
}

TEST_F(ResultsOfARun, AFailedTrialSaysWhy) {
  Results results = run();
  results.trials[1].state = TrialState::failed;
  results.trials[1].metrics = Metrics(results.metrics);
  results.trials[1].error = "it \xff broke";
  const std::vector<std::size_t> which{1};
  const Json json = results_json(results, which);
  EXPECT_EQ(json["trials"][0]["state"], "failed");
  EXPECT_EQ(json["trials"][0]["feasible"], false);
  EXPECT_EQ(json["trials"][0]["error"], "it \xff broke");
  EXPECT_THAT(results_table(results, which), HasSubstr("failed: it"));
}

TEST_F(ResultsOfARun, AreRefusedWhereTheRecordDoesNotFit) {
  EXPECT_THAT(throws<IoError>([&] { read_results(out_, catalogue_); }),
              HasSubstr("run.db: does not exist"));
  run();
  const auto broken = [&](const auto& change) {
    {
      RunStore store = RunStore::open(out_, RunStore::Access::write);
      Json meta = store.meta();
      change(meta, store);
      store.set_meta(meta);
    }
    return throws<IoError>([&] { read_results(out_, catalogue_); });
  };
  EXPECT_THAT(broken([](Json& meta, RunStore&) {
                Json more = meta["study"]["metrics"][0];
                more["name"] = "another";
                meta["study"]["metrics"].push_back(more);
              }),
              HasSubstr("is damaged: trial 0 does not fit the run"));
  EXPECT_THAT(broken([](Json& meta, RunStore& store) {
                meta["study"]["metrics"].erase(3);
                Trial trial;
                trial.candidate.trial_id = store.told().size();
                trial.state = TrialState::failed;
                store.add_told(trial, {});
              }),
              HasSubstr("it tells of trials that were not asked for"));
  EXPECT_THAT(broken([](Json& meta, RunStore&) { meta["study"]["metrics"].erase(0); }),
              HasSubstr("is damaged"));
  EXPECT_THAT(broken([](Json& meta, RunStore&) { meta["study"].erase("metrics"); }),
              HasSubstr("is damaged"));
  EXPECT_THAT(broken([](Json& meta, RunStore&) { meta["config"] = nullptr; }),
              HasSubstr("holds no config"));
}

TEST_F(ResultsOfARun, ADamagedBaselineIsNamed) {
  run();
  write_file_atomically(out_ / "baseline.json", "{\"name\": 7}");
  EXPECT_THAT(throws<IoError>([&] { read_results(out_, catalogue_); }),
              HasSubstr("baseline.json: is damaged"));
}

TEST_F(ResultsOfARun, ATableKnowsNoForeignBaseline) {
  config_.baseline = BaselineOptions{.net = "mobilenet_v3_small", .architecture = {}};
  const Results results = run();
  ASSERT_TRUE(results.baseline);
  EXPECT_EQ(results.baseline->name, "mobilenet_v3_small");
  EXPECT_EQ(results.baseline->metrics[0].first, "params");  // costs, but no accuracy
}

TEST(Results, TellNotesAndTheWarningOfTheLastCompleteTrial) {
  Results results{.config = {},
                  .space = make_nasbench201({.channels = 4, .cells = 1}),
                  .metrics = test_metrics(),
                  .goals = two_goals(),
                  .trials = {trial(0, 1, 1), trial(1, 2, 1), trial(2, 3, 1)},
                  .timings = {},
                  .network_metrics = {},
                  .baseline = {}};
  for (Trial& one : results.trials) one.candidate.architecture.choices = {1, 1, 1, 1, 1, 1};
  EXPECT_EQ(results.warning(), "");
  results.trials[0].candidate.notes.warning = "first";
  EXPECT_EQ(results.warning(), "");  // what it warned of is over
  results.trials[2].state = TrialState::failed;
  results.trials[1].candidate.notes = {.numbers = {{"entropy", 0.5}}, .warning = "second"};
  EXPECT_EQ(results.warning(), "second");
  const std::vector<std::size_t> all{0, 1, 2};
  const Json json = results_json(results, all);
  EXPECT_EQ(json["warning"], "second");
  EXPECT_EQ(json["trials"][1]["notes"].dump(), R"({"entropy":0.5,"warning":"second"})");
  EXPECT_FALSE(json["trials"][2].contains("notes"));
}

// A lower fidelity that looks better than all full evaluations.
TEST_F(ResultsOfARun, TrialsOfLowerFidelityNeverWin) {
  config_.evaluator["fidelities"] =
      Json::array({{{"fidelity", 0.1}, {"metrics", {{"accuracy", "low"}}}}});
  config_.strategy = {{"type", "median_stopping"}};
  Results results = run();
  const auto full = [&](std::size_t i) { return results.trials[i].candidate.fidelity == 1; };
  ASSERT_EQ(results.trials.size(), 3 * count_);  // each in three rungs
  EXPECT_FALSE(results.front().empty());
  EXPECT_TRUE(std::ranges::all_of(results.front(), full));
  EXPECT_TRUE(full(*results.chosen()));
  std::vector<std::size_t> all(results.trials.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  EXPECT_THAT(results_table(results, all), HasSubstr("  fidelity 0.111"));
  EXPECT_THAT(results_csv(results, all), HasSubstr("id,state,feasible,fidelity,accuracy"));
  EXPECT_THAT(results_csv(results, all), HasSubstr("0,complete,true,0.1111111111111111,10"));
  EXPECT_EQ(results_json(results, all)["trials"][0]["fidelity"], 1.0 / 9);
  const std::string page = report_html(results, out_);
  EXPECT_THAT(page, HasSubstr("lower fidelity"));
  // Nor do they count as the best so far: what they measured is not to be seen there.
  const auto best_so_far = [&] {
    const std::string html = report_html(results, out_);
    const std::size_t begin = html.find("<h2>Best so far</h2>");
    return html.substr(begin, html.find("<h2>Chosen") - begin);
  };
  const std::string before = best_so_far();
  for (Trial& trial : results.trials) {
    if (trial.candidate.fidelity < 1) trial.metrics[0] = 0;
  }
  EXPECT_EQ(best_so_far(), before);
}

}  // namespace
}  // namespace espalier
