#include "search_spaces/sampling.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <set>

#include "core/error.hpp"
#include "core/json.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/encodings.hpp"
#include "search_spaces/nasbench201.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

/// Three decisions, the last active only where the first is 1; one pick-2; (0, 0, *) is invalid.
class ConstrainedSpace : public SearchSpace {
 public:
  ConstrainedSpace()
      : SearchSpace({{.name = "gate", .options = {"off", "on"}},
                     {.name = "pair", .options = {"a", "b", "c"}, .pick = 2},
                     {.name = "inner", .options = {"x", "y", "z"}, .ordinal = true}}) {}
  bool valid(const Architecture& a) const override {
    return SearchSpace::valid(a) && !(a.choices[0] == 0 && a.choices[1] == 0);
  }
  bool active(const Architecture& a, DecisionId d) const override {
    return d != 2 || a.choices[0] == 1;
  }
  Architecture canonical(const Architecture& a) const override {
    Architecture b = a;
    if (a.choices[0] == 0) b.choices[2] = 0;
    return b;
  }
  Graph build(const Architecture& a) const override {
    require_valid(a);
    return Graph();
  }
  Cost quick_cost(const Architecture& a) const override {
    return {.params = 1, .macs = a.choices[0] + a.choices[1] + a.choices[2]};
  }
};

std::set<Architecture> all_of(const SearchSpace& space) {
  std::set<Architecture> all;
  enumerate(space, [&](const Architecture& a) {
    EXPECT_TRUE(all.insert(a).second);
    return true;
  });
  return all;
}

TEST(Sampling, EnumerationVisitsEveryValidCanonicalArchitectureOnce) {
  const ConstrainedSpace space;
  // gate off: pair in {1, 2}; gate on: 3 pairs x 3 inner
  EXPECT_EQ(all_of(space).size(), 2u + 9u);
  EXPECT_EQ(space_size(space).decimal, "11");
  int seen = 0;
  enumerate(space, [&](const Architecture&) { return ++seen < 4; });
  EXPECT_EQ(seen, 4);
}

TEST(Sampling, UniformSamplesAreValidCanonicalAndReachEverything) {
  const ConstrainedSpace space;
  Rng rng(1);
  std::map<Architecture, int> counts;
  for (int i = 0; i < 8000; ++i) ++counts[sample_uniform(space, rng)];
  EXPECT_EQ(counts.size(), 11u);
  // 15 raw vectors are valid: (off, 1..2, *) are three raw vectors each.
  for (const auto& [a, n] : counts) {
    const double expected = 8000.0 * (a.choices[0] == 0 ? 3.0 : 1.0) / 15.0;
    EXPECT_NEAR(n, expected, 5 * std::sqrt(expected)) << space.to_string(a);
  }
}

TEST(Sampling, NeighboursAreAllSingleExchanges) {
  const ConstrainedSpace space;
  const auto all = all_of(space);
  for (const Architecture& a : all) {
    std::set<Architecture> expected;
    for (DecisionId d = 0; d < 3; ++d) {
      if (!space.active(a, d)) continue;
      for (std::uint32_t c = 0; c < space.choice_counts()[d]; ++c) {
        Architecture b = a;
        b.choices[d] = c;
        // any two of the three 2-subsets of {a, b, c} differ in one member
        if (c != a.choices[d] && space.valid(b)) expected.insert(space.canonical(b));
      }
    }
    expected.erase(a);
    const auto found = neighbours(space, a);
    EXPECT_EQ(std::set<Architecture>(found.begin(), found.end()), expected);
    EXPECT_EQ(found.size(), expected.size());
    Rng rng(5);
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(expected.contains(mutate(space, a, rng)));
  }
}

TEST(Sampling, SubsetNeighboursExchangeOneMember) {
  class Subset : public SearchSpace {
   public:
    Subset() : SearchSpace({{.name = "s", .options = {"a", "b", "c", "d"}, .pick = 2}}) {}
    Graph build(const Architecture&) const override { return Graph(); }
  };
  const Subset space;
  const Architecture ab{{rank_subset(std::array<std::uint32_t, 2>{0, 1})}};
  const Architecture cd{{rank_subset(std::array<std::uint32_t, 2>{2, 3})}};
  const auto found = neighbours(space, ab);
  EXPECT_EQ(found.size(), 4u);
  EXPECT_EQ(std::count(found.begin(), found.end(), cd), 0);
  Rng rng(2);
  for (int i = 0; i < 100; ++i) EXPECT_NE(mutate(space, ab, rng), cd);
}

