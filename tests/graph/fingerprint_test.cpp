#include "graph/fingerprint.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "core/error.hpp"
#include "graph/builder.hpp"
#include "graph/cost.hpp"
#include "graph/nets.hpp"
#include "graph/passes.hpp"
#include "tests/graph/isomorphism.hpp"
#include "tests/graph/test_graphs.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

/// A few operators, so that equal graphs and near misses are frequent: two unary ones (one with
/// params), two commutative and an ordered binary one.
const std::vector<Candidate> few_operators{
    {op::Activation{ActivationKind::relu}, 1},
    {op::Conv2d{.out_channels = 4, .kernel = 3, .padding = 1}, 1},
    {op::Add{}, 2},
    {op::Multiply{}, 2},
    {op::Concat{}, 2},
};

/// All graphs of one input, `middle` operators of few_operators and an output, without dead nodes.
/// Isomorphic ones occur many times.
template <class F>
void for_each_small_graph(const Graph& prefix, std::size_t middle, F&& f) {
  if (middle == 0) {
    Graph graph = prefix;
    graph.add(op::Output{}, std::array{static_cast<NodeId>(graph.size() - 1)}, "output");
    const auto consumers = graph.consumers();
    for (NodeId i = 0; i + 1 < graph.size(); ++i) {
      if (consumers[i].empty()) return;
    }
    f(graph);
    return;
  }
  const auto n = static_cast<NodeId>(prefix.size());
  for (const auto& [op, inputs] : few_operators) {
    for (NodeId a = 0; a < n; ++a) {
      for (NodeId b = is_commutative(op) ? a : 0; b < n; ++b) {
        if (inputs == 1 && b > 0) break;
        Graph graph = prefix;
        try {
          graph.add(op, std::vector<NodeId>(inputs == 1 ? std::vector{a} : std::vector{a, b}),
                    "node");
        } catch (const ShapeError&) {
          continue;
        }
        for_each_small_graph(graph, middle - 1, f);
      }
    }
  }
}

/// The smallest description of the graph over all orders of its nodes: equal for isomorphic graphs
/// and for no others.
std::string canonical_form(const Graph& graph) {
  const std::size_t n = graph.size();
  std::vector<NodeId> place(n);  // input first, output last
  for (NodeId i = 0; i < n; ++i) place[i] = i;
  std::string best;
  do {
    std::vector<std::string> rows(n);
    for (NodeId i = 0; i < n; ++i) {
      std::string row = std::string(op_name(graph.node(i).op)) + graph.node(i).shape.to_string();
      std::vector<NodeId> inputs;
      for (NodeId input : graph.inputs(i)) inputs.push_back(place[input]);
      if (is_commutative(graph.node(i).op)) std::ranges::sort(inputs);
      for (NodeId input : inputs) row += static_cast<char>('0' + input);
      rows[place[i]] = row;
    }
    std::string form;
    for (const std::string& row : rows) form += row + ";";
    if (best.empty() || form < best) best = form;
  } while (n > 2 && std::next_permutation(place.begin() + 1, place.end() - 1));
  return best;
}

TEST(Fingerprint, TellsAllSmallGraphsApartExactly) {
  std::map<std::string, Hash128> fingerprint_of;
  std::map<Hash128, std::string> form_of;
  std::map<Hash128, Graph> first;
  std::size_t graphs = 0;
  Graph input;
  input.add(op::Input{4, 3, 3}, {}, "input");
  for (std::size_t middle = 0; middle <= 4; ++middle) {
    for_each_small_graph(input, middle, [&](const Graph& graph) {
      ++graphs;
      const std::string form = canonical_form(graph);
      const Hash128 hash = fingerprint(graph);
      ASSERT_EQ(fingerprint_of.emplace(form, hash).first->second, hash) << form;
      ASSERT_EQ(form_of.emplace(hash, form).first->second, form);
      ASSERT_TRUE(isomorphic(first.emplace(hash, graph).first->second, graph));
    });
  }
  EXPECT_EQ(fingerprint_of.size(), form_of.size());
  EXPECT_GT(form_of.size(), 1000u);
  EXPECT_GT(graphs, form_of.size() + 500);  // some occur more than once
}

