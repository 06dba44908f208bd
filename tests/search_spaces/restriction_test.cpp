#include "search_spaces/restriction.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "core/error.hpp"
#include "core/json.hpp"
#include "graph/fingerprint.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/darts.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::shared_ptr<const SearchSpace> shared(std::unique_ptr<SearchSpace> space) { return space; }

/// Three decisions without a supergraph: the second matters only with "mode" on, the third picks
/// two; "b" and "on" exclude each other.
class PlainSpace : public SearchSpace {
 public:
  PlainSpace()
      : SearchSpace({{.name = "mode", .options = {"off", "on"}},
                     {.name = "kind", .options = {"a", "b", "c"}},
                     {.name = "pair", .options = {"p", "q", "r", "s"}, .pick = 2}}) {}
  bool valid(const Architecture& a) const override {
    return SearchSpace::valid(a) && !(a.choices[0] == 1 && a.choices[1] == 1);
  }
  Architecture canonical(const Architecture& a) const override {
    Architecture result = a;
    if (a.choices[0] == 0) result.choices[1] = 0;
    return result;
  }
  bool active(const Architecture& a, DecisionId d) const override {
    return d != 1 || a.choices[0] == 1;
  }
  Graph build(const Architecture& a) const override {
    require_valid(a);
    GraphBuilder builder;
    const NodeId x = builder.input(3, 4, 4);
    const std::int64_t width =
        1 + a.choices[2] + 6 * (a.choices[0] == 1 ? 1 + std::int64_t{a.choices[1]} : 0);
    builder.output(builder.conv(x, width));
    return builder.build();
  }
};

/// One architecture picks the first of two decisions as the representative of its swap.
class SwapSpace : public SearchSpace {
 public:
  SwapSpace()
      : SearchSpace({{.name = "x", .options = {"1", "2"}}, {.name = "y", .options = {"1", "2"}}}) {}
  Architecture canonical(const Architecture& a) const override {
    Architecture result = a;
    std::ranges::sort(result.choices);
    return result;
  }
  Graph build(const Architecture& a) const override {
    GraphBuilder builder;
    builder.output(builder.conv(builder.input(3, 4, 4), 1 + a.choices[0] + a.choices[1]));
    return builder.build();
  }
};

/// What must hold of every restriction, looked at in `count` random architectures.
void expect_contract(const RestrictedSpace& space, int count) {
  Rng rng(17);
  for (int i = 0; i < count; ++i) {
    const Architecture a = sample_uniform(space, rng);
    ASSERT_TRUE(space.valid(a));
    ASSERT_EQ(space.canonical(a), a);
    const Architecture lifted = space.lift(a);
    ASSERT_TRUE(space.whole()->valid(lifted));
    ASSERT_EQ(space.lower(lifted), a);
    ASSERT_EQ(space.parse(space.to_string(a)), a);
    const Graph graph = space.build(a);
    verify(graph);
    EXPECT_EQ(fingerprint(graph), fingerprint(space.whole()->build(lifted)));
    EXPECT_EQ(space.quick_cost(a).params, cost(graph).params);
    if (const Supergraph* supergraph = space.supergraph()) {
      const Graph closed = supergraph->close(a);
      verify(closed);
      ASSERT_EQ(closed.size(), graph.size());
      for (NodeId id = 0; id < graph.size(); ++id) {
        EXPECT_EQ(closed.name(id), graph.name(id));  // so weights fit
        EXPECT_EQ(closed.node(id).op, graph.node(id).op);
        EXPECT_EQ(closed.node(id).shape, graph.node(id).shape);
        EXPECT_EQ(closed.scope(closed.node(id).scope).name, graph.scope(graph.node(id).scope).name);
        EXPECT_EQ(closed.scope_attributes(closed.node(id).scope),
                  graph.scope_attributes(graph.node(id).scope));
        EXPECT_TRUE(std::ranges::equal(closed.inputs(id), graph.inputs(id)));
      }
      EXPECT_EQ(supergraph->quick_cost(a).macs, cost(graph).macs);
    }
    for (const Architecture& b : neighbours(space, a)) ASSERT_TRUE(space.valid(b));
  }
}

