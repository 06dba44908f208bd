#include "search_spaces/nasbench101.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <set>
#include <string>

#include "core/error.hpp"
#include "graph/fingerprint.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

const std::string inception =
    "[[0, 1, 1, 1, 0, 1, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1],"
    " [0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1],"
    " [0, 0, 0, 0, 0, 0, 0]] ['input', 'conv1x1-bn-relu', 'conv3x3-bn-relu', 'conv3x3-bn-relu',"
    " 'conv3x3-bn-relu', 'maxpool3x3', 'output']";

Cost cost_of(const SearchSpace& space, const std::string& text) {
  return cost(space.build(space.parse(text)));
}

// The counts that the benchmark's table holds for the two cells of its documentation.
TEST(Nasbench101, ParamsAreThePublishedOnes) {
  const auto space = make_nasbench101();
  EXPECT_EQ(cost_of(*space, inception).params, 2694282);
  EXPECT_EQ(cost_of(*space,
                    "0100110/0010000/0001001/0000010/0000010/0000001/0000000 input,conv3x3-bn-relu,"
                    "maxpool3x3,conv3x3-bn-relu,conv3x3-bn-relu,conv1x1-bn-relu,output")
                .params,
            8555530);
}

// Three vertices share 32 channels as 11, 11, 10, and the fourth has as many as the widest that
// reads it, so that the third takes the first 10 of its 11.
TEST(Nasbench101, ChannelsAreSplitAndCutOff) {
  const auto space = make_nasbench101({.input = {3, 8, 8}, .channels = 32, .cells = 1});
  const Graph graph =
      space->build(space->parse("010000/001110/000001/000001/000001/000000 input,conv1x1-bn-relu,"
                                "conv1x1-bn-relu,conv1x1-bn-relu,conv1x1-bn-relu,output"));
  std::vector<std::int64_t> widths;
  int slices = 0;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const auto* conv = std::get_if<op::Conv2d>(&graph.node(id).op);
    if (conv != nullptr && graph.name(id).starts_with("stack1_cell1.")) {
      widths.push_back(conv->out_channels.value());
    }
    if (std::holds_alternative<op::Slice>(graph.node(id).op)) {
      ++slices;
      EXPECT_EQ(graph.node(id).shape[0].value() + 1,
                graph.node(graph.inputs(id)[0]).shape[0].value());
    }
  }
  EXPECT_EQ(widths, (std::vector<std::int64_t>{11, 11, 11, 11, 10}));
  // 64 channels are 22, 21, 21: two vertices cut off; 128 are 43, 43, 42: one.
  EXPECT_EQ(slices, 1 + 2 + 1);
}

TEST(Nasbench101, TheInputIsProjectedAndAddedToTheOutput) {
  const auto space = make_nasbench101({.input = {3, 8, 8}, .channels = 8, .cells = 1});
  const auto convs = [&](const std::string& text) {
    const Graph graph = space->build(space->parse(text));
    return std::ranges::count_if(graph.nodes(), [](const Node& node) {
      return std::holds_alternative<op::Conv2d>(node.op);
    });
  };
  EXPECT_EQ(convs("01/00 input,output"), 1 + 3 * 1);
  EXPECT_EQ(convs("010/001/000 input,maxpool3x3,output"), 1 + 3 * 1);
  EXPECT_EQ(convs("011/001/000 input,maxpool3x3,output"), 1 + 3 * 2);
  EXPECT_EQ(convs("011/001/000 input,conv1x1-bn-relu,output"), 1 + 3 * 3);
}

/// The bits of the adjacency of a cell of `size` vertices after a renumbering of the vertices, or
/// -1 where an edge would lead backwards.
int renumbered(const std::vector<std::vector<bool>>& edge, const std::vector<std::size_t>& order) {
  int bits = 0;
  for (std::size_t from = 0; from < edge.size(); ++from) {
    for (std::size_t to = from + 1; to < edge.size(); ++to) {
      if (!edge[from][to]) continue;
      if (order[from] > order[to]) return -1;
      bits |= 1 << (order[to] * (order[to] - 1) / 2 + order[from]);
    }
  }
  return bits;
}

