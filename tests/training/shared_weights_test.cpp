#include "training/shared_weights.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/error.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/restriction.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/training/images.hpp"
#include "tests/training/module_state.hpp"
#include "training/gradient_matching.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

std::shared_ptr<const SearchSpace> cells(const Json& more = Json::object()) {
  Json config = {
      {"type", "nasbench201"}, {"input", {1, 8, 8}}, {"classes", 4}, {"channels", 4}, {"cells", 1}};
  config.update(more);
  return space_registry().create(config, "");
}

SupernetOptions options_of(const SplitOptions& split, int epochs = 4) {
  SupernetOptions options{.train = {.epochs = epochs, .batch_size = 32, .learning_rate = 0.05}};
  options.split = split;
  if (split.by == SplitKind::gradient_matching) options.split.batches = 2;
  return options;
}

const SplitOptions by_decision{.by = SplitKind::decision, .decision = "edge0_2"};
const SplitOptions by_gradients{.by = SplitKind::gradient_matching, .times = 2};

Architecture of_part(const SearchSpace& space, const SpacePart& part, const Architecture& a) {
  const auto& restricted = dynamic_cast<const RestrictedSpace&>(*part.space);
  const auto* whole = dynamic_cast<const RestrictedSpace*>(&space);
  return restricted.lower(whole == nullptr ? a : whole->lift(a)).value();
}

TEST(SharedWeights, WithoutASplitThereIsOneSupernet) {
  const auto space = cells();
  SharedWeights weights(space, {});
  const TrainResult result = weights.train(*small_data(), options_of({}, 2), Rng(1));
  EXPECT_EQ(result.history.size(), 2u);
  ASSERT_EQ(weights.parts().size(), 1u);
  EXPECT_EQ(weights.parts()[0].space, space);
  Rng rng(1);
  const Architecture a = sample_uniform(*space, rng);
  EXPECT_TRUE(equal(copy_of(weights.extract(a)), copy_of(weights.parts()[0].supernet->extract(a))));
}

TEST(SharedWeights, EachOptionHasASupernetOfItsOwn) {
  for (const Json& more :
       {Json::object(), Json{{"restrict", {{"edge0_1", {"none", "nor_conv_3x3"}}}}}}) {
    const auto space = cells(more);
    SharedWeights weights(space, {});
    const TrainResult result = weights.train(*small_data(), options_of(by_decision), Rng(1));
    ASSERT_EQ(weights.parts().size(), 5u);
    EXPECT_EQ(result.history.size(), 2u + 5 * 2);
    EXPECT_EQ(result.history.back().epoch, 12);
    Rng rng(1);
    std::set<std::string> weights_seen;
    for (std::uint32_t option = 0; option < 5; ++option) {
      const SpacePart& part = weights.parts()[option];
      EXPECT_THAT(part.space->decisions()[1].options,
                  testing::ElementsAre(space->decisions()[1].options[option]));
      Architecture a = sample_uniform(*space, rng);
      a.choices[1] = option;
      a = space->canonical(a);
      if (a.choices[1] != option) continue;
      const GraphModule module = weights.extract(a);
      EXPECT_TRUE(
          equal(copy_of(module), copy_of(part.supernet->extract(of_part(*space, part, a)))));
    }
    // They were trained apart.
    EXPECT_FALSE(weights.parts()[0]
                     .supernet->tensor("stem.conv.weight")
                     .equal(weights.parts()[1].supernet->tensor("stem.conv.weight")));
  }
}

TEST(SharedWeights, PartsBeginWithTheSharedWeights) {
  const auto space = cells();
  SharedWeights weights(space, {});
  SupernetOptions options = options_of(by_decision, 2);
  options.train.learning_rate = 1e-30;
  options.train.weight_decay = 0;
  weights.train(*small_data(), options, Rng(1));
  Supernet first(*space->supergraph());
  first.reset_parameters(Rng(1).fork("weights"));
  for (const SpacePart& part : weights.parts()) {
    ASSERT_FALSE(part.supernet->parameters().empty());
    for (const auto& [name, value] : part.supernet->parameters()) {
      EXPECT_TRUE(at::allclose(value, first.tensor(name), 1e-6, 1e-20)) << name;
    }
  }
}

// The restrictions of the two halves of a space, as gradient matching finds them with these
// weights.
std::vector<Restriction> halves(const std::shared_ptr<const SearchSpace>& space,
                                const Restriction& before, const State& weights,
                                const SupernetOptions& options, const Rng& rng) {
  const auto part = std::make_shared<const RestrictedSpace>(space, before);
  Supernet net(*part->supergraph());
  State own;
  for (const auto& [name, value] : net.state()) own.emplace(name, weights.at(name));
  net.load_state(own);
  std::vector<Restriction> best;
  double highest = 0;
  for (DecisionId d = 0; d < part->decisions().size(); ++d) {
    const Decision& decision = part->decisions()[d];
    if (before.contains(decision.name)) continue;
    const OptionGroups groups = split_options(
        gradient_distances(net, *part, d, *small_data(), options, rng.fork(decision.name)));
    EXPECT_GT(groups.score, 0);
    if (groups.score <= highest) continue;
    highest = groups.score;
    best.assign(2, before);
    for (const std::uint32_t o : groups.first) {
      best[0][decision.name].push_back(decision.options[o]);
    }
    for (const std::uint32_t o : groups.second) {
      best[1][decision.name].push_back(decision.options[o]);
    }
  }
  return best;
}

