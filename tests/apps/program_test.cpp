#include "apps/program.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "core/csv.hpp"
#include "evaluators/process.hpp"
#include "exporters/architecture_file.hpp"
#include "exporters/catalogue.hpp"
#include "search_spaces/sampling.hpp"
#include "search_spaces/supergraph.hpp"
#include "tests/apps/run_espalier.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/study/small_run.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using testing::UnorderedElementsAre;
using testing::UnorderedElementsAreArray;

std::vector<std::string> keys(const Json& json) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  return keys;
}

constexpr const char* cell =
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|"
    "nor_conv_3x3~2|";

// --- Describe

TEST(Describe, CountsTheReferenceNetworks) {
  const std::vector<std::pair<std::string, std::pair<std::int64_t, std::int64_t>>> published{
      {"resnet18", {11689512, 1814073344}},
      {"mobilenet_v2", {3504872, 300774272}},
      {"mobilenet_v3_large", {5483032, 216589760}},
      {"mobilenet_v3_small", {2542856, 56510400}}};
  for (const auto& [net, counts] : published) {
    const Outcome outcome = espalier({"describe", "--net", net, "--json"});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.err, "");
    const Json json = outcome.json();
    EXPECT_EQ(json["params"], counts.first);
    EXPECT_EQ(json["macs"], counts.second);
    EXPECT_THAT(keys(json), ElementsAre("params", "macs", "storage_bytes", "peak_memory_bytes",
                                        "nodes", "space_size", "decisions"));
    std::int64_t params = 0, macs = 0;
    for (const Json& node : json["nodes"]) {
      params += node["params"].get<std::int64_t>();
      macs += node["macs"].get<std::int64_t>();
    }
    EXPECT_EQ(params, counts.first);
    EXPECT_EQ(macs, counts.second);
  }
}

TEST(Describe, ShowsASpaceAndItsArchitectures) {
  const Json space = espalier({"describe", "--space", "nasbench201", "--json"}).json();
  EXPECT_EQ(space["space_size"], "15625");
  EXPECT_EQ(space["decisions"].size(), 6u);
  EXPECT_EQ(space["decisions"][0]["options"].size(), 5u);
  EXPECT_FALSE(space.contains("params"));
  EXPECT_EQ(space["example"].size(), 6u);
  EXPECT_EQ(space["active"].size(), 6u);
  EXPECT_EQ(space["samples"]["count"], 1000);
  EXPECT_LT(space["samples"]["params"][0], space["samples"]["params"][1]);
  EXPECT_LT(space["samples"]["macs"][0], space["samples"]["macs"][1]);
  const Json one =
      espalier({"describe", "--space", "nasbench201", "--arch", cell, "--json"}).json();
  EXPECT_GT(one["params"], 800000);
  EXPECT_EQ(one["space_size"], "15625");
  // The same network by labels and in a space written as JSON.
  Json labels = Json::object();
  const auto nasbench = space_registry().create({{"type", "nasbench201"}}, "");
  labels = architecture_to_json(*nasbench, nasbench->parse(cell));
  EXPECT_EQ(espalier({"describe", "--space", R"({"type": "nasbench201"})", "--arch", labels.dump(),
                      "--json"})
                .json(),
            one);
  const Outcome text = espalier({"describe", "--space", "nasbench201", "--arch", cell});
  EXPECT_THAT(text.out, HasSubstr("peak_memory_bytes"));
  EXPECT_THAT(espalier({"describe", "--space", "nasbench201"}).out,
              HasSubstr("architectures  15625\n"));
}

TEST(Describe, ReadsASpaceOfTheUsersOwn) {
  const std::string example =
      std::string(ESPALIER_SOURCE_DIR) + "/examples/spaces/small_camera.json";
  const Json space = espalier({"describe", "--space-file", example, "--json"}).json();
  EXPECT_EQ(space["decisions"][0]["name"], "width");  // "values" come before the network
  EXPECT_LE(space["samples"]["macs"][1], 12'000'000);
  EXPECT_LT(space["active"].size(), space["decisions"].size());
  EXPECT_THAT(espalier({"describe", "--space-file", example}).out,
              HasSubstr("in 1000 samples\nexample, with the "));
  TemporaryDirectory directory;
  const std::string file = (directory.path() / "space.json").string();
  Json json = read_json_file(example);
  json.erase("type");
  write_file_atomically(file, json.dump());
  EXPECT_EQ(espalier({"describe", "--space-file", file, "--json"}).json(), space);
  json["network"][1]["type"] = "mixx";
  write_file_atomically(file, json.dump());
  const Outcome wrong = espalier({"describe", "--space-file", file});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err,
              HasSubstr("/network/1/type: unknown step \"mixx\"; did you mean \"mix\"?"));
  json["network"][1]["type"] = "mix";
  json["constraints"][0]["max"] = 1000;
  write_file_atomically(file, json.dump());
  const Outcome empty = espalier({"describe", "--space-file", file});
  EXPECT_EQ(empty.code, 2);
  EXPECT_THAT(empty.err, HasSubstr("no valid architecture among "));
}

TEST(Describe, ReadsFiles) {
  TemporaryDirectory directory;
  const auto space = space_registry().create({{"type", "nasbench201"}}, "");
  const ArchitectureFile file{.space = Json{{"type", "nasbench201"}},
                              .architecture = architecture_to_json(*space, space->parse(cell)),
                              .graph = space->build(space->parse(cell))};
  const std::string path = (directory.path() / "architecture.json").string();
  write_file_atomically(path, to_json(file).dump());
  const Json expected =
      espalier({"describe", "--space", "nasbench201", "--arch", cell, "--json"}).json();
  EXPECT_EQ(espalier({"describe", path, "--json"}).json()["params"], expected["params"]);
  // The file names its space and holds its architecture.
  EXPECT_EQ(espalier({"describe", "--space-file", path, "--arch-file", path, "--json"}).json(),
            expected);
  write_file_atomically(path, to_json(file)["graph"].dump());
  EXPECT_EQ(espalier({"describe", path, "--json"}).json()["macs"], expected["macs"]);
  write_file_atomically(path, std::string(cell) + "\n");
  EXPECT_EQ(espalier({"describe", "--space", "nasbench201", "--arch-file", path, "--json"}).json(),
            expected);
}

// --- Estimate and score