TEST(Fingerprint, TellsRandomGraphsApart) {
  const Rng rng(11);
  std::unordered_map<Hash128, std::vector<Graph>> groups;
  for (std::uint64_t round = 0; round < 100'000; ++round) {
    Rng r = rng.fork(round);
    Graph graph = simplify(random_graph(r, 5 + r.below(8), few_operators));
    groups[fingerprint(graph)].push_back(std::move(graph));
  }
  std::size_t compared = 0;
  for (const auto& [hash, graphs] : groups) {
    for (std::size_t i = 1; i < graphs.size(); ++i, ++compared) {
      ASSERT_TRUE(isomorphic(graphs[0], graphs[i]));
    }
  }
  EXPECT_GT(compared, 10'000u);
  EXPECT_GT(groups.size(), 10'000u);
}

TEST(Fingerprint, DoesNotDependOnOrderNamesAndScopes) {
  const Rng rng(12);
  for (std::uint64_t round = 0; round < 500; ++round) {
    Rng r = rng.fork(round);
    const Graph graph = random_graph(r, 2 + r.below(40), all_operators(), true);
    const Graph other = shuffled(graph, r);
    EXPECT_EQ(fingerprint(graph), fingerprint(other));
  }
  for (const std::string& name : net_names()) {
    Rng r = rng.fork(name);
    const Graph graph = build_net(name);
    EXPECT_EQ(fingerprint(graph), fingerprint(shuffled(graph, r)));
  }
}

TEST(Fingerprint, DependsOnEveryAttribute) {
  const auto of = [](const Op& op, const Compression& compression = {}) {
    Graph g;
    g.add(op::Input{4, 8, 8}, {}, "input");
    const bool flat = std::holds_alternative<op::Linear>(op);
    if (flat) g.add(op::Flatten{}, std::array{NodeId{0}}, "flat");
    const auto last = static_cast<NodeId>(g.size() - 1);
    g.add(op, std::array{last}, "node", no_scope, compression);
    g.add(op::Output{}, std::array{static_cast<NodeId>(last + 1)}, "output");
    return fingerprint(g);
  };
  const op::Conv2d conv{.out_channels = 4, .kernel = 3, .padding = 1};
  const auto changed = [&](auto&& change) {
    op::Conv2d copy = conv;
    change(copy);
    return of(copy);
  };
  const std::vector<Hash128> hashes{
      of(conv),
      changed([](op::Conv2d& c) { c.out_channels = 8; }),
      changed([](op::Conv2d& c) {
        c.kernel = {3, 1};
      }),
      changed([](op::Conv2d& c) {
        c.kernel = {1, 3};
      }),
      changed([](op::Conv2d& c) { c.stride = 2; }),
      changed([](op::Conv2d& c) { c.padding = 0; }),
      changed([](op::Conv2d& c) {
        c.padding = {0, 1};
      }),
      changed([](op::Conv2d& c) { c.padding = 2, c.dilation = 2; }),
      changed([](op::Conv2d& c) { c.group_width = 2; }),
      changed([](op::Conv2d& c) { c.group_width = 1, c.out_channels = 0; }),
      changed([](op::Conv2d& c) { c.bias = true; }),
      of(conv, {Quantization{8, 8}}),
      of(conv, {Quantization{4, 8}}),
      of(conv, {Quantization{8, 4}}),
      of(conv, {Quantization{32, 32}}),
      of(op::BatchNorm2d{}),
      of(op::BatchNorm2d{.eps = 1e-3f}),
      of(op::BatchNorm2d{.momentum = 0.01f}),
      of(op::BatchNorm2d{.affine = false}),
      of(op::Linear{4}),
      of(op::Linear{5}),
      of(op::Linear{4, false}),
      of(op::Activation{ActivationKind::relu}),
      of(op::Activation{ActivationKind::tanh}),
      of(op::Pool2d{.kind = PoolKind::max, .kernel = 3, .padding = 1}),
      of(op::Pool2d{.kind = PoolKind::average, .kernel = 3, .padding = 1}),
      of(op::Pool2d{.kind = PoolKind::average, .kernel = 3, .padding = 1, .ceil_mode = true}),
      of(op::Pool2d{
          .kind = PoolKind::average, .kernel = 3, .padding = 1, .count_include_pad = true}),
      of(op::GlobalAvgPool{}),
      of(op::Flatten{}),
      of(op::Dropout{0.5f}),
      of(op::Dropout{0.25f}),
      of(op::Zero{1}),
      of(op::Zero{2}),
      of(op::Add{}),
      of(op::Concat{}),
  };
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      // An Add and a Concat of one input: the first is simplified away, the second is kept.
      EXPECT_NE(hashes[i], hashes[j]) << i << ' ' << j;
    }
  }
}

