#include "search_spaces/shrink.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <unordered_map>

#include "core/csv.hpp"
#include "core/error.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::shared_ptr<const SearchSpace> nasbench201() { return make_nasbench201(); }

/// What a table says of each option: the sum is the score.
using Worth = std::vector<std::vector<double>>;
Score additive(const Worth& worth) {
  return [worth](const Architecture& a) {
    double sum = 0;
    for (std::size_t d = 0; d < worth.size(); ++d) sum += worth[d][a.choices[d]];
    return sum;
  };
}

std::set<std::string> dropped(const SearchSpace& whole, const Shrinking& shrinking) {
  std::set<std::string> names;
  for (const ShrinkRound& round : shrinking.rounds) {
    for (const OptionScore& o : round.options) {
      const Decision& d = whole.decisions()[o.decision];
      if (o.dropped) names.insert(d.name + "=" + d.options[o.option]);
    }
  }
  return names;
}

TEST(Shrink, DropsExactlyThePlantedBadOptions) {
  const auto space = nasbench201();
  Worth worth(6, {5, 5, 5, 5, 5});
  worth[0][1] = worth[2][4] = worth[2][3] = worth[5][3] = 0;  // edge1_2 is the third decision
  const std::set<std::string> bad{"edge0_1=skip_connect", "edge1_2=avg_pool_3x3",
                                  "edge1_2=nor_conv_3x3", "edge2_3=nor_conv_3x3"};
  for (const int per_round : {1, 2, 4}) {
    const Shrinking s =
        shrink(space, additive(worth), {.samples = 600, .per_round = per_round, .drop = 4}, Rng(2));
    EXPECT_EQ(s.rounds.size(), 4u / static_cast<unsigned>(per_round));
    EXPECT_EQ(dropped(*space, s), bad);
    EXPECT_EQ(s.space->whole(), space);
    EXPECT_EQ(space_size(*s.space).decimal, std::to_string(4 * 5 * 3 * 5 * 5 * 4));
    EXPECT_THAT(s.space->decisions()[2].options,
                ElementsAre("none", "skip_connect", "nor_conv_1x1"));
  }
  // Of errors the highest are the worst.
  Worth errors = worth;
  for (auto& of_decision : errors) {
    for (double& w : of_decision) w = -w;
  }
  EXPECT_EQ(dropped(*space, shrink(space, additive(errors),
                                   {.samples = 600, .drop = 4, .better = Better::lower}, Rng(2))),
            bad);
}

TEST(Shrink, AnOptionIsScoredByTheNetworksThatUseIt) {
  // The kernel of the second block counts only where there is one: a score of all networks would
  // find both of its options alike, and would count networks without the block for the first.
  const ChainStage stage{.widths = {8}, .depths = {1, 2}, .kernels = {3, 5}};
  const std::shared_ptr<const SearchSpace> space = make_chain({.stages = {stage}});
  ASSERT_EQ(space->decisions()[0].name, "stage1.depth");
  ASSERT_EQ(space->decisions()[2].name, "stage1.block2.kernel");
  const Score score = [](const Architecture& a) {
    return a.choices[0] == 0 ? -100.0 : a.choices[2] == 0 ? 10.0 : 4.0;
  };
  const Shrinking s = shrink(space, score, {.samples = 400, .drop = 1}, Rng(3));
  ASSERT_EQ(s.rounds.size(), 1u);
  std::size_t second_kernel = 0;
  for (const OptionScore& o : s.rounds[0].options) {
    if (o.decision == 2) {
      EXPECT_EQ(o.mean.value, o.option == 0 ? 10 : 4);  // no network of depth 1
      EXPECT_EQ(o.mean.interval.low, o.mean.value);
      second_kernel += o.networks;
    }
  }
  EXPECT_NEAR(static_cast<double>(second_kernel), 200, 50);
  EXPECT_EQ(dropped(*space, s), std::set<std::string>{"stage1.depth=1"});
  EXPECT_EQ(s.rounds[0].size, 8);
}

TEST(Shrink, ReportsTheWorstFirstWithIntervals) {
  Worth worth(6, {1, 2, 3, 4, 5});
  const Shrinking s = shrink(nasbench201(), additive(worth), {.samples = 2000, .drop = 1}, Rng(4));
  const ShrinkRound& round = s.rounds[0];
  ASSERT_EQ(round.options.size(), 30u);
  EXPECT_EQ(round.size, 15625);
  EXPECT_NEAR(round.mean, 18, 0.5);
  int covered = 0;
  for (std::size_t i = 0; i < 30; ++i) {
    const OptionScore& o = round.options[i];
    EXPECT_GE(o.mean.value, round.options[i > 0 ? i - 1 : 0].mean.value);
    EXPECT_EQ(o.dropped, i == 0);
    const double truth = 15 + worth[o.decision][o.option];
    covered += o.mean.interval.low <= truth && truth <= o.mean.interval.high;
  }
  EXPECT_GE(covered, 25);
}

