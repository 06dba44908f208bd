#include "strategies/relaxed_decisions.hpp"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "search_spaces/darts.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "search_spaces/nasbench201.hpp"

namespace espalier {
namespace {

std::size_t place_of(std::span<const RelaxedDecision> decisions, const std::string& name) {
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    if (decisions[d].name == name) return d;
  }
  ADD_FAILURE() << "no decision " << name;
  return 0;
}

TEST(RelaxedDecisions, KnowsSkipsZerosAndTerms) {
  const auto cells = make_nasbench201({.channels = 4, .cells = 1});
  for (const RelaxedDecision& d : relaxed_decisions(*cells->supergraph())) {
    EXPECT_TRUE(d.operators);
    EXPECT_EQ(d.skip, 1U);
    EXPECT_EQ(d.zero, 0U);
    EXPECT_EQ(d.term, d.name != "edge0_1") << d.name;  // that node is its one edge
    EXPECT_FALSE(d.input);
  }
  const auto darts = make_darts({.channels = 4, .layers = 3});
  const auto decisions = relaxed_decisions(*darts->supergraph());
  const RelaxedDecision& edge = decisions[place_of(decisions, "normal.edge1_4")];
  EXPECT_TRUE(edge.operators);
  EXPECT_TRUE(edge.term);
  EXPECT_TRUE(edge.input);
  EXPECT_EQ(edge.skip, 2U);
  EXPECT_FALSE(edge.zero);
  const RelaxedDecision& node = decisions[place_of(decisions, "reduce.node4.inputs")];
  EXPECT_FALSE(node.operators);
  EXPECT_EQ(node.pick, 2);
  EXPECT_EQ(node.edges[1], place_of(decisions, "reduce.edge1_4"));
  EXPECT_TRUE(edge.unchanged);
  EXPECT_FALSE(decisions[place_of(decisions, "reduce.edge1_4")].unchanged);  // of half the size
  EXPECT_TRUE(decisions[place_of(decisions, "reduce.edge2_4")].unchanged);
  EXPECT_EQ(cell_kind(edge), "normal");
  EXPECT_EQ(cell_kind(relaxed_decisions(*cells->supergraph())[0]), "");
}

TEST(RelaxedDecisions, ASkipIsTheInputOfTheOthersWhateverItsName) {
  SupergraphBuilder b;
  const NodeId x = b.input(4, 8, 8);
  const std::array options{b.conv(x, 4, {.kernel = 3}), x};
  const DecisionId d = b.decide({.name = "d", .options = {"conv", "as it is"}});
  b.output(b.linear(b.flatten(b.global_avg_pool(b.choice(d, options))), 3));
  const Supergraph supergraph = b.finish();
  EXPECT_EQ(relaxed_decisions(supergraph)[0].skip, 1U);
  EXPECT_FALSE(relaxed_decisions(supergraph)[0].term);
}

TEST(RelaxedDecisions, DepthsAndPartsOfBlocksAreNoSkips) {
  for (const std::array<std::string, 2>& labels :
       {std::array<std::string, 2>{"1", "2"}, {"no", "yes"}, {"skip", "2"}}) {
    SupergraphBuilder b;
    const NodeId x = b.input(4, 8, 8);
    const std::array options{x, b.conv(x, 4, {.kernel = 3})};
    const DecisionId d = b.decide({.name = "d", .options = {labels[0], labels[1]}});
    b.output(b.linear(b.flatten(b.global_avg_pool(b.choice(d, options))), 3));
    EXPECT_EQ(relaxed_decisions(b.finish())[0].skip.has_value(), labels[0] == "skip") << labels[0];
  }
}

TEST(RelaxedDecisions, OneOptionAloneIsNoSkip) {
  for (const std::string name : {"conv", "skip_connect"}) {
    SupergraphBuilder b;
    const std::array options{b.conv(b.input(4, 8, 8), 4, {.kernel = 3})};
    const DecisionId d = b.decide({.name = "d", .options = {name}});
    b.output(b.linear(b.flatten(b.global_avg_pool(b.choice(d, options))), 3));
    EXPECT_FALSE(relaxed_decisions(b.finish())[0].skip) << name;
  }
}

TEST(RelaxedDecisions, NumbersAreNoOperators) {
  const auto space = make_mobilenet_v3({});
  bool numbers = false;
  for (const RelaxedDecision& d : relaxed_decisions(*space->supergraph())) {
    numbers = numbers || !d.operators;
  }
  EXPECT_TRUE(numbers);
}

TEST(RelaxedDecisions, TheTwoStrongestEdgesAreKept) {
  const std::vector<RelaxedDecision> decisions{
      {.name = "a", .options = 3, .operators = true, .zero = 0},
      {.name = "b", .options = 3, .operators = true, .zero = 0},
      {.name = "c", .options = 3, .operators = true, .zero = 0},
      {.name = "inputs", .options = 3, .pick = 2, .edges = {0, 1, 2}}};
  // By operators that are not zero: 0.3, 0.5, 0.4.
  const Strengths strengths{{0.6, 0.1, 0.3}, {0.1, 0.5, 0.4}, {0.2, 0.4, 0.4}, {1, 1, 1}};
  EXPECT_EQ(strongest(decisions, strengths).choices,
            (std::vector<std::uint32_t>{0, 1, 1, rank_subset(std::array{1U, 2U})}));
  // Times the inputs' own: 0.3, 0.05, 0.4.
  Strengths weighed = strengths;
  weighed[3] = {1, 0.1, 1};
  EXPECT_EQ(strongest(decisions, weighed).choices[3], rank_subset(std::array{0U, 2U}));
}

TEST(RelaxedDecisions, OperatorsOfTheirOwnTellInputsApart) {
  const auto told_apart = [](std::size_t options, bool none,
                             std::vector<std::optional<DecisionId>> edges, int pick = 2) {
    std::vector<RelaxedDecision> decisions{
        {.name = "a", .options = 3, .operators = true},
        {.name = "b", .options = options, .operators = true},
        {.name = "c", .options = 2, .operators = true},
        {.name = "inputs", .options = 3, .pick = pick, .edges = std::move(edges)}};
    mark_told_apart(decisions, {false, none, false, false});
    EXPECT_FALSE(decisions[0].told_apart);
    return decisions[3].told_apart;
  };
  EXPECT_TRUE(told_apart(2, false, {0, 1, 2}));
  EXPECT_FALSE(told_apart(2, false, {0, std::nullopt, 2}));
  EXPECT_FALSE(told_apart(2, false, {0, 1, 1}));  // tied
  EXPECT_FALSE(told_apart(1, false, {0, 1, 2}));  // always of the same strength
  EXPECT_TRUE(told_apart(1, true, {0, 1, 2}));
  EXPECT_TRUE(told_apart(2, false, {0, std::nullopt, 2}, 3));  // all are picked
}

TEST(RelaxedDecisions, SkipsAreCountedWhereTheyAreUsed) {
  const auto cells = make_nasbench201({.channels = 4, .cells = 1});
  const auto decisions = relaxed_decisions(*cells->supergraph());
  EXPECT_DOUBLE_EQ(skip_share(*cells, decisions, {{1, 1, 1, 3, 3, 3}}), 0.5);
  EXPECT_DOUBLE_EQ(skip_share(*cells, decisions, {{1, 1, 1, 1, 1, 1}}), 1);
}

}  // namespace
}  // namespace espalier
