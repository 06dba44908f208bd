#include "study/search.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>

#include "core/error.hpp"
#include "exporters/architecture_file.hpp"
#include "exporters/catalogue.hpp"
#include "study/results.hpp"
#include "study/run_evaluator.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/study/small_run.hpp"

namespace espalier {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;

class Search : public testing::Test {
 protected:
  SearchEnd search(const Json& config, bool resume = false, std::function<bool()> stop = {}) {
    return run_search(read_config(config, catalogue_), catalogue_,
                      {.directory = out_, .resume = resume, .stop_requested = std::move(stop)});
  }
  std::string config_error(const Json& config) {
    const std::string message = throws<ConfigError>([&] { search(config); });
    EXPECT_FALSE(std::filesystem::exists(out_));  // nothing was begun
    return message;
  }

  TemporaryDirectory directory_;
  std::filesystem::path out_ = directory_.path() / "run";
  Catalogue catalogue_ = Catalogue::standard();
};

TEST_F(Search, LeavesAFrontAndATrainedExportedNetwork) {
  EXPECT_EQ(search(small_run()), SearchEnd::finished);
  const Results results = read_results(out_, catalogue_);
  EXPECT_EQ(results.trials.size(), 4u);
  for (const Trial& trial : results.trials) EXPECT_EQ(trial.state, TrialState::complete);
  const Json final = read_json_file(out_ / "best" / "final.json");
  EXPECT_EQ(final["trial"], read_json_file(out_ / "pareto.json")["chosen"]);
  EXPECT_EQ(final["epochs"], 2);
  EXPECT_GE(final["test_accuracy"].get<double>(), 0);
  EXPECT_LE(final["test_accuracy"].get<double>(), 100);
  EXPECT_EQ(final["files"],
            (Json{"architecture.json", "weights.safetensors", "network.dot", "network.pt"}));
  for (const Json& file : final["files"]) {
    EXPECT_TRUE(std::filesystem::exists(out_ / "best" / file.get<std::string>())) << file;
  }
  const ArchitectureFile file = read_architecture_file(out_ / "best" / "architecture.json");
  const Architecture a = architecture_from_json(*results.space, *file.architecture);
  EXPECT_EQ(a, results.trials[*results.chosen()].candidate.architecture);
  EXPECT_EQ(cost(file.graph).params, final["metrics"]["params"]);
  EXPECT_TRUE(std::filesystem::exists(out_ / "report.html"));
}

TEST_F(Search, AFinishedRunIsLeftAsItIs) {
  search(small_run());
  const std::string pareto = read_file(out_ / "pareto.json");
  const auto weights = std::filesystem::last_write_time(out_ / "best" / "weights.safetensors");
  EXPECT_EQ(search(small_run(), true), SearchEnd::finished);
  EXPECT_EQ(read_file(out_ / "pareto.json"), pareto);
  EXPECT_EQ(std::filesystem::last_write_time(out_ / "best" / "weights.safetensors"), weights);
  EXPECT_THAT(throws<IoError>([&] { search(small_run()); }), HasSubstr("holds a run already"));
}

TEST_F(Search, ResultsAreReadWithoutTheFilesOfDevices) {
  const std::filesystem::path device = directory_.path() / "board.json";
  write_file_atomically(device, R"({"name": "board", "gigabytes_per_second": 2,
      "mac_units": [{"bits": 32, "gmacs_per_second": 3}]})");
  Json config = small_run();
  config["hardware"].push_back({{"type", "roofline"}, {"device", device.string()}});
  config["objectives"][1]["metric"] = "latency_ms@board";
  search(config);
  std::filesystem::remove(device);
  const Results results = read_results(out_, catalogue_);
  const NamedValues values = all_metrics(results, results.trials[0]);
  const auto has = [&](const std::string& name) {
    return std::ranges::find(values, name, &NamedValues::value_type::first) != values.end();
  };
  EXPECT_TRUE(has("latency_ms@board"));  // on record
  EXPECT_TRUE(has("latency_ms@cortex_m7"));
  EXPECT_FALSE(has("energy_mj@board"));
  EXPECT_THROW(search(config, true), IoError);  // to go on, it is needed
}

