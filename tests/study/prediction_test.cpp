#include "study/prediction.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <fstream>

#include "core/error.hpp"
#include "core/stats.hpp"
#include "hw_models/lookup_table.hpp"
#include "study/config.hpp"
#include "study/search.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Predicts the params of a network, or the mean of what it learned, plus what it draws.
struct FakeOptions {
  bool knows = true;
  double noise = 0;
};
class Fake : public Predictor {
 public:
  Fake(const FakeOptions& options, Rng rng) : options_(options), rng_(rng) {}
  void fit(std::span<const Features> networks, std::span<const double> values) override {
    check_fit_arguments(networks, values);
    if (networks.size() == 13) throw NumericalError("it is unlucky");
    mean_ = mean(values);
  }
  std::vector<Prediction> predict(std::span<const Features> networks) const override {
    Rng rng = rng_;
    std::vector<Prediction> predictions;
    for (const Features& network : networks) {
      const double noise = options_.noise * rng.normal();
      predictions.push_back(
          {.mean = (options_.knows ? std::expm1(network.costs[1]) : mean_) + noise, .variance = 4});
    }
    return predictions;
  }

 private:
  FakeOptions options_;
  Rng rng_;
  double mean_ = 0;
};

Catalogue with_fake() {
  Catalogue catalogue = Catalogue::standard();
  catalogue.predictors.add("fake",
                           OptionTable<FakeOptions>("for tests")
                               .add("knows", &FakeOptions::knows, "params")
                               .add("noise", &FakeOptions::noise, "deviation"),
                           [](const FakeOptions& options, const PredictorContext& context) {
                             return std::make_unique<Fake>(options, context.rng);
                           });
  return catalogue;
}

KnownNetworks some_networks() {
  KnownNetworks known{.space = space_registry().create({{"type", "nasbench201"}}, ""),
                      .metric = "params",
                      .architectures = {},
                      .values = {}};
  for (std::uint32_t a = 0; a < 5; ++a) {
    for (std::uint32_t b = 0; b < 5; ++b) {
      known.architectures.push_back({{a, b, 0, 1, a, 3}});
      known.values.push_back(
          static_cast<double>(known.space->quick_cost(known.architectures.back()).params));
    }
  }
  return known;
}

std::vector<PredictorCheck> checks(const PredictionCheckOptions& options,
                                   const std::vector<NamedPredictor>& predictors) {
  std::vector<PredictorCheck> all;
  EXPECT_TRUE(check_predictors(some_networks(), predictors, options, with_fake(),
                               [&](const PredictorCheck& check) { all.push_back(check); }));
  return all;
}

TEST(CheckPredictors, SaysHowNetworksHeldOutAreRanked) {
  const std::vector<NamedPredictor> predictors{{"knows", {{"type", "fake"}}},
                                               {"constant", {{"type", "fake"}, {"knows", false}}},
                                               {"off", {{"type", "fake"}, {"noise", 1000}}}};
  const auto all = checks({.train = {2, 10}, .splits = 4, .held_out = 12}, predictors);
  ASSERT_EQ(all.size(), 6u);
  EXPECT_EQ(all[1].predictor, "knows");
  EXPECT_EQ(all[1].train, 10u);
  EXPECT_EQ(all[1].held_out, 12u);
  EXPECT_THAT(all[0].kendall_tau, testing::Each(testing::DoubleNear(1, 1e-12)));
  EXPECT_THAT(all[0].spearman, testing::Each(testing::DoubleNear(1, 1e-12)));
  EXPECT_THAT(all[0].rmse, testing::Each(testing::Lt(1e-3)));
  EXPECT_THAT(all[2].kendall_tau, ElementsAre(0, 0, 0, 0));
  // The noise alone: 12 draws of deviation 1000.
  for (const double rmse : all[4].rmse) EXPECT_NEAR(rmse, 1000, 700);
  // The same networks are held out and the same is drawn, however many are learned from.
  EXPECT_EQ(all[4].rmse, all[5].rmse);
  EXPECT_NE(all[4].rmse[0], all[4].rmse[1]);
}

