#include "strategies/bohb.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/error.hpp"
#include "graph/builder.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/rung_trace.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

// A nominal decision of three options, an ordinal one of five, and a nominal one of two that is
// active only while the first is not 0.
class MixedSpace : public SearchSpace {
 public:
  MixedSpace()
      : SearchSpace({{.name = "kind", .options = {"a", "b", "c"}},
                     {.name = "width", .options = {"1", "2", "3", "4", "5"}, .ordinal = true},
                     {.name = "more", .options = {"no", "yes"}},
                     {.name = "only", .options = {"one"}}}) {}
  bool active(const Architecture& a, DecisionId d) const override {
    return d != 2 || a.choices[0] != 0;
  }
  Graph build(const Architecture&) const override {
    GraphBuilder builder;
    builder.output(builder.input(1, 1, 1));
    return builder.build();
  }
};

TEST(ArchitectureDensity, IsTheMeanOfTheKernels) {
  const MixedSpace space;
  const std::vector<Architecture> points{{{0, 2, 0, 0}}, {{1, 2, 1, 0}}, {{1, 0, 0, 0}}};
  const ArchitectureDensity density(space, points);
  const double scale = 1.06 * std::pow(3, -1.0 / 7);  // three free decisions
  // Shares 1/3 and 2/3, which differ with probability 4/9; places 2, 2, 0 with variance 8/9; of
  // the two points in which it is active, one half each.
  const double kind = scale * std::sqrt(2.0 / 9), width = scale * std::sqrt(8.0 / 9);
  EXPECT_NEAR(density.bandwidths()[0], kind, 1e-12);
  EXPECT_NEAR(density.bandwidths()[1], width, 1e-12);
  EXPECT_NEAR(density.bandwidths()[2], std::min(0.5, scale * 0.5), 1e-12);
  const double more = density.bandwidths()[2];
  const auto normal = [&](int place, int option) {
    const auto below = [&](double x) {
      return 0.5 * std::erfc(-(x - place) / width / std::sqrt(2.0));
    };
    return (below(option + 0.5) - below(option - 0.5)) / (below(4.5) - below(-0.5));
  };
  EXPECT_NEAR(std::exp(density.log({{1, 3, 1, 0}})),
              (kind / 2 * normal(2, 3) / 2 + (1 - kind) * normal(2, 3) * (1 - more) +
               (1 - kind) * normal(0, 3) * more) /
                  3,
              1e-12);
  double sum = 0;
  enumerate(space, [&](const Architecture& a) {
    // Where the last is not active, both of its options count.
    sum += std::exp(density.log(a));
    return true;
  });
  EXPECT_NEAR(sum, 1, 1e-12);
}

TEST(ArchitectureDensity, BandwidthsHaveBounds) {
  const MixedSpace space;
  const ArchitectureDensity narrow(space, {{{1, 2, 0, 0}}, {{1, 2, 0, 0}}});
  EXPECT_DOUBLE_EQ(narrow.bandwidths()[0], 1e-3);
  EXPECT_DOUBLE_EQ(narrow.bandwidths()[1], 4e-3);
  EXPECT_GT(std::exp(narrow.log({{1, 2, 0, 0}})), 0.99);
  // 1.06 * 0.5 * 2^(-1/7) is below 1/2; without the scale's exponent it would not be.
  const ArchitectureDensity wide(space, {{{1, 0, 0, 0}}, {{2, 4, 1, 0}}});
  EXPECT_LE(wide.bandwidths()[2], 0.5);
}