TEST_F(Search, WhatIsFinishedIsOfTheChosenTrial) {
  // With a larger budget another network is chosen; the old one stays until it is finished.
  Json config = small_run();
  config["evaluator"] = {{"type", "zero_cost"}, {"proxies", {"params"}}};
  config["objectives"] = {{{"metric", "params"}, {"goal", "minimize"}}};
  config["budget"]["trials"] = 1;
  search(config);
  const auto chosen = [&] { return *read_results(out_, catalogue_).chosen(); };
  const std::size_t before = chosen();
  EXPECT_TRUE(final_summary(read_results(out_, catalogue_), out_));
  config["budget"]["trials"] = 12;
  const auto training = [&] { return std::filesystem::exists(out_ / "best.new"); };
  EXPECT_EQ(search(config, true, training), SearchEnd::interrupted);
  ASSERT_NE(chosen(), before);
  EXPECT_FALSE(final_summary(read_results(out_, catalogue_), out_));
  EXPECT_EQ(read_json_file(out_ / "best" / "final.json")["trial"], before);
  EXPECT_TRUE(std::filesystem::exists(out_ / "best" / "weights.safetensors"));
  EXPECT_EQ(search(config, true), SearchEnd::finished);
  EXPECT_FALSE(std::filesystem::exists(out_ / "best.new"));
  EXPECT_EQ((*final_summary(read_results(out_, catalogue_), out_))["trial"], chosen());
}

TEST_F(Search, AnotherFinalTrainingOfTheSameRunTakesNoSearch) {
  Json config = small_run();
  config["final"]["train"]["learning_rate"] = 1e30;
  EXPECT_THAT(throws<NumericalError>([&] { search(config); }), HasSubstr("learning_rate"));
  EXPECT_TRUE(std::filesystem::exists(out_ / "report.html"));
  const std::string pareto = read_file(out_ / "pareto.json");
  config["final"]["train"]["learning_rate"] = 0.01;
  EXPECT_EQ(search(config, true), SearchEnd::finished);
  EXPECT_EQ(read_json_file(out_ / "best" / "final.json")["epochs"], 2);
  config["final"]["train"]["epochs"] = 3;
  EXPECT_EQ(search(config, true), SearchEnd::finished);
  EXPECT_EQ(read_json_file(out_ / "best" / "final.json")["epochs"], 3);
  EXPECT_EQ(read_file(out_ / "pareto.json"), pareto);
}

TEST_F(Search, TheFinalTrainingKeepsTheThreadsThatTheRunBeganWith) {
  Json config = small_run();
  config["compute"] = {{"workers", 2}, {"batch", 2}};
  search(config);
  EXPECT_EQ(read_json_file(out_ / "config.json")["final"]["threads"], 2);
  config["compute"]["workers"] = 3;
  EXPECT_EQ(search(config, true), SearchEnd::finished);
  EXPECT_EQ(read_json_file(out_ / "config.json")["final"]["threads"], 2);
  config["final"]["threads"] = 3;
  EXPECT_THAT(throws<ConfigError>([&] { search(config, true); }),
              HasSubstr("/final/threads: was 2 when the run began and is 3 now"));
}

TEST_F(Search, WhatIsTrainedOnceKeepsTheThreadsThatTheRunBeganWith) {
  Json config = small_run();
  config["compute"] = {{"workers", 2}, {"batch", 2}};
  search(config);
  const auto recorded = [&] { return read_json_file(out_ / "config.json")["compute"]; };
  EXPECT_EQ(recorded()["prepare_threads"], 2);
  config["compute"]["workers"] = 3;
  EXPECT_EQ(search(config, true), SearchEnd::finished);
  EXPECT_EQ(recorded()["prepare_threads"], 2);
  config["compute"]["prepare_threads"] = 1;
  EXPECT_THAT(throws<ConfigError>([&] { search(config, true); }),
              HasSubstr("/compute/prepare_threads: was 2 when the run began and is 1 now"));
}

