// Training and evaluation of a network. No LibTorch here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/rng.hpp"
#include "training/dataset.hpp"
#include "training/train_options.hpp"

namespace espalier {

class GraphModule;

/// How well a network does on a split.
struct Evaluation {
  double accuracy = 0;  ///< percent, 0-100
  double loss = 0;      ///< mean cross entropy in nats, without label smoothing

  friend bool operator==(const Evaluation&, const Evaluation&) = default;
};

/// What one epoch came to.
struct EpochResult {
  int epoch = 0;              ///< from 1
  double train_loss = 0;      ///< mean over the epoch's images, with label smoothing
  double train_accuracy = 0;  ///< percent, of the augmented images while they were learned
  std::optional<Evaluation> valid = {};  ///< where the epoch was validated

  friend bool operator==(const EpochResult&, const EpochResult&) = default;
};

/// What a training came to.
struct TrainResult {
  std::vector<EpochResult> history;
  std::optional<Evaluation> valid = {};  ///< after the last epoch; empty without held-out images
  bool stopped = false;                  ///< because stop_requested said so, before the end
};

/// What goes with one training beside its options.
struct TrainRun {
  /// What is trained on: `train`, validated on `valid`, or `train_and_valid`, not validated.
  Split split = Split::train;
  /// Polled before each step; when true the training ends at once.
  std::function<bool()> stop_requested = {};
  std::function<void(const EpochResult&)> on_epoch = {};
  /// Where the state is kept, from epoch to epoch. A file that is there already is continued.
  /// Empty: nowhere.
  std::filesystem::path checkpoint = {};
  /// Label of the progress on stderr; empty: none.
  std::string progress = {};
};

/// Checks all options of a training on a split of the data, those of a program's struct too. Throws
/// ConfigError, with pointers below `pointer`, where a value is out of its range or contradicts
/// another, the data or what the device has, and Error for another split than train and
/// train_and_valid.
void check_train_options(const TrainOptions& options, const Dataset& data, Split split,
                         const std::string& pointer = "", const std::string& device = "cpu");

/// Trains a network, epoch by epoch, on the module's device. With the same options (threads
/// included), data, first weights and generator, the weights are equal bit by bit on the same
/// machine (on its CPU). The module, whose weights it changes, and the data must outlive it.
class Trainer {
 public:
  /// Seeds the module's dropout, too. Throws ShapeError when the network does not fit the data
  /// (channels, classes), and as check_train_options does.
  Trainer(GraphModule& module, const Dataset& data, const TrainOptions& options, const Rng& rng,
          Split split = Split::train);
  ~Trainer();

  /// Trains for one epoch. Nothing when stop_requested() came true before its end: the state is
  /// then in the middle of an epoch, and good for nothing but load(). `on_step` is called after
  /// each step. Throws NumericalError when the loss is not finite. Only while not finished().
  std::optional<EpochResult> run_epoch(const std::function<bool()>& stop_requested = {},
                                       const std::function<void()>& on_step = {});

  /// All epochs are done, or patience ran out.
  bool finished() const;
  const std::vector<EpochResult>& history() const;
  std::int64_t steps_per_epoch() const;

  /// Writes weights, optimizer, generator and history, atomically, between two epochs. Throws
  /// IoError; an older file is then untouched.
  void save(const std::filesystem::path& path) const;
  /// Continues where save() was called: further epochs are those that would have followed, bit by
  /// bit. Throws IoError when the file cannot be read, is truncated or corrupt, or was written by
  /// another network, seed, data set or options, threads included; nothing is changed then.
  void load(const std::filesystem::path& path);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

/// Trains a network to the end: a Trainer, its checkpoints and its progress. Weights are what the
/// module holds, so initialize it first. Throws as Trainer does.
TrainResult train(GraphModule& module, const Dataset& data, const TrainOptions& options,
                  const Rng& rng, const TrainRun& run = {});

/// Accuracy and loss on a split, in evaluation mode, in which the module is left. Throws ShapeError
/// when the network does not fit the data, Error for a split without images, NumericalError when
/// the loss is not finite. `threads` are LibTorch's.
Evaluation evaluate(GraphModule& module, const Dataset& data, Split split, int threads = 1);

}  // namespace espalier
