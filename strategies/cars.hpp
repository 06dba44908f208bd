#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "strategies/individual.hpp"
#include "strategies/weight_sharing_search.hpp"

namespace espalier {

/// pNSGA-III: chooses `count` of a pool of as many or more, none of which failed. The pool is
/// sorted into fronts twice: by all costs, and, of those whose `growth` is known, with this, what
/// their cost number `objective` has lately fallen by, instead of this cost; then the two first
/// fronts are chosen, the two second ones, and so on, of what does not fit some at random. So large
/// networks, whose accuracy grows longer, are not lost to small ones that learn faster. With one
/// objective, only the first sorting counts. Returns positions in the pool.
/// Source: Z. Yang et al.: CARS: continuous evolution for efficient neural architecture search,
/// CVPR 2020, arXiv 1909.04977, section 3.3. Differs from the source: no niches of directions in
/// the front that does not fit (the authors' code draws at random, too); constraints come first.
/// The authors' code sorts for large networks the second time, instead of growth.
/// Test: ProtectedSurvivors.GrowthKeepsWhatAllCostsWouldLose.
std::vector<std::size_t> protected_survivors(std::span<const Individual> pool,
                                             std::span<const std::optional<double>> growth,
                                             std::size_t objective, std::size_t count, Rng& rng);

struct CarsOptions : StartOptions {
  int population = 32;             ///< >= 2
  double children = 1;             ///< of a generation, as a multiple of the population, > 0
  std::optional<int> warmup = {};  ///< epochs, >= 1; by default a tenth of all
  std::optional<int> epochs = {};  ///< of a generation, >= 1; by default a fiftieth of all
  int architectures = 1;           ///< that learn in a step, >= 1
  double crossover = 0.25;         ///< share of the children, in [0, 1]
  double mutation = 0.25;          ///< share of the children, in [0, 1]; others are random
};
OptionTable<CarsOptions> cars_option_table();

/// CARS: a population and shared weights evolve together. The weights learn with random
/// architectures for `warmup` epochs; then, generation after generation, all of the population and
/// its children are evaluated by them, protected_survivors() of these are the next population, and
/// the weights learn with these for `epochs`, in each step with some of them, drawn uniformly.
/// Children are new ones of the generation: of two parents by crossover, of one by half as many
/// mutations as it has decisions, or random.
///
/// Source: Z. Yang et al., as above, section 3 and algorithm 1; shares, epochs and architectures of
/// a step as in its section 4.1. Differs from the source: a population of 32, not 128.
/// Test: Cars.WeightsLearnWithThePopulation.
class Cars : public WeightSharingSearch {
 public:
  /// Throws ConfigError as WeightSharingSearch does.
  Cars(const RunContext& context, const CarsOptions& options);

  /// By their last evaluation.
  const std::vector<Individual>& population() const { return population_; }

 protected:
  std::vector<Candidate> next_round(const Rng& rng) override;
  void learn(const Trial& trial) override;
  void end_round(const Rng& rng) override;
  Json save_state() const override;
  void load_state(const Json& state) override;

 private:
  CarsOptions options_;
  std::vector<Individual> population_;
  std::vector<Individual> told_;  // of the round, those that did not fail
};

}  // namespace espalier