// Counted on the cell graph: for each class of isomorphic wirings, the labellings that its
// automorphisms do not turn into each other (Burnside's lemma).
TEST(Nasbench101, SlowCellsAreAsManyAsPublished) {
  const auto space = make_nasbench101();
  Architecture a{std::vector<std::uint32_t>(26, 0)};
  std::int64_t wirings = 0, labelled = 0, cells = 0;
  for (std::uint32_t bits = 0; bits < 1u << 21; ++bits) {
    for (std::size_t d = 0; d < 21; ++d) a.choices[d] = bits >> d & 1;
    if (!space->valid(a) || space->canonical(a) != a) continue;
    ++wirings;
    const std::string text = space->to_string(a);
    const std::size_t size = text.find('/');
    std::vector<std::vector<bool>> edge(size, std::vector<bool>(size));
    for (std::size_t from = 0; from < size; ++from) {
      for (std::size_t to = 0; to < size; ++to) {
        edge[from][to] = text[from * (size + 1) + to] == '1';
      }
    }
    std::vector<std::size_t> order(size);
    std::iota(order.begin(), order.end(), 0);
    const int own = renumbered(edge, order);
    std::int64_t labels = 1;
    for (std::size_t v = 2; v < size; ++v) labels *= 3;
    labelled += labels;
    bool smallest = true;
    std::int64_t automorphisms = 0, fixed = 0;
    do {
      const int other = renumbered(edge, order);
      smallest = smallest && (other == -1 || other >= own);
      if (other != own) continue;
      ++automorphisms;
      std::int64_t product = 1;
      std::vector<bool> seen(size);
      for (std::size_t v = 1; v + 1 < size; ++v) {
        if (seen[v]) continue;
        product *= 3;
        for (std::size_t w = v; !seen[w]; w = order[w]) seen[w] = true;
      }
      fixed += product;
    } while (std::next_permutation(order.begin() + 1, order.end() - 1));
    if (smallest) cells += fixed / automorphisms;
  }
  EXPECT_EQ(cells, 423624);
  // Regression numbers of our own: the source says that about a third of all labelled graphs stay.
  EXPECT_EQ(wirings, 6472);
  EXPECT_EQ(labelled, 1293208);
}

TEST(Nasbench101, ValidBuildAndCanonicalAgree) {
  const auto space = make_nasbench101({.input = {3, 8, 8}, .channels = 13, .cells = 1});
  Rng rng(5);
  int valid = 0;
  for (int i = 0; i < 400; ++i) {
    Architecture a;
    for (std::uint32_t count : space->choice_counts()) {
      a.choices.push_back(static_cast<std::uint32_t>(rng.below(count)));
    }
    const Architecture canonical = space->canonical(a);
    EXPECT_EQ(space->canonical(canonical), canonical);
    EXPECT_EQ(space->valid(canonical), space->valid(a));
    EXPECT_EQ(space->parse(space->to_string(a)), canonical);
    if (!space->valid(a)) {
      EXPECT_THROW(space->build(a), InvalidArchitecture);
      continue;
    }
    ++valid;
    const Graph graph = space->build(a);
    EXPECT_NO_THROW(verify(graph));
    EXPECT_EQ(fingerprint(graph), fingerprint(space->build(canonical)));
    for (DecisionId d = 0; d < canonical.choices.size(); ++d) {
      Architecture changed = canonical;
      changed.choices[d] = (changed.choices[d] + 1) % space->choice_counts()[d];
      EXPECT_EQ(space->active(canonical, d), space->canonical(changed) != canonical);
    }
  }
  EXPECT_GT(valid, 100);
  EXPECT_LT(valid, 400);
}

// One change adds a vertex, although its other edges were pruned.
TEST(Nasbench101, SearchesLeaveSmallCells) {
  const auto space = make_nasbench101();
  const Architecture smallest = space->parse("01/00 input,output");
  std::set<std::string> neighbour_strings;
  for (const Architecture& b : neighbours(*space, smallest)) {
    neighbour_strings.insert(space->to_string(b));
  }
  EXPECT_EQ(neighbour_strings, (std::set<std::string>{"011/001/000 input,conv3x3-bn-relu,output"}));
  EXPECT_EQ(neighbours(*space, neighbours(*space, smallest).front()).size(), 5u);
}

TEST(Nasbench101, RefusesMalformedStrings) {
  const auto space = make_nasbench101();
  for (const char* text :
       {"", "01/00", "01/00 input", "01/00 output,input", "01/0 input,output", "02/00 input,output",
        "01/10 input,output", "11/00 input,output", "x01/00 input,output",
        "011/001/000 input,conv5x5-bn-relu,output", "011/001/000 input,output"}) {
    EXPECT_THROW(space->parse(text), InvalidArchitecture) << text;
  }
  EXPECT_THROW(space->build(space->parse("00/00 input,output")), InvalidArchitecture);
  const std::string eight = "00000000";
  EXPECT_THROW(space->parse(eight + eight + eight + eight + eight + eight + eight + eight +
                            " input,maxpool3x3,maxpool3x3,maxpool3x3,maxpool3x3,maxpool3x3,"
                            "maxpool3x3,output"),
               InvalidArchitecture);
}

}  // namespace
}  // namespace espalier