TEST(Estimate, GivesOneEntryForEachArchitecture) {
  const Outcome outcome = espalier({"estimate", "--space", "nasbench201", "--arch", cell, "--arch",
                                    "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",
                                    "--hardware", "cortex_a76", "rk3588_npu", "--json"});
  EXPECT_EQ(outcome.code, 0);
  const Json json = outcome.json();
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[0]["arch"], cell);
  EXPECT_GT(json[0]["latency_ms@cortex_a76"], json[1]["latency_ms@cortex_a76"]);
  EXPECT_TRUE(json[0].contains("energy_mj@rk3588_npu"));
  EXPECT_TRUE(json[0].contains("params"));
  EXPECT_THAT(espalier({"estimate", "--net", "resnet18", "--hardware", "cortex_m7"}).out,
              HasSubstr("latency_ms@cortex_m7"));
}

TEST(Score, GivesProxiesWithAndWithoutData) {
  const std::vector<std::string> space{"--space", small_run()["space"].dump(), "--arch",
                                       R"({"stage1.depth": "1"})", "--json"};
  const auto score = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "score");
    arguments.insert(arguments.end(), space.begin(), space.end());
    return espalier(arguments);
  };
  const Json json = score({"--proxy", "synflow", "--proxy", "params"}).json();
  ASSERT_EQ(json.size(), 1u);
  EXPECT_THAT(keys(json[0]), ElementsAre("arch", "synflow", "params", "macs"));
  EXPECT_EQ(score({"--proxy", "synflow", "--proxy", "params"}).json(), json);
  EXPECT_EQ(score({"--proxy", "synflow", "params"}).json(), json);
  EXPECT_NE(score({"--proxy", "synflow", "--proxy", "params", "--seed", "2"}).json(), json);
  const Json two = score({"--proxy", "synflow", "params", "--arch", R"({"stage1.depth": "2"})",
                          "--workers", "2"})
                       .json();
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[1], json[0]);
  EXPECT_EQ(score({"--proxy", "synflow", "params", "--arch", R"({"stage1.depth": "2"})",
                   "--workers", "1"})
                .json(),
            two);
  const Outcome without = score({"--proxy", "naswot"});
  EXPECT_EQ(without.code, 2);
  EXPECT_THAT(without.err, HasSubstr("needs images"));
}

TEST(Score, AddsUpTheRanksOfSeveralNetworks) {
  const auto score = [](const std::string& proxy) {
    return espalier({"score", "--space", "nasbench201", "--arch",
                     "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|", "--arch",
                     "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|", "--proxy",
                     "synflow", "--proxy", proxy, "--aggregate", "--json"});
  };
  const Json json = score("az_complexity").json();
  ASSERT_EQ(json.size(), 2u);
  EXPECT_THAT(keys(json[0]),
              ElementsAre("arch", "synflow", "az_complexity", "params", "macs", "aggregate"));
  EXPECT_DOUBLE_EQ(json[0]["aggregate"], 2 * std::log(0.5));
  EXPECT_EQ(json[1]["aggregate"], 0);
  const Outcome cost = score("macs");
  EXPECT_EQ(cost.code, 2);
  EXPECT_THAT(cost.err, HasSubstr("of macs no direction is the better one"));
}

// --- Spaces

const std::string nasbench201_table =
    (std::filesystem::path(ESPALIER_SOURCE_DIR) / "benchmarks/tables/nasbench201.csv.gz").string();

TEST(Shrink, PrintsTheSpaceThatIsLeft) {
  const TemporaryDirectory directory;
  const std::vector<std::string> arguments{
      "shrink",   "--space",   "nasbench201", "--table", nasbench201_table, "--key", "arch",
      "--column", "c10_valid", "--drop",      "3",       "--per-round",     "3",     "--samples",
      "2000",     "--json"};
  const Json json = espalier(arguments).json();
  EXPECT_EQ(espalier(arguments).json(), json);
  EXPECT_EQ(json["space"]["type"], "nasbench201");
  EXPECT_EQ(json["better"], "higher");
  ASSERT_EQ(json["rounds"].size(), 1u);
  EXPECT_EQ(json["rounds"][0]["options"].size(), 30u);
  EXPECT_EQ(json["rounds"][0]["options"][0]["option"], "none");
  EXPECT_EQ(json["space"]["restrict"].size(), 3u);
  for (const auto& [decision, options] : json["space"]["restrict"].items()) {
    EXPECT_THAT(options,
                ElementsAre("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"))
        << decision;
  }
  // What it prints is a space for the other subcommands.
  const std::string file = (directory.path() / "small.json").string();
  write_file_atomically(file, json.dump());
  EXPECT_EQ(espalier({"describe", "--space-file", file, "--json"}).json()["space_size"], "8000");
  const Json compared =
      espalier({"compare-spaces", file, "nasbench201", "--table", nasbench201_table, "--key",
                "arch", "--column", "c10_valid", "--level", "90", "--samples", "400", "--json"})
          .json();
  EXPECT_GT(compared["mean_difference"]["low"], 0);
  EXPECT_GT(compared["win_probability"]["low"], 0.5);
  EXPECT_LT(compared["levels"][0]["difference"]["high"], 0);
  EXPECT_EQ(compared["a"]["scores"].size(), 400u);
}

TEST(Shrink, KeepsToCostsAndEndsAtASize) {
  const std::string space = small_run()["space"].dump();
  const Outcome text = espalier(
      {"shrink", "--space", space, "--cost", "params", "--target-size", "1", "--samples", "50"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("round 1: "));
  EXPECT_THAT(text.out, HasSubstr("drops "));
  EXPECT_THAT(text.out, HasSubstr("\"restrict\": {"));
  const auto error = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"shrink", "--space", space, "--drop", "1"});
    const Outcome outcome = espalier(more);
    EXPECT_EQ(outcome.code, 2);
    return outcome.err;
  };
  EXPECT_THAT(error({"--cost", "params", "--params-max", "3"}),
              HasSubstr("none of 10000 random networks in a row has params of at most 3"));
  EXPECT_THAT(error({"--cost", "parms"}), HasSubstr("did you mean \"params\"?"));
  EXPECT_THAT(error({}), HasSubstr("give one of --table, --proxy, --cost, and --run"));
  EXPECT_THAT(error({"--cost", "params", "--proxy", "synflow"}), HasSubstr("give one of"));
  EXPECT_THAT(error({"--table", nasbench201_table}), HasSubstr("--column"));
  EXPECT_THAT(error({"--proxy", "synflw"}), HasSubstr("did you mean \"synflow\"?"));
}

