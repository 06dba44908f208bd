// Small networks of operators, for tests of the predictors that read them.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/rng.hpp"
#include "predictors/predictor.hpp"

namespace espalier::testing_operators {

using Vertex = OperatorGraph::Vertex;
using Role = Vertex::Role;

inline Vertex entrance() { return {.attributes = {9, 0, 0}, .role = Role::entrance}; }
inline Vertex exit_vertex() { return {.role = Role::exit}; }
/// Kinds below 10 have no weights.
inline Vertex operator_of(std::uint64_t kind) {
  return {.kind = kind,
          .attributes = {static_cast<float>(kind % 4), static_cast<float>(kind % 3), 1},
          .role = kind < 10 ? Role::plain : Role::weighted};
}

/// Entrance, the operators one after the other, exit.
inline OperatorGraph chain(const std::vector<std::uint64_t>& kinds) {
  OperatorGraph graph{.vertices = {entrance()}};
  for (const std::uint64_t kind : kinds) graph.vertices.push_back(operator_of(kind));
  graph.vertices.push_back(exit_vertex());
  for (std::uint32_t v = 1; v < graph.vertices.size(); ++v) {
    graph.edges.push_back({.from = v - 1, .to = v});
  }
  return graph;
}

/// Two entrances, five operators, of which two are equal, two ways over one edge, a way around all.
inline OperatorGraph tangle() {
  return {.vertices = {entrance(), entrance(), operator_of(11), operator_of(12), operator_of(3),
                       operator_of(11), operator_of(14), exit_vertex()},
          .edges = {{.from = 0, .to = 2},
                    {.from = 0, .to = 3},
                    {.from = 1, .to = 3, .ways = 2},
                    {.from = 2, .to = 4},
                    {.from = 3, .to = 4},
                    {.from = 1, .to = 5},
                    {.from = 3, .to = 5},
                    {.from = 4, .to = 6},
                    {.from = 5, .to = 6, .ways = 3},
                    {.from = 0, .to = 7},
                    {.from = 5, .to = 7},
                    {.from = 6, .to = 7}}};
}

inline Features network(std::vector<std::pair<OperatorGraph, std::uint32_t>> graphs) {
  return {.graphs = std::move(graphs)};
}

/// Of one and two graphs, of graphs without operators and without an entrance.
inline std::vector<Features> networks() {
  return {network({{tangle(), 1}}), network({{chain({11, 3, 12}), 3}, {tangle(), 2}}),
          network({{chain({}), 1}}), network({{{.vertices = {exit_vertex()}}, 1}}),
          network({{chain({14, 11}), 1}})};
}

}  // namespace espalier::testing_operators
