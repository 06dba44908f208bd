#include "predictors/operator_batch.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "core/error.hpp"
#include "core/hash.hpp"

namespace espalier {
namespace {

using Role = OperatorGraph::Vertex::Role;

bool is_operator(const OperatorGraph::Vertex& vertex) {
  return vertex.role == Role::plain || vertex.role == Role::weighted;
}

// By how much a graph counts that occurs so often: once or twenty times is a difference, but what
// occurs once is heard beside what occurs often.
double share_of(std::uint32_t count) { return std::log2(1.0 + count); }

void check_graphs(const Features& network) {
  if (!network.graphs.empty()) return;
  throw Error(
      "a predictor that reads graphs of operators was given a network without any; encode "
      "networks with {\"graphs\": true}");
}

template <class T>
at::Tensor tensor_of(const std::vector<T>& values, at::ScalarType type) {
  return at::tensor(at::ArrayRef<T>(values)).to(type);
}

}  // namespace

OperatorVocabulary::OperatorVocabulary(std::span<const Features> networks) {
  std::array<double, 3> sum{}, square{};
  double vertices = 0, shares = 0;
  for (const Features& network : networks) {
    check_graphs(network);
    for (const auto& [graph, count] : network.graphs) {
      shares += share_of(count);
      std::vector<std::int64_t> way(graph.vertices.size());
      std::size_t edge = 0;
      for (std::size_t v = 0; v < graph.vertices.size(); ++v) {
        const auto& vertex = graph.vertices[v];
        for (; edge < graph.edges.size() && graph.edges[edge].to == v; ++edge) {
          way[v] = std::max(way[v], way[graph.edges[edge].from]);
        }
        if (is_operator(vertex)) ++way[v];
        longest_way_ = std::max(longest_way_, way[v]);
        if (vertex.role == Role::exit) continue;
        ++vertices;
        for (std::size_t i = 0; i < 3; ++i) {
          sum[i] += vertex.attributes[i];
          square[i] += vertex.attributes[i] * vertex.attributes[i];
        }
        if (is_operator(vertex)) {
          kinds_.try_emplace(vertex.kind, static_cast<std::int64_t>(kinds_.size()) + 1);
        }
      }
    }
  }
  share_ = static_cast<double>(networks.size()) / shares;
  for (std::size_t i = 0; i < 3 && vertices > 0; ++i) {
    center_[i] = sum[i] / vertices;
    const double variance = square[i] / vertices - center_[i] * center_[i];
    factor_[i] = variance > 1e-6 ? 1 / std::sqrt(variance) : 0;
  }
}

namespace {

struct GraphHash {
  std::size_t operator()(const OperatorGraph* graph) const {
    std::uint64_t hash = graph->edges.size();
    for (const auto& vertex : graph->vertices) {
      hash = mix(hash + vertex.kind + static_cast<std::uint64_t>(vertex.role));
      for (const float x : vertex.attributes) hash = mix(hash + std::bit_cast<std::uint32_t>(x));
    }
    for (const auto& edge : graph->edges) hash = mix(hash + edge.from + (edge.to << 16));
    return static_cast<std::size_t>(hash);
  }
};
struct GraphEqual {
  bool operator()(const OperatorGraph* a, const OperatorGraph* b) const { return *a == *b; }
};

// The edges of a batch, as they are gathered.
struct EdgeList {
  void add(std::int64_t from_row, std::int64_t to_row, double its_ways) {
    from.push_back(from_row);
    to.push_back(to_row);
    ways.push_back(its_ways);
  }
  WeightedEdges tensors(at::ScalarType type) const {
    return {.from = tensor_of(from, at::kLong),
            .to = tensor_of(to, at::kLong),
            .ways = tensor_of(ways, type).unsqueeze(1)};
  }
  std::vector<std::int64_t> from, to;
  std::vector<double> ways;
};

}  // namespace

OperatorBatch OperatorVocabulary::batch(std::span<const Features* const> networks,
                                        at::ScalarType type) const {
  std::vector<std::int64_t> kind, place, graph_of;
  std::vector<double> attributes, weighted;
  EdgeList reads, leaves, returns, members;
  std::vector<const OperatorGraph*> graphs;
  std::unordered_map<const OperatorGraph*, std::int64_t, GraphHash, GraphEqual> known;
  for (std::size_t n = 0; n < networks.size(); ++n) {
    check_graphs(*networks[n]);
    for (const auto& [graph, count] : networks[n]->graphs) {
      const auto [at, added] = known.try_emplace(&graph, static_cast<std::int64_t>(graphs.size()));
      if (added) graphs.push_back(&graph);
      members.add(at->second, static_cast<std::int64_t>(n), share_of(count) * share_);
    }
  }
  const auto graph_count = static_cast<std::int64_t>(graphs.size());
  std::vector<std::int64_t> row;  // of each vertex of a graph, as one that is read
  for (std::int64_t its = 0; its < graph_count; ++its) {
    const OperatorGraph& graph = *graphs[static_cast<std::size_t>(its)];
    std::int64_t entrances = 0, operators = 0;
    row.clear();
    for (const auto& vertex : graph.vertices) {
      if (vertex.role == Role::entrance) {
        row.push_back(std::min(entrances++, OperatorBatch::entrances - 1));
      }
      if (!is_operator(vertex)) continue;
      row.push_back(OperatorBatch::entrances + static_cast<std::int64_t>(kind.size()));
      const auto found = kinds_.find(vertex.kind);
      kind.push_back(found == kinds_.end() ? 0 : found->second);
      place.push_back(operators++);
      graph_of.push_back(its);
      weighted.push_back(vertex.role == Role::weighted);
      for (std::size_t i = 0; i < 3; ++i) {
        attributes.push_back((vertex.attributes[i] - center_[i]) * factor_[i]);
      }
    }
    const auto operator_of = [&](std::uint32_t v) { return row[v] - OperatorBatch::entrances; };
    for (const auto& edge : graph.edges) {
      const bool exit = edge.to + 1 == graph.vertices.size();
      if (exit) {
        leaves.add(row[edge.from], its, edge.ways);
      } else {
        reads.add(row[edge.from], operator_of(edge.to), edge.ways);
      }
      if (operator_of(edge.from) < 0) continue;
      returns.add(exit ? its : graph_count + operator_of(edge.to), operator_of(edge.from),
                  edge.ways);
    }
  }
  return {.kind = tensor_of(kind, at::kLong),
          .attributes = tensor_of(attributes, type).view({-1, 3}),
          .weighted = tensor_of(weighted, type).unsqueeze(1),
          .place = tensor_of(place, at::kLong),
          .reads = reads.tensors(type),
          .leaves = leaves.tensors(type),
          .returns = returns.tensors(type),
          .members = members.tensors(type),
          .graph_of = tensor_of(graph_of, at::kLong),
          .operators = static_cast<std::int64_t>(kind.size()),
          .graphs = graph_count,
          .networks = static_cast<std::int64_t>(networks.size())};
}

OperatorBatches::OperatorBatches(const OperatorVocabulary& vocabulary,
                                 std::span<const Features> networks, at::ScalarType type)
    : vocabulary_(&vocabulary), networks_(networks), type_(type) {
  std::vector<const Features*> all;
  for (const Features& network : networks) all.push_back(&network);
  all_ = vocabulary.batch(all, type);
}

OperatorBatch OperatorBatches::some(Rows rows) const {
  std::vector<const Features*> some;
  for (const std::int64_t row : rows) some.push_back(&networks_[static_cast<std::size_t>(row)]);
  return vocabulary_->batch(some, type_);
}

at::Tensor gathered(const at::Tensor& x, const WeightedEdges& edges, std::int64_t size) {
  return summed(x.index_select(0, edges.from) * edges.ways, edges.to, size);
}

at::Tensor summed(const at::Tensor& x, const at::Tensor& to, std::int64_t size) {
  return at::zeros({size, x.size(1)}, x.options()).index_add(0, to, x);
}

at::Tensor kind_table(Weights& weights, std::int64_t kinds, std::int64_t width) {
  const at::Tensor table = weights.normal({kinds, width});
  const at::NoGradGuard no_gradients;
  table[0].zero_();
  return table;
}

}  // namespace espalier
