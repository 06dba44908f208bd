#include "training/attentive_sampling.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "core/json.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

std::shared_ptr<const SearchSpace> widths() {
  ChainOptions options;
  options.input = {1, 8, 8};
  options.stages = {{.widths = {4, 8, 16}, .depths = {1, 2, 3}, .kernels = {3, 5, 7}}};
  return make_chain(options);
}

TEST(AttentiveSampling, DrawsHaveTheMacsThatWereDrawnFirst) {
  const auto space = widths();
  const MacsConditionedSampler sampler(space, Rng(1), 5000, 10);
  Rng rng(2);
  int others = 0;
  for (int i = 0; i < 300; ++i) {
    const std::vector<Architecture> drawn = sampler.draw(3, rng);
    ASSERT_EQ(drawn.size(), 3u);
    for (const Architecture& a : drawn) {
      EXPECT_TRUE(space->valid(a));
      EXPECT_EQ(space->canonical(a), a);
      others += sampler.range_of(a) != sampler.range_of(drawn[0]);
    }
  }
  EXPECT_EQ(others, 0);  // uniform draws would be in two of three cases
}

TEST(AttentiveSampling, RangesAreDrawnAsOftenAsUniformSamplesHaveThem) {
  const std::shared_ptr<const SearchSpace> space = make_nasbench201();
  const MacsConditionedSampler sampler(space, Rng(1), 20'000, 8);
  std::vector<double> drawn(8), uniform(8);
  Rng rng(2), other(3);
  const int count = 20'000;
  for (int i = 0; i < count; ++i) {
    ++drawn[sampler.range_of(sampler.draw(1, rng)[0])];
    ++uniform[sampler.range_of(sample_uniform(*space, other))];
  }
  for (std::size_t r = 0; r < 8; ++r) {
    EXPECT_NEAR(drawn[r], uniform[r], 6 * std::sqrt(uniform[r] * 2) + 1) << r;
  }
}

TEST(AttentiveSampling, ChoicesAreDrawnAsOftenAsSamplesOfAsManyMacsHaveThem) {
  // In the range of the largest networks, kernels of 7 and depths of 3 are the rule.
  const auto space = widths();
  const MacsConditionedSampler sampler(space, Rng(1), 20'000, 6);
  const std::size_t last = sampler.range_of(largest_architecture(*space));
  std::map<std::uint32_t, double> drawn, expected;
  Rng rng(2), other(3);
  double all = 0, all_expected = 0;
  for (int i = 0; i < 30'000; ++i) {
    const Architecture a = sampler.draw(1, rng)[0], b = sample_uniform(*space, other);
    if (sampler.range_of(a) == last) ++drawn[a.choices[1]], ++all;
    if (sampler.range_of(b) == last) ++expected[b.choices[1]], ++all_expected;
  }
  ASSERT_GT(all, 100);
  ASSERT_GT(all_expected, 100);
  for (const auto& [choice, seen] : expected) {
    EXPECT_NEAR(drawn[choice] / all, seen / all_expected, 0.1) << choice;
  }
}

TEST(AttentiveSampling, ChoicesOfInactiveDecisionsDoNotCount) {
  // Kernels of the third block are inactive in two of three samples; where it is there, all of them
  // are as likely.
  const auto space = widths();
  const MacsConditionedSampler sampler(space, Rng(1), 20'000, 1);
  Rng rng(2);
  DecisionId last = 0;
  for (DecisionId d = 0; d < space->decisions().size(); ++d) {
    if (space->decisions()[d].name.find("block3.kernel") != std::string::npos) last = d;
  }
  ASSERT_GT(last, 0u);
  std::vector<double> seen(3);
  for (int i = 0; i < 9000; ++i) {
    const Architecture a = sampler.draw(1, rng)[0];
    if (space->active(a, last)) ++seen[a.choices[last]];
  }
  const double all = seen[0] + seen[1] + seen[2];
  EXPECT_NEAR(all, 3000, 300);
  for (const double count : seen) EXPECT_NEAR(count / all, 1.0 / 3, 0.05);
}

TEST(AttentiveSampling, ConstraintsHoldAndOneSizeWillDo) {
  const SpaceRegistry spaces = space_registry();
  Json config = {{"type", "custom"}, {"constraints", {{{"metric", "macs"}, {"max", 1e12}}}}};
  Rng draws(3);
  const SampledCosts costs = sample_costs(*spaces.create(config, ""), 200, draws);
  ASSERT_LT(costs.least_macs, costs.most_macs);
  config["constraints"][0]["max"] = (costs.least_macs + costs.most_macs) / 2;
  const std::shared_ptr<const SearchSpace> constrained = spaces.create(config, "");
  const MacsConditionedSampler sampler(constrained, Rng(1), 500, 20);
  Rng rng(2);
  for (const Architecture& a : sampler.draw(100, rng)) EXPECT_TRUE(constrained->valid(a));
  ChainOptions one;
  one.input = {1, 8, 8};
  one.stages = {{.widths = {8}, .depths = {1}, .kernels = {3}}};
  EXPECT_EQ(MacsConditionedSampler(make_chain(one), Rng(1), 50).draw(2, rng).size(), 2u);
}

}  // namespace
}  // namespace espalier
