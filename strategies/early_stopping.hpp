// Searches that stop evaluations in the middle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <vector>

#include "strategies/rungs.hpp"
#include "strategies/strategy.hpp"

namespace espalier {

/// Random search whose evaluations go from fidelity to fidelity, each a child of the trial before,
/// and are stopped where they are behind(). What goes on, goes on before anything new begins. An
/// architecture whose trial failed goes no further; none begins twice.
class EarlyStopping : public Strategy {
 public:
  std::vector<Candidate> ask(std::size_t max_count) final;
  void tell(const Trial& trial) final;
  bool finished() const final { return exhausted_ && running_.empty() && going_on_.empty(); }

 protected:
  /// What was told of an architecture, fidelity by fidelity.
  using Curve = std::vector<Individual>;

  /// The fidelities ascend to 1. Throws ConfigError as Start does.
  EarlyStopping(const RunContext& context, const StartOptions& start,
                std::vector<double> fidelities);

  /// Whether an evaluation that is not full yet is stopped.
  virtual bool behind(const Curve& curve) = 0;
  /// An evaluation has come to its end.
  virtual void complete(const Curve& curve) = 0;

  const std::vector<double>& fidelities() const { return fidelities_; }

  /// For the snapshots of those that need them.
  Json save_curves() const;
  void load_curves(const Json& json);

 private:
  std::shared_ptr<const SearchSpace> space_;
  Goals goals_;
  Rng rng_;
  Start start_;
  AskedArchitectures asked_;
  std::vector<Architecture> begun_;  // in this order
  std::vector<double> fidelities_;
  std::deque<Curve> going_on_;  // those to be continued
  std::deque<Curve> running_;   // in flight
  std::uint64_t next_id_ = 0;
  bool exhausted_ = false;
};

}  // namespace espalier
