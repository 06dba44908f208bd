#pragma once

#include <string>

#include "core/json_fwd.hpp"
#include "graph/graph.hpp"

namespace espalier {

/// A concrete graph as JSON: {"format": 1, "nodes": [...], "scopes": [...]}.
///
/// A node is {"name", "op", "attributes"?, "inputs": [names], "shape", "scope"?, "quantization"?:
/// {"weight_bits", "activation_bits"}}; kernels and other pairs are [height, width]. A scope is
/// {"name", "kind", "parent"?, "attributes"?}. Nodes are listed in stored order; scopes that hold
/// no node are left out. Throws UnsupportedError on an open graph.
Json to_json(const Graph& graph);

/// Inverse of to_json; "shape" may be left out. The result is verified. `pointer` is where `json`
/// stands in its document. Throws ConfigError, with the JSON pointer of the mistake, for anything
/// that to_json does not write.
Graph graph_from_json(const Json& json, const std::string& pointer = "");

/// Attributes of operators, as graph_from_json() reads them. Throw ConfigError at `pointer` for
/// another type, a number that is not finite in 32 bits, and a name that is not known.
float float_from_json(const Json& json, const std::string& pointer);
ActivationKind activation_from_json(const Json& json, const std::string& pointer);
PoolKind pool_from_json(const Json& json, const std::string& pointer);

}  // namespace espalier
