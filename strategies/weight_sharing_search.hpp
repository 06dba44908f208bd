// What strategies have in common that train the weights that evaluations use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/json_fwd.hpp"
#include "strategies/run_context.hpp"
#include "strategies/start.hpp"
#include "strategies/strategy.hpp"
#include "training/shared_training.hpp"

namespace espalier {

struct OwnSteps;
struct TrainingStage;

/// Trains the shared weights, asks for a round of candidates by them, waits until all of these are
/// told, and trains on, until the epochs of the training are over: then it is finished().
/// Snapshots are written, of the weights too.
class WeightSharingSearch : public Strategy {
 public:
  std::vector<Candidate> ask(std::size_t max_count) final;
  void tell(const Trial& trial) final;
  bool finished() const final;
  bool save(const std::filesystem::path& directory) const final;
  /// Throws IoError for what save() did not write.
  void load(const std::filesystem::path& directory) final;

 protected:
  /// `name` is the strategy's. Throws ConfigError where the run has no weights to train ("") or
  /// `accuracy`, which these give, is no objective (/objectives), and as Start does.
  WeightSharingSearch(const RunContext& context, const StartOptions& start,
                      const std::string& name);

  /// Trains and returns the next candidates, whose numbers are set later; one or more, but for
  /// none when it was stopped. `rng` is the round's own.
  virtual std::vector<Candidate> next_round(const Rng& rng) = 0;
  virtual void learn(const Trial&) {}
  /// All trials of the round have been told.
  virtual void end_round(const Rng&) {}
  virtual Json save_state() const = 0;
  virtual void load_state(const Json& state) = 0;
  /// What a strategy keeps in files of its own, in a snapshot's directory; before the weights.
  virtual void save_files(const std::filesystem::path&) const {}
  virtual void load_files(const std::filesystem::path&) {}

  /// Draws the first weights: once, in the constructor.
  void begin();
  /// The same for weights that learn by the strategy's own steps. Throws ConfigError
  /// (/train_fraction) where they leave too few images. Also for a later stage, after
  /// set_restarts().
  void begin(OwnSteps steps, const TrainingStage& stage);
  /// How often the training was begun anew or taken back, which tells its checkpoints apart.
  void set_restarts(int count) { restarts_ = count; }

  /// Trains for some epochs; false when it was stopped.
  bool train(int epochs, const StepArchitectures& draw);
  /// The same by the strategy's own steps.
  bool train(int epochs);
  /// Ends the search before the epochs are over.
  void end() { ended_ = true; }
  bool stopping() const { return work_.stop_requested && work_.stop_requested(); }

  const SearchSpace& space() const { return *space_; }
  const Goals& goals() const { return goals_; }
  /// Which objective the accuracy is.
  std::size_t accuracy_objective() const { return accuracy_objective_; }
  Start& start() { return start_; }
  SharedTraining& training() const { return *training_; }
  /// Throws UnsupportedError where the weights do not learn by steps of a strategy's own.
  StepTraining& steps() const;

 private:
  std::shared_ptr<const SearchSpace> space_;
  Goals goals_;
  Rng rng_;
  Start start_;
  std::shared_ptr<SharedTraining> training_;
  LongWork work_;
  std::size_t accuracy_objective_ = 0;
  std::deque<Candidate> round_;  // those that are still to be asked for
  TrainRun training_run() const;

  bool ended_ = false;
  int restarts_ = 0;
  std::uint64_t rounds_ = 0, next_id_ = 0, told_ = 0;
};

}  // namespace espalier
