// An exact test of isomorphism of small graphs, by Boost.
#pragma once

#include <vector>

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/isomorphism.hpp>

#include "graph/boost.hpp"
#include "graph/graph.hpp"

namespace espalier {

/// The graph with a vertex in the middle of each edge: then edges need no label and are never
/// parallel. The label of a vertex says all that an isomorphism has to keep of it.
struct Subdivided {
  using BoostList = boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS>;
  BoostList graph;
  std::vector<std::size_t> labels;
};

constexpr std::size_t most_slots = 16;  // the labels of edges; those of nodes follow

/// The labels of nodes are numbers into `known`, which grows.
inline Subdivided subdivide(const Graph& graph, std::vector<Node>& known) {
  Subdivided result;
  result.graph = Subdivided::BoostList(graph.size());
  for (const Node& node : graph.nodes()) {
    std::size_t label = 0;
    while (label < known.size() &&
           !(known[label].op == node.op && known[label].shape == node.shape &&
             known[label].compression == node.compression)) {
      ++label;
    }
    if (label == known.size()) known.push_back(node);
    result.labels.push_back(most_slots + label);
  }
  const BoostGraph view(graph);
  for (auto [edge, end] = edges(view); edge != end; ++edge) {
    const auto middle = boost::add_vertex(result.graph);
    result.labels.push_back(is_commutative(graph.node(edge->to).op) ? 0 : edge->slot);
    boost::add_edge(edge->from, middle, result.graph);
    boost::add_edge(middle, edge->to, result.graph);
  }
  return result;
}

/// The label of a vertex, in the form that boost::isomorphism wants.
struct SubdividedLabel {
  using argument_type = std::size_t;
  using result_type = std::size_t;
  const Subdivided* subdivided;
  std::size_t operator()(std::size_t vertex) const { return subdivided->labels[vertex]; }
};

/// True where the nodes of one graph can be put in the place of the other's with equal operators,
/// attributes, shapes, bits and wiring.
inline bool isomorphic(const Graph& a, const Graph& b) {
  std::vector<Node> known;
  const Subdivided x = subdivide(a, known), y = subdivide(b, known);
  if (x.labels.size() != y.labels.size()) return false;
  std::vector<std::size_t> map(x.labels.size());
  const auto index = get(boost::vertex_index, x.graph);
  return boost::isomorphism(x.graph, y.graph, boost::make_iterator_property_map(map.begin(), index),
                            SubdividedLabel{&x}, SubdividedLabel{&y}, most_slots + known.size(),
                            index, get(boost::vertex_index, y.graph));
}

}  // namespace espalier