TEST(ArchitectureDensity, DrawsFromTheWiderKernels) {
  const MixedSpace space;
  const ArchitectureDensity density(space, {{{1, 2, 1, 0}}, {{2, 2, 1, 0}}, {{1, 1, 1, 0}}});
  Rng rng(1);
  const int count = 20000;
  std::vector<double> kinds(3, 0), more(2, 0);
  for (int i = 0; i < count; ++i) {
    const Architecture a = density.draw(1.2, rng);
    kinds[a.choices[0]] += 1.0 / count;
    more[a.choices[2]] += 1.0 / count;
    EXPECT_LT(a.choices[1], 5u);
  }
  const double h = 1.2 * density.bandwidths()[0];
  ASSERT_LT(h, 2.0 / 3);
  EXPECT_NEAR(kinds[0], h / 2, 0.011);  // three standard errors
  EXPECT_NEAR(kinds[1], 2.0 / 3 * (1 - h) + 1.0 / 3 * h / 2, 0.011);
  EXPECT_NEAR(more[0], 1.2e-3, 0.0008);
  // At most evenly.
  std::fill(kinds.begin(), kinds.end(), 0);
  for (int i = 0; i < count; ++i) kinds[density.draw(1000, rng).choices[0]] += 1.0 / count;
  EXPECT_NEAR(kinds[0], 1.0 / 3, 0.011);
}

// The ratio of the two densities, of nominal decisions alone, written down again.
double ratio(const std::vector<Architecture>& good, const std::vector<Architecture>& bad,
             const std::vector<std::uint32_t>& counts, const Architecture& a) {
  const auto density = [&](const std::vector<Architecture>& points) {
    const auto n = static_cast<double>(points.size());
    const auto d = static_cast<double>(counts.size());
    double sum = 0;
    for (const Architecture& point : points) {
      double product = 1;
      for (std::size_t k = 0; k < counts.size(); ++k) {
        double pairs = 0;  // that differ
        for (const Architecture& x : points) {
          for (const Architecture& y : points) pairs += x.choices[k] != y.choices[k];
        }
        const double c = counts[k];
        const double h = std::clamp(
            1.06 * std::sqrt(pairs / (n * n) / 2) * std::pow(n, -1 / (4 + d)), 1e-3, (c - 1) / c);
        product *= point.choices[k] == a.choices[k] ? 1 - h : h / (c - 1);
      }
      sum += product;
    }
    return sum / n;
  };
  return density(good) / density(bad);
}

void expect_largest_ratios(int percent) {
  BohbOptions options;
  options.random_fraction = 0;
  options.quantile = percent / 100.0;
  options.candidates = 3000;  // all of the space is among them
  const auto small = test_space({6, 7});
  Bohb strategy(test_context(small), options);
  std::map<double, std::vector<Trial>> told;  // by fidelity
  std::set<std::vector<std::uint32_t>> asked;
  std::set<double> models;
  for (int i = 0; i < 45; ++i) {
    const auto candidates = strategy.ask(1);
    ASSERT_EQ(candidates.size(), 1u);
    const Candidate& candidate = candidates[0];
    // Two decisions: three points for a density, five for a model.
    const auto rung = std::find_if(told.rbegin(), told.rend(),
                                   [](const auto& trials) { return trials.second.size() >= 5; });
    if (!candidate.parent && rung != told.rend()) {
      models.insert(rung->first);
      std::vector<Trial> trials = rung->second;
      const auto worth = [](const Trial& t) {
        return t.state == TrialState::failed ? -1.0 : t.metrics[0];
      };
      std::ranges::stable_sort(trials, std::greater(), worth);
      std::vector<Architecture> all;
      for (const Trial& trial : trials) all.push_back(trial.candidate.architecture);
      const auto good = std::max<std::ptrdiff_t>(3, std::ssize(all) * percent / 100);
      const auto bad = std::max<std::ptrdiff_t>(3, std::ssize(all) - good);
      const auto of = [&](const Architecture& a) {
        return ratio({all.begin(), all.begin() + good}, {all.end() - bad, all.end()}, {6, 7}, a);
      };
      double best = 0;
      enumerate(*small, [&](const Architecture& a) {
        if (!asked.contains(a.choices)) best = std::max(best, of(a));
        return true;
      });
      EXPECT_NEAR(of(candidate.architecture), best, 1e-9 * best) << i;
    }
    asked.insert(candidate.architecture.choices);
    Trial trial = candidate.trial_id % 7 == 3 ? failed_trial(candidate) : complete_trial(candidate);
    told[candidate.fidelity].push_back(trial);
    strategy.tell(trial);
  }
  EXPECT_EQ(models.size(), 3u);  // from the lowest rung to full evaluations
}