TEST(Shrink, TakesAProxy) {
  const Json json = espalier({"shrink", "--space", small_run()["space"].dump(), "--proxy",
                              "synflow", "--drop", "1", "--samples", "4", "--json"})
                        .json();
  EXPECT_EQ(json["score"], "synflow");
  EXPECT_EQ(json["space"]["restrict"].size(), 1u);
}

// A run of one trial that looks accuracies up.
Json table_run() {
  return {{"space", {{"type", "nasbench201"}}},
          {"evaluator",
           {{"type", "table"},
            {"file", nasbench201_table},
            {"key", "arch"},
            {"metrics", {{"accuracy", "c10_valid"}}}}},
          {"strategy", {{"type", "random"}}},
          {"objectives", {{{"metric", "accuracy"}}}},
          {"budget", {{"trials", 1}}}};
}

// What shared weights say decides: the score is the run's evaluator's.
TEST(Shrink, TakesTheEvaluatorOfARun) {
  TemporaryDirectory directory;
  const auto at = [&](const std::string& name) { return (directory.path() / name).string(); };
  Json config = small_run();
  config["evaluator"] = {{"type", "one_shot"}, {"train", {{"epochs", 1}, {"batch_size", 16}}}};
  config["budget"]["trials"] = 1;
  config.erase("final");
  write_file_atomically(at("run.json"), config.dump());
  ASSERT_EQ(espalier({"-q", "search", at("run.json"), "--out", at("run")}).code, 0);
  const auto shrink = [&](const std::string& space) {
    return espalier({"shrink", "--space", space, "--run", at("run"), "--drop", "1", "--samples",
                     "6", "--json"});
  };
  const Json json = shrink(config["space"].dump()).json();
  EXPECT_EQ(json["score"], "accuracy");
  EXPECT_EQ(json["better"], "higher");
  EXPECT_EQ(json["space"]["restrict"].size(), 1u);
  const Outcome other = shrink("nasbench201");
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.err, HasSubstr("is of another space; give its own: --space-file"));
  Json wider = config["space"];
  wider["stem_channels"] = 8;
  EXPECT_EQ(shrink(wider.dump()).code, 2);
  const Outcome endless = espalier({"shrink", "--space", "nasbench201", "--run", at("run")});
  EXPECT_EQ(endless.code, 2);
  EXPECT_THAT(endless.err, HasSubstr("say when to end: --drop or --target-size"));

  // The same scores by another way: a run that reads a table, and the table.
  write_file_atomically(at("table.json"), table_run().dump());
  ASSERT_EQ(espalier({"-q", "search", at("table.json"), "--out", at("table")}).code, 0);
  const std::vector<std::string> common{"shrink", "--space", "nasbench201",
                                        "--drop", "2",       "--json"};
  const auto rounds = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), common.begin(), common.end());
    return espalier(arguments).json()["rounds"];
  };
  EXPECT_EQ(rounds({"--run", at("table")}),
            rounds({"--table", nasbench201_table, "--key", "arch", "--column", "c10_valid"}));
}

TEST(Compare, TakesTheEvaluatorOfARunOfTheWholeSpace) {
  TemporaryDirectory directory;
  const auto at = [&](const std::string& name) { return (directory.path() / name).string(); };
  write_file_atomically(at("run.json"), table_run().dump());
  ASSERT_EQ(espalier({"-q", "search", at("run.json"), "--out", at("run")}).code, 0);
  const Json part = {{"type", "nasbench201"}, {"restrict", {{"edge0_3", {"nor_conv_3x3"}}}}};
  const auto compared = [&](std::vector<std::string> score) {
    std::vector<std::string> arguments{"compare-spaces", part.dump(), "nasbench201",
                                       "--samples",      "50",        "--json"};
    arguments.insert(arguments.end(), score.begin(), score.end());
    return espalier(arguments).json()["mean_difference"];
  };
  EXPECT_EQ(compared({"--run", at("run")}),
            compared({"--table", nasbench201_table, "--key", "arch", "--column", "c10_valid"}));
}

TEST(RankCheck, SaysHowWellARunRanks) {
  TemporaryDirectory directory;
  const auto at = [&](const std::string& name) { return (directory.path() / name).string(); };
  Json config = table_run();
  config["budget"]["trials"] = 2;
  write_file_atomically(at("run.json"), config.dump());
  ASSERT_EQ(espalier({"search", at("run.json"), "--out", at("run")}).code, 0);
  config["evaluator"]["metrics"]["accuracy"] = "c10_test";
  write_file_atomically(at("config.json"), config.dump());
  write_file_atomically(at("evaluator.json"), config["evaluator"].dump());
  const std::vector<std::string> check{"rank-check", at("run"), "--sample", "60", "--truth"};
  std::vector<std::string> by_config = check, by_evaluator = check;
  by_config.insert(by_config.end(), {at("config.json"), "--json"});
  by_evaluator.insert(by_evaluator.end(), {at("evaluator.json"), "--top", "6"});
  const Json json = espalier(by_config).json();
  EXPECT_EQ(json["metric"], "accuracy");
  EXPECT_EQ(json["top"], 12);
  EXPECT_EQ(json["networks"].size(), 60u);
  EXPECT_THAT(keys(json["networks"][0]),
              ElementsAre("arch", "truth", "evaluator", "params", "macs"));
  EXPECT_THAT(keys(json["scores"][0]), ElementsAre("score", "kendall_tau", "spearman",
                                                   "precision_at_top", "kendall_tau_above_params"));
  EXPECT_LT(json["scores"][0]["kendall_tau"]["low"], json["scores"][0]["kendall_tau"]["value"]);
  const Outcome text = espalier(by_evaluator);
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out,
              HasSubstr("60 networks by accuracy, 95% intervals; precision at 6, by chance 0.100"));
  const Outcome without = espalier({"rank-check", at("run")});
  EXPECT_EQ(without.code, 2);
  EXPECT_THAT(without.err, HasSubstr("--truth"));
  EXPECT_EQ(espalier({"rank-check", at("nothing")}).code, 3);
}

