// Graphs of operators as tensors. Includes LibTorch: for the sources of predictors and their tests.
#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "predictors/predictor.hpp"
#include "predictors/score_network.hpp"

namespace espalier {

/// Rows of a graph's vertices are numbers from 0; `ways` is how often `from` counts in `to`.
struct WeightedEdges {
  at::Tensor from, to;  ///< {edges}
  at::Tensor ways;      ///< {edges, 1}
};

/// The graphs of N networks, equal ones once, as one graph without edges between them: G graphs, O
/// operators. Entrances are shared by all graphs, as the first of one are alike, and the second.
struct OperatorBatch {
  static constexpr std::int64_t entrances = 4;  ///< of one graph; later ones count as the last one

  at::Tensor kind;        ///< {O} of each operator, 0 where it is not known
  at::Tensor attributes;  ///< {O, 3}, standardized
  at::Tensor weighted;    ///< {O, 1}: 1 where it has weights, else 0
  at::Tensor place;       ///< {O}: in its graph
  WeightedEdges reads;    ///< from entrances (0 to 3) and operators (from 4 on) to operators
  WeightedEdges leaves;   ///< from these to graphs
  WeightedEdges returns;  ///< from graphs (0 to G - 1) and operators (from G on) to operators
  WeightedEdges members;  ///< from graphs to networks, by how much each counts
  at::Tensor graph_of;    ///< {O}
  std::int64_t operators = 0, graphs = 0, networks = 0;
};

/// What makes tensors of operator graphs: the kinds of operators of those that it was made of, and
/// moments of their attributes.
class OperatorVocabulary {
 public:
  /// Throws Error where a network has no graph.
  explicit OperatorVocabulary(std::span<const Features> networks);
  /// Kinds of operators, and 0.
  std::int64_t kinds() const { return static_cast<std::int64_t>(kinds_.size()) + 1; }
  /// The most operators on a way through one graph.
  std::int64_t longest_way() const { return longest_way_; }
  /// Throws Error where a network has no graph.
  OperatorBatch batch(std::span<const Features* const> networks, at::ScalarType type) const;

 private:
  std::unordered_map<std::uint64_t, std::int64_t> kinds_;  // from 1
  std::array<double, 3> center_{}, factor_{};
  double share_ = 1;  // of a graph, so that those of a network add up to about 1
  std::int64_t longest_way_ = 0;
};

/// Batches of rows of networks, which stay where they are. That of all rows is made once.
class OperatorBatches {
 public:
  OperatorBatches(const OperatorVocabulary& vocabulary, std::span<const Features> networks,
                  at::ScalarType type);
  /// What `embed` makes of a batch, {N, ..}, in the order of `rows`: some of the networks, or each
  /// once.
  template <class Embed>
  at::Tensor rows(Rows rows, Embed embed) const {
    if (rows.size() == networks_.size()) return embed(all_).index_select(0, row_tensor(rows));
    return embed(some(rows));
  }

 private:
  OperatorBatch some(Rows rows) const;
  const OperatorVocabulary* vocabulary_;
  std::span<const Features> networks_;
  at::ScalarType type_;
  OperatorBatch all_;
};

/// What arrives over edges, {size, ..}: row `to` gets `ways` times row `from` of x, summed.
at::Tensor gathered(const at::Tensor& x, const WeightedEdges& edges, std::int64_t size);
/// Rows of x summed into {size, ..}: row i counts in row to[i].
at::Tensor summed(const at::Tensor& x, const at::Tensor& to, std::int64_t size);

/// A table of vectors {kinds, width}, drawn from the standard normal distribution, but 0 for kind
/// 0.
at::Tensor kind_table(Weights& weights, std::int64_t kinds, std::int64_t width);

}  // namespace espalier
