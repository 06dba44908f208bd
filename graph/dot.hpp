#pragma once

#include <string>

#include "graph/graph.hpp"

namespace espalier {

/// The graph as a Graphviz digraph, open or concrete: one box per node with its operator,
/// attributes, bits and shape, one cluster per scope. The inputs of operators that tell them apart
/// are numbered. Equal graphs give equal text.
std::string to_dot(const Graph& graph);

}  // namespace espalier
