#include "predictors/encoding.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "graph/builder.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

using testing::IsEmpty;

std::shared_ptr<const SearchSpace> space_of(const Json& config) {
  return space_registry().create(config, "");
}

std::uint32_t sum(const LabelCounts& counts) {
  std::uint32_t total = 0;
  for (const auto& [label, count] : counts) total += count;
  return total;
}

TEST(EncodeDecisions, NominalOrdinalAndInactive) {
  const auto cell = space_of({{"type", "nasbench201"}});
  const std::vector<double> numbers = encode_decisions(
      *cell, cell->parse("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"));
  ASSERT_EQ(numbers.size(), 30u);
  EXPECT_EQ(std::accumulate(numbers.begin(), numbers.end(), 0.0), 6);
  EXPECT_EQ(numbers[0 * 5 + 3], 1);
  EXPECT_EQ(numbers[3 * 5 + 1], 1);
  const auto widths = space_of({{"type", "nats_bench_size"}});
  const Decision& first = widths->decisions()[0];
  ASSERT_TRUE(first.ordinal);
  Architecture a{std::vector<std::uint32_t>(widths->decisions().size(), 0)};
  a.choices[0] = 3;
  EXPECT_EQ(encode_decisions(*widths, a)[1], 3.0 / static_cast<double>(first.options.size() - 1));
  const auto darts = space_of({{"type", "darts"}});
  Architecture b{std::vector<std::uint32_t>(darts->decisions().size(), 0)};
  for (DecisionId d = 0; d < b.choices.size(); ++d) {
    if (darts->decisions()[d].pick != 2) continue;
    const std::vector<double> its = encode_decisions(*darts, b);
    EXPECT_EQ(std::ranges::count(its, 0.5) % 2, 0);
    EXPECT_GT(std::ranges::count(its, 0.5), 0);
    break;
  }
}

// x -> conv -> [relu] -> conv, and so on: `middle` adds what lies between.
template <class Middle>
Graph chain(Middle middle) {
  GraphBuilder builder;
  NodeId x = builder.input(3, 8, 8);
  x = builder.conv(x, 3, {.kernel = 3});
  x = middle(builder, x);
  x = builder.conv(x, 3);
  builder.output(x);
  return builder.build();
}

TEST(WeisfeilerLehman, TellsNetworksOfTheSameOperatorsApart) {
  const auto cell = space_of({{"type", "nasbench201"}});
  const auto labels = [&](const char* arch, int depth) {
    return weisfeiler_lehman(cell->build(cell->parse(arch)), depth);
  };
  const char* one = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|avg_pool_3x3~2|";
  const char* other = "|nor_conv_1x1~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|avg_pool_3x3~2|";
  EXPECT_EQ(labels(one, 0), labels(other, 0));
  EXPECT_NE(labels(one, 1), labels(other, 1));
  EXPECT_EQ(labels(one, 2), labels(one, 2));
  EXPECT_EQ(sum(labels(one, 2)), 3 * sum(labels(one, 0)));
}

TEST(WeisfeilerLehman, ContractedOperatorsAreKindsOfEdges) {
  const auto plain = chain([](GraphBuilder&, NodeId x) { return x; });
  const auto relu =
      chain([](GraphBuilder& b, NodeId x) { return b.activation(x, ActivationKind::relu); });
  const auto swish =
      chain([](GraphBuilder& b, NodeId x) { return b.activation(x, ActivationKind::hard_swish); });
  EXPECT_EQ(weisfeiler_lehman(plain, 0), weisfeiler_lehman(relu, 0));
  EXPECT_NE(weisfeiler_lehman(plain, 1), weisfeiler_lehman(relu, 1));
  EXPECT_NE(weisfeiler_lehman(relu, 1), weisfeiler_lehman(swish, 1));
}

TEST(CellPaths, AreTheWaysThroughACell) {
  const auto space = space_of({{"type", "nasbench201"}, {"cells", 2}});
  const auto paths = [&](const char* arch) { return cell_paths(space->build(space->parse(arch))); };
  // Two cells in each of three stages, whose channels differ.
  const LabelCounts chain =
      paths("|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|avg_pool_3x3~2|");
  EXPECT_EQ(chain.size(), 3u);
  for (const auto& [label, count] : chain) EXPECT_EQ(count, 2u);
  // A skip in the middle is no operator; the way by 3x3 and pool is that of two operators.
  const LabelCounts short_chain =
      paths("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|");
  const LabelCounts same = paths("|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|avg_pool_3x3~2|");
  EXPECT_EQ(short_chain, same);
  EXPECT_NE(short_chain, chain);
  // Ways 0-3, 0-1-3, 0-2-3 and 0-1-2-3: a pool, 3x3, 1x1, and 3x3 before 1x1. A pool has no
  // channels, so that it is the same in all stages.
  const LabelCounts all = paths(
      "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|avg_pool_3x3~0|skip_connect~1|"
      "skip_connect~2|");
  EXPECT_EQ(sum(all), 6u * 4);
  EXPECT_EQ(all.size(), 1u + 3u * 3);
}