TEST(Restriction, EveryNetworkIsOneOfTheWholeSpace) {
  expect_contract(
      RestrictedSpace(shared(make_nasbench201()), {{"edge0_1", {"nor_conv_3x3", "skip_connect"}},
                                                   {"edge1_3", {"avg_pool_3x3"}},
                                                   {"edge2_3", {"nor_conv_1x1", "none"}}}),
      30);
  expect_contract(RestrictedSpace(shared(make_mobilenet_v3()), {{"stage1.depth", {"3", "4"}},
                                                                {"stage2.depth", {"2"}},
                                                                {"stage3.block1.kernel", {"5"}}}),
                  20);
  ChainOptions chain{.stages = {{.widths = {8, 16, 24}, .depths = {1, 2}, .kernels = {3, 5}}}};
  chain.compression = CompressionOptions{.channels = {0.5, 1.0}, .weight_bits = {4, 8, 32}};
  const auto space = shared(make_chain(chain));
  Restriction restriction{{"stage1.width", {"16", "24"}}};
  for (const Decision& d : space->decisions()) {
    if (d.name.starts_with("weight_bits.")) restriction[d.name] = {"32"};
    if (d.name.starts_with("channels.stage1")) restriction[d.name] = {"0.5"};
  }
  ASSERT_GE(restriction.size(), 4u);
  expect_contract(RestrictedSpace(space, restriction), 20);
  expect_contract(RestrictedSpace(std::make_shared<PlainSpace>(),
                                  {{"kind", {"c", "b"}}, {"pair", {"s", "p", "q"}}}),
                  50);
  expect_contract(RestrictedSpace(std::make_shared<SwapSpace>(), {{"x", {"2"}}}), 5);
}

TEST(Restriction, OptionsStayInTheOrderOfTheSpace) {
  const RestrictedSpace space(shared(make_nasbench201()),
                              {{"edge0_2", {"avg_pool_3x3", "skip_connect"}}});
  EXPECT_THAT(space.decisions()[1].options, ElementsAre("skip_connect", "avg_pool_3x3"));
  EXPECT_EQ(space.decisions()[0].options.size(), 5u);
  EXPECT_EQ(space_size(space).decimal, "6250");
  EXPECT_EQ(space.restriction(), (Restriction{{"edge0_2", {"skip_connect", "avg_pool_3x3"}}}));
}

TEST(Restriction, TheSupergraphLosesWhatNoNetworkNeeds) {
  const auto whole = shared(make_nasbench201({.cells = 1}));
  Restriction no_wide_kernel;
  for (const Decision& d : whole->decisions()) {
    no_wide_kernel[d.name] = {"none", "nor_conv_1x1"};
  }
  const RestrictedSpace space(whole, no_wide_kernel);
  const auto has = [](const SearchSpace& s, const std::string& part) {
    const Graph& graph = s.supergraph()->graph();
    for (NodeId id = 0; id < graph.size(); ++id) {
      if (graph.name(id).find(part) != std::string::npos) return true;
    }
    return false;
  };
  EXPECT_TRUE(has(*whole, "avg_pool_3x3"));
  EXPECT_FALSE(has(space, "avg_pool_3x3"));
  EXPECT_FALSE(has(space, "nor_conv_3x3"));
  EXPECT_TRUE(has(space, "nor_conv_1x1"));
  EXPECT_TRUE(has(space, "none"));
  // Weights are stored at the largest width that is left.
  const ChainStage stage{.widths = {8, 16, 24}, .depths = {1}, .kernels = {3}};
  const RestrictedSpace narrow(shared(make_chain({.stages = {stage}})),
                               {{"stage1.width", {"8", "16"}}});
  std::int64_t widest = 0;
  const Supergraph& supergraph = *narrow.supergraph();
  for (NodeId id = 0; id < supergraph.graph().size(); ++id) {
    if (supergraph.graph().name(id).starts_with("stage1")) {
      widest = std::max(widest, supergraph.layout(id).width());
    }
  }
  EXPECT_EQ(widest, 16);
}

