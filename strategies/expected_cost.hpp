// What a relaxation's networks cost on average.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <string>
#include <vector>

#include "search_spaces/supergraph.hpp"
#include "strategies/run_context.hpp"

namespace espalier {

/// A metric that is a sum over the scopes of a network, in which each scope's part depends on some
/// decisions only: its expectation where each decision is closed by itself, with the options'
/// weights as probabilities, is exact. Of a decision that picks several options, the probability of
/// a subset is the product of their weights, as a share of that of all subsets.
///
/// Each scope's part is tabulated once, for all options of the decisions that its operators, their
/// shapes and whether they are there read.
/// Source: Cai et al., "ProxylessNAS", ICLR 2019, arXiv 1812.00332, section 3.3.1 (expected latency
/// as a sum over blocks). Test: ExpectedCost.IsTheMeanOverAllArchitectures.
class ExpectedCost {
 public:
  /// Throws UnsupportedError, naming the metric, where it is not such a sum, or where a scope
  /// depends on more decisions than can be tabulated.
  ExpectedCost(const Supergraph& supergraph, const CostParts& parts, const std::string& metric);

  /// Weights {options} of each decision, as Supernet::forward_mixed() takes them. A number in
  /// float64, differentiable in them.
  at::Tensor of(const std::vector<at::Tensor>& weights) const;
  /// Of one architecture, which is in range.
  double of(const Architecture& a) const;
  /// The least and the largest that a walk finds which changes one decision at a time, from each of
  /// some architectures drawn at random.
  struct Bounds {
    double least, most;
  };
  Bounds bounds(const SearchSpace& space, Rng rng) const;

 private:
  struct Table {
    std::vector<DecisionId> decisions;
    std::vector<std::int64_t> sizes;  // choices of each
    at::Tensor values;                // of these sizes, float64
  };

  const Supergraph& supergraph_;
  std::vector<Table> tables_;
};

}  // namespace espalier