TEST(CellPaths, AreInAllSpacesOfCells) {
  for (const char* type : {"nasbench101", "darts", "nasnet", "enas", "hierarchical"}) {
    const auto space = space_of({{"type", type}});
    Rng rng(1);
    EXPECT_THAT(cell_paths(space->build(sample_uniform(*space, rng))), Not(IsEmpty())) << type;
  }
}

TEST(CellPaths, ANetworkWithoutCellsHasNone) {
  EXPECT_THAT(cell_paths(chain([](GraphBuilder&, NodeId x) { return x; })), IsEmpty());
}

using Role = OperatorGraph::Vertex::Role;
using Edge = OperatorGraph::Edge;

TEST(OperatorGraphs, AreThePartsOfACell) {
  const auto space = space_of({{"type", "nasbench201"}, {"cells", 2}});
  const auto graphs = [&](const char* arch) {
    return operator_graphs(space->build(space->parse(arch)));
  };
  // Cells of stages differ in channels and height, not in their product.
  const auto cell = graphs(
      "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|skip_connect~2|");
  ASSERT_EQ(cell.size(), 1u);
  EXPECT_EQ(cell[0].second, 6u);
  const OperatorGraph& graph = cell[0].first;
  ASSERT_EQ(graph.vertices.size(), 5u);  // entrance, 3x3, 1x1, pool, exit
  EXPECT_EQ(graph.vertices[0].role, Role::entrance);
  EXPECT_EQ(graph.vertices[1].role, Role::weighted);
  EXPECT_EQ(graph.vertices[2].role, Role::weighted);
  EXPECT_EQ(graph.vertices[3].role, Role::plain);
  EXPECT_EQ(graph.vertices[4].role, Role::exit);
  EXPECT_NE(graph.vertices[1].kind, graph.vertices[2].kind);
  EXPECT_FLOAT_EQ(graph.vertices[1].attributes[0], std::log2(16 * 32));
  EXPECT_FLOAT_EQ(graph.vertices[1].attributes[1], std::log2(3));
  EXPECT_EQ(graph.vertices[1].attributes[2], 0);
  EXPECT_EQ(graph.edges, (std::vector<Edge>{{.from = 0, .to = 1},
                                            {.from = 1, .to = 2},
                                            {.from = 0, .to = 3},
                                            {.from = 0, .to = 4},
                                            {.from = 2, .to = 4},
                                            {.from = 3, .to = 4}}));
  // Two ways by skips alone; a convolution whose readers are none is not there.
  const auto twice =
      graphs("|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|");
  EXPECT_EQ(twice[0].first.edges,
            (std::vector<Edge>{{.from = 0, .to = 1, .ways = 2}, {.from = 1, .to = 2}}));
  const auto dead =
      graphs("|nor_conv_1x1~0|+|skip_connect~0|none~1|+|none~0|none~1|nor_conv_3x3~2|");
  EXPECT_EQ(dead[0].first.vertices.size(), 3u);
  EXPECT_EQ(dead[0].first.vertices[1], twice[0].first.vertices[1]);
  // What the input does not reach.
  const auto nothing = graphs("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|");
  ASSERT_EQ(nothing.size(), 1u);
  EXPECT_EQ(nothing[0].first, (OperatorGraph{.vertices = {{.role = Role::exit}}}));
}

TEST(OperatorGraphs, SumsOfPathsAreThoseOfOperatorsOnEdges) {
  const auto space = space_of({{"type", "nasbench201"}, {"cells", 1}});
  // What an operator multiplies by: 3x3 by 3, 1x1 by 5, pooling by 7.
  const auto factor = [](const OperatorGraph::Vertex& v) {
    return v.role == Role::plain ? 7.0 : v.attributes[1] > 0 ? 3.0 : 5.0;
  };
  const std::vector<double> on_edge{0, 1, 5, 3, 7};  // none, skip, 1x1, 3x3, pooling
  for (std::uint32_t index = 0; index < 15625; index += 41) {
    Architecture a{std::vector<std::uint32_t>(6)};
    std::uint32_t rest = index;
    for (std::uint32_t& choice : a.choices) choice = rest % 5, rest /= 5;
    std::vector<double> node{1, 0, 0, 0};
    std::size_t edge = 0;
    for (std::size_t to = 1; to < 4; ++to) {
      for (std::size_t from = 0; from < to; ++from) {
        node[to] += on_edge[a.choices[edge++]] * node[from];
      }
    }
    const auto graphs = operator_graphs(space->build(a));
    ASSERT_EQ(graphs.size(), 1u);
    const OperatorGraph& graph = graphs[0].first;
    std::vector<double> value(graph.vertices.size());
    for (std::size_t v = 0; v < value.size(); ++v) {
      if (graph.vertices[v].role == Role::entrance) value[v] = 1;
      for (const Edge& e : graph.edges) {
        if (e.to != v) continue;
        EXPECT_LT(e.from, e.to);
        value[v] += e.ways * value[e.from];
      }
      if (graph.vertices[v].role != Role::entrance && graph.vertices[v].role != Role::exit) {
        value[v] *= factor(graph.vertices[v]);
      }
    }
    EXPECT_EQ(value.back(), node[3]) << space->to_string(a);
  }
}

