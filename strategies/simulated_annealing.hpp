#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "strategies/asked_architectures.hpp"
#include "strategies/individual.hpp"
#include "strategies/start.hpp"
#include "strategies/strategy.hpp"

namespace espalier {

struct SimulatedAnnealingOptions : StartOptions {
  int samples = 10;          ///< random architectures at first, >= 2
  double temperature = 0.5;  ///< at first, in standard deviations of the samples' costs, > 0
  double cooling = 0.98;     ///< what the temperature is multiplied by at each step, in (0, 1]
};
OptionTable<SimulatedAnnealingOptions> simulated_annealing_option_table();

/// Simulated annealing. The first candidates are the known architectures and random ones; the best
/// of them is the current one. A step proposes a random neighbour of the current architecture,
/// which takes its place when it is better, or else with probability exp(-d / T): d is by how much
/// it is worse, T the temperature. What was evaluated before is a step that costs no trial; after
/// 100 such steps in a row the proposal is a random new architecture.
///
/// d is the difference of costs in standard deviations of the first candidates, or of all until two
/// of them differ. With several objectives it is how many more of the front so far, and of the two,
/// dominate the proposal than the current one, as a share. What breaks the constraints more, and a
/// failed trial, is never accepted. Candidates in flight are neighbours of the architecture that
/// was current when they were asked for.
///
/// Source: S. Kirkpatrick, C. Gelatt, M. Vecchi: Optimization by simulated annealing, Science 1983;
/// the scale of the temperature: S. White: Concepts of scale in simulated annealing, ICCD 1984;
/// several objectives: K. Smith et al.: Dominance-based multiobjective simulated annealing, IEEE
/// TEVC 2008, equation 13. Differs from the sources: the temperature falls with each step, and
/// constraints.
/// Test: SimulatedAnnealing.AcceptsAsMetropolisDoes, SimulatedAnnealing.CoolsDown,
/// SimulatedAnnealing.AStepBackCountsByTheShareOfTheFrontThatDominatesIt.
class SimulatedAnnealing : public Strategy {
 public:
  /// Throws ConfigError as Start does.
  SimulatedAnnealing(const RunContext& context, const SimulatedAnnealingOptions& options);

  std::vector<Candidate> ask(std::size_t max_count) override;
  void tell(const Trial& trial) override;
  bool finished() const override { return finished_; }

  /// The trial of the current architecture, once the first candidates are told and not all failed.
  std::optional<std::uint64_t> current() const { return current_; }

 private:
  std::optional<Candidate> proposal();
  void measure_deviation();
  void begin();
  void step(std::uint64_t id);
  double worse_by(const Individual& proposed, const Individual& current) const;
  void add_to_front(std::uint64_t id);

  std::shared_ptr<const SearchSpace> space_;
  Goals goals_;
  Rng rng_;
  Start start_;
  AskedArchitectures asked_;
  std::uint64_t next_id_ = 0, first_count_;
  bool finished_ = false;

  std::vector<Individual> told_;  // by trial
  std::unordered_map<Architecture, std::uint64_t, ArchitectureHash> told_ids_;
  std::optional<std::uint64_t> current_;
  double temperature_, cooling_;
  std::optional<double> deviation_;
  std::vector<std::uint64_t> front_;  // with several objectives
};

}  // namespace espalier
