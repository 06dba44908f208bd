#include "study/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/error.hpp"
#include "evaluators/process.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Json small_config() {
  return {{"space", {{"type", "nasbench201"}}},
          {"evaluator", {{"type", "zero_cost"}, {"proxies", {"params"}}}},
          {"strategy", {{"type", "random"}}},
          {"objectives", {{{"metric", "params"}, {"goal", "minimize"}}}},
          {"budget", {{"trials", 5}}}};
}

// A shipped config, and everything that can be said.
std::vector<Json> good_configs() {
  std::vector<Json> configs;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(ESPALIER_SOURCE_DIR) + "/configs")) {
    if (entry.is_regular_file()) configs.push_back(read_json_file(entry.path()));
  }
  configs.push_back(small_config());
  Json full = small_config();
  full["$schema"] = "espalier.schema.json";
  full["seed"] = 7;
  full["data"] = {{"type", "synthetic"}, {"images", 100}};
  full["space"] = {{"type", "mobilenet_v3"},
                   {"input", {1, 28, 28}},
                   {"classes", 10},
                   {"compression", {{"channels", {0.5, 1.0}}, {"weight_bits", {4, 8}}}}};
  full["evaluator"] = {
      {"type", "composite"},
      {"members", {{{"type", "train"}, {"train", {{"epochs", 2}}}}, {{"type", "hardware"}}}}};
  full["strategy"] = {{"type", "regularized_evolution"},
                      {"population", 5},
                      {"initial", {{{"stage1.depth", "2"}}}},
                      {"screen", {{"metrics", {"synflow"}}, {"samples", 4}}}};
  full["compute"] = {{"device", "cpu"}, {"workers", 2}, {"batch", 4}, {"threads_per_trial", 1}};
  full["hardware"] = {{{"type", "roofline"}, {"device", "cortex_m7"}, {"name", "mcu"}}};
  full["objectives"] = {{{"metric", "accuracy"}}, {{"metric", "latency_ms@mcu"}}};
  full["constraints"] = {{{"metric", "params"}, {"max", 5e5}},
                         {{"metric", "accuracy"}, {"min", 10}, {"max", 100}}};
  full["budget"] = {{"trials", 10}, {"minutes", 0.5}};
  full["baseline"] = {{"net", "mobilenet_v3_small"}};
  full["final"] = {{"choose", "knee"},
                   {"train", {{"epochs", 3}, {"optimizer", "adamw"}}},
                   {"threads", 2},
                   {"export", {"onnx", "torchscript", "json", "dot"}}};
  configs.push_back(full);
  return configs;
}

// Whether all that `part` says is in `whole`.
bool holds(const Json& whole, const Json& part) {
  if (!part.is_structured()) return whole == part;
  if (whole.type() != part.type()) return false;
  if (part.is_array() && whole.size() != part.size()) return false;
  const Json whole_items = whole.flatten(), part_items = part.flatten();
  for (const auto& [pointer, value] : part_items.items()) {
    if (!whole_items.contains(pointer) || whole_items[pointer] != value) return false;
  }
  return true;
}

TEST(Config, ReadingAndWritingAreInverse) {
  const Catalogue catalogue = Catalogue::standard();
  for (const Json& config : good_configs()) {
    const Json resolved = write_config(read_config(config, catalogue), catalogue);
    EXPECT_EQ(write_config(read_config(resolved, catalogue), catalogue), resolved);
    EXPECT_TRUE(holds(resolved, config)) << resolved.dump(2);  // nothing is lost or changed
    EXPECT_EQ(resolved["compute"].size(), 4u);
  }
}

struct Broken {
  std::string assignment;  // to small_config, as for --set
  std::string message;     // the beginning of the error
};