TEST(OperatorGraphs, ActivationsArePartOfTheirReader) {
  const auto kinds = [](auto middle) {
    std::vector<std::uint64_t> result;
    const auto graphs = operator_graphs(chain(middle));
    for (const auto& v : graphs[0].first.vertices) {
      if (v.role == Role::weighted) result.push_back(v.kind);
    }
    return result;
  };
  const auto plain = kinds([](GraphBuilder&, NodeId x) { return x; });
  const auto normed = kinds([](GraphBuilder& b, NodeId x) { return b.batch_norm(x); });
  const auto relu =
      kinds([](GraphBuilder& b, NodeId x) { return b.activation(x, ActivationKind::relu); });
  ASSERT_EQ(plain.size(), 2u);
  EXPECT_EQ(plain, normed);
  EXPECT_EQ(plain[0], relu[0]);
  EXPECT_NE(plain[1], relu[1]);
}

TEST(OperatorGraphs, ABlockIsOneOperator) {
  // Each cell of DARTS: two projections and two operators on each of four nodes.
  const auto space = space_of({{"type", "darts"}});
  Rng rng(2);
  for (int i = 0; i < 5; ++i) {
    std::size_t most = 0;
    for (const auto& [graph, count] : operator_graphs(space->build(sample_uniform(*space, rng)))) {
      std::size_t operators = 0;
      for (const auto& v : graph.vertices) {
        operators += v.role == Role::plain || v.role == Role::weighted;
      }
      most = std::max(most, operators);
    }
    EXPECT_LE(most, 10u);
    EXPECT_GE(most, 3u);
  }
  // Two branches that read x, and a third operator: one, around which x goes.
  GraphBuilder builder;
  NodeId x = builder.input(4, 8, 8);
  {
    const auto part = builder.scope("part");
    const auto block = builder.scope("block", "block");
    const NodeId both = builder.add(builder.conv(x, 4, {.kernel = 3}), builder.conv(x, 4));
    x = builder.add(x, builder.conv(both, 4));
  }
  builder.output(x);
  const auto graphs = operator_graphs(builder.build());
  const auto found = std::ranges::find_if(graphs, [](const auto& g) {
    return g.first.vertices.size() == 3 && g.first.vertices[1].role == Role::weighted;
  });
  ASSERT_NE(found, graphs.end());
  EXPECT_EQ(found->first.edges,
            (std::vector<Edge>{{.from = 0, .to = 1}, {.from = 0, .to = 2}, {.from = 1, .to = 2}}));
  EXPECT_EQ(found->first.vertices[1].attributes[1], std::log2(3.0f));
}

TEST(OperatorGraphs, OfNetworksAreTheirCellsOrBlocks) {
  // A chain outside of all scopes is one graph; input, two convolutions, exit.
  const auto one = operator_graphs(chain([](GraphBuilder&, NodeId x) { return x; }));
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].first.vertices.size(), 4u);
  for (const char* type : {"mobilenet_v3", "darts", "nasbench101", "regnet", "autoformer"}) {
    const auto space = space_of({{"type", type}});
    Rng rng(1);
    for (int i = 0; i < 3; ++i) {
      const auto graphs = operator_graphs(space->build(sample_uniform(*space, rng)));
      // All cells of NAS-Bench-101 are alike; the rest is another part.
      if (type == std::string("nasbench101"))
        EXPECT_EQ(graphs.size(), 2u);
      else
        EXPECT_GT(graphs.size(), 2u) << type;
      for (const auto& [graph, count] : graphs) {
        EXPECT_GE(count, 1u);
        ASSERT_GE(graph.vertices.size(), 2u) << type;
        EXPECT_EQ(graph.vertices.front().role, Role::entrance);
        EXPECT_EQ(graph.vertices.back().role, Role::exit);
        // Everything is read, and what is no entrance reads.
        std::vector<int> read(graph.vertices.size()), reads(graph.vertices.size());
        for (const Edge& e : graph.edges) ++read[e.from], ++reads[e.to];
        for (std::size_t v = 0; v < read.size(); ++v) {
          EXPECT_EQ(read[v] > 0, graph.vertices[v].role != Role::exit) << type;
          EXPECT_EQ(reads[v] > 0, graph.vertices[v].role != Role::entrance) << type;
        }
      }
    }
  }
}