TEST(Fingerprint, OneSharedNodeIsNotTwoEqualOnes) {
  const auto make = [](bool shared, bool concat) {
    GraphBuilder b;
    const auto x = b.input(4, 4, 4);
    const auto u = b.activation(x, ActivationKind::relu);
    const auto v = shared ? u : b.activation(x, ActivationKind::relu);
    b.output(concat ? b.concat(std::array{u, v}) : b.add(u, v));
    return fingerprint(b.build());
  };
  EXPECT_NE(make(true, false), make(false, false));
  EXPECT_NE(make(true, true), make(false, true));
}

TEST(Fingerprint, ParallelEdges) {
  // Two sums of the same two nodes, against each node added to itself: the colours of all nodes are
  // equal in both graphs unless parallel edges are told from two edges.
  const auto make = [](bool parallel) {
    GraphBuilder b;
    const auto x = b.input(4, 4, 4);
    const auto u = b.conv(x, 4), v = b.conv(x, 4);
    const auto p = parallel ? b.add(u, u) : b.add(u, v);
    const auto q = parallel ? b.add(v, v) : b.add(v, u);
    b.output(b.add(p, q));
    return b.build();
  };
  EXPECT_FALSE(isomorphic(make(true), make(false)));
  EXPECT_NE(fingerprint(make(true)), fingerprint(make(false)));
  const auto ordered = [](std::vector<int> slots) {
    GraphBuilder b;
    const auto x = b.input(4, 4, 4);
    const std::array both{b.conv(x, 4), b.conv(x, 4)};
    std::vector<NodeId> inputs;
    for (int s : slots) inputs.push_back(both[static_cast<std::size_t>(s)]);
    b.output(b.concat(inputs));
    return fingerprint(b.build());
  };
  EXPECT_NE(ordered({0, 0, 1, 1}), ordered({0, 1, 0, 1}));
  EXPECT_EQ(ordered({0, 0, 1, 1}), ordered({1, 1, 0, 0}));
}

TEST(Fingerprint, CrossedWiringOfEqualNodes) {
  // Two residual branches with equal operators, straight or crossed: refinement alone gives both
  // the same colours.
  const auto make = [](bool crossed) {
    GraphBuilder b;
    const auto x = b.input(4, 4, 4);
    const auto u = b.conv(x, 4), v = b.conv(x, 4);
    const auto fu = b.conv(u, 4), fv = b.conv(v, 4);
    b.output(b.add(b.add(fu, crossed ? v : u), b.add(fv, crossed ? u : v)));
    return b.build();
  };
  EXPECT_FALSE(isomorphic(make(true), make(false)));
  EXPECT_NE(fingerprint(make(true)), fingerprint(make(false)));
  // A ring of eight against two rings of four.
  const auto rings = [](std::vector<std::pair<int, int>> pairs) {
    GraphBuilder b;
    const auto x = b.input(4, 4, 4);
    std::vector<NodeId> nodes, sums;
    for (int i = 0; i < 4; ++i) nodes.push_back(b.conv(x, 4));
    for (auto [i, j] : pairs) {
      sums.push_back(b.add(nodes[static_cast<std::size_t>(i)], nodes[static_cast<std::size_t>(j)]));
    }
    b.output(b.add(sums));
    return b.build();
  };
  const Graph one = rings({{0, 1}, {1, 2}, {2, 3}, {3, 0}}),
              two = rings({{0, 1}, {0, 1}, {2, 3}, {2, 3}});
  EXPECT_FALSE(isomorphic(one, two));
  EXPECT_NE(fingerprint(one), fingerprint(two));
}

