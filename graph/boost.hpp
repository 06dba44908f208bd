#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <boost/graph/graph_traits.hpp>
#include <boost/graph/properties.hpp>
#include <boost/iterator/counting_iterator.hpp>
#include <boost/iterator/transform_iterator.hpp>
#include <boost/property_map/property_map.hpp>

#include "graph/graph.hpp"

namespace espalier {

/// Input number `slot` of the node `to`. Parallel edges occur: a node may read another twice.
struct GraphEdge {
  NodeId from = 0;
  std::uint32_t slot = 0;
  NodeId to = 0;
  friend bool operator==(const GraphEdge&, const GraphEdge&) = default;
};

/// A Graph as Boost.Graph sees it: a model of VertexListGraph, EdgeListGraph, AdjacencyGraph,
/// IncidenceGraph and BidirectionalGraph, with vertex_index, whose vertices are NodeIds and whose
/// edges run from a node to its reader. Taken once, in linear time; it does not follow or need the
/// graph afterwards.
class BoostGraph {
 public:
  explicit BoostGraph(const Graph& graph) : first_in_(1), first_out_(graph.size() + 1) {
    for (NodeId to = 0; to < graph.size(); ++to) {
      std::uint32_t slot = 0;
      for (NodeId from : graph.inputs(to)) {
        in_edges_.push_back({from, slot++, to});
        ++first_out_[from + 1];
      }
      first_in_.push_back(in_edges_.size());
    }
    for (std::size_t i = 1; i < first_out_.size(); ++i) first_out_[i] += first_out_[i - 1];
    out_edges_.resize(in_edges_.size());
    std::vector<std::size_t> next = first_out_;
    for (const GraphEdge& edge : in_edges_) out_edges_[next[edge.from]++] = edge;
  }

  using EdgeRange = std::pair<const GraphEdge*, const GraphEdge*>;
  std::size_t size() const { return first_in_.size() - 1; }
  EdgeRange edges() const { return {in_edges_.data(), in_edges_.data() + in_edges_.size()}; }
  /// By slot.
  EdgeRange in_edges(NodeId node) const { return range(in_edges_, first_in_, node); }
  /// By reader, then by slot.
  EdgeRange out_edges(NodeId node) const { return range(out_edges_, first_out_, node); }

 private:
  static EdgeRange range(const std::vector<GraphEdge>& edges, const std::vector<std::size_t>& first,
                         NodeId node) {
    return {edges.data() + first[node], edges.data() + first[node + 1]};
  }
  std::vector<GraphEdge> in_edges_;   // by reader
  std::vector<GraphEdge> out_edges_;  // by the node that is read
  std::vector<std::size_t> first_in_;
  std::vector<std::size_t> first_out_;
};

using BoostVertexIterator = boost::counting_iterator<NodeId>;

struct ReaderOfEdge {
  NodeId operator()(const GraphEdge& edge) const { return edge.to; }
};
using BoostAdjacencyIterator = boost::transform_iterator<ReaderOfEdge, const GraphEdge*>;

// What Boost.Graph looks up by the type of its argument.
inline std::pair<BoostVertexIterator, BoostVertexIterator> vertices(const BoostGraph& graph) {
  return {BoostVertexIterator(0), BoostVertexIterator(static_cast<NodeId>(graph.size()))};
}
inline std::size_t num_vertices(const BoostGraph& graph) { return graph.size(); }
inline BoostGraph::EdgeRange edges(const BoostGraph& graph) { return graph.edges(); }
inline std::size_t num_edges(const BoostGraph& graph) {
  return static_cast<std::size_t>(graph.edges().second - graph.edges().first);
}
inline NodeId source(const GraphEdge& edge, const BoostGraph&) { return edge.from; }
inline NodeId target(const GraphEdge& edge, const BoostGraph&) { return edge.to; }
inline BoostGraph::EdgeRange out_edges(NodeId node, const BoostGraph& graph) {
  return graph.out_edges(node);
}
inline BoostGraph::EdgeRange in_edges(NodeId node, const BoostGraph& graph) {
  return graph.in_edges(node);
}
inline std::pair<BoostAdjacencyIterator, BoostAdjacencyIterator> adjacent_vertices(
    NodeId node, const BoostGraph& graph) {
  const auto [first, last] = graph.out_edges(node);
  return {BoostAdjacencyIterator(first), BoostAdjacencyIterator(last)};
}
inline std::size_t out_degree(NodeId node, const BoostGraph& graph) {
  return static_cast<std::size_t>(graph.out_edges(node).second - graph.out_edges(node).first);
}
inline std::size_t in_degree(NodeId node, const BoostGraph& graph) {
  return static_cast<std::size_t>(graph.in_edges(node).second - graph.in_edges(node).first);
}
inline std::size_t degree(NodeId node, const BoostGraph& graph) {
  return in_degree(node, graph) + out_degree(node, graph);
}
inline boost::typed_identity_property_map<NodeId> get(boost::vertex_index_t, const BoostGraph&) {
  return {};
}
inline NodeId get(boost::vertex_index_t, const BoostGraph&, NodeId node) { return node; }

}  // namespace espalier

template <>
struct boost::graph_traits<espalier::BoostGraph> {
  using vertex_descriptor = espalier::NodeId;
  using edge_descriptor = espalier::GraphEdge;
  using directed_category = boost::bidirectional_tag;
  using edge_parallel_category = boost::allow_parallel_edge_tag;
  struct traversal_category : boost::vertex_list_graph_tag,
                              boost::edge_list_graph_tag,
                              boost::adjacency_graph_tag,
                              boost::bidirectional_graph_tag {};
  using vertex_iterator = espalier::BoostVertexIterator;
  using edge_iterator = const espalier::GraphEdge*;
  using out_edge_iterator = const espalier::GraphEdge*;
  using in_edge_iterator = const espalier::GraphEdge*;
  using adjacency_iterator = espalier::BoostAdjacencyIterator;
  using vertices_size_type = std::size_t;
  using edges_size_type = std::size_t;
  using degree_size_type = std::size_t;
  static constexpr vertex_descriptor null_vertex() { return static_cast<vertex_descriptor>(-1); }
};

template <>
struct boost::property_map<espalier::BoostGraph, boost::vertex_index_t> {
  using type = boost::typed_identity_property_map<espalier::NodeId>;
  using const_type = type;
};