TEST(CellAdjacency, IsTheEdgesAndOperatorsByTheirPlaces) {
  const auto space = space_of({{"type", "nasbench201"}, {"cells", 1}});
  const auto adjacency = [&](const char* arch) {
    return cell_adjacency(space->build(space->parse(arch)));
  };
  // Input, 3x3, 1x1, sum, pool, sum, in three cells whose channels differ: five edges that all
  // have, two convolutions of each, and what has no channels.
  const LabelCounts chain =
      adjacency("|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|avg_pool_3x3~2|");
  EXPECT_EQ(sum(chain), 3u * (5 + 5));
  EXPECT_EQ(chain.size(), 5u + 3 + 2 * 3);
  // The same operators in another order have the same edges.
  const LabelCounts other =
      adjacency("|nor_conv_1x1~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|avg_pool_3x3~2|");
  LabelCounts shared;
  std::ranges::set_intersection(chain, other, std::back_inserter(shared));
  EXPECT_EQ(shared.size(), 5u + 3);
  // And other edges between the same operators at the same places differ in these.
  const LabelCounts beside =
      adjacency("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|avg_pool_3x3~1|skip_connect~2|");
  EXPECT_NE(beside, chain);
  const LabelCounts again =
      adjacency("|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|avg_pool_3x3~2|");
  EXPECT_EQ(again, chain);
}

TEST(CellAdjacency, ANetworkWithoutCellsIsOne) {
  // Two convolutions and the output after the input.
  const LabelCounts chained = cell_adjacency(chain([](GraphBuilder&, NodeId x) { return x; }));
  EXPECT_EQ(sum(chained), 4u + 3);
}

TEST(Encoder, AddsScores) {
  const auto cell = space_of({{"type", "nasbench201"}});
  const Architecture a{{1, 2, 3, 4, 0, 1}};
  int asked = 0;
  Encoder encoder(cell, {.patterns = Patterns::none}, [&](const Architecture& its) {
    ++asked;
    return std::vector<double>{double(its.choices[2]), 7};
  });
  EXPECT_EQ(encoder.encode({&a, 1})[0].scores, (std::vector<double>{3, 7}));
  encoder.encode({&a, 1});
  EXPECT_EQ(asked, 1);
  Encoder adjacency(cell, {.patterns = Patterns::adjacency});
  EXPECT_EQ(adjacency.encode({&a, 1})[0].patterns, cell_adjacency(cell->build(a)));
}

TEST(Encoder, GivesTheFeaturesThatTheOptionsName) {
  const auto cell = space_of({{"type", "nasbench201"}});
  const Architecture a =
      cell->parse("|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|avg_pool_3x3~2|");
  const Features all = Encoder(cell, {}).encode({&a, 1})[0];
  EXPECT_EQ(all.decisions, encode_decisions(*cell, a));
  EXPECT_EQ(all.patterns, cell_paths(cell->build(a)));
  EXPECT_DOUBLE_EQ(all.costs[1], std::log1p(cell->quick_cost(a).params));
  EXPECT_THAT(all.graphs, IsEmpty());
  EXPECT_EQ(all.choices, (std::vector<std::uint32_t>{4, 1, 3, 1, 1, 5}));
  EXPECT_EQ(Encoder(cell, {.patterns = Patterns::none, .graphs = true}).encode({&a, 1})[0].graphs,
            operator_graphs(cell->build(a)));
  Encoder decisions(cell, {.patterns = Patterns::none, .costs = false});
  EXPECT_THAT(decisions.encode({&a, 1})[0].patterns, IsEmpty());
  EXPECT_THAT(decisions.encode({&a, 1})[0].costs, IsEmpty());  // known now
  // A chain has no cells.
  const auto chain = space_of({{"type", "nas_bench_macro"}});
  const Architecture b{std::vector<std::uint32_t>(8, 1)};
  EXPECT_EQ(Encoder(chain, {.depth = 1}).encode({&b, 1})[0].patterns,
            weisfeiler_lehman(chain->build(b), 1));
}

TEST(EncodingOptionTable, ReadsAndChecks) {
  const auto table = encoding_option_table();
  EXPECT_EQ(table.read({{"patterns", "none"}}, "").patterns, Patterns::none);
  EXPECT_THROW(table.read({{"patterns", "tree"}}, ""), ConfigError);
  EXPECT_THROW(table.read({{"depth", -1}}, ""), ConfigError);
}

}  // namespace
}  // namespace espalier