TEST(Fingerprint, InputsCountAsReadersDo) {
  // A ring of eight: the readers of each node look the same in both, and only their inputs differ.
  const auto make = [](bool mixed) {
    GraphBuilder b;
    const auto x = b.input(4, 4, 4);
    const auto u1 = b.activation(x, ActivationKind::relu),
               u2 = b.activation(x, ActivationKind::relu);
    const auto v1 = b.activation(x, ActivationKind::tanh),
               v2 = b.activation(x, ActivationKind::tanh);
    b.output(b.add(std::array{b.add(u1, mixed ? v2 : u2), b.add(v1, mixed ? u2 : v2), b.add(u1, v1),
                              b.add(u2, v2)}));
    return fingerprint(b.build());
  };
  EXPECT_NE(make(true), make(false));
}

TEST(Fingerprint, RepeatedInputsOfEqualNodes) {
  // Each of three equal nodes is read three times, each slot once; in one connected part each.
  const auto make = [](bool ordered, std::vector<std::array<std::size_t, 3>> rows) {
    GraphBuilder b;
    const auto x = b.input(4, 4, 4);
    const std::array nodes{b.conv(x, 4), b.conv(x, 4), b.conv(x, 4)};
    std::vector<NodeId> sums;
    for (const auto& row : rows) {
      const std::array inputs{nodes[row[0]], nodes[row[1]], nodes[row[2]]};
      sums.push_back(ordered ? b.concat(inputs) : b.add(inputs));
    }
    b.output(b.add(sums));
    return b.build();
  };
  const std::vector<std::array<std::size_t, 3>> each{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}},
      twice{{0, 0, 1}, {1, 1, 2}, {2, 2, 0}};
  for (const bool ordered : {false, true}) {
    EXPECT_FALSE(isomorphic(make(ordered, each), make(ordered, twice)));
    EXPECT_NE(fingerprint(make(ordered, each)), fingerprint(make(ordered, twice)));
  }
}

TEST(Fingerprint, CountsTheTreesOfTenNodes) {
  // Trees whose nodes are equal convolutions and whose edges are sums. Refinement tells all trees
  // apart; there are 106 (OEIS A000055). Every tree has a labelling whose Pruefer code ascends.
  constexpr std::uint32_t n = 10;
  std::set<Hash128> hashes;
  std::vector<std::uint32_t> pruefer(n - 2);
  const auto next = [&] {  // the next ascending sequence
    std::size_t k = pruefer.size();
    while (k > 0 && pruefer[k - 1] == n - 1) --k;
    if (k == 0) return false;
    const std::uint32_t value = pruefer[k - 1] + 1;
    std::fill(pruefer.begin() + static_cast<std::ptrdiff_t>(k) - 1, pruefer.end(), value);
    return true;
  };
  do {
    GraphBuilder b;
    const auto x = b.input(1, 1, 1);
    std::vector<NodeId> nodes, sums;
    std::vector<int> degree(n, 1);
    for (std::uint32_t i = 0; i < n; ++i) nodes.push_back(b.conv(x, 1));
    for (std::uint32_t p : pruefer) ++degree[p];
    const auto leaf = [&] { return std::ranges::find(degree, 1) - degree.begin(); };
    const auto join = [&](std::ptrdiff_t i, std::ptrdiff_t j) {
      --degree[static_cast<std::size_t>(i)], --degree[static_cast<std::size_t>(j)];
      sums.push_back(b.add(nodes[static_cast<std::size_t>(i)], nodes[static_cast<std::size_t>(j)]));
    };
    for (std::uint32_t p : pruefer) join(leaf(), p);
    const auto first = leaf();
    degree[static_cast<std::size_t>(first)] = 2;
    const auto second = leaf();
    join(first, second);
    b.output(b.add(sums));
    hashes.insert(fingerprint(b.build()));
  } while (next());
  EXPECT_EQ(hashes.size(), 106u);
}

