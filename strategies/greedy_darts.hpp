// Differentiable strategies that close decisions one by one: SGAS and DARTS-PT.
#pragma once

#include "strategies/darts.hpp"

namespace espalier {

/// Which edge SGAS decides next: by importance and certainty, or by stability, too.
enum class SgasCriterion { certain, stable };

struct SgasOptions : DartsSearchOptions {
  SgasCriterion criterion = SgasCriterion::certain;
  double first_decision = 0.18;     ///< share of the epochs before it, [0, 1)
  std::optional<int> history = {};  ///< of `stable`: epochs, >= 1, by default 4
};
OptionTable<SgasOptions> sgas_option_table();

/// SGAS: from some epoch on, the edge of the largest criterion gets its strongest operator for good
/// and learns no more, one of each kind of cell at a time, at even intervals, until all are decided
/// before the last interval. Of a node that picks k inputs, the others are dropped when k are
/// decided, but not of one whose inputs have weights of their own. The criterion is the product of
/// the edge's importance (the weight of what is not zero) and certainty (1 less the entropy of its
/// operators as a share of the largest one), and of its stability (the mean intersection of its
/// weights with those of past epochs); each is scaled to [0, 1] over the edges of a kind, where
/// they differ, those that are decided with what they were.
/// Source: Li et al., "SGAS: Sequential Greedy Architecture Search", CVPR 2020, arXiv 1912.00195,
/// section 3.2; the first decision and the interval as in the authors' code (after 10 of 50 epochs,
/// then after every five). Differs from the source: batches do not grow with the decisions;
/// decisions of other kinds than on operators stay open and are derived at the end.
/// Test: Sgas.DecidesTheMostImportantAndCertainEdgeForGood, Sgas.CertaintyCounts,
/// Sgas.CriteriaAreScaled, Sgas.StabilityCounts, Sgas.StabilityIsThatOfSomeEpochs,
/// Sgas.TiedEdgesStayWhereTheyAreRead.
class Sgas : public Darts {
 public:
  /// Throws as Darts, UnsupportedError for a space without operators to choose, and ConfigError
  /// (/first_decision) where too few epochs are left or the architecture has not learned yet,
  /// (/history) for another criterion than `stable`, (/early_stopping) with it.
  Sgas(const RunContext& context, const SgasOptions& options);

 protected:
  void end_epoch(const Rng& rng) override;
  bool takes_early_stopping() const override { return false; }
  Json save_own() const override { return {{"past", past_}, {"decided", decided_}}; }
  void load_own(const Json& state) override {
    state.at("past").get_to(past_);
    state.at("decided").get_to(decided_);
  }

 private:
  /// How many inputs that nodes still have end with an edge.
  std::size_t readers(std::size_t edge) const;

  SgasCriterion criterion_;
  int first_, interval_ = 1;  // epochs
  std::size_t history_;
  std::vector<Strengths> past_;
  Strengths decided_;  // what the weights of decided edges were then; empty for the others
};

struct DartsPtOptions : DartsSearchOptions {
  DartsPtOptions() { none = false; }
  double supernet_share = 0.6;  ///< of the epochs, before the first selection, (0, 1)
  int batches = 8;              ///< of images for each accuracy, >= 1
};
OptionTable<DartsPtOptions> darts_pt_option_table();

/// DARTS-PT: after a search as by DARTS, operators are selected by what they are worth: of an edge
/// at random, one of each kind of cell, that operator stays without which the relaxation's accuracy
/// falls most; then, node by node at random, those inputs stay without which it falls most. Between
/// selections, at even intervals, weights and architecture learn on.
/// Source: Wang et al., "Rethinking Architecture Selection in Differentiable NAS", ICLR 2021, arXiv
/// 2108.04392, section 4. Differs from the source: accuracies are of some batches of the images
/// that the architecture learns on (of those held out, where it has no own), not of all; inputs of
/// one node at a time, whichever kind of cell it is of, and all by one look at each, not dropped
/// one by one; the learning rate follows the evaluator's schedule, not a tenth of the first rate.
/// Test: DartsPt.SelectsWhatTheRelaxationNeedsNotWhatIsStrongest,
/// DartsPt.SelectsInputsThatTheRelaxationNeedsNotTheStrongest,
/// DartsPt.LearnsBetweenSelectionsOfEdgesAtRandom.
class DartsPt : public Darts {
 public:
  /// Throws as Darts, UnsupportedError for a space without operators or inputs to choose, and
  /// ConfigError (/supernet_share) where too few epochs are left or the architecture has not
  /// learned yet, (/early_stopping) with it.
  DartsPt(const RunContext& context, const DartsPtOptions& options);

 protected:
  void end_epoch(const Rng& rng) override;
  bool takes_early_stopping() const override { return false; }

 private:
  void select_operator(std::size_t d, const Rng& rng);
  void select_inputs(std::size_t d, const Rng& rng);

  int first_, interval_ = 1;  // epochs
  int batches_;
};

}  // namespace espalier
