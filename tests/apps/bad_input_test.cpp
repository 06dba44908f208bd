// What is wrong with a run's input is said, with the right exit code, and nothing is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>

#include "core/rng.hpp"
#include "exporters/architecture_file.hpp"
#include "search_spaces/catalogue.hpp"
#include "tests/apps/run_espalier.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/study/small_run.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

class BadInput : public testing::Test {
 protected:
  Outcome search(const Json& config, const std::vector<std::string>& more = {}) {
    return search_text(config.dump(), more);
  }
  Outcome search_text(const std::string& text, const std::vector<std::string>& more = {}) {
    const std::string file = path("config.json");
    write_file_atomically(file, text);
    std::vector<std::string> arguments{"search", file, "--out", path("run")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return espalier(arguments);
  }
  std::string path(const std::string& name) const { return (directory_.path() / name).string(); }
  bool nothing_begun() const { return !std::filesystem::exists(path("run")); }

  TemporaryDirectory directory_;
};

TEST_F(BadInput, Configs) {
  const auto expect = [&](const Outcome& outcome, const std::string& message) {
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(message));
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(nothing_begun());
  };
  expect(search_text("{\"seed\": 1,}"), "config.json: not valid JSON at line 1, column 12");
  expect(search_text("{\"seed\": 1, \"seed\": 2}"), "the key \"seed\" occurs twice");
  expect(search_text(""), "config.json");
  expect(search_text("[]"), "expected an object, got array");
  Json config = small_run();
  config["strategy"]["poplation"] = 5;
  expect(search(config), "/strategy/poplation: unknown key");
  expect(search(small_run(), {"--set", "/budget/trials=0"}), "/budget/trials: expected a value");
  expect(search(small_run(), {"--set", "/evaluator/train/epochs=ten"}),
         "/evaluator/train/epochs: expected an integer, got string \"ten\"");
  expect(search(small_run(), {"--set", "nonsense"}), "is not of the form /json/pointer=value");
}

TEST_F(BadInput, MissingAndTruncatedTables) {
  Json config = small_run();
  config.erase("data");
  config.erase("final");
  config["evaluator"] = {{"type", "table"},
                         {"file", path("table.csv")},
                         {"key", "arch"},
                         {"metrics", {{"accuracy", "acc"}}}};
  const auto expect = [&](const std::string& message) {
    const Outcome outcome = search(config);
    EXPECT_EQ(outcome.code, 3) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(message));
    EXPECT_TRUE(nothing_begun());
  };
  expect("table.csv");
  const auto space = space_registry().create(config["space"], "");
  Architecture a{std::vector<std::uint32_t>(space->decisions().size(), 0)};
  const std::string row = "\"" + space->to_string(space->canonical(a)) + "\",12.5\n";
  write_file_atomically(path("table.csv"), "arch,acc\n" + row.substr(0, row.size() - 6));
  expect("line 2");
  write_file_atomically(path("table.csv"), "arch,acc\n" + row + row);
  expect("line 3");
  write_file_atomically(path("table.csv"), "arch,accuracy\n" + row);
  expect("\"acc\"");
  config["hardware"][0] = {{"type", "lookup_table"}, {"file", path("missing.csv")}};
  expect("missing.csv");
}

TEST_F(BadInput, ACorruptRecordIsLeftAsItIs) {
  ASSERT_EQ(search(small_run()).code, 0);
  const std::string file = path("run/run.db");
  std::string text = read_file(file);
  for (std::size_t i = 4096; i < text.size(); i += 7) text[i] = static_cast<char>(text[i] ^ 0x55);
  std::ofstream(file, std::ios::binary) << text;
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"pareto", path("run")},
                                             {"trials", path("run"), "--json"},
                                             {"report", path("run"), "--out", path("x.html")}}) {
    const Outcome outcome = espalier(arguments);
    EXPECT_EQ(outcome.code, 3) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("run.db"));
    EXPECT_EQ(outcome.out, "");
  }
  const Outcome resumed = search(small_run(), {"--resume"});
  EXPECT_EQ(resumed.code, 3);
  EXPECT_THAT(resumed.err, HasSubstr("run.db: is damaged"));
  EXPECT_EQ(read_file(file), text);
}

TEST_F(BadInput, ADirectoryWithOtherThingsIsNotTouched) {
  std::filesystem::create_directory(path("run"));
  std::ofstream(path("run/notes.txt")) << "mine";
  const Outcome outcome = search(small_run());
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("exists already and is not an empty directory"));
  EXPECT_EQ(read_file(path("run/notes.txt")), "mine");
}

TEST_F(BadInput, AFullDisk) {
  std::filesystem::create_directory(path("disk"));
  if (::mount("tmpfs", path("disk").c_str(), "tmpfs", 0, "size=3m") != 0) {
    GTEST_SKIP() << "only root can make a small file system";
  }
  Json config = small_run();
  config["evaluator"] = {{"type", "zero_cost"}, {"proxies", {"params"}}};
  config["objectives"] = {{{"metric", "params"}, {"goal", "minimize"}}};
  config["strategy"] = {{"type", "random"}, {"replacement", true}};
  config["budget"]["trials"] = 1000000;
  config.erase("final");
  write_file_atomically(path("config.json"), config.dump());
  const Outcome outcome = espalier({"search", path("config.json"), "--out", path("disk/run")});
  EXPECT_EQ(outcome.code, 3) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("the disk is full"));
  EXPECT_GT(espalier({"trials", path("disk/run"), "--json"}).json()["trials"].size(), 10u);
  ::umount(path("disk").c_str());
}