TEST(Shrink, EndsAtTheTargetSize) {
  Worth worth(6, {1, 2, 3, 4, 5});
  const auto space = nasbench201();
  std::vector<double> seen;
  const Shrinking s =
      shrink(space, additive(worth), {.samples = 300, .per_round = 3, .target_size = 1000}, Rng(5),
             [&](const ShrinkRound& round) { seen.push_back(round.size); });
  double size = 1;
  for (const std::uint32_t count : s.space->choice_counts()) size *= count;
  EXPECT_LE(size, 1000);
  EXPECT_GT(size * 5 / 4, 1000 * 0.99);  // it does not go on below: the last drop crossed the line
  ASSERT_EQ(seen.size(), s.rounds.size());
  EXPECT_TRUE(std::ranges::is_sorted(seen, std::greater<>()));
  // A size of 1 leaves one network: the best one.
  const Shrinking best =
      shrink(space, additive(worth), {.samples = 200, .per_round = 6, .target_size = 1}, Rng(6));
  EXPECT_EQ(best.space->lift({{0, 0, 0, 0, 0, 0}}), (Architecture{{4, 4, 4, 4, 4, 4}}));
}

TEST(Shrink, KeepsWhatADecisionPicks) {
  class Pairs : public SearchSpace {
   public:
    Pairs() : SearchSpace({{.name = "pair", .options = {"a", "b", "c", "d"}, .pick = 2}}) {}
    Graph build(const Architecture&) const override { return Graph(); }
  };
  const auto space = std::make_shared<Pairs>();
  const Score score = [](const Architecture& a) {
    double sum = 0;
    for (const std::uint32_t option : unrank_subset(a.choices[0], 4, 2))
      sum += option == 1 ? 9 : option;
    return sum;
  };
  const Shrinking s = shrink(space, score, {.samples = 200, .drop = 2}, Rng(1));
  EXPECT_THAT(s.space->decisions()[0].options, ElementsAre("b", "d"));
  EXPECT_EQ(throws<ConfigError>([&] { shrink(space, score, {.samples = 200, .drop = 3}, Rng(1)); }),
            "/drop: 3 options cannot be dropped: each decision keeps what it picks, and the space "
            "has 2 more");
}

TEST(Shrink, ARestrictedSpaceIsShrunkFurtherAndScoredAsItself) {
  const SpaceRegistry spaces = space_registry();
  const Json config = {
      {"type", "nasbench201"},
      {"restrict", {{"edge0_1", {"nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"}}}}};
  const std::shared_ptr<const SearchSpace> space = spaces.create(config, "");
  std::set<std::uint32_t> seen;
  const Score score = [&](const Architecture& a) {
    EXPECT_TRUE(space->valid(a));
    seen.insert(a.choices[0]);
    return a.choices[0] == 1 ? -1.0 : 1.0;  // nor_conv_3x3
  };
  const Shrinking s = shrink(space, score, {.samples = 200, .drop = 1}, Rng(1));
  EXPECT_EQ(seen, (std::set<std::uint32_t>{0, 1, 2}));
  const Json shrunk = restricted_config(config, *s.space);
  EXPECT_EQ(shrunk["restrict"].dump(), R"({"edge0_1":["nor_conv_1x1","avg_pool_3x3"]})");
  EXPECT_EQ(spaces.create(shrunk, "")->decisions(), s.space->decisions());
}

TEST(Shrink, OnlyNetworksOfTheRangesCount) {
  // The widest networks are best, but too large.
  const ChainStage stage{.widths = {8, 16, 64}, .depths = {1}, .kernels = {3, 5}};
  const std::shared_ptr<const SearchSpace> space = make_chain({.stages = {stage}});
  const std::int64_t most = space->quick_cost({{1, 1}}).params;
  const Score params = [&](const Architecture& a) {
    return static_cast<double>(space->quick_cost(a).params);
  };
  ShrinkOptions options{.samples = 200, .drop = 2, .ranges = {.params_max = most}};
  const Shrinking s = shrink(space, params, options, Rng(1));
  EXPECT_EQ(s.rounds[0].options.back().networks, 0u);
  EXPECT_EQ(dropped(*space, s),
            (std::set<std::string>{"stage1.width=8", "stage1.block1.kernel=3"}));
  EXPECT_TRUE(s.complete);
  // The third option that could go is known of no network: it ends early.
  options.drop = 3;
  const Shrinking more = shrink(space, params, options, Rng(1));
  EXPECT_FALSE(more.complete);
  EXPECT_EQ(more.space->decisions(), s.space->decisions());
  EXPECT_EQ(more.rounds.size(), 3u);
}

TEST(Shrink, EndsEarlyWhereWhatIsLeftIsSwitchedOff) {
  // Shallow networks are best, and without a second block its kernels cannot be told apart.
  const ChainStage stage{.widths = {8}, .depths = {1, 2}, .kernels = {3, 5}};
  const std::shared_ptr<const SearchSpace> space = make_chain({.stages = {stage}});
  const Score shallow = [](const Architecture& a) { return a.choices[0] == 0 ? 1.0 : 0.0; };
  const Shrinking s = shrink(space, shallow, {.samples = 200, .target_size = 1}, Rng(1));
  EXPECT_FALSE(s.complete);
  EXPECT_EQ(s.space->decisions()[0].options, std::vector<std::string>{"1"});
  EXPECT_EQ(space_size(*s.space).decimal, "1");  // one network, although two vectors
}