TEST(Bohb, ProposesTheLargestRatioOfTheHighestRungWithEnoughTrials) {
  expect_largest_ratios(15);
  expect_largest_ratios(70);  // more good ones than a density needs at least
}

TEST(Bohb, DensitiesTellArchitecturesOfManyDecisionsApart) {
  // Of 60 decisions: products of kernels are near 1e-50. Half of what is known has many options 0.
  const auto large = test_space(std::vector<int>(60, 8));
  BohbOptions options;
  options.random_fraction = 0;
  options.min_fidelity = 1;
  options.quantile = 0.5;
  Rng rng(3);
  for (int i = 0; i < 140; ++i) {
    Architecture a = sample_uniform(*large, rng);
    for (std::uint32_t& choice : a.choices) choice = i % 2 == 0 && rng.bernoulli(0.8) ? 0 : choice;
    options.initial.push_back(large->to_string(a));
  }
  const auto mean_of = [&](int candidates) {
    options.candidates = candidates;
    Bohb strategy(test_context(large), options);
    const auto outcome = [](const Candidate& c) {
      Trial trial = complete_trial(c);
      trial.metrics[0] = static_cast<double>(std::ranges::count(c.architecture.choices, 0U));
      return trial;
    };
    drive(strategy, 140, 1, outcome);
    double sum = 0;
    for (const Trial& trial : drive(strategy, 20, 1, outcome)) sum += trial.metrics[0] / 20;
    return sum;
  };
  // Draws are from kernels so wide that they are nearly even; the ratio chooses among them.
  EXPECT_GT(mean_of(64), mean_of(1) + 2);
}

TEST(Bohb, AFractionIsRandom) {
  const auto share = [](double random) {
    BohbOptions options;
    options.random_fraction = random;
    options.min_fidelity = 0.001;  // 729 in the first rung
    Bohb strategy(test_context(test_space({5, 100000})), options);
    double good = 0;
    const auto trials = drive(strategy, 700, 1, [](const Candidate& c) {
      Trial trial = complete_trial(c);
      trial.metrics[0] = c.architecture.choices[0] == 4;
      return trial;
    });
    for (std::size_t i = 100; i < trials.size(); ++i) {
      good += trials[i].candidate.architecture.choices[0] == 4;
    }
    return good / 600;
  };
  EXPECT_NEAR(share(1), 0.2, 0.05);  // three standard errors
  EXPECT_GT(share(0), 0.95);
  EXPECT_NEAR(share(1.0 / 3), 1 - 0.8 / 3, 0.054);
}

TEST(Bohb, KnownArchitecturesComeFirst) {
  BohbOptions options;
  options.initial = {"d1=3,d2=1", "d1=0,d2=2"};
  Bohb strategy(test_context(test_space({5, 5})), options);
  const auto asked = strategy.ask(3);
  EXPECT_EQ(asked[0].architecture.choices, (std::vector<std::uint32_t>{3, 1}));
  EXPECT_EQ(asked[1].architecture.choices, (std::vector<std::uint32_t>{0, 2}));
}

TEST(BohbOptionTable, ReadsAndChecks) {
  const auto table = bohb_option_table();
  EXPECT_EQ(table.read({{"candidates", 3}}, "").candidates, 3);
  for (const Json& wrong : {Json{{"random_fraction", 1.5}}, Json{{"quantile", 1}},
                            Json{{"candidates", 0}}, Json{{"bandwidth_factor", 0}}}) {
    EXPECT_THAT(throws<ConfigError>([&] { table.read(wrong, ""); }),
                HasSubstr("/" + wrong.begin().key()));
  }
}

}  // namespace
}  // namespace espalier