TEST(Restriction, ADecisionOfASwitchedOffPartIsNotActive) {
  const ChainStage stage{.widths = {8}, .depths = {1, 2, 3}, .kernels = {3, 5}};
  const RestrictedSpace space(shared(make_chain({.stages = {stage}})),
                              {{"stage1.depth", {"1", "2"}}});
  const auto& decisions = space.decisions();
  const auto id = [&](const std::string& name) {
    const auto found = std::ranges::find(decisions, name, &Decision::name);
    return static_cast<DecisionId>(found - decisions.begin());
  };
  Architecture a{std::vector<std::uint32_t>(decisions.size(), 1)};
  EXPECT_TRUE(space.active(a, id("stage1.block2.kernel")));
  EXPECT_FALSE(space.active(a, id("stage1.block3.kernel")));
  EXPECT_EQ(space.canonical(a).choices[id("stage1.block3.kernel")], 0u);
  a.choices[id("stage1.depth")] = 0;
  EXPECT_FALSE(space.active(a, id("stage1.block2.kernel")));
  EXPECT_EQ(space_size(space).decimal, "6");  // 2 kernels, 2 x 2 kernels
}

TEST(Restriction, CanonicalFormsWithoutASupergraph) {
  // "kind" has no meaning with mode off; its first option that stays stands for all.
  const RestrictedSpace plain(std::make_shared<PlainSpace>(), {{"kind", {"b", "c"}}});
  EXPECT_EQ(plain.canonical({{0, 1, 3}}), (Architecture{{0, 0, 3}}));
  EXPECT_FALSE(plain.active({{0, 1, 3}}, 1));
  EXPECT_FALSE(plain.valid({{1, 0, 0}}));  // on and b
  EXPECT_EQ(plain.canonical({{1, 1, 0}}), (Architecture{{1, 1, 0}}));
  std::map<Architecture, std::set<std::uint64_t>> networks;
  enumerate(plain, [&](const Architecture& a) {
    networks[a].insert(static_cast<std::uint64_t>(cost(plain.build(a)).params));
    return true;
  });
  EXPECT_EQ(networks.size(), 12u);  // off, or on and c; 6 pairs each

  // The whole space writes (2, 1) as (1, 2), which the restriction does not have.
  const RestrictedSpace swapped(std::make_shared<SwapSpace>(), {{"x", {"2"}}});
  EXPECT_EQ(swapped.canonical({{0, 0}}), (Architecture{{0, 0}}));
  EXPECT_EQ(cost(swapped.build(swapped.canonical({{0, 0}}))).params, 3 * 2);
}

TEST(Restriction, AConstraintOnADecisionThatIsNotActiveIsKept) {
  // Canonical vectors of the whole space have kernel 3 in a block that is left out.
  class Constrained : public SupergraphSpace {
   public:
    using SupergraphSpace::SupergraphSpace;
    bool valid(const Architecture& a) const override {
      return SupergraphSpace::valid(a) && !(a.choices[1] == 0 && a.choices[2] == 1);
    }
  };
  const ChainStage stage{.widths = {8}, .depths = {1, 2}, .kernels = {3, 5, 7}};
  const auto chain = make_chain({.stages = {stage}});
  ASSERT_EQ(chain->decisions()[2].name, "stage1.block2.kernel");
  const RestrictedSpace space(
      std::make_shared<Constrained>(Supergraph(chain->supergraph()->graph(), chain->decisions())),
      {{"stage1.block2.kernel", {"5", "7"}}});
  // Kernel 5 would be its canonical choice, but does not go with kernel 3 before it.
  EXPECT_EQ(space.canonical({{0, 0, 1}}), (Architecture{{0, 0, 1}}));
  EXPECT_EQ(space.canonical({{0, 1, 1}}), (Architecture{{0, 1, 0}}));
  expect_contract(space, 20);
}

