// Search by models of what was told.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "strategies/asked_architectures.hpp"
#include "strategies/start.hpp"
#include "strategies/strategy.hpp"
#include "strategies/surrogate.hpp"

namespace espalier {

/// What proposals are made from.
struct ProposalContext {
  const SearchSpace& space;
  Surrogate& surrogate;  ///< as just fitted
  AskedArchitectures& asked;
  Rng& rng;
  Rng draws;            ///< for values drawn from predictions
  std::size_t count;    ///< how many are wanted, >= 1
  std::uint64_t round;  ///< how often proposals were made before
};

/// Architectures to be evaluated, the first one first: different ones, not asked for so far; at
/// most as many as wanted, and none only where it finds none.
using Proposer = std::function<std::vector<Architecture>(ProposalContext&)>;

/// A way of searching by models.
struct ModelBasedPlan {
  std::size_t samples = 10;  ///< random architectures at first, >= 2
  std::size_t batch = 1;     ///< candidates proposed with one fit, >= 1
  SurrogateOptions surrogate = {};
  Proposer propose = {};
};

/// The first candidates are the known architectures and random ones, `samples` in all. Then again
/// and again the models are fitted to all that was told, and a batch is proposed; where nothing is,
/// a random new architecture takes its place. Nothing is asked for twice. While fewer than two
/// trials did not fail, candidates are random, and where that can still change with those in
/// flight, it waits; it waits for nothing else.
///
/// With models made anew for each fit, snapshots are written; other searches are replayed.
/// finished() is as exact as AskedArchitectures::draw_other().
class ModelBasedSearch : public Strategy {
 public:
  /// Throws ConfigError as Start does.
  ModelBasedSearch(const RunContext& context, const StartOptions& start, ModelBasedPlan plan);

  std::vector<Candidate> ask(std::size_t max_count) override;
  void tell(const Trial& trial) override;
  bool finished() const override { return finished_; }
  bool save(const std::filesystem::path& directory) const override;
  /// Throws IoError for what save() did not write.
  void load(const std::filesystem::path& directory) override;

 private:
  std::optional<Candidate> proposal();

  std::shared_ptr<const SearchSpace> space_;
  Rng rng_;
  Start start_;
  ModelBasedPlan plan_;
  AskedArchitectures asked_;
  Surrogate surrogate_;
  std::vector<Architecture> in_order_;  // all asked for, by trial
  std::uint64_t told_count_ = 0, rounds_ = 0;
  std::size_t first_count_;
  std::deque<Architecture> proposed_;
  bool finished_ = false;
};

}  // namespace espalier