const std::vector<Broken>& broken_configs() {
  static const std::vector<Broken> broken{
      {"/sed=1", "/sed: unknown key"},
      {"/seed=-1", "/seed: expected a value >= 0, got -1"},
      {"/seed=\"1\"", "/seed: expected an integer, got string \"1\""},
      {"/space/typo=1", "/space/typo: unknown key"},
      {"/space/type=nasbench202",
       "/space/type: unknown space \"nasbench202\"; did you mean "
       "\"nasbench201\"?"},
      {"/space=7", "/space: expected an object, got integer 7"},
      {"/strategy/type=evolution", "/strategy/type: unknown strategy"},
      {"/strategy/replacement=maybe", "/strategy/replacement: expected a boolean"},
      {"/strategy/screen={}", "/strategy/screen"},
      {"/strategy/screen={\"metrics\": [\"synflow\"], \"samples\": 1}",
       "/strategy/screen/samples: expected a value >= 2, got 1"},
      {"/evaluator/proxies=[]", "/evaluator/proxies: expected an array of 1 or more elements"},
      {"/evaluator={\"type\": \"composite\", \"members\": [{\"type\": \"tabel\"}]}",
       "/evaluator/members/0/type: unknown evaluator \"tabel\"; did you mean \"table\"?"},
      {"/objectives=[]", "/objectives: expected an array of 1 or more elements, got 0"},
      {"/objectives/0/goal=max", "/objectives/0/goal: unknown value \"max\""},
      {"/objectives/0/metrik=x", "/objectives/0/metrik: unknown key"},
      {"/constraints=[{\"metric\": 5, \"max\": 1}]", "/constraints/0/metric: expected a string"},
      {"/budget={}", "/budget: needs \"trials\", \"evaluations\" or \"minutes\""},
      {"/budget/trials=0", "/budget/trials: expected a value >= 1, got 0"},
      {"/budget/trials=1.5", "/budget/trials: expected an integer"},
      {"/budget/minutes=0", "/budget/minutes: expected a value > 0, got 0"},
      {"/compute/workers=0", "/compute/workers: expected a value 1 to 1024, got 0"},
      {"/compute/threads=2", "/compute/threads: unknown key"},
      {"/hardware=[{\"type\": \"roofline\", \"devise\": 1}]", "/hardware/0/devise: unknown key"},
      {"/hardware={}", "/hardware: expected an array, got object"},
      {"/baseline={\"net\": \"resnet19\"}", "/baseline/net: unknown value \"resnet19\""},
      {"/final/export=[\"onx\"]", "/final/export/0: unknown value \"onx\""},
      {"/final/choose=best", "/final/choose: unknown value \"best\""},
      {"/final/train/epochs=0", "/final/train/epochs: expected a value 1 to"},
  };
  return broken;
}

// Checks across options are beyond a schema.
const std::vector<Broken>& contradicting_configs() {
  static const std::vector<Broken> broken{
      {"/constraints=[{\"metric\": \"params\"}]", "/constraints/0: needs \"min\" or \"max\""},
      {"/constraints=[{\"metric\": \"params\", \"min\": 2, \"max\": 1}]",
       "/constraints/0/min: 2 is above \"max\", which is 1"},
      {"/baseline={}", "/baseline: needs either \"net\" or \"architecture\""},
      {"/baseline={\"net\": \"resnet18\", \"architecture\": {}}",
       "/baseline: needs either \"net\" or \"architecture\""},
      {"/final={\"train\": {}}", "/final/train: training needs images: add \"data\""},
      {"/final={\"export\": [\"json\", \"onnx\"]}",
       "/final/export/1: \"onnx\" holds weights: add \"train\""},
  };
  return broken;
}

TEST(Config, MistakesAreNamedByTheirPlace) {
  const Catalogue catalogue = Catalogue::standard();
  for (const auto* group : {&broken_configs(), &contradicting_configs()}) {
    for (const Broken& broken : *group) {
      Json config = small_config();
      set_value(config, broken.assignment);
      EXPECT_THAT(throws<ConfigError>([&] { read_config(config, catalogue); }),
                  StartsWith(broken.message))
          << broken.assignment;
    }
  }
  for (const char* key : {"space", "evaluator", "strategy", "objectives", "budget"}) {
    Json config = small_config();
    config.erase(key);
    EXPECT_THAT(throws<ConfigError>([&] { read_config(config, catalogue); }), HasSubstr(key));
  }
  EXPECT_EQ(throws<ConfigError>([&] { read_config(Json::array(), catalogue); }),
            "expected an object, got array");
}

TEST(Config, ValuesAreSetByTheirPointer) {
  Json config = small_config();
  set_value(config, "/budget/trials=7");
  set_value(config, "/objectives/0/goal=maximize");
  set_value(config, "/final/train/epochs=2");
  set_value(config, "/strategy/a~1b= spaces = kept ");
  set_value(config, "/space={\"type\": \"chain\"}");
  EXPECT_EQ(config["budget"]["trials"], 7);
  EXPECT_EQ(config["objectives"][0]["goal"], "maximize");
  EXPECT_EQ(config["final"], (Json{{"train", {{"epochs", 2}}}}));
  EXPECT_EQ(config["strategy"]["a/b"], " spaces = kept ");
  EXPECT_EQ(config["space"], (Json{{"type", "chain"}}));

  const auto message = [&](const std::string& assignment) {
    return throws<ConfigError>([&] { set_value(config, assignment); });
  };
  EXPECT_THAT(message("budget=7"), HasSubstr("is not of the form /json/pointer=value"));
  EXPECT_THAT(message("/budget"), HasSubstr("is not of the form /json/pointer=value"));
  EXPECT_THAT(message("/a~2=7"), HasSubstr("\"/a~2\" is not a JSON pointer"));
  EXPECT_EQ(message("/budget/trials/x=7"),
            "/budget/trials/x: cannot be set: \"x\" is not a part of 7");
  EXPECT_THAT(message("/objectives/1/goal=x"), HasSubstr("\"1\" is not a part of ["));
  EXPECT_THAT(message("/objectives/99999999999/goal=x"), HasSubstr("cannot be set"));
}

