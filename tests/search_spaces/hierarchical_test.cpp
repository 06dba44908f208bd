#include "search_spaces/hierarchical.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "core/error.hpp"
#include "graph/fingerprint.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

const HierarchicalOptions small{.input = {3, 8, 8}, .channels = 4};

std::size_t index_of(const SearchSpace& space, const std::string& name) {
  for (std::size_t d = 0; d < space.decisions().size(); ++d) {
    if (space.decisions()[d].name == name) return d;
  }
  throw Error("no decision " + name);
}

Architecture with(const SearchSpace& space,
                  const std::vector<std::pair<std::string, std::string>>& labels) {
  Architecture a{std::vector<std::uint32_t>(space.decisions().size(), 0)};
  for (const auto& [name, label] : labels) {
    const std::size_t d = index_of(space, name);
    a.choices[d] = choice_from_label(space.decisions()[d], label);
  }
  return a;
}

TEST(Hierarchical, MotifsJoinAlongTheChannels) {
  const auto space = make_hierarchical(small);
  const auto params = [&](const std::vector<std::pair<std::string, std::string>>& labels) {
    return cost(space->build(with(*space, labels))).params;
  };
  // The stem; for each group the motif's 1x1 convolution and the separable one after the cell; the
  // classifier.
  const std::int64_t plain = params({});
  EXPECT_EQ(plain, (27 * 4 + 8) + (4 * 4 + 8) + (11 * 4 + 4 * 8 + 16) + (8 * 8 + 16) +
                       (11 * 8 + 8 * 16 + 32) + (16 * 16 + 32) + (11 * 16 + 16 * 16 + 32) +
                       (16 * 10 + 10));
  const std::int64_t squares = 4 * 4 + 8 * 8 + 16 * 16, sum = 4 + 8 + 16;
  // A second way through the motif doubles what its 1x1 convolution reads.
  EXPECT_EQ(params({{"motif1.edge2_4", "identity"}}), plain + squares);
  EXPECT_EQ(params({{"motif1.edge2_4", "avg_pool_3x3"}}), plain + squares);
  // A second way through the cell: two more motifs, and twice the channels after it.
  EXPECT_EQ(params({{"cell.edge2_5", "motif1"}}),
            plain + 2 * (squares + 2 * sum) + 11 * sum + (4 * 8 + 8 * 16 + 16 * 16));
  // 1x1 and separable convolutions bring twice the channels back to those of the group, and a
  // depthwise one keeps them: node 3 has them from nodes 1 and 2.
  const std::vector<std::pair<std::string, std::string>> doubled = {{"motif1.edge1_4", "none"},
                                                                    {"motif1.edge2_3", "identity"}};
  const auto through = [&](const std::string& op) {
    auto labels = doubled;
    labels.emplace_back("motif1.edge3_4", op);
    return params(labels);
  };
  EXPECT_EQ(through("max_pool_3x3"), plain + squares);
  EXPECT_EQ(through("depthwise_3x3"), plain + squares + 2 * (9 * sum + 2 * sum));
  EXPECT_EQ(through("conv_1x1"), plain + 2 * squares + 2 * sum);
  EXPECT_EQ(through("separable_3x3"), plain + 2 * 11 * sum + 2 * squares + 2 * sum);
}

// The cell that the paper's appendix draws; edges without a label hold nothing. With 64 channels
// the paper says 15.7 M.
TEST(Hierarchical, TheFoundCellHasThePublishedParams) {
  const auto space = make_hierarchical({.channels = 64, .cells = 2});
  std::vector<std::pair<std::string, std::string>> labels;
  const auto add = [&](const std::string& graph, const std::vector<std::string>& values) {
    // In the order 1_2, 1_3, 2_3, 1_4, ...
    std::size_t i = 0;
    for (std::size_t to = 2; i < values.size(); ++to) {
      for (std::size_t from = 1; from < to; ++from) {
        labels.emplace_back(graph + ".edge" + std::to_string(from) + "_" + std::to_string(to),
                            values[i++]);
      }
    }
  };
  const std::string max = "max_pool_3x3", average = "avg_pool_3x3", separable = "separable_3x3",
                    depthwise = "depthwise_3x3", conv = "conv_1x1", none = "none";
  add("motif1", {max, conv, depthwise, separable, conv, max});
  add("motif2", {max, depthwise, depthwise, conv, separable, separable});
  add("motif3", {separable, depthwise, separable, separable, none, average});
  add("motif4", {average, separable, separable, none, max, average});
  add("motif5", {none, separable, none, separable, none, separable});
  add("motif6", {depthwise, max, max, separable, none, average});
  add("cell", {"motif5", "motif3", "motif3", "motif3", "motif1", "motif3", "motif4", "motif5",
               "motif5", "motif5"});
  EXPECT_EQ(cost(space->build(with(*space, labels))).params, 15718730);  // 15.7 M
}

