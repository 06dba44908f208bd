#pragma once

#include <memory>
#include <vector>

#include "strategies/evolution.hpp"

namespace espalier {

/// Whole fronts live on, the best first; of the one that does not fit, those that keep the
/// survivors spread over reference directions: costs are scaled by the ideal point of all that ever
/// kept the constraints and by the intercepts of the plane through the extreme points (where there
/// is no such plane, by the front's range); each belongs to the direction whose line is nearest;
/// and one after the other is taken for the direction that has the fewest, at random among equals:
/// the nearest to its line when it has none, else any. Where constraints are broken, those that
/// break them least live on, and a tournament is won by who breaks them less, at random among
/// equals.
///
/// Source: K. Deb, H. Jain: An evolutionary many-objective optimization algorithm using
/// reference-point-based nondominated sorting approach, part I, IEEE TEVC 2014, algorithms 1 to 4;
/// part II (H. Jain, K. Deb), algorithms 1 and 2.
/// Test: NichesOfDirections.IsNotCrowding,
/// NichesOfDirections.TheScaleIsThePlanesInterceptsNotTheRange.
class NichesOfDirections : public Survival {
 public:
  explicit NichesOfDirections(std::vector<std::vector<double>> directions)
      : directions_(std::move(directions)) {}
  Survivors choose(std::span<const Individual> pool, std::size_t count, Rng& rng) override;

 private:
  std::vector<std::vector<double>> normalized(const std::vector<std::vector<double>>& costs,
                                              std::size_t first_front);
  std::vector<std::vector<double>> directions_;
  std::vector<double> ideal_;
};

struct Nsga3Options : StartOptions {
  int population = 52;     ///< individuals, children of a generation, at most as many directions
  double crossover = 0.9;  ///< in [0, 1]
  double mutations = 1;    ///< >= 0
};
OptionTable<Nsga3Options> nsga3_option_table();

/// NSGA-III: as NSGA-II, with directions instead of crowding distances, for three and more
/// objectives. As many directions as reference_directions() has for the population. The paper is
/// that of NichesOfDirections. Differs from it: decisions instead of real variables, and nothing is
/// evaluated twice.
std::unique_ptr<Strategy> nsga3(const RunContext& context, const Nsga3Options& options);

}  // namespace espalier
