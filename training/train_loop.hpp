// What the trainings of networks and of supernets share: epochs, steps, schedule, checkpoints.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/json.hpp"
#include "core/rng.hpp"
#include "nets/module_base.hpp"
#include "training/augmentation.hpp"
#include "training/batch.hpp"
#include "training/optimizer.hpp"
#include "training/tensor_file.hpp"
#include "training/trainer.hpp"

namespace espalier {

/// Throws ShapeError when a network with this input and output is not for such images.
void require_fit(const Shape& input, const Shape& output, const Dataset& data);

/// Images on the module's device, in its number format.
Batch moved(Batch batch, const ModuleBase& module);

/// How many of the logits {N, classes} are largest at the label.
std::int64_t count_correct(const at::Tensor& logits, const at::Tensor& labels);

double percent(std::int64_t part, std::int64_t all);

/// Throws IoError for a file of another training, naming the first difference between what it and
/// ours were begun with.
void require_same_training(const std::filesystem::path& file, const Json& theirs, const Json& ours);

class TrainLoop;

/// One step of a training, or one of the batches whose gradients are averaged for it, as what is
/// trained sees it.
class TrainStep {
 public:
  /// The step's images, augmented by the same draws at every size {height, width}.
  Batch batch(std::array<std::int64_t, 2> size) const;
  /// As many of the second share's images, drawn for this step; the step's own where there is no
  /// second share.
  Batch second_batch(std::array<std::int64_t, 2> size) const;
  /// The value of a loss. Throws NumericalError when it is not finite, naming the step and what
  /// `of()` says the loss is of.
  double value(const at::Tensor& loss, const std::function<std::string()>& of = {}) const;
  /// The step's own generator; that of its first batch where it has several.
  const Rng& rng() const { return rng_; }
  std::int64_t part() const { return part_; }    ///< which of the step's batches, from 0
  std::int64_t epoch() const { return epoch_; }  ///< from 0
  std::int64_t index() const { return step_; }   ///< within the epoch, from 0
  double learning_rate() const { return rate_; }
  /// The weights' optimizer, before its step.
  const Optimizer& optimizer() const;

 private:
  friend class TrainLoop;
  TrainStep(TrainLoop& loop, std::int64_t epoch, std::int64_t step, std::int64_t part, double rate,
            std::span<const std::uint32_t> indices);

  TrainLoop& loop_;
  std::int64_t epoch_, step_, part_;
  double rate_;
  Rng rng_;
  std::span<const std::uint32_t> indices_;
};

/// What a batch came to.
struct Learned {
  double loss = 0;
  std::int64_t correct = 0;  ///< of the batch's images
};

/// What is trained.
struct Learner {
  ModuleBase* module = nullptr;
  Json identity;  ///< what a checkpoint must be of
  /// Adds one batch's gradients to the parameters.
  std::function<Learned(const TrainStep&)> learn;
  /// Held-out images after an epoch; may be empty.
  std::function<Evaluation()> validate = {};
  /// What learn() changes beside the module, by name: a part of the checkpoints.
  std::map<std::string, at::Tensor> tensors = {};
  /// The last images, by share, are those of second_batch() and are not trained on.
  double second_share = 0;
};

/// Trains epoch by epoch; see Trainer.
class TrainLoop {
 public:
  TrainLoop(Learner learner, const Dataset& data, const TrainOptions& options, const Rng& rng,
            Split split);

  std::optional<EpochResult> run_epoch(const std::function<bool()>& stop_requested,
                                       const std::function<void()>& on_step);
  bool finished() const;
  const std::vector<EpochResult>& history() const { return history_; }
  std::int64_t steps_per_epoch() const { return steps_per_epoch_; }
  void save(const std::filesystem::path& path) const;
  void load(const std::filesystem::path& path);
  /// What save() writes; the tensors share their values.
  TensorFile state() const;
  /// As load() of such a file; `where` names it in errors.
  void restore(const TensorFile& file, const std::filesystem::path& where);
  /// From here on: of the optimizer, and of what a checkpoint must be of.
  void set_weight_decay(double weight_decay);
  /// A batch of the second share's images, or all where there are fewer.
  Batch draw_second(std::array<std::int64_t, 2> size, Rng rng);

  /// All epochs that are left, with the checkpoints and the progress of `run`.
  TrainResult run(const TrainRun& run);

 private:
  friend class TrainStep;
  const ImageTransform& transform(std::array<std::int64_t, 2> size);
  Json identity() const;
  /// All tensors that training changes, by their names in a checkpoint. They share their values.
  std::map<std::string, at::Tensor> tensors() const;

  Learner learner_;
  const Dataset& data_;
  TrainOptions options_;
  Rng rng_;
  Split split_;
  Optimizer optimizer_;
  SplitView view_;
  std::span<const std::uint32_t> second_;
  std::map<std::array<std::int64_t, 2>, ImageTransform> transforms_;  // by size
  std::int64_t batch_size_ = 0, steps_per_epoch_ = 0;
  std::vector<EpochResult> history_;
};

}  // namespace espalier