TEST(Compare, ShowsBothDistributions) {
  const std::string space = small_run()["space"].dump();
  const std::vector<std::string> same{"compare-spaces", space,       space, "--cost",
                                      "macs",           "--samples", "100"};
  const Outcome text = espalier(same);
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("macs (lower is better)"));
  EXPECT_THAT(text.out, HasSubstr("a network of A beats one of B"));
  std::vector<std::string> normalized = same;
  normalized.insert(normalized.end(), {"--normalize", "params", "--better", "higher", "--json"});
  const Json json = espalier(normalized).json();
  EXPECT_EQ(json["better"], "higher");
  EXPECT_LT(json["win_probability"]["low"], 0.5);
  EXPECT_GT(json["win_probability"]["high"], 0.5);
  EXPECT_EQ(json["levels"].size(), 3u);
  EXPECT_EQ(espalier({"compare-spaces", space}).code, 2);
}

// --- Predict

const std::string compared_cells = ESPALIER_SOURCE_DIR "/configs/compare/nasbench201_cifar10.json";

// That config, with the table where this process finds it.
std::string cells_config(const TemporaryDirectory& directory) {
  Json config = read_json_file(compared_cells);
  config["evaluator"]["file"] = nasbench201_table;
  const std::string path = directory.path() / "cells.json";
  std::ofstream(path) << config;
  return path;
}

TEST(Predict, ChecksPredictorsOnNetworksHeldOut) {
  const TemporaryDirectory directory;
  const std::vector<std::string> command{
      "predict",     cells_config(directory),
      "--predictor", "ridge",
      "--predictor", R"({"type": "random_forest", "values": "normal_scores"})",
      "--train",     "20,160",
      "--splits",    "3",
      "--held-out",  "200",
      "--threads",   "2"};
  const Outcome text = espalier(command);
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, StartsWith("accuracy of 15625 networks, 3 splits"));
  EXPECT_THAT(text.out, testing::ContainsRegex("\nridge +20 +0\\.[0-9]+ \\[0\\."));
  EXPECT_THAT(text.out, testing::ContainsRegex(
                            "\n..type.:.random_forest.,.values.:.normal_scores.. +160 +0\\."));
  auto with_json = command;
  with_json.push_back("--json");
  const Json json = espalier(with_json).json();
  EXPECT_EQ(json["networks"], 15625);
  ASSERT_EQ(json["checks"].size(), 4u);
  for (const Json& check : json["checks"]) {
    EXPECT_EQ(check["held_out"], 200);
    EXPECT_GT(check["kendall_tau"]["mean"]["value"].get<double>(), 0.2);
    EXPECT_LE(check["kendall_tau"]["mean"]["low"], check["kendall_tau"]["quartiles"][1]);
    EXPECT_GT(check["rmse"]["mean"]["value"].get<double>(), 0);
  }
  // More networks, better predictions, on the same networks held out.
  EXPECT_LT(json["checks"][2]["kendall_tau"]["mean"]["value"],
            json["checks"][3]["kendall_tau"]["mean"]["value"]);
}

TEST(Predict, SaysWhatNetworksAreWorth) {
  const TemporaryDirectory directory;
  const std::string config = cells_config(directory);
  const std::string none = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|";
  const std::vector<std::string> command{"predict", config, "--arch",  cell,
                                         "--arch",  none,   "--train", "100"};
  const Outcome text = espalier(command);
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, StartsWith("accuracy, learned from 100 networks\n|nor_conv_3x3~0|"));
  EXPECT_THAT(text.out, HasSubstr("\n  gaussian_process "));
  auto with_json = command;
  with_json.insert(with_json.end(), {"--json", "--predictor", "random_forest"});
  const Json json = espalier(with_json).json();
  EXPECT_EQ(json["metric"], "accuracy");
  EXPECT_EQ(json["train"], 100);
  const Json& good = json["networks"][0]["predictions"][0];
  EXPECT_EQ(good["predictor"], "random_forest");
  EXPECT_GT(good["mean"], json["networks"][1]["predictions"][0]["mean"]);
  EXPECT_GT(good["standard_deviation"].get<double>(), 0);
}

TEST(Predict, LearnsFromARun) {
  const TemporaryDirectory directory;
  const std::string config = cells_config(directory), run = directory.path() / "run";
  Json its = read_json_file(config);
  its.erase("strategies");
  its["strategy"] = {{"type", "random"}};
  its["budget"] = {{"trials", 40}};
  std::ofstream(config) << its;
  ASSERT_EQ(espalier({"search", config, "--out", run}).code, 0);
  const Json check = espalier({"predict", run, "--splits", "2", "--json", "--proxy", "params",
                               "--features", R"({"patterns": "adjacency"})"})
                         .json();
  EXPECT_EQ(check["networks"], 40);
  EXPECT_EQ(check["checks"][0]["train"], 20);
  EXPECT_EQ(check["checks"][0]["held_out"], 20);
  // A cost is known exactly: it is a feature itself.
  const Json costs =
      espalier({"predict", run, "--metric", "params", "--predictor", "random_forest", "--json"})
          .json();
  EXPECT_GT(costs["checks"][0]["kendall_tau"]["mean"]["value"].get<double>(), 0.8);
  EXPECT_THAT(espalier({"predict", run, "--metric", "accurcy"}).err,
              HasSubstr("unknown metric \"accurcy\"; did you mean \"accuracy\"?"));
  EXPECT_THAT(espalier({"predict", run, "--train", "39"}).err,
              HasSubstr("40 networks are known: 39 of them to learn from"));
}