TEST_F(Search, FormatsThatTheProgramCannotWriteAreRefusedAtTheStart) {
  for (const ExportFormat& format : export_formats()) {
    Json config = small_run();
    config["final"]["export"] = {format.name};
    if (format.available) {
      EXPECT_EQ(search(config), SearchEnd::finished) << format.name;
      std::filesystem::remove_all(out_);
    } else {
      EXPECT_THAT(config_error(config),
                  HasSubstr("/final/export/0: this program was built without"));
    }
  }
}

TEST_F(Search, ADamagedSummaryIsNamed) {
  search(small_run());
  write_file_atomically(out_ / "best" / "final.json", "{}");
  EXPECT_THAT(throws<IoError>([&] { search(small_run(), true); }),
              HasSubstr("final.json: is damaged: it names no trial"));
}

TEST_F(Search, AStoppedRunIsContinuedWhereverItStopped) {
  search(small_run());
  const std::filesystem::path whole = directory_.path() / "whole";
  std::filesystem::rename(out_, whole);
  int stops = 0;
  SearchEnd end = SearchEnd::interrupted;
  // Each part polls a few times more before it is stopped.
  for (int allowed = 0; end == SearchEnd::interrupted; ++allowed) {
    std::atomic<int> polls = 0;
    end = search(small_run(), true, [&] { return polls++ > allowed; });
    ++stops;
  }
  EXPECT_EQ(end, SearchEnd::finished);
  EXPECT_GT(stops, 3);
  for (const char* file : {"pareto.json", "pareto.csv", "best/final.json"}) {
    EXPECT_EQ(read_file(out_ / file), read_file(whole / file)) << file;
  }
}

// Of strategies that train the weights that trials use.
Json weight_sharing_run(const char* strategy) {
  Json config = small_run();
  config.erase("final");
  config["evaluator"] = {{"type", "one_shot"},
                         {"train", {{"rule", "strategy"}, {"epochs", 4}, {"batch_size", 16}}},
                         {"recalibration", {{"batches", 1}, {"batch_size", 16}}}};
  config["strategy"] = {{"type", strategy}, {"initial", {{{"stage1.depth", "2"}}}}};
  config["budget"] = {{"trials", 30}};
  if (std::string(strategy) == "enas") {
    config["strategy"].update({{"hidden", 4}, {"updates", 2}, {"batch", 2}, {"candidates", 4}});
  } else {
    config["strategy"].update({{"population", 3}});
  }
  return config;
}

// Of those that search by gradient.
Json gradient_run(const char* strategy) {
  Json config = weight_sharing_run("cars");
  config["strategy"] = {{"type", strategy}};
  return config;
}

TEST_F(Search, AStoppedRunThatTrainsSharedWeightsIsContinuedAlike) {
  for (const char* strategy : {"enas", "cars"}) {
    const Json config = weight_sharing_run(strategy);
    search(config);
    const Results whole = read_results(out_, catalogue_);
    EXPECT_GT(whole.trials.size(), 14u);
    std::filesystem::remove_all(out_);
    SearchEnd end = SearchEnd::interrupted;
    int stops = 0;
    for (int allowed = 0; end == SearchEnd::interrupted; allowed += 7) {
      std::atomic<int> polls = 0;
      end = search(config, true, [&] { return polls++ > allowed; });
      const Results part = read_results(out_, catalogue_);
      ASSERT_LE(part.trials.size(), whole.trials.size());
      for (std::size_t i = 0; i < part.trials.size(); ++i) {
        EXPECT_EQ(part.trials[i], whole.trials[i]) << strategy << " " << i;
      }
      ++stops;
    }
    EXPECT_EQ(read_results(out_, catalogue_).trials, whole.trials);
    EXPECT_GT(stops, 4);
    std::filesystem::remove_all(out_);
  }
}

TEST_F(Search, WhatAStrategyCannotSearchIsAnErrorOfTheConfig) {
  EXPECT_THAT(throws<ConfigError>([&] { search(gradient_run("fair_darts")); }),
              testing::StartsWith("/strategy: \"fair_darts\" weighs options by sigmoids"));
}

