#pragma once

#include <array>
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

namespace espalier {

struct RegularizedEvolutionOptions : StartOptions {
  int population = 50;  ///< living individuals, >= 1
  int sample = 10;      ///< individuals in a tournament, drawn with replacement, >= 1
  int mutations = 1;    ///< decisions changed from parent to child, one after the other, >= 1
  bool repeats = true;  ///< whether architectures may recur
};
OptionTable<RegularizedEvolutionOptions> regularized_evolution_option_table();

/// Evolution in which the oldest individual dies, not the worst: a queue of `population` trials.
/// First come the known architectures and random ones, `population` in all (more when more are
/// known); once all of these are told, each candidate is a mutation of the winner of a tournament:
/// `sample` individuals are drawn uniformly with replacement, the best one wins, the first of
/// equals. Individuals enter the queue in the order in which trials are told. Without
/// `repeats`, nothing is asked for twice: a child that was asked for is made anew, of another
/// winner, after 20 in a row a random new architecture takes its place, and finished() is as exact
/// as AskedArchitectures::draw_other().
///
/// One objective: the best keeps the constraints, or breaks them least, and has the best metric.
/// Several objectives: it has the lowest constrained non-domination rank in the population, then
/// the largest crowding distance. A failed trial never wins but takes its place in the queue; when
/// a tournament has only failed ones, the parent is any other individual, and when there is none,
/// the candidate is a random architecture.
///
/// A tell takes O(1), an ask O(sample); with several objectives the first ask after a tell
/// O(population^2) at worst.
///
/// Source: E. Real et al.: Regularized evolution for image classifier architecture search, AAAI
/// 2019, arXiv 1802.01548, algorithm 1. The default sizes are those of the NAS-Bench-101 code.
/// Differs from the source: several objectives and constraints; a mutation changes one decision of
/// the space, whatever it stands for, and never none.
/// Test: RegularizedEvolution.IsAlgorithm1.
class RegularizedEvolution : public Strategy {
 public:
  /// Throws ConfigError as Start does.
  RegularizedEvolution(const RunContext& context, const RegularizedEvolutionOptions& options);

  std::vector<Candidate> ask(std::size_t max_count) override;
  void tell(const Trial& trial) override;
  bool finished() const override { return finished_; }

 private:
  struct Member {
    Individual individual;
    std::array<double, 2> key = {};  // rank and crowding, with several objectives
  };
  bool wins(const Member& a, const Member& b) const;
  void rank_population();
  const Individual* choose_parent();
  Architecture mutation(const Architecture& parent);
  /// A mutation of the winner of a tournament; nothing where no one can win.
  std::optional<Candidate> child();
  /// A known architecture, or a random one.
  Candidate random();
  /// A child that was not asked for.
  std::optional<Candidate> new_child();

  std::shared_ptr<const SearchSpace> space_;
  Goals goals_;
  Rng rng_;
  Start start_;
  RegularizedEvolutionOptions options_;
  AskedArchitectures asked_;        // without repeats
  std::uint64_t first_generation_;  // trials that are not children
  std::uint64_t next_id_ = 0;
  std::uint64_t told_ = 0;
  std::deque<Member> population_;  // the oldest first
  bool ranked_ = false, finished_ = false;
};

}  // namespace espalier
