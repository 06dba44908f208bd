// Evolution in generations: (mu + lambda), NSGA-II, NSGA-III.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "strategies/asked_architectures.hpp"
#include "strategies/individual.hpp"
#include "strategies/start.hpp"
#include "strategies/strategy.hpp"
#include "strategies/variation.hpp"

namespace espalier {

/// Who of a pool lives on.
struct Survivors {
  std::vector<std::size_t> places;  ///< in the pool, different ones
  /// Of each survivor: who wins a tournament, the smaller the better, the first number first.
  std::vector<std::array<double, 2>> keys;
};

/// Chooses `count` survivors of a pool of as many or more, none of which failed.
class Survival {
 public:
  virtual ~Survival() = default;
  virtual Survivors choose(std::span<const Individual> pool, std::size_t count, Rng& rng) = 0;
};

/// By rank_and_crowding(), the first of equals in the pool. A front that does not fit is cut by the
/// crowding distances that it has as a whole, as in NSGA-II.
class RankAndCrowding : public Survival {
 public:
  Survivors choose(std::span<const Individual> pool, std::size_t count, Rng& rng) override;
};

/// Sizes of a generation.
struct GenerationOptions {
  std::size_t population = 50;  ///< individuals, >= 1
  std::size_t children = 50;    ///< of a generation, >= 1
  std::size_t tournament = 2;   ///< individuals drawn for a parent, with replacement, >= 1
  VariationOptions variation = {};
};

/// The first generation are the known architectures and random ones, `population` in all. Then
/// again and again `children` are made, each of the winners of two tournaments; when all of them
/// are told, the survival chooses `population` of parents and children. Nothing is asked for twice:
/// a child that was asked for is made anew, after 20 in a row a random new architecture takes its
/// place. Failed trials never live on; when all fail, generations are random.
///
/// All children of a generation can be in flight; the next one waits for them. finished() is as
/// exact as AskedArchitectures::draw_other().
class Evolution : public Strategy {
 public:
  /// Throws ConfigError as Start does.
  Evolution(const RunContext& context, const StartOptions& start,
            const GenerationOptions& generation, std::unique_ptr<Survival> survival);

  std::vector<Candidate> ask(std::size_t max_count) override;
  void tell(const Trial& trial) override;
  bool finished() const override { return finished_; }

  /// Those who live, in the order of the survival.
  const std::vector<Individual>& population() const { return population_; }

 private:
  std::optional<Candidate> child();
  std::size_t winner();

  std::shared_ptr<const SearchSpace> space_;
  Goals goals_;
  Rng rng_;
  Start start_;
  GenerationOptions generation_;
  std::unique_ptr<Survival> survival_;
  AskedArchitectures asked_;
  std::uint64_t next_id_ = 0, told_ = 0;
  std::uint64_t generation_end_;  // the id of the first candidate of the next generation
  bool finished_ = false;

  std::vector<Individual> population_;
  std::vector<std::array<double, 2>> keys_;
  std::vector<Individual> children_;  // told in this generation
};

struct MuPlusLambdaOptions : StartOptions {
  int population = 50;     ///< mu, >= 1
  int children = 50;       ///< lambda, >= 1
  int tournament = 2;      ///< >= 1
  double crossover = 0.9;  ///< in [0, 1]
  double mutations = 1;    ///< >= 0
};
OptionTable<MuPlusLambdaOptions> mu_plus_lambda_option_table();

/// (mu + lambda) evolution with tournaments: of parents and children the best survive. With one
/// child a generation the worst dies as each is told. Several objectives: as NSGA-II.
/// Source: T. Bäck, D. Fogel, Z. Michalewicz (editors): Evolutionary computation 1, 2000,
/// chapters 9 and 24. Test: MuPlusLambda.TheBestOfParentsAndChildrenLiveOn.
std::unique_ptr<Strategy> mu_plus_lambda(const RunContext& context,
                                         const MuPlusLambdaOptions& options);

struct Nsga2Options : StartOptions {
  int population = 50;     ///< individuals, and children of a generation, >= 2
  double crossover = 0.9;  ///< in [0, 1]
  double mutations = 1;    ///< >= 0
};
OptionTable<Nsga2Options> nsga2_option_table();

/// NSGA-II: parents win binary tournaments by rank and crowding distance; as many children; the
/// best of both by rank and crowding live on, as rank_and_crowding() has it from the paper. Differs
/// from it: decisions instead of real or binary variables, and nothing is evaluated twice.
std::unique_ptr<Strategy> nsga2(const RunContext& context, const Nsga2Options& options);

}  // namespace espalier