TEST(Fingerprint, IsOfTheSimplifiedGraph) {
  const auto make = [](int variant) {
    GraphBuilder b;
    const auto x = b.input(4, 4, 4);
    const auto y = b.activation(x, ActivationKind::relu);
    NodeId sum = y;
    if (variant == 1) sum = b.add(y, b.zero(x));
    if (variant == 2) sum = b.add(b.zero(y), b.add(std::array{y}));
    if (variant == 3) b.batch_norm(x, {.affine = false});  // dead, costs nothing
    b.output(sum);
    return fingerprint(b.build());
  };
  for (int variant : {1, 2, 3}) EXPECT_EQ(make(variant), make(0)) << variant;
}

TEST(Fingerprint, ZerosCountByTheirShapeOnly) {
  const auto make = [](int variant) {
    GraphBuilder b;
    const auto x = b.input(4, 4, 4);
    const auto left = b.activation(x, ActivationKind::relu);
    const auto right = b.activation(x, ActivationKind::tanh);
    const auto zeros = variant == 0   ? b.zero(left)
                       : variant == 1 ? b.zero(right)
                       : variant == 2 ? b.max_pool(b.zero(x), {.kernel = 3, .stride = 1})
                                      : b.batch_norm(left, {.affine = false});
    b.output(b.add(std::array{b.batch_norm(zeros, {.affine = false}), left, right}));
    return fingerprint(b.build());
  };
  EXPECT_EQ(make(0), make(1));
  EXPECT_EQ(make(0), make(2));
  EXPECT_NE(make(0), make(3));
  const auto shaped = [](std::int64_t stride) {
    GraphBuilder b;
    b.output(b.zero(b.input(4, 4, 4), stride));
    return fingerprint(b.build());
  };
  EXPECT_NE(shaped(1), shaped(2));
}

TEST(Fingerprint, NeverMergesGraphsOfDifferentCost) {
  const auto make = [](bool dead) {
    GraphBuilder b;
    const auto x = b.input(4, 4, 4);
    const auto on_zero = b.conv(b.zero(x), 4, {.kernel = 3});
    b.output(dead ? b.add(x, on_zero) : b.add(x, b.zero(x)));
    return b.build();
  };
  Graph with = make(true), without = dead_code_elimination(make(false));
  EXPECT_TRUE(isomorphic(simplify(with), simplify(without)));
  EXPECT_NE(cost(with).params, cost(without).params);
  EXPECT_NE(fingerprint(with), fingerprint(without));
}

TEST(Fingerprint, IsTheSameOnEveryMachine) {
  // So that no change of the values goes unnoticed.
  GraphBuilder b;
  const auto x = b.input(4, 4, 4);
  b.output(b.add(b.conv(x, 4), b.activation(x, ActivationKind::relu)));
  EXPECT_EQ(fingerprint(b.build()).to_string(), "7d8a9f0b9a026f79e9d92c9a4abca5ac");
  EXPECT_EQ(fingerprint(resnet18()).to_string(), "d280797ecbaa24c647a715d48b2eb6b2");
}

TEST(Fingerprint, OpenGraphsAreRefused) {
  GraphBuilder b;
  b.output(b.conv(b.input(4, 4, 4), Dim::select(0, std::array{Dim(4), Dim(8)})));
  EXPECT_THAT([&] { fingerprint(b.graph()); },
              ThrowsMessage<InvalidArchitecture>(HasSubstr("close it with an architecture")));
}

}  // namespace
}  // namespace espalier