TEST(Predict, MistakesAreNamed) {
  const TemporaryDirectory directory;
  const std::string config = cells_config(directory), other = directory.path() / "other.json";
  Json its = read_json_file(config);
  its["evaluator"] = {{"type", "zero_cost"}, {"proxies", {"params"}}};
  its["objectives"] = {{{"metric", "params"}}};
  std::ofstream(other) << its;
  const std::vector<std::pair<std::vector<std::string>, std::string>> mistakes{
      {{"predict"}, "source is required"},
      {{"predict", config, "--predictor", "rigde"}, "did you mean \"ridge\"?"},
      {{"predict", config, "--predictor", R"({"type": "random_forest", "tres": 1})"},
       "did you mean \"trees\"?"},
      {{"predict", config, "--features", R"({"patern": 1})"}, "--features: "},
      {{"predict", config, "--metric", "test_acuracy"}, "did you mean \"test_accuracy\"?"},
      {{"predict", config, "--proxy", "paramz"}, "did you mean \"params\"?"},
      {{"predict", config, "--arch", cell, "--train", "2,3"}, "--train takes one number"},
      {{"predict", other}, "/evaluator/type: is \"zero_cost\"; predictors learn from a table"}};
  for (const auto& [arguments, message] : mistakes) {
    const Outcome outcome = espalier(arguments);
    EXPECT_EQ(outcome.code, 2) << testing::PrintToString(arguments);
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
  EXPECT_EQ(espalier({"predict", config + ".missing"}).code, 3);
}

// --- List and schema

TEST(List, TellsAllThatAConfigCanName) {
  EXPECT_THAT(espalier({"list"}).out, HasSubstr("strategies: random regularized_evolution"));
  const Json all = espalier({"list", "--json"}).json();
  EXPECT_THAT(keys(all), ElementsAre("spaces", "strategies", "predictors", "evaluators", "datasets",
                                     "hardware", "devices", "proxies", "nets", "formats"));
  for (const auto& [kind, entries] : all.items()) {
    EXPECT_EQ(espalier({"list", kind, "--json"}).json(), entries);
    for (const Json& entry : entries) {
      EXPECT_THAT(keys(entry), ElementsAre("name", "doc", "options"));
      EXPECT_FALSE(entry["doc"].get<std::string>().empty()) << entry["name"];
      const std::string name = entry["name"].get<std::string>();
      EXPECT_THAT(espalier({"list", kind, name}).out, StartsWith(name + "\n"));
    }
  }
  const Json one = espalier({"list", "strategies", "random", "--json"}).json();
  EXPECT_EQ(one["sample"]["type"], "random");
  EXPECT_THAT(espalier({"list", "strategies", "randm"}).err,
              HasSubstr("no \"randm\" among strategies; did you mean \"random\"?"));
  EXPECT_THAT(espalier({"list", "strategie"}).err, HasSubstr("did you mean \"strategies\"?"));
  EXPECT_EQ(espalier({"list", "strategie"}).code, 2);
}

TEST(Schema, IsOneDocument) {
  const Json schema = espalier({"schema"}).json();
  EXPECT_EQ(schema["type"], "object");
  EXPECT_TRUE(schema["$defs"].contains("strategy"));
}

// --- A run and what shows it

class ARun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = new TemporaryDirectory;
    config_ = (directory_->path() / "run.json").string();
    out_ = (directory_->path() / "run").string();
    write_file_atomically(config_, small_run().dump());
    search_ = espalier({"search", config_, "--out", out_});
  }
  static void TearDownTestSuite() { delete directory_; }

  static TemporaryDirectory* directory_;
  static std::string config_, out_;
  static Outcome search_;
};
TemporaryDirectory* ARun::directory_ = nullptr;
std::string ARun::config_, ARun::out_;
Outcome ARun::search_;

TEST_F(ARun, EndsWellAndSaysWhereThingsAre) {
  EXPECT_EQ(search_.code, 0) << search_.err;
  EXPECT_EQ(search_.out, "");
  EXPECT_THAT(search_.err, HasSubstr("finished; see " + out_ + "/report.html"));
  for (const char* name : {"config.json", "run.db", "pareto.json", "pareto.csv", "report.html",
                           "best/architecture.json", "best/network.pt", "best/final.json"}) {
    EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(out_) / name)) << name;
  }
}

TEST_F(ARun, IsShownAsJsonCsvAndText) {
  const Json pareto = espalier({"pareto", out_, "--json"}).json();
  EXPECT_EQ(pareto, read_json_file(out_ + "/pareto.json"));
  const Json trials = espalier({"trials", out_, "--json"}).json();
  EXPECT_EQ(trials["trials"].size(), 4u);
  for (const Json& trial : trials["trials"]) {
    EXPECT_THAT(keys(trial),
                ElementsAre("id", "state", "architecture", "arch", "metrics", "feasible"));
  }
  const Outcome csv = espalier({"trials", out_, "--csv"});
  EXPECT_EQ(CsvTable::parse(csv.out, "csv").row_count(), 4u);
  const Outcome text = espalier({"pareto", out_});
  EXPECT_EQ(text.code, 0);
  EXPECT_THAT(text.out, HasSubstr("accuracy"));
  EXPECT_THAT(text.out, HasSubstr("of the test images after 2 epochs"));
  EXPECT_THAT(text.out, HasSubstr(out_ + "/best/network.pt"));
  EXPECT_EQ(espalier({"trials", out_, "--json", "--csv"}).code, 2);
}

TEST_F(ARun, IsReportedAndExportedAgain) {
  const std::filesystem::path path = directory_->path();
  EXPECT_EQ(espalier({"report", out_, "--out", (path / "page.html").string()}).code, 0);
  EXPECT_EQ(read_file(path / "page.html"), read_file(out_ + "/report.html"));
  const auto export_to = [&](const std::string& format, const std::string& name,
                             std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"export", out_,    "--format",
                                       format,   "--out", (path / name).string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return espalier(arguments);
  };
  EXPECT_EQ(export_to("torchscript", "again.pt").code, 0);
  EXPECT_TRUE(std::filesystem::exists(path / "again.pt"));
  EXPECT_EQ(export_to("dot", "again.dot").code, 0);
  EXPECT_THAT(read_file(path / "again.dot"), StartsWith("digraph network {"));
  EXPECT_EQ(export_to("json", "again.json").code, 0);
  EXPECT_EQ(read_file(path / "again.json"), read_file(out_ + "/best/architecture.json"));
  EXPECT_THAT(export_to("onx", "x").err, HasSubstr("did you mean \"onnx\"?"));
  // From the network's file, which has no weights.
  const std::string file = out_ + "/best/architecture.json";
  const Outcome bare =
      espalier({"export", file, "--format", "torchscript", "--out", (path / "y.pt").string()});
  EXPECT_EQ(bare.code, 2);
  EXPECT_THAT(bare.err, HasSubstr("give --weights"));
  EXPECT_EQ(espalier({"export", file, "--format", "torchscript", "--out", (path / "y.pt").string(),
                      "--weights", out_ + "/best/weights.safetensors"})
                .code,
            0);
  // Another network's weights.
  const auto other = space_registry().create(small_run()["space"], "");
  Architecture a = other->canonical({std::vector<std::uint32_t>(other->decisions().size(), 0)});
  if (architecture_to_json(*other, a) == read_json_file(file)["architecture"]) {
    a = neighbours(*other, a)[0];
  }
  write_file_atomically(path / "other.json",
                        to_json(ArchitectureFile{.graph = other->build(a)}).dump());
  const Outcome wrong =
      espalier({"export", (path / "other.json").string(), "--format", "torchscript", "--out",
                (path / "z.pt").string(), "--weights", out_ + "/best/weights.safetensors"});
  EXPECT_EQ(wrong.code, 3);
  EXPECT_THAT(wrong.err, HasSubstr("holds the weights of another network"));
  EXPECT_FALSE(std::filesystem::exists(path / "z.pt"));
}

