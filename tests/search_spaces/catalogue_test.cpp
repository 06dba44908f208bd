#include "search_spaces/catalogue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "core/error.hpp"
#include "core/json.hpp"
#include "graph/json.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "search_spaces/nas_bench_macro.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

/// Every decision drawn on its own; valid or not.
Architecture raw_architecture(const SearchSpace& space, Rng& rng) {
  Architecture raw;
  for (std::uint32_t n : space.choice_counts()) {
    raw.choices.push_back(static_cast<std::uint32_t>(rng.below(n)));
  }
  return raw;
}

TEST(SpaceCatalogue, EverySampleConfigMakesASpaceThatKeepsTheContract) {
  const SpaceRegistry spaces = space_registry();
  for (const std::string& name : spaces.names()) {
    SCOPED_TRACE(name);
    const auto space = spaces.create(spaces.sample(name), "/space");
    Rng rng(11);
    for (int i = 0; i < 25; ++i) {
      const Architecture a = sample_uniform(*space, rng);
      EXPECT_TRUE(space->valid(a));
      EXPECT_EQ(space->canonical(a), a);
      const Graph graph = space->build(a);
      EXPECT_NO_THROW(verify(graph));
      EXPECT_EQ(space->quick_cost(a).params, cost(graph).params);
      EXPECT_EQ(space->quick_cost(a).macs, cost(graph).macs);
      EXPECT_EQ(space->parse(space->to_string(a)), a);
      const Architecture b = mutate(*space, a, rng);
      EXPECT_NE(b, a);
      EXPECT_TRUE(space->valid(b));
    }
  }
}

TEST(SpaceCatalogue, ValidBuildCanonicalAndMutateAgreeInEverySpace) {
  const SpaceRegistry spaces = space_registry();
  for (const std::string& name : spaces.names()) {
    SCOPED_TRACE(name);
    const auto space = spaces.create(spaces.sample(name), "/space");
    Rng rng(12);
    for (int i = 0; i < 20; ++i) {
      const Architecture raw = raw_architecture(*space, rng);
      if (space->valid(raw)) {
        const Architecture canonical = space->canonical(raw);
        EXPECT_TRUE(space->valid(canonical));
        EXPECT_EQ(space->canonical(canonical), canonical);
        EXPECT_EQ(to_json(space->build(raw)), to_json(space->build(canonical)));
      } else {
        EXPECT_THROW(space->build(raw), InvalidArchitecture);
      }
      const Architecture a = sample_uniform(*space, rng);
      const Architecture b = mutate(*space, a, rng);
      bool one_change = false;
      for (DecisionId d = 0; d < a.choices.size(); ++d) {
        if (!space->active(a, d)) continue;
        Architecture c = a;
        for (c.choices[d] = 0; c.choices[d] < space->choice_counts()[d]; ++c.choices[d]) {
          one_change |= c != a && space->valid(c) && space->canonical(c) == b;
        }
      }
      EXPECT_TRUE(one_change);
    }
  }
}

using Sampler = std::function<Architecture(const SearchSpace&, Rng&)>;

/// The definition of uniform over the valid vectors: every decision is drawn on its own, and the
/// whole vector again until it is valid.
Architecture sample_by_definition(const SearchSpace& space, Rng& rng) {
  Architecture raw = raw_architecture(space, rng);
  while (!space.valid(raw)) raw = raw_architecture(space, rng);
  return space.canonical(raw);
}

/// How many standard deviations a chi-square statistic lies above its mean, by Wilson and
/// Hilferty's cube root.
double standard_deviations(double chi_square, double degrees) {
  const double spread = 2 / (9 * degrees);
  return (std::cbrt(chi_square / degrees) - (1 - spread)) / std::sqrt(spread);
}

/// The same for two samples of one size, by how often each value was drawn in them; values drawn
/// fewer than ten times in both together count as one.
double difference(const std::map<std::uint64_t, std::array<double, 2>>& counts) {
  double chi_square = 0, cells = 0;
  std::array<double, 2> rare{};
  const auto add = [&](const std::array<double, 2>& cell) {
    chi_square += (cell[0] - cell[1]) * (cell[0] - cell[1]) / (cell[0] + cell[1]);
    ++cells;
  };
  for (const auto& [value, cell] : counts) {
    if (cell[0] + cell[1] >= 10) {
      add(cell);
    } else {
      rare[0] += cell[0], rare[1] += cell[1];
    }
  }
  if (rare[0] + rare[1] >= 10) add(rare);
  return cells < 2 ? 0 : standard_deviations(chi_square, cells - 1);
}

