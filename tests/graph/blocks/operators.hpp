#pragma once

#include <string>

#include "graph/graph.hpp"

namespace espalier {

/// The names of the operators in stored order, each followed by a space.
inline std::string operators(const Graph& graph) {
  std::string names;
  for (NodeId id = 0; id < graph.size(); ++id) {
    names += std::string(op_name(graph.node(id).op)) + " ";
  }
  return names;
}

}  // namespace espalier