TEST_F(ARun, IsNotOverwritten) {
  const std::string before = read_file(out_ + "/run.db");
  const Outcome again = espalier({"search", config_, "--out", out_});
  EXPECT_EQ(again.code, 3);
  EXPECT_THAT(again.err, HasSubstr("holds a run already; resume it, or choose another directory"));
  EXPECT_EQ(read_file(out_ + "/run.db"), before);
  const Outcome changed =
      espalier({"search", config_, "--out", out_, "--resume", "--set", "/seed=4"});
  EXPECT_EQ(changed.code, 2);
  EXPECT_THAT(changed.err, HasSubstr("/seed: was 3 when the run began and is 4 now"));
}

TEST_F(ARun, ADamagedSummaryIsNamed) {
  const std::string file = out_ + "/best/final.json", before = read_file(file);
  const Json trial = parse_json(before, "final.json")["trial"];
  for (const Json& damaged : {Json::object(), Json{{"trial", trial}}}) {
    write_file_atomically(file, damaged.dump());
    const Outcome outcome = espalier({"pareto", out_});
    EXPECT_EQ(outcome.code, 3);
    EXPECT_THAT(outcome.err, HasSubstr("final.json: is damaged"));
  }
  write_file_atomically(file, before);
  write_file_atomically(directory_->path() / "empty", " \n");
  EXPECT_THAT(espalier({"describe", "--space", "nasbench201", "--arch-file",
                        (directory_->path() / "empty").string()})
                  .err,
              HasSubstr("empty: is empty; expected an architecture"));
}

TEST_F(ARun, IsExtended) {
  TemporaryDirectory other;
  const std::string copy = (other.path() / "copy").string();
  std::filesystem::copy(out_, copy, std::filesystem::copy_options::recursive);
  const Outcome extended = espalier({"search", config_, "--out", copy, "--resume", "--threads", "2",
                                     "--set", "/budget/trials=6", "--json"});
  EXPECT_EQ(extended.code, 0) << extended.err;
  EXPECT_EQ(extended.json(), read_json_file(copy + "/pareto.json"));
  EXPECT_EQ(espalier({"trials", copy, "--json"}).json()["trials"].size(), 6u);
}

// --- Arguments and exit codes

TEST(Program, MistakesInArgumentsAreCode2) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> mistakes{
      {{}, "subcommand is required"},
      {{"serach"}, "unknown subcommand \"serach\"; did you mean \"search\"?"},
      {{"-q", "serach", "--out", "x"}, "did you mean \"search\"?"},
      {{"search"}, "config is required"},
      {{"search", "x.json"}, "--out is required"},
      {{"search", "x.json", "--out", "y", "--treads", "2"}, "--treads"},
      {{"search", "x.json", "--out", "y", "--threads", "0"}, "--threads"},
      {{"list", "--quiet", "--verbose"}, "excludes"},
      {{"describe"}, "give one of --space, --space-file, --net, and a network's file"},
      {{"describe", "--net", "resnet18", "--space", "chain"}, "give one of --space"},
      {{"describe", "--net", "resnet19"}, "did you mean \"resnet18\"?"},
      {{"describe", "--space", "nasbench20"}, "did you mean \"nasbench201\"?"},
      {{"describe", "--space", "own.json"}, "a file goes with --space-file"},
      {{"describe", "--space", "chain", "--space-file", "own.json"}, "give one of --space"},
      {{"describe", "--space", "{\"type\": \"chain\", \"clases\": 3}"},
       "/clases: unknown key \"clases\"; did you mean \"classes\"?"},
      {{"describe", "--space", "{\"type\""}, "--space: not valid JSON at line 1"},
      {{"describe", "--space", "nasbench201", "--arch", "|x~0|"}, "unknown operator 'x'"},
      {{"describe", "--space", "nasbench201", "--arch", cell, "--arch", cell},
       "give one architecture"},
      {{"describe", "--net", "resnet18", "--arch", "x"},
       "--arch and --arch-file go with --space or --space-file"},
      {{"estimate", "--net", "resnet18", "--hardware", "cortex_a77"},
       "did you mean \"cortex_a76\"?"},
      {{"estimate", "--space", "nasbench201", "--hardware", "cortex_a76"},
       "give --arch or --arch-file"},
      {{"score", "--space", "nasbench201", "--arch", cell, "--proxy", "synflo"},
       "did you mean \"synflow\"?"},
      {{"score", "--space", "nasbench201", "--arch", cell, "--proxy", "naswot", "--data", "x:"},
       "is not TYPE or TYPE:DIR"},
  };
  for (const auto& [arguments, message] : mistakes) {
    const Outcome outcome = espalier(arguments);
    EXPECT_EQ(outcome.code, 2) << testing::PrintToString(arguments);
    EXPECT_THAT(outcome.err, HasSubstr(message)) << testing::PrintToString(arguments);
    EXPECT_THAT(outcome.out, IsEmpty());
  }
}

TEST(Program, FilesThatCannotBeReadAreCode3) {
  TemporaryDirectory directory;
  const std::string missing = (directory.path() / "missing").string();
  const std::string too_long = (directory.path() / std::string(300, 'x')).string();
  const std::vector<std::vector<std::string>> commands{
      {"search", missing + ".json", "--out", missing},
      {"pareto", missing},
      {"trials", missing, "--json"},
      {"report", missing, "--out", missing + ".html"},
      {"describe", missing + ".json"},
      {"describe", "--space-file", missing + ".json"},
      {"describe", "--space", "nasbench201", "--arch-file", missing},
      {"estimate", "--net", "resnet18", "--hardware", missing + ".csv"},
      {"export", missing + ".json", "--format", "dot", "--out", missing + ".dot"},
      {"export", directory.path().string(), "--format", "dot", "--out", missing + ".dot"},
      {"pareto", too_long},
      {"trials", too_long},
      {"report", too_long, "--out", missing + ".html"},
      {"export", too_long, "--format", "dot", "--out", missing + ".dot"},
  };
  for (const auto& arguments : commands) {
    const Outcome outcome = espalier(arguments);
    EXPECT_EQ(outcome.code, 3) << testing::PrintToString(arguments);
    EXPECT_THAT(outcome.err, HasSubstr(directory.path().string()));
    EXPECT_THAT(outcome.err, Not(HasSubstr("filesystem error")));
    EXPECT_THAT(outcome.out, IsEmpty());
  }
  EXPECT_THAT(directory.names(), IsEmpty());
}