/// The largest difference() between the sampler and the definition, over the decisions and the
/// pairs of decisions that stand next to each other.
double sampling_error(const SearchSpace& space, const Sampler& sampler, int samples) {
  const std::size_t n = space.decisions().size();
  std::vector<std::map<std::uint64_t, std::array<double, 2>>> single(n), pair(n);
  const std::array<Sampler, 2> samplers{sampler, sample_by_definition};
  for (std::size_t which = 0; which < 2; ++which) {
    Rng rng(100 + which);
    for (int i = 0; i < samples; ++i) {
      const Architecture a = samplers[which](space, rng);
      for (std::size_t d = 0; d < n; ++d) {
        ++single[d][a.choices[d]][which];
        if (d > 0) ++pair[d][std::uint64_t{a.choices[d - 1]} << 32 | a.choices[d]][which];
      }
    }
  }
  double worst = 0;
  for (std::size_t d = 0; d < n; ++d) {
    worst = std::max({worst, difference(single[d]), difference(pair[d])});
  }
  return worst;
}

TEST(SpaceCatalogue, SamplingIsUniformOverTheValidVectorsOfEverySpace) {
  const SpaceRegistry spaces = space_registry();
  for (const std::string& name : spaces.names()) {
    SCOPED_TRACE(name);
    const auto space = spaces.create(spaces.sample(name), "/space");
    EXPECT_LT(sampling_error(*space, sample_uniform, 10000), 5);
  }
}

TEST(SpaceCatalogue, DecisionsThatAreActiveAreUniformWhereNothingConstrainsThem) {
  const SpaceRegistry spaces = space_registry();
  int constrained = 0;
  for (const std::string& name : spaces.names()) {
    SCOPED_TRACE(name);
    const auto space = spaces.create(spaces.sample(name), "/space");
    const auto& counts = space->choice_counts();
    Rng rng(13);
    std::vector<std::vector<double>> seen(counts.size());
    for (std::size_t d = 0; d < counts.size(); ++d) seen[d].resize(counts[d]);
    bool any_is_valid = true;
    for (int i = 0; i < 10000; ++i) {
      any_is_valid &= space->valid(raw_architecture(*space, rng));
      const Architecture a = sample_uniform(*space, rng);
      for (DecisionId d = 0; d < counts.size(); ++d) {
        if (space->active(a, d)) ++seen[d][a.choices[d]];
      }
    }
    if (!any_is_valid) {
      ++constrained;
      continue;
    }
    for (DecisionId d = 0; d < counts.size(); ++d) {
      double total = 0, chi_square = 0;
      for (double n : seen[d]) total += n;
      const double expected = total / counts[d];
      if (counts[d] < 2 || expected < 5) continue;
      for (double n : seen[d]) chi_square += (n - expected) * (n - expected) / expected;
      EXPECT_LT(standard_deviations(chi_square, counts[d] - 1.0), 5) << space->decisions()[d].name;
    }
  }
  EXPECT_LT(constrained, 5);
}

TEST(SpaceCatalogue, TheTestOfSamplingSeesASamplerThatIsNotUniform) {
  const SpaceRegistry spaces = space_registry();
  const auto space = spaces.create(spaces.sample("mobilenet_v3"), "/space");
  const auto first_less_often = [](const SearchSpace& of, Rng& rng) {
    const Architecture a = sample_uniform(of, rng);
    return a.choices[0] == 0 && rng.below(4) == 0 ? sample_uniform(of, rng) : a;
  };
  EXPECT_GT(sampling_error(*space, first_less_often, 10000), 5);
  // Each decision alone is uniform here, but the second follows the first.
  const auto dependent = [](const SearchSpace& of, Rng& rng) {
    Architecture a = sample_uniform(of, rng);
    if (rng.below(4) == 0) a.choices[2] = a.choices[1] % of.choice_counts()[2];
    return of.canonical(a);
  };
  EXPECT_GT(sampling_error(*make_nasbench201(), dependent, 10000), 5);
}

/// The choices that differ from `choice` in one option that is picked.
std::vector<std::uint32_t> exchanges(const Decision& decision, std::uint32_t count,
                                     std::uint32_t choice) {
  const auto before = picked_options(decision, choice);
  std::vector<std::uint32_t> result;
  for (std::uint32_t c = 0; c < count; ++c) {
    std::size_t kept = 0;
    for (std::uint32_t option : picked_options(decision, c)) {
      kept += static_cast<std::size_t>(std::ranges::count(before, option));
    }
    if (kept + 1 == before.size()) result.push_back(c);
  }
  return result;
}