TEST(CheckPredictors, ThreadsChangeNothing) {
  const std::vector<NamedPredictor> predictors{
      {"forest", {{"type", "random_forest"}, {"trees", 3}}}};
  const auto one = checks({.train = {8}, .splits = 6}, predictors);
  const auto many = checks({.train = {8}, .splits = 6, .threads = 3}, predictors);
  EXPECT_EQ(one[0].rmse, many[0].rmse);
  const auto other = checks({.train = {8}, .splits = 6, .seed = 2}, predictors);
  EXPECT_NE(one[0].rmse, other[0].rmse);
  // All that are left are held out.
  EXPECT_EQ(one[0].held_out, 17u);
}

TEST(CheckPredictors, StopsAndNamesWhatEndsIt) {
  const std::vector<NamedPredictor> predictors{{"mine", {{"type", "fake"}}}};
  const auto nothing = [](const PredictorCheck&) { ADD_FAILURE(); };
  EXPECT_FALSE(check_predictors(some_networks(), predictors,
                                {.train = {5}, .stop_requested = [] { return true; }}, with_fake(),
                                nothing));
  std::atomic<int> asked = 0;
  EXPECT_FALSE(
      check_predictors(some_networks(), predictors,
                       {.train = {5}, .splits = 3, .stop_requested = [&] { return ++asked > 25; }},
                       with_fake(), nothing));
  EXPECT_THAT(throws<Error>([&] {
                check_predictors(some_networks(), predictors, {.train = {13}}, with_fake(),
                                 nothing);
              }),
              HasSubstr("predictor mine, 13 networks, split 0: it is unlucky"));
  EXPECT_THAT(
      throws<Error>([&] {
        check_predictors(some_networks(), predictors, {.train = {3, 24}}, with_fake(), nothing);
      }),
      HasSubstr("25 networks are known: 24 of them"));
  const std::vector<NamedPredictor> wrong{{"bad", {{"type", "fake"}, {"nois", 1}}}};
  EXPECT_THAT(throws<ConfigError>([&] {
                check_predictors(some_networks(), wrong, {.train = {3}}, with_fake(), nothing);
              }),
              HasSubstr("predictor bad: /nois: unknown key"));
}

TEST(PredictNetworks, LearnsFromAtMostSoMany) {
  const KnownNetworks known = some_networks();
  const NamedPredictor mean_only{"mean", {{"type", "fake"}, {"knows", false}}};
  const auto predict = [&](std::size_t most, std::uint64_t seed) {
    return predict_networks(known, mean_only, std::span(known.architectures).first(2), most, seed,
                            {}, with_fake());
  };
  ASSERT_EQ(predict(25, 1).size(), 2u);
  EXPECT_DOUBLE_EQ(predict(25, 1)[0].mean, mean(known.values));
  EXPECT_EQ(predict(25, 1)[0].variance, 4);
  EXPECT_NE(predict(3, 1)[0].mean, mean(known.values));
  EXPECT_EQ(predict(3, 1)[0].mean, predict(3, 1)[0].mean);
  EXPECT_NE(predict(3, 1)[0].mean, predict(3, 2)[0].mean);
}

