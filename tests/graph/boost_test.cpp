#include "graph/boost.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/concept/assert.hpp>
#include <boost/graph/dominator_tree.hpp>
#include <boost/graph/graph_concepts.hpp>
#include <boost/graph/isomorphism.hpp>
#include <boost/graph/topological_sort.hpp>

#include "graph/builder.hpp"
#include "tests/graph/isomorphism.hpp"
#include "tests/graph/test_graphs.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;

BOOST_CONCEPT_ASSERT((boost::VertexListGraphConcept<BoostGraph>));
BOOST_CONCEPT_ASSERT((boost::EdgeListGraphConcept<BoostGraph>));
BOOST_CONCEPT_ASSERT((boost::IncidenceGraphConcept<BoostGraph>));
BOOST_CONCEPT_ASSERT((boost::BidirectionalGraphConcept<BoostGraph>));
BOOST_CONCEPT_ASSERT((boost::AdjacencyGraphConcept<BoostGraph>));
BOOST_CONCEPT_ASSERT(
    (boost::ReadablePropertyGraphConcept<BoostGraph, NodeId, boost::vertex_index_t>));

TEST(BoostGraph, EdgesAreInputsWithTheirSlots) {
  GraphBuilder b;
  const auto x = b.input(2, 4, 4);
  const auto a = b.activation(x, ActivationKind::relu);
  const auto sum = b.add(std::array{a, x, a});
  b.output(sum);
  const BoostGraph view(b.build());  // outlives the graph
  EXPECT_EQ(num_vertices(view), 4u);
  EXPECT_EQ(num_edges(view), 5u);
  const auto list = [](BoostGraph::EdgeRange range) {
    return std::vector<GraphEdge>(range.first, range.second);
  };
  EXPECT_THAT(list(in_edges(sum, view)),
              ElementsAre(GraphEdge{a, 0, sum}, GraphEdge{x, 1, sum}, GraphEdge{a, 2, sum}));
  EXPECT_THAT(list(out_edges(a, view)), ElementsAre(GraphEdge{a, 0, sum}, GraphEdge{a, 2, sum}));
  EXPECT_THAT(list(out_edges(x, view)), ElementsAre(GraphEdge{x, 0, a}, GraphEdge{x, 1, sum}));
  EXPECT_EQ(in_degree(x, view), 0u);
  EXPECT_EQ(out_degree(x, view), 2u);
  EXPECT_EQ(degree(sum, view), 4u);
  EXPECT_EQ(source(list(edges(view))[1], view), a);
  EXPECT_EQ(target(list(edges(view))[1], view), sum);
}

TEST(BoostGraph, OutEdgesAgreeWithConsumers) {
  const Rng rng(1);
  for (std::uint64_t round = 0; round < 100; ++round) {
    Rng r = rng.fork(round);
    const Graph graph = random_graph(r, 2 + r.below(20), all_operators());
    const BoostGraph view(graph);
    const auto consumers = graph.consumers();
    for (NodeId i = 0; i < graph.size(); ++i) {
      std::vector<NodeId> readers;
      for (auto [e, end] = out_edges(i, view); e != end; ++e) {
        EXPECT_EQ(graph.inputs(e->to)[e->slot], i);
        readers.push_back(e->to);
      }
      EXPECT_EQ(readers, consumers[i]);
    }
  }
}

TEST(BoostGraph, StoredOrderIsATopologicalOrderForBoostToo) {
  const Rng rng(2);
  for (std::uint64_t round = 0; round < 50; ++round) {
    Rng r = rng.fork(round);
    const Graph graph = random_graph(r, 2 + r.below(20), all_operators());
    std::vector<NodeId> reversed;
    const BoostGraph view(graph);
    boost::topological_sort(view, std::back_inserter(reversed));
    ASSERT_EQ(reversed.size(), graph.size());
    std::vector<std::size_t> position(graph.size());
    for (std::size_t i = 0; i < reversed.size(); ++i) position[reversed[i]] = reversed.size() - i;
    for (NodeId i = 0; i < graph.size(); ++i) {
      for (NodeId input : graph.inputs(i)) EXPECT_LT(position[input], position[i]);
    }
  }
}

TEST(BoostGraph, Dominators) {
  GraphBuilder b;
  const auto x = b.input(2, 4, 4);
  const auto stem = b.conv(x, 4);
  const auto left = b.activation(stem, ActivationKind::relu);
  const auto right = b.batch_norm(stem);
  const auto inner = b.activation(right, ActivationKind::tanh);
  const auto sum = b.add(left, inner);
  const auto out = b.output(sum);
  const BoostGraph view(b.build());
  std::vector<NodeId> dominator(num_vertices(view), boost::graph_traits<BoostGraph>::null_vertex());
  boost::lengauer_tarjan_dominator_tree(
      view, x,
      boost::make_iterator_property_map(dominator.begin(), get(boost::vertex_index, view)));
  EXPECT_THAT(dominator, ElementsAre(boost::graph_traits<BoostGraph>::null_vertex(), x, stem, stem,
                                     right, stem, sum));
  EXPECT_EQ(out, 6u);
}

TEST(BoostGraph, IsomorphismOfTheBareGraph) {
  Rng rng(3);
  const Graph graph = random_graph(rng, 9, {{op::Activation{}, 1}, {op::Multiply{}, 2}});
  const BoostGraph a(graph), b(shuffled(graph, rng));
  EXPECT_TRUE(boost::isomorphism(a, b));
  EXPECT_TRUE(isomorphic(graph, shuffled(graph, rng)));
}

TEST(Isomorphism, OracleKeepsAttributesAndSlots) {
  const auto make = [](ActivationKind kind, bool swap, bool twice) {
    GraphBuilder b;
    const auto x = b.input(2, 4, 4);
    const auto a = b.activation(x, kind);
    const auto c = twice ? a : b.activation(x, kind);
    b.output(b.concat(swap ? std::array{x, a, c} : std::array{a, x, c}));
    return b.build();
  };
  const auto relu = ActivationKind::relu, tanh = ActivationKind::tanh;
  EXPECT_TRUE(isomorphic(make(relu, false, false), make(relu, false, false)));
  EXPECT_FALSE(isomorphic(make(relu, false, false), make(tanh, false, false)));
  EXPECT_FALSE(isomorphic(make(relu, false, false), make(relu, true, false)));
  EXPECT_FALSE(isomorphic(make(relu, false, false), make(relu, false, true)));
}

}  // namespace
}  // namespace espalier