TEST_F(Search, ABudgetThatEndsBeforeTheSearchIsSaid) {
  Json config = gradient_run("darts");
  config["budget"] = {{"trials", 2}};
  testing::internal::CaptureStderr();
  search(config);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("the budget ended before the search did: no trial has a fidelity of more "
                        "than 0.5"));
  // Its strategy has what another command would need.
  EXPECT_THAT(throws<ConfigError>([&] { const RunEvaluator evaluator(out_, catalogue_); }),
              testing::StartsWith("/evaluator/train/rule: the run's strategy trained"));
  std::filesystem::remove_all(out_);
  config["evaluator"] = {{"type", "composite"}, {"members", Json::array({config["evaluator"]})}};
  search(config);
  EXPECT_THAT(throws<ConfigError>([&] { const RunEvaluator evaluator(out_, catalogue_); }),
              testing::StartsWith("/evaluator: the run's strategy trained"));
}

TEST_F(Search, AStoppedRunThroughStagesIsContinuedAlike) {
  Json config = weight_sharing_run("cars");
  config["space"] = {
      {"type", "nasbench201"}, {"input", {1, 8, 8}}, {"channels", 4}, {"cells", 2}, {"classes", 4}};
  config["evaluator"]["train"]["epochs"] = 6;
  config["strategy"] = {{"type", "p_darts"}, {"depths", {1, 1}}, {"monitor_batches", 1}};
  search(config);
  const Results whole = read_results(out_, catalogue_);
  EXPECT_EQ(whole.trials.size(), 6u);
  std::filesystem::remove_all(out_);
  SearchEnd end = SearchEnd::interrupted;
  int stops = 0;
  for (int allowed = 5; end == SearchEnd::interrupted; allowed += 5) {
    std::atomic<int> polls = 0;
    end = search(config, true, [&] { return polls++ > allowed; });
    ++stops;
  }
  EXPECT_EQ(read_results(out_, catalogue_).trials, whole.trials);
  EXPECT_GT(stops, 2);
}

TEST_F(Search, CostsOfARelaxationAreSums) {
  const auto error_of = [&](const std::string& metric) {
    Json config = weight_sharing_run("cars");
    config["strategy"] = {{"type", "darts"}, {"cost", {{"metric", metric}, {"target", 1}}}};
    return config_error(config);
  };
  EXPECT_THAT(error_of("mac"), HasSubstr("/strategy/cost/metric: \"mac\" is no metric of networks "
                                         "in this run; did you mean \"macs\"?"));
  EXPECT_THAT(error_of("peak_memory_bytes"),
              HasSubstr("/strategy/cost/metric: peak_memory_bytes is no sum over the parts"));
  EXPECT_THAT(error_of("macs"), HasSubstr("no architecture of this space has macs of 1"));
}

TEST_F(Search, SharedWeightsAndTheirStrategyGoTogether) {
  Json config = weight_sharing_run("enas");
  config["strategy"] = {{"type", "random"}};
  EXPECT_THAT(config_error(config), HasSubstr("/strategy: does not train the shared weights"));
  config = weight_sharing_run("cars");
  config["evaluator"]["train"].erase("rule");
  EXPECT_THAT(config_error(config), HasSubstr("/strategy: \"cars\" trains shared weights"));
}