TEST(Hierarchical, DecisionsAreTheEdges) {
  const auto space = make_hierarchical();
  ASSERT_EQ(space->decisions().size(), 6u * 6 + 10);
  EXPECT_EQ(space->decisions()[0].name, "motif1.edge1_2");
  EXPECT_EQ(space->decisions()[0].options.front(), "identity");
  EXPECT_EQ(space->decisions()[2].name, "motif1.edge2_3");
  EXPECT_EQ(space->decisions()[2].options.front(), "none");
  EXPECT_EQ(space->decisions()[36].options.back(), "none");
  EXPECT_EQ(space->decisions()[45].name, "cell.edge4_5");
  // 7^46 vectors, of which the canonical ones are a small part.
  EXPECT_EQ(space_size(*space).decimal, "749048330965186233494494102694564493649");
}

TEST(Hierarchical, ACellWithoutAPathIsInvalid) {
  const auto space = make_hierarchical(small);
  const auto valid = [&](const std::vector<std::pair<std::string, std::string>>& labels) {
    const Architecture a = with(*space, labels);
    if (space->valid(a)) return true;
    EXPECT_THROW(space->build(a), InvalidArchitecture);
    return false;
  };
  EXPECT_TRUE(valid({}));
  EXPECT_FALSE(valid({{"cell.edge1_5", "none"}}));
  EXPECT_TRUE(valid({{"cell.edge1_5", "none"}, {"cell.edge3_5", "motif2"}}));
  // A motif without a path counts as none.
  EXPECT_FALSE(valid({{"motif1.edge1_4", "none"}}));
  EXPECT_TRUE(valid({{"motif1.edge1_4", "none"}, {"cell.edge1_5", "motif2"}}));
}

TEST(Hierarchical, ValidBuildCanonicalAndActiveAgree) {
  const auto space = make_hierarchical(small);
  Rng rng(5);
  int valid = 0;
  for (int i = 0; i < 300; ++i) {
    Architecture a;
    for (std::size_t d = 0; d < space->decisions().size(); ++d) {
      // Many edges without anything on them, for nodes that are not reached.
      const auto& options = space->decisions()[d].options;
      const auto none = static_cast<std::uint32_t>(options.front() == "none" ? 0 : 6);
      a.choices.push_back(rng.below(2) == 0 ? none : static_cast<std::uint32_t>(rng.below(7)));
    }
    const Architecture canonical = space->canonical(a);
    EXPECT_EQ(space->canonical(canonical), canonical);
    EXPECT_EQ(space->valid(canonical), space->valid(a));
    if (!space->valid(a)) {
      EXPECT_THROW(space->build(a), InvalidArchitecture);
      continue;
    }
    ++valid;
    const Graph graph = space->build(a);
    EXPECT_NO_THROW(verify(graph));
    EXPECT_EQ(fingerprint(graph), fingerprint(space->build(canonical)));
    for (DecisionId d = 0; d < a.choices.size(); ++d) {
      if (space->active(a, d)) continue;
      Architecture changed = a;
      changed.choices[d] = (a.choices[d] + 3) % 7;
      EXPECT_EQ(space->canonical(changed), canonical) << space->decisions()[d].name;
    }
  }
  EXPECT_GT(valid, 50);
  EXPECT_LT(valid, 300);
}

// One change brings in a node or a motif that was not used.
TEST(Hierarchical, SearchesReachUnusedMotifs) {
  const auto space = make_hierarchical(small);
  const Architecture plain = with(*space, {});
  std::set<Architecture> near;
  for (Architecture& b : neighbours(*space, plain)) near.insert(std::move(b));
  EXPECT_TRUE(near.contains(with(*space, {{"cell.edge1_5", "motif6"}})));
  EXPECT_TRUE(near.contains(with(*space, {{"cell.edge4_5", "motif3"}})));
  EXPECT_TRUE(near.contains(with(*space, {{"motif1.edge3_4", "depthwise_3x3"}})));
  EXPECT_FALSE(near.contains(with(*space, {{"motif2.edge3_4", "depthwise_3x3"}})));
  // Active are the edges that some single change of theirs makes count, no others.
  int active = 0;
  for (DecisionId d = 0; d < plain.choices.size(); ++d) {
    bool counts = false;
    for (std::uint32_t c = 0; c < space->choice_counts()[d]; ++c) {
      Architecture changed = plain;
      changed.choices[d] = c;
      counts = counts || space->canonical(changed) != space->canonical(plain);
    }
    EXPECT_EQ(space->active(plain, d), counts) << space->decisions()[d].name;
    active += counts;
  }
  EXPECT_EQ(active, 7);
}

}  // namespace
}  // namespace espalier
