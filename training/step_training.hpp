// Shared weights that a strategy trains by steps of its own.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/rng.hpp"
#include "search_spaces/search_space.hpp"
#include "training/batch.hpp"
#include "training/tensor_file.hpp"
#include "training/train_loop.hpp"
#include "training/trainer.hpp"

namespace espalier {

class Supernet;

/// What a strategy does in a step, and with what.
struct OwnSteps {
  /// Adds the gradients of one batch to the shared weights'. It may change `tensors`.
  std::function<Learned(const TrainStep&)> learn;
  /// What steps change beside the shared weights, by name: a part of what is saved and loaded.
  std::map<std::string, at::Tensor> tensors = {};
  /// The share of the training images that the weights do not learn from, in [0, 1): those of
  /// TrainStep::second_batch().
  double second_share = 0;
};

/// A part of a training that has weights of its own, from new ones on.
struct TrainingStage {
  /// Whose weights they are: a space with the decisions of the run's. Empty: the run's.
  std::shared_ptr<const SearchSpace> space = {};
  int begin = 0;   ///< epochs of the stages before
  int epochs = 0;  ///< of this one, over which the learning rate follows its schedule; 0: all
};

/// SharedTraining whose steps the caller takes. Saved, loaded and continued by the SharedTraining
/// that it belongs to.
class StepTraining {
 public:
  /// Images that the weights do not learn from: the second share of the training images, or those
  /// held out from all training.
  enum class Images { second, held_out };

  virtual ~StepTraining() = default;

  /// As SharedTraining::begin(), for steps of the caller's. TrainStep::epoch() is counted from the
  /// beginning of a stage.
  virtual void begin(const Rng& rng, OwnSteps steps, const TrainingStage& stage = {}) = 0;
  /// As SharedTraining::train(), by the steps of begin(); true also where it ends with the stage.
  virtual bool train(int epochs, const TrainRun& run) = 0;

  /// Whose weights are trained: another one after begin().
  virtual Supernet& supernet() = 0;
  /// What SharedTraining::save() writes, copied.
  virtual TensorFile state() const = 0;
  /// Goes on where state() was called, with the weight decay of then.
  virtual void restore(const TensorFile& state) = 0;
  /// In the place of that of the options, until begin() or restore().
  virtual void set_weight_decay(double weight_decay) = 0;
  /// A batch at random, as large as one that is trained on, or all images where there are fewer;
  /// {height, width}. Images of the second share are augmented.
  virtual Batch draw(Images images, std::array<std::int64_t, 2> size, Rng rng) = 0;
  virtual const TrainOptions& options() const = 0;
};

}  // namespace espalier