TEST_F(Search, AContinuedRunFindsTheWeightsOfParents) {
  Json config = small_run();
  config.erase("final");
  config["evaluator"]["weights"] = {{"from", "parent"}};
  config["strategy"] = {{"type", "regularized_evolution"}, {"population", 2}, {"sample", 2}};
  config["budget"] = {{"trials", 8}};
  const auto set_aside = [this](const char* name) {
    std::filesystem::rename(out_, directory_.path() / name);
    return directory_.path() / name;
  };
  search(config);
  const Results expected = read_results(out_, catalogue_);
  EXPECT_TRUE(expected.trials.back().candidate.parent.has_value());
  const std::filesystem::path whole = set_aside("whole");
  Json without = config;
  without["evaluator"].erase("weights");
  search(without);
  EXPECT_NE(read_results(out_, catalogue_).trials, expected.trials);  // so that weights matter
  set_aside("without");

  // A baseline, which is trained between the two parts, does not touch the trials' weights.
  config["baseline"] = {{"architecture", {{"stage1.depth", "2"}}}};
  config["budget"] = {{"trials", 5}};
  search(config);
  config["budget"] = {{"trials", 8}};
  std::atomic<int> polls = 0;
  EXPECT_EQ(search(config, true, [&] { return polls++ > 1; }), SearchEnd::interrupted);
  search(config, true);
  EXPECT_EQ(read_results(out_, catalogue_).trials, expected.trials);
  for (int trial = 0; trial < 8; ++trial) {
    const auto file = fmt::format("checkpoints/evaluator/trial-{}.safetensors", trial);
    EXPECT_EQ(read_file(out_ / file), read_file(whole / file)) << file;
  }
}

TEST_F(Search, ABaselineIsMeasuredAsTheCandidatesAre) {
  Json config = small_run();
  config["baseline"] = {{"architecture", {{"stage1.depth", "2"}}}};
  search(config);
  const Json baseline = read_json_file(out_ / "pareto.json")["baseline"];
  EXPECT_EQ(baseline["name"], "baseline");
  EXPECT_TRUE(baseline["metrics"].contains("accuracy"));
  EXPECT_TRUE(baseline["metrics"].contains("latency_ms@cortex_m7"));
  EXPECT_TRUE(baseline["metrics"].contains("params"));
}

TEST_F(Search, ABaselineIsMeasuredAfterAKillToo) {
  Json config = small_run();
  config["evaluator"] = {{"type", "one_shot"},
                         {"train", {{"epochs", 1}, {"batch_size", 16}}},
                         {"recalibration", {{"batches", 2}, {"batch_size", 16}}}};
  config["baseline"] = {{"architecture", {{"stage1.depth", "2"}}}};
  config.erase("final");
  search(config);
  const Json whole = read_json_file(out_ / "baseline.json");
  EXPECT_TRUE(whole["metrics"].contains("accuracy"));
  // All trials are told, and then the power goes.
  std::filesystem::remove(out_ / "baseline.json");
  search(config, true);
  EXPECT_EQ(read_json_file(out_ / "baseline.json"), whole);
}

TEST_F(Search, ABaselineThatCannotBeMeasuredHasItsCosts) {
  // As LibTorch's errors, which are none of this project's.
  class Failing : public Evaluator {
   public:
    const std::vector<MetricInfo>& metrics() const override { return metrics_; }
    std::vector<double> evaluate(const Candidate&, const Network& network, Rng&) override {
      if (network.architecture().choices.empty()) throw std::runtime_error("out of memory");
      return {1};
    }
    bool thread_safe() const override { return true; }

   private:
    std::vector<MetricInfo> metrics_{{"score", "", Direction::maximize}};
  };
  struct NoOptions {};
  catalogue_.evaluators.add(
      "failing", OptionTable<NoOptions>("fails for the baseline"),
      [](const NoOptions&, const EvaluatorContext&) { return std::make_unique<Failing>(); });
  Json config = small_run();
  config["evaluator"] = {{"type", "failing"}};
  config["objectives"] = {{{"metric", "score"}}};
  config["baseline"] = {{"net", "mobilenet_v3_small"}};
  config["final"] = Json::object();
  EXPECT_EQ(search(config), SearchEnd::finished);
  const Json baseline = read_json_file(out_ / "pareto.json")["baseline"];
  EXPECT_FALSE(baseline["metrics"].contains("score"));
  EXPECT_TRUE(baseline["metrics"].contains("params"));
}