TEST(KnownNetworksOf, ATableAndARun) {
  const TemporaryDirectory directory;
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(directory.path() / name) << text;
    return (directory.path() / name).string();
  };
  const std::string a = "|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|",
                    b = "|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|",
                    c = "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|";
  const std::string table =
      write("table.csv", "arch,acc,test\n\"" + a + "\",3,5\n\"" + b + "\",,6\n\"" + c + "\",4,\n");
  Json config = {{"space", {{"type", "nasbench201"}}},
                 {"evaluator",
                  {{"type", "table"},
                   {"file", table},
                   {"key", "arch"},
                   {"metrics", {{"accuracy", "acc"}}},
                   {"report", {{"test", "test"}}}}},
                 {"objectives", {{{"metric", "accuracy"}}}},
                 {"budget", {{"trials", 3}}},
                 {"strategy", {{"type", "random"}, {"initial", {a, b, c}}}}};
  const Catalogue catalogue = Catalogue::standard();
  const std::string file = write("config.json", config.dump());
  const std::vector<std::string> proxies{"params"};
  const auto read = [&](const std::string& source, const std::optional<std::string>& metric) {
    return read_known_networks(source, metric, proxies, catalogue);
  };
  const KnownNetworks of_table = read(file, {});
  EXPECT_EQ(of_table.metric, "accuracy");
  // b has no accuracy; skip_connect is the option before the convolutions.
  EXPECT_THAT(of_table.values, ElementsAre(4, 3));
  EXPECT_EQ(of_table.space->to_string(of_table.architectures[1]), a);
  const double params =
      static_cast<double>(of_table.space->quick_cost(of_table.architectures[1]).params);
  EXPECT_THAT(of_table.scores(of_table.architectures[1]), ElementsAre(params));
  EXPECT_EQ(read(file, "params").values.size(), 3u);
  // Without a value of a metric for reports only, one network is left.
  EXPECT_THAT(throws<Error>([&] { read(write("one.json", config.dump()), "test"); }),
              HasSubstr("has 1 networks with the metric test"));
  EXPECT_THAT(throws<ConfigError>([&] { read(file, "acuracy"); }),
              HasSubstr("did you mean \"accuracy\"?"));

  const std::string run = directory.path() / "run";
  run_search(read_config(config, catalogue), catalogue, {.directory = run});
  const KnownNetworks of_run = read(run, {});
  EXPECT_THAT(of_run.values, ElementsAre(3, 4));
  EXPECT_THAT(read(run, "macs").values.size(), 2u);
  EXPECT_THROW(read(run, "acuracy"), ConfigError);
}

TEST(KnownNetworksOf, NetworksThatAHardwareTableDoesNotCoverAreLeftOut) {
  const TemporaryDirectory directory;
  const std::string convolution = "|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|",
                    missing = "|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|",
                    skip = "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|";
  const std::string table = directory.path() / "table.csv", board = directory.path() / "board.csv",
                    file = directory.path() / "config.json";
  std::ofstream(table) << "arch,acc\n\"" << convolution << "\",3\n\"" << missing << "\",5\n\""
                       << skip << "\",4\n";
  const auto space = space_registry().create({{"type", "nasbench201"}}, "");
  std::vector<Graph> measured;
  for (const std::string& arch : {convolution, skip}) {
    measured.push_back(Network(*space, space->parse(arch)).graph());
  }
  std::ofstream(board) << make_lookup_table(
      measured, {}, [](const Graph&, const Part&) { return HardwareCost{.latency_ms = 1}; });
  std::ofstream(file) << Json{
      {"space", {{"type", "nasbench201"}}},
      {"evaluator",
       {{"type", "table"}, {"file", table}, {"key", "arch"}, {"metrics", {{"accuracy", "acc"}}}}},
      {"hardware", {{{"type", "lookup_table"}, {"file", board}}}},
      {"objectives", {{{"metric", "accuracy"}}}},
      {"budget", {{"trials", 3}}},
      {"strategy", {{"type", "random"}}}};
  const KnownNetworks known =
      read_known_networks(file, "latency_ms@board", {}, Catalogue::standard());
  std::vector<std::string> archs;
  for (const Architecture& a : known.architectures) archs.push_back(space->to_string(a));
  EXPECT_THAT(archs, testing::UnorderedElementsAre(convolution, skip));
  for (std::size_t i = 0; i < archs.size(); ++i) {
    const auto parts = split_into_parts(measured[archs[i] == skip ? 1 : 0], {});
    EXPECT_EQ(known.values[i], static_cast<double>(parts.size())) << archs[i];
  }
}

}  // namespace
}  // namespace espalier
