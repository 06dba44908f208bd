// Tools for the tests of blocks.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "graph/cost.hpp"
#include "tests/graph/test_graphs.hpp"

namespace espalier {

/// Names of the nodes after the input, without the scope's path.
inline std::vector<std::string> node_names(const Graph& graph, const std::string& scope) {
  std::vector<std::string> names;
  for (NodeId i = 1; i < graph.size(); ++i) {
    EXPECT_TRUE(graph.name(i).starts_with(scope + ".")) << graph.name(i);
    names.push_back(graph.name(i).substr(scope.size() + 1));
  }
  return names;
}

inline std::int64_t params(const Graph& graph) {
  std::int64_t sum = 0;
  for (NodeId i = 0; i < graph.size(); ++i) sum += node_params(graph, i);
  return sum;
}

/// The node called "block.NAME". Fails where there is none.
inline NodeId block_node(const Graph& graph, const std::string& name) {
  for (NodeId i = 0; i < graph.size(); ++i) {
    if (graph.name(i) == "block." + name) return i;
  }
  ADD_FAILURE() << "no node block." << name;
  return 0;
}

/// Whether the graph that `build` makes with a width and a kernel left open becomes, once they are
/// chosen, the graph that it makes with the chosen numbers.
inline void expect_searchable(const Shape& input,
                              const std::function<NodeId(GraphBuilder&, NodeId, Dim, Dim)>& build) {
  const auto graph_of = [&](Dim width, Dim kernel) {
    GraphBuilder b;
    b.output(build(b, b.input(input[0], input[1], input[2]), width, kernel));
    return b.build();
  };
  const Dim width = Dim::select(0, std::array{Dim(16), Dim(24), Dim(32)});
  const Dim kernel = Dim::select(1, std::array{Dim(3), Dim(5)});
  const Graph open = graph_of(width, kernel);
  verify(open);
  for (std::uint32_t w = 0; w < 3; ++w) {
    for (std::uint32_t k = 0; k < 2; ++k) {
      const std::array choices{w, k};
      const Graph direct = graph_of(width.at(choices), kernel.at(choices));
      const Graph close = closed(open, choices);
      ASSERT_EQ(close.size(), direct.size());
      for (NodeId i = 0; i < direct.size(); ++i) {
        EXPECT_EQ(close.node(i).op, direct.node(i).op) << direct.name(i);
        EXPECT_EQ(close.node(i).shape, direct.node(i).shape) << direct.name(i);
      }
    }
  }
}

}  // namespace espalier