TEST(Sampling, CrossoverTakesEachDecisionFromAParent) {
  const auto space = make_nasbench201();
  Rng rng(4);
  std::array<int, 6> from_b{};
  const Architecture a{{0, 0, 0, 0, 0, 0}}, b{{1, 2, 3, 4, 1, 2}};
  for (int i = 0; i < 2000; ++i) {
    const Architecture c = crossover(*space, a, b, rng);
    for (std::size_t d = 0; d < 6; ++d) {
      ASSERT_TRUE(c.choices[d] == a.choices[d] || c.choices[d] == b.choices[d]);
      from_b[d] += c.choices[d] == b.choices[d];
    }
  }
  for (int n : from_b) EXPECT_NEAR(n, 1000, 5 * std::sqrt(500.0));
}

TEST(Sampling, ASpaceWithoutValidArchitecturesIsAnError) {
  class Empty : public ConstrainedSpace {
   public:
    bool valid(const Architecture&) const override { return false; }
  };
  Rng rng(1);
  EXPECT_THROW(sample_uniform(Empty(), rng), UnsupportedError);
}

TEST(Sampling, AnArchitectureWithoutNeighboursStaysItself) {
  class Single : public SearchSpace {
   public:
    Single() : SearchSpace({{.name = "s", .options = {"a"}}}) {}
    Graph build(const Architecture&) const override { return Graph(); }
  };
  Rng rng(1);
  EXPECT_EQ(mutate(Single(), {{0}}, rng), (Architecture{{0}}));
}

TEST(Sampling, ASpaceWithoutDecisionsHasOneArchitecture) {
  class Fixed : public SearchSpace {
   public:
    Fixed() : SearchSpace(std::vector<Decision>()) {}
    Graph build(const Architecture&) const override { return Graph(); }
  };
  const Fixed space;
  const Architecture only;
  Rng rng(1);
  EXPECT_EQ(sample_uniform(space, rng), only);
  EXPECT_EQ(mutate(space, only, rng), only);
  EXPECT_EQ(crossover(space, only, only, rng), only);
  EXPECT_TRUE(neighbours(space, only).empty());
  EXPECT_EQ(all_of(space), std::set<Architecture>{only});
  EXPECT_EQ(space_size(space).decimal, "1");
  EXPECT_EQ(space.parse(space.to_string(only)), only);
  EXPECT_THROW(space.parse(","), InvalidArchitecture);
}

TEST(SearchSpace, NamesOfDecisionsAndOptionsAreUnique) {
  class Made : public SearchSpace {
   public:
    explicit Made(std::vector<Decision> decisions) : SearchSpace(std::move(decisions)) {}
    Graph build(const Architecture&) const override { return Graph(); }
  };
  const Decision good{.name = "d", .options = {"a", "b"}}, bad{.name = "d", .options = {"a", "a"}};
  EXPECT_EQ(throws<ConfigError>([&] {
              Made(std::vector{good, good});
            }),
            "two decisions are named 'd'");
  EXPECT_EQ(throws<ConfigError>([&] { Made(std::vector{bad}); }),
            "decision 'd' has two equal options");
}

TEST(SearchSpace, ABrokenConstraintIsRefused) {
  EXPECT_EQ(throws<InvalidArchitecture>([] {
              ConstrainedSpace().build({{0, 0, 0}});
            }),
            "the architecture breaks a constraint of the space: gate=off,pair=a+b,inner=x");
}

TEST(Encodings, OneHotMarksEveryPickOfActiveDecisions) {
  const ConstrainedSpace space;
  EXPECT_EQ(encode_one_hot(space, {{1, rank_subset(std::array<std::uint32_t, 2>{0, 2}), 2}}),
            (std::vector<double>{0, 1, 1, 0, 1, 0, 0, 1}));
  EXPECT_EQ(encode_one_hot(space, {{0, rank_subset(std::array<std::uint32_t, 2>{1, 2}), 0}}),
            (std::vector<double>{1, 0, 0, 1, 1, 0, 0, 0}));
}

TEST(Encodings, OrdinalScalesToTheUnitInterval) {
  const ConstrainedSpace space;
  EXPECT_EQ(encode_ordinal(space, {{1, 1, 1}}), (std::vector<double>{1, 0.5, 0.5}));
  EXPECT_EQ(encode_ordinal(space, {{0, 2, 0}}), (std::vector<double>{0, 1, -1}));
}

