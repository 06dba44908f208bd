// Shared weights that a strategy trains. No LibTorch here.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "core/rng.hpp"
#include "search_spaces/search_space.hpp"
#include "training/dataset.hpp"
#include "training/supernet_options.hpp"
#include "training/trainer.hpp"

namespace espalier {

class StepTraining;
class Supernet;

/// The architectures that learn in one step: one or more, valid. The same for equal generators.
using StepArchitectures = std::function<std::vector<Architecture>(Rng rng)>;

/// The weights that all architectures of a space share, for a strategy that decides which of them
/// learn and when: it trains an epoch, or several, then looks at accuracies, then trains on.
///
/// Deterministic as Trainer: a function of the generator of begin() and of the calls of train() and
/// batch_accuracy() so far. Not thread-safe.
class SharedTraining {
 public:
  virtual ~SharedTraining() = default;

  /// Draws first weights and forgets what was trained. Before all else but begins() and epochs().
  virtual void begin(const Rng& rng) = 0;
  /// How often begin() was called.
  virtual int begins() const = 0;

  /// Of the whole training, over which the learning rate follows its schedule, but for one in
  /// stages, see TrainingStage.
  virtual int epochs() const = 0;
  virtual int trained_epochs() const = 0;

  /// Trains for so many epochs, at most those that are left; the gradients of a step's
  /// architectures are averaged. False when `run.stop_requested` came true: the state is then good
  /// for nothing but begin() and load(). With a checkpoint in `run`, whose name the number of an
  /// epoch is added to, the last epoch of this call that is there already is taken from it.
  /// Throws as train_supernet().
  virtual bool train(int epochs, const StepArchitectures& draw, const TrainRun& run) = 0;

  /// The accuracy, in percent, of an architecture on a batch of held-out images that the generator
  /// draws, as large as one that is trained on, with batch norms by the batch's own statistics.
  virtual double batch_accuracy(const Architecture& a, Rng rng) = 0;

  /// For a caller that takes the steps itself; none where architectures are all that learns.
  virtual StepTraining* by_steps() { return nullptr; }

  /// Writes weights, optimizer and generator, atomically. Throws IoError.
  virtual void save(const std::filesystem::path& path) const = 0;
  /// Continues where save() was called. Throws IoError, also for a file of another training.
  virtual void load(const std::filesystem::path& path) = 0;
};

/// That of a supernet, whose weights it changes. The supernet must outlive it; the data must have
/// held-out images. Throws ShapeError where the networks do not fit the data.
std::unique_ptr<SharedTraining> make_shared_training(Supernet& supernet,
                                                     std::shared_ptr<const SearchSpace> space,
                                                     std::shared_ptr<const Dataset> data,
                                                     const SupernetOptions& options);

}  // namespace espalier
