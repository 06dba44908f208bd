// How a network is trained. No LibTorch here.
#pragma once

#include <optional>
#include <vector>

#include "core/options.hpp"
#include "nets/compute.hpp"

namespace espalier {

/// Random changes of the training images. None by default.
struct AugmentationOptions {
  bool horizontal_flip = false;  ///< mirrors every second image, at random
  int crop_padding = 0;          ///< pixels of black around the image before it is cropped, >= 0
  int cutout = 0;                ///< side of the square that is set to the mean, in pixels, >= 0

  friend bool operator==(const AugmentationOptions&, const AugmentationOptions&) = default;
};
OptionTable<AugmentationOptions> augmentation_option_table();

enum class OptimizerKind { sgd, adamw };
enum class ScheduleKind { cosine, constant, step };

/// How a network is trained. The learning rate rises linearly over the warm-up and then follows the
/// schedule, both step by step. Weight decay acts on the weights of convolutions and linear layers,
/// never on biases and batch norms. Of the batches that accumulate for a step, each has batch
/// statistics of its own.
struct TrainOptions {
  int epochs = 10;       ///< >= 1
  int batch_size = 128;  ///< >= 2; what is left of an epoch's images is left out
  int accumulate = 1;    ///< batches whose gradients are averaged for one step, >= 1
  OptimizerKind optimizer = OptimizerKind::sgd;
  std::optional<double> learning_rate = {};  ///< > 0; by default 0.1 for sgd, 0.002 for adamw
  double momentum = 0.9;                     ///< of sgd, and the first beta of adamw; [0, 1)
  bool nesterov = true;                      ///< of sgd
  double weight_decay = 1e-4;                ///< >= 0
  double label_smoothing = 0;                ///< [0, 1)
  double gradient_clip = 0;                  ///< largest norm of the whole gradient; 0: any
  ScheduleKind schedule = ScheduleKind::cosine;
  double warmup_epochs = 0;           ///< >= 0
  std::vector<int> step_epochs = {};  ///< schedule step: epochs before which the rate falls
  double step_factor = 0.1;           ///< and what it is multiplied by each time, (0, 1]
  AugmentationOptions augmentation = {};
  double train_fraction = 1;  ///< share of the split that is trained on, (0, 1]
  int validate_every = 1;     ///< epochs, >= 1; the last epoch is always validated
  int patience = 0;  ///< ends after so many validations without a better accuracy; 0: never

  Precision precision = Precision::float32;
  Activations activations = Activations::kept;

  int threads = 1;  ///< of LibTorch, >= 1; set from a config's "compute", not read from its "train"

  double base_learning_rate() const {
    return learning_rate.value_or(optimizer == OptimizerKind::sgd ? 0.1 : 0.002);
  }
};
OptionTable<TrainOptions> train_option_table();

/// The options of a training of round(fidelity * epochs) epochs, at least one, for a fidelity in
/// (0, 1]: warm-up and step epochs shrink with them. Of the steps those that fall together or on
/// the end are left out, and without any the learning rate is constant.
TrainOptions at_fidelity(const TrainOptions& options, double fidelity);

}  // namespace espalier