TEST(Program, AnswersAreCode0) {
  EXPECT_EQ(espalier({"--help"}).code, 0);
  EXPECT_THAT(espalier({"search", "--help"}).out, HasSubstr("--resume"));
  EXPECT_THAT(espalier({"shrink", "--help"}).out,
              HasSubstr("--samples INT:INT in [2 - 16777216]=1000"));
  EXPECT_THAT(espalier({"describe", "--help"}).out, Not(HasSubstr("[]")));
  EXPECT_THAT(espalier({"--version"}).out, StartsWith("espalier 0."));
}

// What bash offers for the last of these words, in a directory without files.
std::vector<std::string> completions(std::vector<std::string> words) {
  const TemporaryDirectory directory;
  std::vector<std::string> argv{
      "bash", "-c",
      "source \"$0\"; cd \"$1\"; shift; COMP_WORDS=(espalier \"$@\"); COMP_CWORD=$#; _espalier; "
      "printf '%s\\n' \"${COMPREPLY[@]}\"",
      ESPALIER_SOURCE_DIR "/apps/completion/espalier.bash", directory.path().string()};
  argv.insert(argv.end(), words.begin(), words.end());
  std::istringstream output(detail::run_process(argv, "", 60).output);
  std::vector<std::string> found;
  for (std::string line; std::getline(output, line);) found.push_back(line);
  return found;
}

// The options that a help text shows, and those that go with every subcommand.
std::set<std::string> options_in_help(const std::vector<std::string>& words) {
  std::vector<std::string> arguments = words;
  arguments.push_back("--help");
  const std::string help = espalier(arguments).out;
  const std::regex option("--[a-z-]+");
  std::set<std::string> options{"--quiet", "--verbose"};
  for (std::sregex_iterator found(help.begin(), help.end(), option), end; found != end; ++found) {
    options.insert(found->str());
  }
  return options;
}

TEST(Compare, ShowsStrategiesBesideEachOther) {
  const TemporaryDirectory directory;
  const std::string problem = directory.path() / "cells.json";
  std::ofstream(problem) << Json{
      {"space", {{"type", "nasbench201"}}},
      {"evaluator",
       {{"type", "table"},
        {"file", nasbench201_table},
        {"key", "arch"},
        {"metrics", {{"accuracy", "c10_valid"}}},
        {"report", {{"test_accuracy", "c10_test"}}}}},
      {"objectives", {{{"metric", "accuracy"}}}},
      {"budget", {{"trials", 1000}}},
      {"strategies", {{"random", {{"type", "random"}}}, {"climb", {{"type", "local_search"}}}}}};
  const std::string out = directory.path() / "out";
  const std::vector<std::string> command{"compare",  problem, "--seeds", "10",   "--trials",
                                         "200",      "--at",  "100",     "--at", "200",
                                         "--within", "0.5",   "--out",   out};
  const auto text = espalier(command);
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("test_accuracy of the best accuracy so far, optimum 91.61"));
  EXPECT_THAT(text.out, testing::ContainsRegex("climb +9[0-9.]+\\+-"));
  EXPECT_TRUE(std::filesystem::exists(out + "/comparison.html"));
  std::stringstream csv;
  csv << std::ifstream(out + "/comparison.csv").rdbuf();
  EXPECT_THAT(csv.str(), HasSubstr("\n\"cells\",climb,200,\"test_accuracy\",10,"));
  auto with_json = command;
  with_json.push_back("--json");
  const Json json = espalier(with_json).json();
  EXPECT_EQ(json[0]["strategies"][1]["name"], "climb");
  EXPECT_EQ(json[0]["strategies"][1]["after"].size(), 2u);
  EXPECT_LT(json[0]["strategies"][1]["evaluations_to"]["minus_first"]["high"].get<double>(), 0);
  EXPECT_THAT(espalier({"compare", problem, problem}).err,
              HasSubstr("two configs are named cells"));
}

TEST(Completion, OffersTheOptionsOfEachSubcommand) {
  std::vector<std::string> verbs = completions({""});
  std::erase_if(verbs, [](const std::string& word) { return word.starts_with("-"); });
  EXPECT_THAT(verbs,
              UnorderedElementsAre("search", "pareto", "trials", "describe", "estimate", "score",
                                   "compare", "compare-spaces", "shrink", "rank-check", "predict",
                                   "export", "list", "schema", "report"));
  EXPECT_THAT(completions({"--"}), UnorderedElementsAreArray(options_in_help({})));
  for (const std::string& verb : verbs) {
    EXPECT_THAT(completions({verb, "--"}), UnorderedElementsAreArray(options_in_help({verb})))
        << verb;
  }
}

TEST(Completion, OffersTheNamesThatListShows) {
  const Json all = espalier({"list", "--json"}).json();
  const auto expect = [&](std::vector<std::string> words, const std::string& kind) {
    words.push_back("");
    std::vector<std::string> names;
    for (const Json& entry : all[kind]) names.push_back(entry["name"].get<std::string>());
    EXPECT_THAT(completions(words), UnorderedElementsAreArray(names)) << kind;
  };
  expect({"describe", "--space"}, "spaces");
  expect({"describe", "--net"}, "nets");
  expect({"estimate", "--hardware"}, "devices");
  expect({"score", "--proxy"}, "proxies");
  expect({"predict", "--predictor"}, "predictors");
  expect({"score", "--data"}, "datasets");
  expect({"export", "--format"}, "formats");
  std::vector<std::string> kinds = completions({"list", ""});
  std::erase_if(kinds, [](const std::string& word) { return word.starts_with("-"); });
  EXPECT_THAT(kinds, UnorderedElementsAreArray(keys(all)));
}

// --- The README