TEST_F(Search, AllTrialsFailing) {
  Json config = small_run();
  config["evaluator"] = {{"type", "command"}, {"argv", {"false"}}, {"metrics", {"accuracy"}}};
  config["final"] = Json::object();
  EXPECT_EQ(search(config), SearchEnd::all_failed);
  EXPECT_EQ(read_json_file(out_ / "pareto.json")["trials"], Json::array());
}

TEST_F(Search, ProxiesScreenCandidates) {
  Json config = small_run();
  config["strategy"]["screen"] = {{"metrics", {"naswot"}}, {"samples", 3}};
  config["evaluator"] = {
      {"type", "zero_cost"}, {"proxies", {"naswot", "macs"}}, {"batch_size", 16}};
  config["objectives"] = {{{"metric", "naswot"}}, {{"metric", "macs"}, {"goal", "minimize"}}};
  config["final"] = Json::object();
  EXPECT_EQ(search(config), SearchEnd::finished);
}

TEST_F(Search, PartsThatDoNotFitAreFoundBeforeAnythingIsWritten) {
  Json config = small_run();
  config["space"]["input"] = {3, 8, 8};
  EXPECT_THAT(config_error(config), HasSubstr("/space: its networks read images of 3 channels, but "
                                              "synthetic has 1: set \"input\" to 1, 8, 8"));
  config = small_run();
  config["space"]["classes"] = 10;
  EXPECT_THAT(config_error(config), HasSubstr("/space: its networks have 10 outputs, but synthetic "
                                              "has 4 classes"));
  config = small_run();
  config["compute"]["device"] = "abacus";
  EXPECT_THAT(config_error(config), HasSubstr("/compute/device: \"abacus\" is not a device"));
  config["compute"]["device"] = "mkldnn";
  EXPECT_THAT(config_error(config), HasSubstr("/compute/device: \"mkldnn\" is not supported"));
  config["compute"]["device"] = "cuda:99";
  EXPECT_THAT(config_error(config),
              AnyOf(HasSubstr("/compute/device: \"cuda:99\" is not available here; use \"cpu\""),
                    HasSubstr("/compute/device: \"cuda:99\" is not there; this machine has ")));
  for (const std::string place : {"/evaluator/train", "/final/train"}) {
    config = small_run();
    config[Json::json_pointer(place)]["augmentation"] = {{"cutout", 9}};
    EXPECT_THAT(config_error(config),
                HasSubstr(place + "/augmentation/cutout: 9 pixels are more than the images' 8x8"));
  }
  config = small_run();
  config["objectives"][1] = {{"metric", "latency_ms@cortex_m8"}};
  EXPECT_THAT(config_error(config), HasSubstr("/objectives/1/metric: unknown metric "
                                              "\"latency_ms@cortex_m8\"; did you mean "
                                              "\"latency_ms@cortex_m7\"?"));
  config = small_run();
  config["strategy"]["screen"] = {{"metrics", {"synflo"}}};
  EXPECT_THAT(config_error(config),
              HasSubstr("/strategy/screen/metrics: unknown metric \"synflo\"; "
                        "did you mean \"synflow\"?"));
  config = small_run();
  config["strategy"]["initial"] = {"nonsense"};
  EXPECT_THAT(config_error(config), HasSubstr("/strategy/initial/0"));
  config = small_run();
  config["baseline"] = {{"architecture", "nonsense"}};
  EXPECT_THAT(config_error(config), HasSubstr("/baseline/architecture"));
  config = small_run();
  config["evaluator"] = {{"type", "zero_cost"}, {"proxies", {"macs"}}};
  config["objectives"] = {{{"metric", "macs"}}};
  EXPECT_EQ(search(config), SearchEnd::finished);  // macs are a cost: small is better
  config = small_run();
  config["evaluator"] = {
      {"type", "command"}, {"argv", {"false"}}, {"metrics", {"accuracy", "beauty"}}};
  config["objectives"] = {{{"metric", "beauty"}}};
  std::filesystem::remove_all(out_);
  EXPECT_THAT(config_error(config), HasSubstr("/objectives/0/goal: the metric \"beauty\" does not "
                                              "say which values are better"));
}

}  // namespace
}  // namespace espalier