TEST(SpaceCatalogue, NeighboursAreCompleteAndSymmetricInEverySpace) {
  const SpaceRegistry spaces = space_registry();
  for (const std::string& name : spaces.names()) {
    SCOPED_TRACE(name);
    const auto space = spaces.create(spaces.sample(name), "/space");
    const auto& counts = space->choice_counts();
    Rng rng(14);
    for (int i = 0; i < 5; ++i) {
      const Architecture a = sample_uniform(*space, rng);
      SCOPED_TRACE(space->to_string(a));
      std::set<Architecture> wanted;
      for (DecisionId d = 0; d < counts.size(); ++d) {
        if (!space->active(a, d)) continue;
        for (std::uint32_t c : exchanges(space->decisions()[d], counts[d], a.choices[d])) {
          Architecture b = a;
          b.choices[d] = c;
          if (space->valid(b) && space->canonical(b) != a) wanted.insert(space->canonical(b));
        }
      }
      const std::vector<Architecture> found = neighbours(*space, a);
      EXPECT_EQ(found.size(), wanted.size());
      EXPECT_EQ(std::set<Architecture>(found.begin(), found.end()), wanted);
      const auto activity = [&](const Architecture& of) {
        std::vector<bool> active;
        for (DecisionId d = 0; d < counts.size(); ++d) active.push_back(space->active(of, d));
        return active;
      };
      const std::vector<bool> active = activity(a);
      for (const Architecture& b : found) {
        const std::vector<bool> active_then = activity(b);
        for (DecisionId d = 0; d < counts.size(); ++d) {
          if (active_then[d] && !active[d]) {
            EXPECT_EQ(b.choices[d], 0u) << space->decisions()[d].name;
          }
        }
        if (active_then == active) {
          const std::vector<Architecture> back = neighbours(*space, b);
          EXPECT_EQ(std::ranges::count(back, a), 1) << space->to_string(b);
        }
      }
    }
  }
}

TEST(SpaceCatalogue, SizesAreThePublishedOnes) {
  EXPECT_EQ(space_size(*make_nasbench201()).decimal, "15625");
  EXPECT_EQ(space_size(*make_nas_bench_macro()).decimal, "6561");
  // ((3 x 3)^2 + (3 x 3)^3 + (3 x 3)^4)^5, "about 2 x 10^19" in Once-for-All.
  const SpaceSize ofa = space_size(*make_mobilenet_v3());
  EXPECT_EQ(ofa.decimal, "21758655492572485851");
  EXPECT_FALSE(ofa.estimate);
}

TEST(SpaceCatalogue, ErrorsNameThePlace) {
  const SpaceRegistry spaces = space_registry();
  const auto pointer_of = [&](const Json& json) {
    try {
      spaces.create(json, "/space");
    } catch (const ConfigError& e) {
      return e.pointer();
    }
    return std::string("no error");
  };
  EXPECT_EQ(pointer_of({{"type", "chian"}}), "/space/type");
  EXPECT_EQ(pointer_of({{"type", "chain"}, {"stage", 1}}), "/space/stage");
  const auto stage = [](Json options) {
    return Json{{"type", "chain"}, {"stages", Json::array({std::move(options)})}};
  };
  EXPECT_EQ(pointer_of(stage({{"kernels", {3, 4}}})), "/space/stages/0/kernels");
  EXPECT_EQ(pointer_of(stage({{"kernels", {3, 3}}})), "/space/stages/0/kernels");
  EXPECT_EQ(pointer_of(stage({{"depths", {2, 1}}})), "/space/stages/0/depths");
  EXPECT_EQ(pointer_of(stage({{"widths", {8, 8}}})), "/space/stages/0/widths");
  EXPECT_EQ(pointer_of({{"type", "mobilenet_v3"}, {"expansions", {3, 3}}}), "/space/expansions");
  EXPECT_EQ(pointer_of({{"type", "mobilenet_v3"}, {"kernels", {3, 4}}}), "/space/kernels");
  EXPECT_EQ(pointer_of({{"type", "mobilenet_v3"}, {"kernels", {3, 3}}}), "/space/kernels");
  EXPECT_EQ(pointer_of({{"type", "mobilenet_v3"}, {"resolutions", {96, 96}}}),
            "/space/resolutions");
  EXPECT_EQ(pointer_of({{"type", "nasbench201"}, {"input", {3, 30, 32}}}), "/space/input");
  EXPECT_EQ(pointer_of({{"type", "nasbench201"}, {"input", {3, 32, 30}}}), "/space/input");
  EXPECT_EQ(pointer_of({{"type", "nasbench201"}, {"input", {1, 28, 4}}}), "no error");
  const auto compression = [](Json c) {
    return Json{{"type", "nasbench201"}, {"compression", std::move(c)}};
  };
  EXPECT_EQ(pointer_of(compression({{"weight_bits", {4, 9}}})), "/space/compression/weight_bits/1");
  EXPECT_EQ(pointer_of(compression({{"weight_bits", {4, 4}}})), "/space/compression/weight_bits");
  EXPECT_EQ(pointer_of(compression({{"channels", {0.5, 0.5}}})), "/space/compression/channels");
  EXPECT_EQ(pointer_of(compression({{"channels", {0.0}}})), "/space/compression/channels/0");
}

