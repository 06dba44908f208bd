// Successive halving, bracket by bracket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "strategies/rungs.hpp"
#include "strategies/strategy.hpp"

namespace espalier {

/// How many architectures are in each rung of a bracket, the lowest rung first; the last rung is
/// that of full evaluations.
using BracketSizes = std::vector<std::size_t>;

/// {n, floor(n / eta), floor(n / eta^2), ...}, one number for each rung.
BracketSizes halved(std::size_t samples, std::size_t rungs, int eta);

/// The brackets of Hyperband in their order: with S rungs, for s = S - 1, ..., 0 the bracket of the
/// last s + 1 rungs that begins with ceil(S / (s + 1) * eta^s) architectures.
/// Source: L. Li et al.: Hyperband: a novel bandit-based approach to hyperparameter optimization,
/// JMLR 2018, arXiv 1603.06560, algorithm 1, with R = eta^(S - 1).
/// Test: HyperbandBrackets.AreThoseOfTheAlgorithm.
std::vector<BracketSizes> hyperband_brackets(std::size_t rungs, int eta);

/// Brackets of successive halving, one after the other and then from the first again: new
/// architectures are evaluated in the bracket's lowest rung; once all of a rung are told, the best
/// of them, as many as the next rung has places, are evaluated there, each a child of its trial in
/// the rung below. Best is best_first(). Failed trials go no further, so that places may stay
/// empty. No architecture begins twice; where a space is exhausted, the bracket goes on with those
/// it has, and is the last.
class Brackets : public Strategy {
 public:
  /// Throws ConfigError as Start does. `brackets` is not empty and none has more rungs than there
  /// are.
  Brackets(const RunContext& context, const FidelityOptions& options,
           std::vector<BracketSizes> brackets);

  std::vector<Candidate> ask(std::size_t max_count) override;
  void tell(const Trial& trial) override;
  bool finished() const override { return finished_; }

 protected:
  /// The architecture of a new candidate; nothing where none is left.
  virtual std::optional<Candidate> propose() { return start_.next_new(asked_, rng_); }
  /// What was told, of which rung of all.
  virtual void learn(std::size_t, const Individual&) {}

  const std::shared_ptr<const SearchSpace> space_;
  Rng rng_;
  Start start_;
  AskedArchitectures asked_;
  const std::vector<double> fidelities_;

 private:
  const BracketSizes& sizes() const { return brackets_[bracket_]; }
  std::size_t rung() const { return fidelities_.size() - sizes().size() + level_; }
  void rise();

  Goals goals_;
  std::vector<BracketSizes> brackets_;
  std::size_t bracket_ = 0;
  std::size_t level_ = 0;             // rung within the bracket
  std::vector<Individual> promoted_;  // those to be evaluated in this rung, above the lowest
  std::size_t begun_ = 0;             // trials of this rung that were asked for
  std::vector<Individual> told_;      // and those that were told
  std::uint64_t next_id_ = 0;
  bool exhausted_ = false, finished_ = false;
};

struct SuccessiveHalvingOptions : FidelityOptions {
  /// New architectures of a bracket; by default as many as bring one to a full evaluation.
  std::optional<int> samples = std::nullopt;
};
OptionTable<SuccessiveHalvingOptions> successive_halving_option_table();

/// One bracket over all rungs, again and again.
/// Source: K. Jamieson, A. Talwalkar: Non-stochastic best arm identification and hyperparameter
/// optimization, AISTATS 2016, arXiv 1502.07943, figure 3; one in eta instead of one in two:
/// Hyperband, section 3.1.
/// Differs from the source: the fidelity of the first rung is given, instead of a budget that is
/// spent evenly on the rungs; with `samples` = eta^k, rungs cost the same, as there. Another
/// bracket follows the first. Constraints and several objectives.
/// Test: SuccessiveHalving.WaitsForARungAndPromotesItsBest.
std::unique_ptr<Strategy> successive_halving(const RunContext& context,
                                             const SuccessiveHalvingOptions& options);

struct HyperbandOptions : FidelityOptions {};
OptionTable<HyperbandOptions> hyperband_option_table();

/// Brackets that begin with many architectures in low rungs, and others that begin with few in
/// high ones: hyperband_brackets(), again and again.
/// Source: as hyperband_brackets().
/// Differs from the source: constraints and several objectives; no architecture begins twice.
/// Test: Hyperband.GoesThroughAllBracketsAndBeginsAgain.
std::unique_ptr<Strategy> hyperband(const RunContext& context, const HyperbandOptions& options);

}  // namespace espalier