TEST(Readme, ItsConfigRuns) {
  const std::string readme = read_file(ESPALIER_SOURCE_DIR "/README.md");
  const std::string fence = "```json\n";
  const std::size_t begin = readme.find(fence) + fence.size();
  ASSERT_LT(begin, readme.size());
  const Json config =
      parse_json(readme.substr(begin, readme.find("```", begin) - begin), "README.md");
  TemporaryDirectory directory;
  const std::string file = (directory.path() / "run.json").string();
  write_file_atomically(file, config.dump());
  // As it is, but for what takes long or may be missing here.
  std::vector<std::string> arguments{
      "search",
      file,
      "--out",
      (directory.path() / "run").string(),
      "--json",
      "--set",
      R"(/data={"type": "synthetic", "input": [1, 28, 28], "classes": 10, "images": 200})",
      "--set",
      "/evaluator/train/epochs=1",
      "--set",
      "/budget/trials=2",
      "--set",
      "/final/train/epochs=1",
      "--set",
      "/final/threads=1",  // beside the other tests
  };
  if (!find_export_format("onnx").available) {
    arguments.insert(arguments.end(), {"--set", "/final/export=[]"});
  }
  const Outcome outcome = espalier(arguments);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_FALSE(outcome.json()["trials"].empty()) << outcome.err;
}

TEST(Program, AFullDiskOnStdoutIsCode3) {
  // A pipe's reader that is gone ends the program; a full disk must not look like success.
  TemporaryDirectory directory;
  const int saved = ::dup(1);
  std::fflush(stdout);
  const int full = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  ::dup2(full, 1);
  std::vector<std::string> arguments{"espalier", "schema"};
  std::vector<char*> argv{arguments[0].data(), arguments[1].data()};
  testing::internal::CaptureStderr();
  const int code = run_program(2, argv.data(), Catalogue::standard());
  const std::string err = testing::internal::GetCapturedStderr();
  ::dup2(saved, 1);
  ::close(saved);
  ::close(full);
  std::clearerr(stdout);
  EXPECT_EQ(code, 3);
  EXPECT_THAT(err, HasSubstr("stdout: cannot be written: No space left on device"));
}

TEST(Program, ARunInWhichAllTrialsFailIsCode4) {
  TemporaryDirectory directory;
  Json config = small_run();
  config["evaluator"] = {{"type", "command"}, {"argv", {"false"}}, {"metrics", {"accuracy"}}};
  config.erase("final");
  const std::string file = (directory.path() / "run.json").string();
  const std::string out = (directory.path() / "run").string();
  write_file_atomically(file, config.dump());
  const Outcome outcome = espalier({"search", file, "--out", out});
  EXPECT_EQ(outcome.code, 4);
  EXPECT_THAT(outcome.err, HasSubstr("all trials failed"));
  EXPECT_THAT(outcome.err, HasSubstr("trials failed, the first (0): false: exit code 1"));
  const Json trials = espalier({"trials", out, "--json"}).json()["trials"];
  ASSERT_EQ(trials.size(), 4u);
  EXPECT_EQ(trials[0]["state"], "failed");
  EXPECT_THAT(trials[0]["error"].get<std::string>(), HasSubstr("exit code 1"));
  EXPECT_THAT(espalier({"trials", out}).out, HasSubstr("failed: false: exit code 1"));
  EXPECT_THAT(espalier({"pareto", out}).err, HasSubstr("no trial is complete yet"));
}

TEST(Program, ARunWithoutAFeasibleTrialIsCode0WithAWarning) {
  TemporaryDirectory directory;
  Json config = small_run();
  config["constraints"] = {{{"metric", "params"}, {"max", 1}}};
  const std::string file = (directory.path() / "run.json").string();
  write_file_atomically(file, config.dump());
  const std::string out = (directory.path() / "run").string();
  const Outcome outcome = espalier({"search", file, "--out", out});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("no trial keeps the constraints, so nothing was chosen; the "
                                     "nearest, trial "));
  const Outcome front = espalier({"pareto", out, "--json"});
  EXPECT_EQ(front.code, 0);
  EXPECT_TRUE(front.json()["trials"].empty());
  EXPECT_THAT(front.err, HasSubstr("no trial keeps the constraints yet; the nearest, trial "));
  EXPECT_THAT(front.err, HasSubstr("(at most 1)"));
  // That of the fewest params.
  const Json trials = espalier({"trials", out, "--json"}).json()["trials"];
  double fewest = std::numeric_limits<double>::infinity();
  std::uint64_t nearest = 0;
  for (const Json& trial : trials) {
    const double params = trial["metrics"]["params"].get<double>();
    if (params >= fewest) continue;
    fewest = params;
    nearest = trial["id"].get<std::uint64_t>();
  }
  EXPECT_EQ(front.json()["nearest"], nearest);
}

// --- A program of the user's

class OneDecision : public SearchSpace {
 public:
  OneDecision() : SearchSpace({{.name = "width", .options = {"4", "8"}}}) {}
  Graph build(const Architecture& a) const override {
    require_valid(a);
    GraphBuilder builder;
    const NodeId input = builder.input(1, 8, 8);
    const NodeId x = builder.conv(input, a.choices[0] == 0 ? 4 : 8, {.kernel = 3});
    builder.output(builder.linear(builder.flatten(builder.global_avg_pool(x)), 4));
    return builder.build();
  }
};

TEST(Program, KnowsWhatAUsersMainAdds) {
  struct NoOptions {};
  Catalogue catalogue = Catalogue::standard();
  catalogue.spaces.add("mine", OptionTable<NoOptions>("a space of my own"),
                       [](const NoOptions&) { return std::make_unique<OneDecision>(); });
  catalogue.proxies["width"] = {
      .doc = "the width", .score = [](const ProxyInput& input) {
        return static_cast<double>(input.network.architecture().choices[0]);
      }};
  Device device = catalogue.devices[0];
  device.name = "my_board";
  catalogue.add_device(device);
  TemporaryDirectory directory;
  const std::string file = (directory.path() / "run.json").string();
  const std::string out = (directory.path() / "run").string();
  write_file_atomically(
      file, Json{{"space", {{"type", "mine"}}},
                 {"evaluator", {{"type", "zero_cost"}, {"proxies", {"width"}}}},
                 {"strategy", {{"type", "random"}}},
                 {"hardware", {{{"type", "roofline"}, {"device", "my_board"}}}},
                 {"objectives", {{{"metric", "width"}}, {{"metric", "latency_ms@my_board"}}}},
                 {"budget", {{"trials", 10}}}}
                .dump());
  const Outcome outcome = espalier({"search", file, "--out", out}, catalogue);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(espalier({"pareto", out, "--json"}, catalogue).json()["trials"].size(), 2u);
  EXPECT_EQ(espalier({"pareto", out}).code, 2);  // the standard program lacks the space
  EXPECT_THAT(espalier({"list", "spaces"}, catalogue).out, HasSubstr("a space of my own"));
}

}  // namespace
}  // namespace espalier
