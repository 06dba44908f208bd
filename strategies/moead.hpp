#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "strategies/asked_architectures.hpp"
#include "strategies/individual.hpp"
#include "strategies/start.hpp"
#include "strategies/strategy.hpp"
#include "strategies/variation.hpp"

namespace espalier {

struct MoeadOptions : StartOptions {
  int population = 50;     ///< at most as many subproblems, >= 1
  int neighbourhood = 20;  ///< subproblems that share parents and children, >= 1
  double locality = 0.9;   ///< share of children whose parents are of the neighbourhood, in [0, 1]
  int replaced = 2;        ///< individuals that a child replaces at most, >= 1
  double crossover = 0.9;  ///< in [0, 1]
  double mutations = 1;    ///< >= 0
};
OptionTable<MoeadOptions> moead_option_table();

/// MOEA/D: one subproblem for each of reference_directions(), the Tchebycheff distance from the
/// best costs with its weights; each has an individual. The first candidates are the known
/// architectures and random ones, one for each subproblem. Then, in turn, each subproblem has a
/// child of parents of its neighbourhood, the subproblems with the nearest weights, or seldom of
/// any; once told, it replaces up to `replaced` individuals, in random order, to whose subproblems
/// it is better. Costs are scaled by their range among the individuals. Constraints come first.
/// Nothing is asked for twice, as in Evolution.
///
/// With one objective all subproblems are alike. A failed trial is worse than all others.
///
/// Source: Q. Zhang, H. Li: MOEA/D: a multiobjective evolutionary algorithm based on decomposition,
/// IEEE TEVC 2007, section III-B, equation 6 for the scale; `locality` and `replaced`: H. Li,
/// Q. Zhang: Multiobjective optimization problems with complicated Pareto sets, IEEE TEVC 2009,
/// section II-C. Differs from the sources: decisions, constraints, candidates in flight; weights of
/// 0 count as 1e-6, and a child that is only as good replaces nothing.
/// Test: Moead.AChildReplacesOnlyNeighboursThatItIsBetterFor.
class Moead : public Strategy {
 public:
  /// Throws ConfigError as Start does.
  Moead(const RunContext& context, const MoeadOptions& options);

  std::vector<Candidate> ask(std::size_t max_count) override;
  void tell(const Trial& trial) override;
  bool finished() const override { return finished_; }

  /// The weights of the subproblems, and the individual of each, once the first candidates are
  /// told.
  const std::vector<std::vector<double>>& weights() const { return weights_; }
  const std::vector<Individual>& individuals() const { return individuals_; }

 private:
  struct Flight {
    std::size_t subproblem = 0;
    bool local = true;
  };
  std::optional<Candidate> child(Flight& flight);
  void assign();
  void replace(const Individual& child, const Flight& flight);
  bool better_for(std::size_t subproblem, const Individual& a, const Individual& b) const;
  void note_ideal(const Individual& individual);
  void measure_scale();

  std::shared_ptr<const SearchSpace> space_;
  Goals goals_;
  Rng rng_;
  Start start_;
  MoeadOptions options_;
  AskedArchitectures asked_;
  std::uint64_t next_id_ = 0, told_ = 0, first_count_;
  std::size_t turn_ = 0;  // whose child is next
  bool finished_ = false;

  std::vector<std::vector<double>> weights_;
  std::vector<std::vector<std::size_t>> neighbours_;  // of each subproblem, itself first
  std::vector<Individual> first_;                     // told before there are individuals
  std::vector<Individual> individuals_;
  std::deque<Flight> in_flight_;
  bool kept_ = false;  // whether anything has kept the constraints
  std::vector<double> ideal_, range_;
};

}  // namespace espalier