TEST(Config, TwoModelsOfOneNameAreRefused) {
  const Catalogue catalogue = Catalogue::standard();
  Json config = small_config();
  config["hardware"] = {{{"type", "roofline"}, {"device", "cortex_m7"}},
                        {{"type", "roofline"}, {"device", "cortex_a76"}, {"name", "cortex_m7"}}};
  EXPECT_EQ(
      throws<ConfigError>([&] { hardware_models(read_config(config, catalogue), catalogue); }),
      "/hardware/1/name: two models are named \"cortex_m7\"; give them different names");
  config["hardware"][1]["name"] = "other";
  const auto models = hardware_models(read_config(config, catalogue), catalogue);
  const std::vector<NetworkMetric> metrics = network_metrics(models);
  EXPECT_EQ(metrics.size(), 4u + 2 * 2);
  EXPECT_EQ(metrics.back().info.name, "energy_mj@other");
}

TEST(Config, ADeviceOfTheUsersIsFound) {
  Catalogue catalogue = Catalogue::standard();
  Device device = catalogue.devices[0];
  device.name = "my_board";
  catalogue.add_device(device);
  catalogue.add_device(device);  // replaces it
  EXPECT_EQ(catalogue.devices.size(), Catalogue::standard().devices.size() + 1);
  Json config = small_config();
  config["hardware"] = {{{"type", "roofline"}, {"device", "my_board"}}};
  EXPECT_EQ(hardware_models(read_config(config, catalogue), catalogue)[0]->name(), "my_board");
}

// Debian's jsonschema decides which configs the schema accepts.
TEST(Config, TheSchemaAcceptsWhatIsReadAndNothingElse) {
  TemporaryDirectory directory;
  Json configs = Json::array();
  for (const Json& config : good_configs()) configs.push_back(config);
  for (const char* folder : {"/configs/compare", "/configs/compare_models"}) {
    for (const auto& entry :
         std::filesystem::directory_iterator(std::string(ESPALIER_SOURCE_DIR) + folder)) {
      configs.push_back(read_json_file(entry.path()));
    }
  }
  const std::size_t good = configs.size();
  Json both = small_config(), none = small_config();
  both["strategies"] = {{"one", both["strategy"]}};
  none.erase("strategy");
  none["strategies"] = Json::object();
  configs.push_back(both);
  configs.push_back(none);
  for (const Broken& broken : broken_configs()) {
    configs.push_back(small_config());
    set_value(configs.back(), broken.assignment);
  }
  for (const char* key : {"space", "evaluator", "strategy", "objectives", "budget"}) {
    configs.push_back(small_config());
    configs.back().erase(key);
  }
  // "needs trials or minutes" is a check across options.
  write_file_atomically(directory.path() / "schema.json",
                        config_schema(Catalogue::standard()).dump());
  write_file_atomically(directory.path() / "configs.json", configs.dump());
  const auto result = detail::run_process(
      {"python3", "-c",
       "import json, sys, jsonschema\n"
       "schema = json.load(open(sys.argv[1]))\n"
       "jsonschema.Draft202012Validator.check_schema(schema)\n"
       "validator = jsonschema.Draft202012Validator(schema)\n"
       "print(json.dumps([[e.json_path + ': ' + e.message[:200]\n"
       "    for e in validator.iter_errors(c)] for c in json.load(open(sys.argv[2]))]))\n",
       (directory.path() / "schema.json").string(), (directory.path() / "configs.json").string()},
      "", 120);
  ASSERT_EQ(result.exit_code, 0) << result.error_tail;
  const Json errors = Json::parse(result.output);
  for (std::size_t i = 0; i < configs.size(); ++i) {
    EXPECT_EQ(errors[i].empty(), i < good || configs[i]["budget"] == Json::object())
        << configs[i].dump() << "\n"
        << errors[i].dump(2);
  }
}

}  // namespace
}  // namespace espalier
