#pragma once

#include <cstddef>
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

/// When a climb leaves an architecture for a better neighbour: at once, or when it knows them all.
enum class Improvement { first, best };

struct LocalSearchOptions : StartOptions {
  Improvement improvement = Improvement::first;
};
OptionTable<LocalSearchOptions> local_search_option_table();

/// Local search with restarts. The first climb starts at the best known architecture, where there
/// is one, every other at a random new one. A climb evaluates the neighbours of the best so far
/// (neighbours() of search_spaces/sampling.hpp) in random order, goes on from a better one, and
/// ends where no neighbour is better. Nothing is asked for twice: of what was evaluated before, the
/// result is remembered. finished() is as exact as AskedArchitectures::draw_other().
///
/// With several objectives the climb keeps the architectures that no other one of it dominates,
/// under the constraints, and goes on from a random one of those whose neighbours it has not seen
/// all; `first` leaves an architecture as soon as it is dominated.
///
/// A failed trial is worse than all others; a climb that starts with one ends. Candidates in flight
/// are neighbours of one architecture, so more of them at a time than it has are of no use.
///
/// Source: C. White et al.: Exploring the loss landscape in neural architecture search, UAI 2021,
/// arXiv 2005.02960, algorithm 1 (`best`) and its variant that continues with the first better
/// neighbour (`first`); L. Paquete et al.: Pareto local optimum sets in the biobjective traveling
/// salesman problem, Metaheuristics for Multiobjective Optimisation 2004 (several objectives).
/// Differs from the sources: restarts, remembered results, failed trials and constraints.
/// Test: LocalSearch.IsHillClimbing, LocalSearch.SeveralObjectivesKeepAFront.
class LocalSearch : public Strategy {
 public:
  /// Throws ConfigError as Start does.
  LocalSearch(const RunContext& context, const LocalSearchOptions& options);

  std::vector<Candidate> ask(std::size_t max_count) override;
  void tell(const Trial& trial) override;
  bool finished() const override { return finished_; }

 private:
  struct Member {
    std::uint64_t id = 0;
    bool explored = false;  // all of its neighbours are known
  };
  std::optional<Candidate> next();
  void offer(std::uint64_t id);
  void advance();
  void explore(std::uint64_t id);
  Member* find_member(std::uint64_t id);

  std::shared_ptr<const SearchSpace> space_;
  Goals goals_;
  Rng rng_;
  Start start_;
  Improvement improvement_;
  AskedArchitectures asked_;
  std::uint64_t next_id_ = 0;
  bool finished_ = false;

  std::vector<Individual> told_;  // by trial
  std::unordered_map<Architecture, std::uint64_t, ArchitectureHash> told_ids_;

  std::vector<Member> front_;               // of the climb; one member with one objective
  std::optional<std::uint64_t> exploring_;  // whose neighbours are evaluated
  std::vector<Architecture> neighbours_;    // of it, not asked for yet, the next one last
};

}  // namespace espalier