// --- Mutations of good input: an answer or a message, never a crash

// One random change somewhere in a document.
void mutate(Json& json, Rng& rng) {
  static const std::vector<Json> values{nullptr,
                                        true,
                                        -1,
                                        0,
                                        1,
                                        7,
                                        1e9,
                                        -1e18,
                                        0.5,
                                        1e308,
                                        "",
                                        "x",
                                        "nor_conv_3x3",
                                        "\xff\xfe",
                                        Json::array(),
                                        Json::object(),
                                        Json::array({1, 2, 3}),
                                        {{"type", "chain"}},
                                        18446744073709551615u,
                                        std::string(10000, 'a')};
  Json* place = &json;
  while (place->is_structured() && !place->empty() && rng.bernoulli(0.8)) {
    const auto index = static_cast<std::ptrdiff_t>(rng.below(place->size()));
    place = &*std::next(place->begin(), index);
  }
  switch (rng.below(4)) {
    case 0:
      *place = values[rng.below(values.size())];
      break;
    case 1:
      if (place->is_object()) {
        (*place)["x" + std::to_string(rng.below(10))] = values[rng.below(values.size())];
      } else if (place->is_array() && !place->empty()) {
        place->push_back(place->front());
      } else if (place->is_number()) {
        *place = place->get<double>() * rng.uniform() * 4;
      }
      break;
    case 2:
      if (place->is_structured() && !place->empty()) {
        place->erase(
            std::next(place->begin(), static_cast<std::ptrdiff_t>(rng.below(place->size()))));
      }
      break;
    default:
      if (place->is_number_integer()) *place = rng.uniform_int(-2, 300);
      if (place->is_string()) *place = place->get<std::string>() + "_";
  }
}

TEST_F(BadInput, MutatedConfigs) {
  Rng rng(1);
  int ran = 0;
  for (int i = 0; i < 400; ++i) {
    Json config = small_run();
    config["evaluator"] = {{"type", "zero_cost"}, {"proxies", {"params", "macs"}}};
    config["objectives"] = {{{"metric", "params"}, {"goal", "minimize"}}, {{"metric", "macs"}}};
    config["baseline"] = {{"architecture", {{"stage1.depth", "2"}}}};
    config["strategy"]["screen"] = {{"metrics", {"params"}}, {"samples", 3}};
    for (std::uint64_t changes = 1 + rng.below(3); changes > 0; --changes) mutate(config, rng);
    if (config.is_object()) {
      // What would only take long, or all memory.
      config.erase("data");
      config.erase("final");
      config.erase("compute");
      if (config.contains("budget") && config["budget"].is_object()) config["budget"]["trials"] = 2;
    }
    std::filesystem::remove_all(path("run"));
    const Outcome outcome = search_text(config.dump(-1, ' ', false, Json::error_handler_t::ignore));
    EXPECT_TRUE(outcome.code == 0 || outcome.code == 2 || outcome.code == 3 || outcome.code == 4)
        << outcome.code << "\n"
        << config.dump(-1, ' ', false, Json::error_handler_t::replace);
    EXPECT_EQ(outcome.err.find("std::"), std::string::npos) << outcome.err;
    EXPECT_TRUE(outcome.code == 0 || outcome.err.find("error: ") != std::string::npos);
    ran += outcome.code == 0;
  }
  EXPECT_GT(ran, 20);
  EXPECT_LT(ran, 380);
}

TEST_F(BadInput, MutatedArchitectureFiles) {
  const auto space = space_registry().create(small_run()["space"], "");
  const Architecture a{std::vector<std::uint32_t>(space->decisions().size(), 0)};
  const Json good = to_json(ArchitectureFile{.space = small_run()["space"],
                                             .architecture = architecture_to_json(*space, a),
                                             .graph = space->build(a)});
  const std::string file = path("architecture.json");
  Rng rng(2);
  int accepted = 0;
  for (int i = 0; i < 400; ++i) {
    Json json = good;
    for (std::uint64_t changes = 1 + rng.below(3); changes > 0; --changes) mutate(json, rng);
    std::string text = json.dump(-1, ' ', false, Json::error_handler_t::ignore);
    if (i % 4 == 0) text.resize(rng.below(text.size() + 1));
    if (i % 4 == 1 && !text.empty()) text[rng.below(text.size())] ^= static_cast<char>(rng.next());
    write_file_atomically(file, text);
    const std::vector<std::vector<std::string>> commands{
        {"describe", file, "--json"},
        {"describe", "--space-file", file, "--arch-file", file, "--json"},
        {"estimate", file, "--hardware", "cortex_m7", "--json"}};
    const Outcome outcome = espalier(commands[static_cast<std::size_t>(i) % commands.size()]);
    EXPECT_TRUE(outcome.code == 0 || outcome.code == 2 || outcome.code == 3 || outcome.code == 4)
        << text;
    accepted += outcome.code == 0;
    if (outcome.code == 0) {
      outcome.json();
    } else {
      EXPECT_THAT(outcome.err, HasSubstr("error: "));
    }
  }
  EXPECT_GT(accepted, 10);
  EXPECT_LT(accepted, 390);
}

}  // namespace
}  // namespace espalier