TEST(Restriction, OfARestrictionSharesItsWholeSpace) {
  const auto whole = shared(make_nasbench201());
  const auto first = std::make_shared<RestrictedSpace>(
      whole, Restriction{{"edge0_1", {"skip_connect", "nor_conv_1x1", "nor_conv_3x3"}}});
  const RestrictedSpace second(
      first, {{"edge0_1", {"nor_conv_3x3", "skip_connect"}}, {"edge0_2", {"none"}}});
  EXPECT_EQ(second.whole(), whole);
  EXPECT_EQ(second.restriction(),
            (Restriction{{"edge0_1", {"skip_connect", "nor_conv_3x3"}}, {"edge0_2", {"none"}}}));
  EXPECT_EQ(second.lift({{1, 0, 4, 4, 4, 4}}), (Architecture{{3, 0, 4, 4, 4, 4}}));
  expect_contract(second, 10);
  EXPECT_THAT(throws<ConfigError>([&] {
                RestrictedSpace(first, {{"edge0_1", {"none"}}});
              }),
              HasSubstr("no option \"none\""));
}

TEST(Restriction, IsAKeyOfEverySpaceOfTheCatalogue) {
  const SpaceRegistry spaces = space_registry();
  for (const std::string& name : spaces.names()) {
    SCOPED_TRACE(name);
    Json config = spaces.sample(name);
    EXPECT_FALSE(config.contains("restrict"));
    const auto whole = shared(spaces.create(config, ""));
    const Decision& last = whole->decisions().back();
    const RestrictedSpace restricted(whole, {{last.name, {last.options.back()}}});
    config = restricted_config(config, restricted);
    EXPECT_EQ(config["restrict"], (Json{{last.name, {last.options.back()}}}));
    // It is kept by the resolved config, and what it makes says the same again.
    const Json resolved = spaces.resolve(config, "/space");
    EXPECT_EQ(resolved, config);
    const auto again = spaces.create(resolved, "/space");
    EXPECT_EQ(again->decisions(), restricted.decisions());
    const auto& same = dynamic_cast<const RestrictedSpace&>(*again);
    EXPECT_EQ(restricted_config(resolved, same), config);
    EXPECT_EQ(spaces.describe(name)["options"].back()["name"], "restrict");
  }
  const Json schema = spaces.schema();
  for (const Json& alternative : schema["oneOf"]) {
    EXPECT_EQ(alternative["properties"]["restrict"]["type"], "object");
  }
}

TEST(Restriction, ALaterRestrictionReplacesTheOlderOneInTheConfig) {
  const SpaceRegistry spaces = space_registry();
  const Json config = {{"type", "nasbench201"},
                       {"restrict", {{"edge0_1", {"skip_connect", "nor_conv_3x3"}}}}};
  const RestrictedSpace further(shared(spaces.create(config, "")),
                                {{"edge1_2", {"nor_conv_1x1"}}, {"edge0_1", {"nor_conv_3x3"}}});
  EXPECT_EQ(restricted_config(config, further)["restrict"].dump(),
            R"({"edge0_1":["nor_conv_3x3"],"edge1_2":["nor_conv_1x1"]})");
  // All options again is no restriction.
  const RestrictedSpace none(shared(make_nasbench201()), {});
  EXPECT_FALSE(restricted_config({{"type", "nasbench201"}}, none).contains("restrict"));
}