TEST(Encodings, DifferentArchitecturesHaveDifferentCodes) {
  const auto space = make_chain();
  std::set<std::vector<double>> one_hot, ordinal;
  Rng rng(9);
  std::set<Architecture> drawn;
  for (int i = 0; i < 500; ++i) drawn.insert(sample_uniform(*space, rng));
  for (const Architecture& a : drawn) {
    EXPECT_TRUE(one_hot.insert(encode_one_hot(*space, a)).second);
    EXPECT_TRUE(ordinal.insert(encode_ordinal(*space, a)).second);
  }
}

TEST(ArchitectureStrings, RoundTripAndRefuseWhatIsWrong) {
  const auto space = make_chain();
  Rng rng(3);
  for (int i = 0; i < 100; ++i) {
    const Architecture a = sample_uniform(*space, rng);
    EXPECT_EQ(space->parse(space->to_string(a)), a);
    EXPECT_EQ(architecture_from_json(*space, architecture_to_json(*space, a)), a);
    EXPECT_EQ(parse_architecture(*space, architecture_to_json(*space, a).dump()), a);
    EXPECT_EQ(parse_architecture(*space, space->to_string(a)), a);
  }
  const auto error_of = [&](const std::string& text) {
    return throws<InvalidArchitecture>([&] { parse_architecture(*space, text); });
  };
  for (const char* text :
       {"", "stage1.width=16", "stage1.widht=16", "stage1.width=17", "x",
        "stage1.width=16,stage1.width=16", R"({"stage1.width": 16})", R"({"a":)"}) {
    SCOPED_TRACE(text);
    error_of(text);
  }
  const std::string good = space->to_string(sample_uniform(*space, rng));
  EXPECT_THAT(error_of(good + ","), HasSubstr("'' is not of the form decision=label"));
  EXPECT_THAT(error_of("," + good), HasSubstr("'' is not of the form decision=label"));
  EXPECT_THAT(error_of(R"({"stage1.widht": "16"})"), HasSubstr("did you mean \"stage1.width\"?"));
  EXPECT_THAT(error_of(R"({"stage1.width": 1e999})"),
              HasSubstr("the architecture: not valid JSON"));
  EXPECT_THAT(error_of(R"({"stage1.width": "16", "stage1.width": "32"})"),
              HasSubstr("the key \"stage1.width\" occurs twice"));
  EXPECT_THROW(architecture_from_json(*space, Json::array()), InvalidArchitecture);
}

TEST(Sampling, TheLargestAndTheSmallestArchitecturesAreThoseOfTheWholeSpace) {
  const auto space = make_nasbench201();
  std::int64_t most = 0, fewest = std::numeric_limits<std::int64_t>::max();
  enumerate(*space, [&](const Architecture& a) {
    most = std::max(most, space->quick_cost(a).macs);
    fewest = std::min(fewest, space->quick_cost(a).macs);
    return true;
  });
  EXPECT_EQ(space->quick_cost(largest_architecture(*space)).macs, most);
  EXPECT_EQ(space->quick_cost(smallest_architecture(*space)).macs, fewest);
  // Where the last and the first options are not valid.
  const ConstrainedSpace constrained;
  EXPECT_TRUE(constrained.valid(smallest_architecture(constrained)));
  EXPECT_TRUE(constrained.valid(largest_architecture(constrained)));
}

TEST(Sampling, CostsOfSamplesAreTheSmallestAndTheLargest) {
  const auto space = make_nasbench201();
  Rng rng(1), same(1);
  const SampledCosts costs = sample_costs(*space, 50, rng);
  std::vector<std::int64_t> params, macs;
  for (int i = 0; i < 50; ++i) {
    const Architecture a = sample_uniform(*space, same);
    if (i == 0) {
      EXPECT_EQ(costs.example, a);
    }
    const Cost cost = space->quick_cost(a);
    params.push_back(cost.params);
    macs.push_back(cost.macs);
  }
  EXPECT_EQ(costs.least_params, std::ranges::min(params));
  EXPECT_EQ(costs.most_params, std::ranges::max(params));
  EXPECT_EQ(costs.least_macs, std::ranges::min(macs));
  EXPECT_EQ(costs.most_macs, std::ranges::max(macs));
}

}  // namespace
}  // namespace espalier