TEST(SharedWeights, GradientMatchingSplitsEachPartByItsOwnDecision) {
  const auto space = cells();
  SharedWeights weights(space, {});
  SupernetOptions options = options_of(by_gradients);
  // Weights stay as they begin, so that the splits can be found again by hand.
  options.train.learning_rate = 1e-30;
  options.train.weight_decay = 0;
  const TrainResult result = weights.train(*small_data(), options, Rng(1));
  ASSERT_EQ(weights.parts().size(), 4u);
  EXPECT_EQ(result.history.size(), 1u + 2 * 1 + 4 * 2);
  Supernet first(*space->supergraph());
  first.reset_parameters(Rng(1).fork("weights"));
  const Rng cut = Rng(1).fork("cut");
  std::vector<Restriction> expected;
  const auto parts = halves(space, {}, first.state(), options, cut.fork(""));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto own = halves(space, parts[i], first.state(), options, cut.fork(std::to_string(i)));
    expected.insert(expected.end(), own.begin(), own.end());
  }
  ASSERT_EQ(expected.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(dynamic_cast<const RestrictedSpace&>(*weights.parts()[i].space).restriction(),
              expected[i]);
  }
  Rng rng(1);
  for (int i = 0; i < 50; ++i) {
    const Architecture a = sample_uniform(*space, rng);
    const auto has = [&](const SpacePart& part) {
      return dynamic_cast<const RestrictedSpace&>(*part.space).lower(a).has_value();
    };
    EXPECT_EQ(std::ranges::count_if(weights.parts(), has), 1);
    weights.extract(a);
  }
}

TEST(SharedWeights, AContinuedTrainingEndsAlike) {
  for (const SplitOptions& split : {by_decision, by_gradients}) {
    const TemporaryDirectory directory;
    const std::filesystem::path file = directory.path() / "supernet.safetensors";
    const auto data = small_data();
    SharedWeights whole(cells(), {}), first(cells(), {}), second(cells(), {});
    const SupernetOptions options = options_of(split);
    whole.train(*data, options, Rng(1));
    int steps = 0;
    EXPECT_TRUE(first
                    .train(*data, options, Rng(1),
                           {.stop_requested = [&] { return ++steps > 18; }, .checkpoint = file})
                    .stopped);
    EXPECT_THAT(throws<InvalidArchitecture>(
                    [&] { first.extract(Architecture{std::vector<std::uint32_t>(6, 4)}); }),
                HasSubstr("not trained to their end"));
    EXPECT_FALSE(second.train(*data, options, Rng(1), {.checkpoint = file}).stopped);
    ASSERT_EQ(whole.parts().size(), second.parts().size());
    for (std::size_t i = 0; i < whole.parts().size(); ++i) {
      EXPECT_TRUE(equal(copy_of(*whole.parts()[i].supernet), copy_of(*second.parts()[i].supernet)));
    }
    EXPECT_EQ(std::filesystem::exists(directory.path() / "supernet-split.json"),
              split.by == SplitKind::gradient_matching);
  }
}

TEST(SharedWeights, ARecordOfSplitsThatIsDamagedOrOfAnotherTrainingIsNamed) {
  const TemporaryDirectory directory;
  const std::filesystem::path record = directory.path() / "supernet-split.json";
  const auto train = [&](const SupernetOptions& options) {
    SharedWeights weights(cells(), {});
    weights.train(*small_data(), options, Rng(1),
                  {.checkpoint = directory.path() / "supernet.safetensors"});
    return weights.parts().size();
  };
  write_file_atomically(record, R"({"cuts": {"": {"decision": 1}}})");
  EXPECT_THAT(throws<IoError>([&] { train(options_of(by_gradients)); }),
              HasSubstr("supernet-split.json: is damaged"));
  std::filesystem::remove(record);
  SupernetOptions options = options_of({.by = SplitKind::gradient_matching, .times = 1});
  EXPECT_EQ(train(options), 2u);
  options.split.batches = 3;
  EXPECT_THAT(throws<IoError>([&] { train(options); }),
              HasSubstr("supernet-split.json: the checkpoint of another training: "
                        "/options/split/batches is 2 there and 3 here"));
  // A split by a decision has no record; the parts' own checkpoints are of other spaces.
  EXPECT_THAT(throws<IoError>([&] { train(options_of(by_decision)); }),
              HasSubstr("supernet-part0.safetensors: the checkpoint of another training"));
}

TEST(SharedWeights, SplitsThatCannotBeAreRefused) {
  const auto space = cells();
  const auto error_of = [&](SplitOptions split, int epochs = 10,
                            RuleKind rule = RuleKind::uniform) {
    SupernetOptions options = options_of(split, epochs);
    options.rule = rule;
    return throws<ConfigError>([&] { check_split(*space, options); });
  };
  EXPECT_THAT(error_of({.by = SplitKind::decision, .decision = "edge02"}),
              HasSubstr("/split/decision: \"edge02\" is no decision on operators of this space; "
                        "did you mean \"edge0_2\"?"));
  EXPECT_THAT(error_of(by_gradients, 2), HasSubstr("/epochs: 2 epochs cannot be shared out"));
  EXPECT_THAT(error_of(by_gradients, 10, RuleKind::fair), HasSubstr("/split/by: strict fairness"));
  const auto chain =
      space_registry().create({{"type", "chain"}, {"input", {1, 8, 8}}, {"classes", 4}}, "");
  EXPECT_THAT(throws<ConfigError>([&] { check_split(*chain, options_of(by_gradients)); }),
              HasSubstr("/split/times: 2 splits, but the space has 0 decisions on operators"));
}

}  // namespace
}  // namespace espalier