TEST(Restriction, ErrorsNameThePlaceAndTheNearestName) {
  const SpaceRegistry spaces = space_registry();
  const auto error = [&](Json restrict) {
    return throws<ConfigError>([&] {
      spaces.create({{"type", "nasbench201"}, {"restrict", std::move(restrict)}}, "/space");
    });
  };
  EXPECT_EQ(error({{"edge0_l", {"none"}}}),
            "/space/restrict/edge0_l: the space has no decision \"edge0_l\"; did you mean "
            "\"edge0_1\"?");
  EXPECT_EQ(error({{"edge0_1", {"none", "skip_conect"}}}),
            "/space/restrict/edge0_1/1: decision \"edge0_1\" has no option \"skip_conect\"; did "
            "you mean \"skip_connect\"?");
  EXPECT_EQ(error({{"edge0_1", {"none", "none"}}}),
            "/space/restrict/edge0_1: lists \"none\" twice; write each option once");
  EXPECT_EQ(error({{"edge0_1", Json::array()}}),
            "/space/restrict/edge0_1: expected an array of 1 or more elements, got 0");
  EXPECT_THAT(error({{"edge0_1", "none"}}),
              HasSubstr("/space/restrict/edge0_1: expected an array"));
  EXPECT_THAT(throws<ConfigError>([&] {
                spaces.create({{"type", "nasbench201"}, {"restrct", Json::object()}}, "/space");
              }),
              HasSubstr("did you mean \"restrict\"?"));
  EXPECT_EQ(throws<ConfigError>([] {
              RestrictedSpace(std::make_shared<PlainSpace>(), {{"pair", {"q"}}});
            }),
            "/pair: the decision picks 2 of its options, and 1 would be left");
}

TEST(Restriction, ArchitecturesWithALostOptionAreRefused) {
  const RestrictedSpace space(shared(make_nasbench201()),
                              {{"edge0_1", {"skip_connect", "nor_conv_3x3"}}});
  const std::string text = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|";
  EXPECT_EQ(throws<InvalidArchitecture>([&] { space.parse(text); }),
            "decision 'edge0_1' has no 'none' in this restriction of the space; it has "
            "'skip_connect', 'nor_conv_3x3'");
  EXPECT_EQ(space.lower(space.whole()->parse(text)), std::nullopt);
  EXPECT_THAT(throws<InvalidArchitecture>([&] {
                space.build({{2, 0, 0, 0, 0, 0}});
              }),
              HasSubstr("has 2 choices"));
  EXPECT_FALSE(space.valid({{2, 0, 0, 0, 0, 0}}));
  EXPECT_FALSE(space.valid({{0, 0}}));
}

TEST(Restriction, TextsSayNothingOfWhatDoesNotMatter) {
  const auto darts = std::shared_ptr<const SearchSpace>(make_darts({.channels = 4, .layers = 3}));
  Restriction convolutions;
  for (const Decision& d : darts->decisions()) {
    if (d.pick == 1) convolutions[d.name] = {"skip_connect", "sep_conv_3x3"};
  }
  const RestrictedSpace space(darts, convolutions);
  Rng rng(5);
  for (int i = 0; i < 10; ++i) {
    const Architecture a = sample_uniform(space, rng);
    EXPECT_EQ(space.canonical(space.parse(space.to_string(a))), space.canonical(a));
  }
}

TEST(RestrictedSpace, KeepsTheConstraintsOfTheWholeSpace) {
  const SpaceRegistry spaces = space_registry();
  const Json config =
      read_json_file(std::string(ESPALIER_SOURCE_DIR) + "/examples/spaces/small_camera.json");
  const auto size_with = [&](const char* key, const Json& value) {
    Json changed = config;
    if (changed.contains(key)) {
      changed[key].push_back(value);
    } else {
      changed[key] = value;
    }
    return space_size(*spaces.create(changed, ""));
  };
  const auto whole = space_size(*spaces.create(config, ""));
  const auto nothing = size_with("restrict", {{"resolution", {"24", "28"}}});
  EXPECT_EQ(nothing.decimal, whole.decimal);
  EXPECT_EQ(nothing.estimate, whole.estimate);
  const auto restricted = size_with("restrict", {{"stage1.depth", {"3"}}});
  const auto forbidden = size_with("constraints", {{"not", {{"stage1.depth", {1, 2}}}}});
  EXPECT_EQ(restricted.decimal, forbidden.decimal);
}

}  // namespace
}  // namespace espalier
