// How the decisions of a supergraph take part in its relaxation. No LibTorch here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "search_spaces/supergraph.hpp"

namespace espalier {

/// One decision of a relaxation.
struct RelaxedDecision {
  std::string name;
  std::size_t options = 0;
  int pick = 1;
  /// It chooses one of several nodes.
  bool operators = false;
  /// Its choices are terms of sums only, so that one may be left out.
  bool term = false;
  /// Its choices are inputs of which several are picked, and nothing else reads them.
  bool input = false;
  /// The option that passes its input on: one whose label is "skip_connect", "skip" or "identity",
  /// or the node that the others read, unless all labels are numbers (a depth) or one is "no" (a
  /// part of a block). None where there is but one option.
  std::optional<std::size_t> skip = std::nullopt;
  /// Whether the skip is the very node that the others read, wherever the decision chooses.
  bool unchanged = false;
  /// The option that gives zeros.
  std::optional<std::size_t> zero = std::nullopt;
  /// Where several are picked: the decision on the operator that an option ends with.
  std::vector<std::optional<DecisionId>> edges = {};
  /// Where several are picked: whether the options have no weights of their own, since these
  /// decisions tell them apart, or since all of them are picked; see mark_told_apart().
  bool told_apart = false;
};

/// The kind of cell that a decision is of: its name before the first dot, "" where there is none.
std::string cell_kind(const RelaxedDecision& d);

/// Of all decisions, in their order.
std::vector<RelaxedDecision> relaxed_decisions(const Supergraph& supergraph);

/// Sets `told_apart` where each option ends with a decision that no other one ends with and that
/// has at least two numbers, that of `none` counted, and where all options are picked; `none` tells
/// which decisions have one.
void mark_told_apart(std::vector<RelaxedDecision>& decisions, const std::vector<bool>& none);

/// One number for each option of a decision.
using Strengths = std::vector<std::vector<double>>;

/// The architecture of the strongest options. Where several are picked, an option is as strong as
/// its own strength times that of the strongest operator that it ends with, zero left out. Of equal
/// ones the first counts.
/// Source: Liu et al., "DARTS", ICLR 2019, arXiv 1806.09055, section 2.4; Xu et al., "PC-DARTS",
/// ICLR 2020, arXiv 1907.05737, section 3.3 (the product).
/// Test: RelaxedDecisions.TheTwoStrongestEdgesAreKept.
Architecture strongest(std::span<const RelaxedDecision> decisions, const Strengths& strengths);

/// The share of skips among the operators that an architecture uses, of the decisions that could
/// have taken one; 0 where there is none.
double skip_share(const SearchSpace& space, std::span<const RelaxedDecision> decisions,
                  const Architecture& a);

}  // namespace espalier