TEST(SpaceCatalogue, OptionsMadeInCodeAreCheckedToo) {
  const auto pointer_of = [](auto make) {
    try {
      make();
    } catch (const ConfigError& e) {
      return e.pointer();
    }
    return std::string("no error");
  };
  const auto chain = [&](const ChainOptions& o) { return pointer_of([&] { make_chain(o); }); };
  EXPECT_EQ(chain({.input = {3}}), "/input");
  EXPECT_EQ(chain({.stages = {}}), "/stages");
  EXPECT_EQ(chain({.stages = {{.depths = {}}}}), "/stages/0/depths");
  EXPECT_EQ(chain({.stages = {{.depths = {2, 1}}}}), "/stages/0/depths");
  EXPECT_EQ(chain({.stages = {{.widths = {}}}}), "/stages/0/widths");
  const auto mobile = [&](const MobileNetV3Options& o) {
    return pointer_of([&] { make_mobilenet_v3(o); });
  };
  EXPECT_EQ(mobile({.input = {3, 32}}), "/input");
  EXPECT_EQ(mobile({.expansions = {}}), "/expansions");
  EXPECT_EQ(mobile({.stages = {{.depths = {3, 2}}}}), "/stages/0/depths");
  const auto cells = [&](const Nasbench201Options& o) {
    return pointer_of([&] { make_nasbench201(o); });
  };
  EXPECT_EQ(cells({.input = {}}), "/input");
  EXPECT_EQ(cells({.input = {3, 32, 31}}), "/input");
  EXPECT_EQ(cells({.channels = 0}), "/channels");
  EXPECT_EQ(cells({.compression = CompressionOptions{.channels = {0.5, 0.5}}}),
            "/compression/channels");
}

TEST(Chain, DepthWidthAndKernelAreDecisions) {
  const ChainStage stage{
      .blocks = {"plain"}, .widths = {8, 16}, .depths = {1, 2}, .kernels = {3}, .stride = 1};
  const auto space = make_chain({.input = {1, 8, 8}, .classes = 3, .stages = {stage}});
  ASSERT_EQ(space->decisions().size(), 2u);
  EXPECT_EQ(space->decisions()[0].name, "stage1.width");
  EXPECT_EQ(space->decisions()[1].name, "stage1.depth");
  // stem 1 -> 16 (3x3) + bn, block 16 -> 8 + bn, classifier 8 -> 3
  EXPECT_EQ(cost(space->build({{0, 0}})).params, 9 * 16 + 32 + 9 * 16 * 8 + 16 + 27);
  EXPECT_EQ(cost(space->build({{0, 1}})).params,
            9 * 16 + 32 + 9 * 16 * 8 + 16 + 9 * 8 * 8 + 16 + 27);
}

TEST(MobileNetV3, TheLargestNetworkContainsTheOptions) {
  MobileNetV3Options options{.resolutions = {128, 160}};
  options.stages[0].se = SqueezeExcitation::search;
  const auto space = make_mobilenet_v3(options);
  const auto& d = space->decisions();
  EXPECT_EQ(d[0].name, "resolution");
  EXPECT_EQ(d[1].name, "stage1.se");
  EXPECT_EQ(d[2].name, "stage1.depth");
  EXPECT_EQ(d[3].name, "stage1.block1.kernel");
  EXPECT_EQ(d[4].name, "stage1.block1.expansion");
  Architecture small{std::vector<std::uint32_t>(d.size(), 0)};
  Architecture bigger = small;
  bigger.choices[0] = 1;
  EXPECT_EQ(space->build(small).node(0).shape.to_string(), "{3, 128, 128}");
  EXPECT_EQ(space->build(bigger).node(0).shape.to_string(), "{3, 160, 160}");
  EXPECT_EQ(space->quick_cost(small).params, space->quick_cost(bigger).params);
  EXPECT_GT(space->quick_cost(bigger).macs, space->quick_cost(small).macs);
  bigger.choices[1] = 1;
  EXPECT_GT(space->quick_cost(bigger).params, space->quick_cost(small).params);
}

}  // namespace
}  // namespace espalier