TEST(Shrink, EqualSeedsGiveEqualSpaces) {
  const Score noise = [](const Architecture& a) {
    return static_cast<double>(ArchitectureHash()(a) % 1000);
  };
  const auto run = [&](std::uint64_t seed) {
    return shrink(nasbench201(), noise, {.samples = 100, .per_round = 2, .drop = 6}, Rng(seed))
        .space->decisions();
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TEST(Shrink, RefusesOptionsOutOfRange) {
  const Score zero = [](const Architecture&) { return 0.0; };
  const auto error = [&](const ShrinkOptions& options) {
    return throws<ConfigError>([&] { shrink(nasbench201(), zero, options, Rng(1)); });
  };
  EXPECT_EQ(error({}), "needs \"drop\" or \"target_size\"");
  EXPECT_THAT(error({.samples = 1, .drop = 1}), HasSubstr("/samples"));
  EXPECT_THAT(error({.per_round = 0, .drop = 1}), HasSubstr("/per_round"));
  EXPECT_THAT(error({.drop = 0}), HasSubstr("/drop"));
  EXPECT_THAT(error({.drop = 25}), HasSubstr("has 24 more"));
  EXPECT_THAT(error({.target_size = 0}), HasSubstr("/target_size"));
  EXPECT_THAT(error({.drop = 1, .ranges = {.params_max = 1}}), HasSubstr("none of 10000"));
  EXPECT_THAT(throws<NumericalError>([&] {
                shrink(
                    nasbench201(), [](const Architecture&) { return 0.0 / 0.0; }, {.drop = 1},
                    Rng(1));
              }),
              HasSubstr("nan"));
}

// --- NAS-Bench-201's accuracies

Score table_accuracy(const SearchSpace& space) {
  const CsvTable table = CsvTable::read(std::filesystem::path(ESPALIER_SOURCE_DIR) /
                                        "benchmarks/tables/nasbench201.csv.gz");
  std::unordered_map<Architecture, double, ArchitectureHash> rows;
  const std::vector<double> accuracy = table.numbers("c10_valid");
  const std::size_t arch = table.column("arch");
  for (std::size_t row = 0; row < table.row_count(); ++row) {
    rows.emplace(space.parse(table.text(row, arch)), accuracy[row]);
  }
  return [rows = std::move(rows)](const Architecture& a) { return rows.at(a); };
}

TEST(ShrinkNasbench201, DropsEdgesWithoutAnOperatorAndTheMeanRises) {
  const auto space = nasbench201();
  const Score accuracy = table_accuracy(*space);
  // The mean accuracies of all 3,125 cells of each option: 75.94, 78.99, 79.02, then 81.02.
  const Shrinking three =
      shrink(space, accuracy, {.samples = 4000, .per_round = 3, .drop = 3}, Rng(1));
  EXPECT_EQ(dropped(*space, three),
            (std::set<std::string>{"edge0_3=none", "edge2_3=none", "edge0_1=none"}));
  EXPECT_NEAR(three.rounds[0].options[0].mean.value, 75.94, 2);

  // The example of docs/design_spaces.md.
  const Shrinking nine =
      shrink(space, accuracy, {.samples = 1000, .per_round = 3, .drop = 9}, Rng(1));
  EXPECT_EQ(nine.space->restriction(),
            (Restriction{{"edge0_1", {"nor_conv_1x1", "nor_conv_3x3"}},
                         {"edge0_2", {"none", "nor_conv_1x1", "nor_conv_3x3"}},
                         {"edge0_3", {"skip_connect", "nor_conv_1x1", "nor_conv_3x3"}},
                         {"edge2_3", {"skip_connect", "nor_conv_1x1", "nor_conv_3x3"}}}));
  const auto all_scores = [&](const RestrictedSpace& of) {
    std::vector<double> scores;
    enumerate(of, [&](const Architecture& a) {
      scores.push_back(accuracy(of.lift(a)));
      return true;
    });
    return ErrorDistribution(scores);
  };
  const ErrorDistribution before = all_scores(RestrictedSpace(space, {}));
  const ErrorDistribution after = all_scores(*nine.space);
  EXPECT_EQ(before.scores().size(), 15625u);
  EXPECT_NEAR(before.mean(), 83.67, 0.01);
  EXPECT_GT(after.mean(), 89);  // 89.61 when the means of all cells decide
  EXPECT_LT(after.at(90), before.at(90));
  EXPECT_GE(after.quantile(1), before.quantile(1) - 0.5);  // the best ones are still there
  const SpaceComparison c =
      compare_spaces(after, before, {.levels = {90}, .bootstrap = {.resamples = 50}}, Rng(2));
  EXPECT_GT(c.win_probability.interval.low, 0.5);
  EXPECT_LT(c.levels[0].difference.interval.high, 0);
  for (std::size_t r = 1; r < nine.rounds.size(); ++r) {
    EXPECT_GT(nine.rounds[r].mean, nine.rounds[r - 1].mean);
  }
}

}  // namespace
}  // namespace espalier
