#include "training/train_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace espalier {

OptionTable<AugmentationOptions> augmentation_option_table() {
  using A = AugmentationOptions;
  OptionTable<A> table("random changes of the training images");
  table.add("horizontal_flip", &A::horizontal_flip, "mirrors every second image, at random");
  table.add("crop_padding", &A::crop_padding,
            "black border around the image before it is cropped at random", between(0, 64),
            unit("pixels"));
  table.add("cutout", &A::cutout, "side of a square that is set to the mean, 0: none",
            between(0, 1024), unit("pixels"));
  return table;
}

OptionTable<TrainOptions> train_option_table() {
  using T = TrainOptions;
  const Range share{.low = 0, .high = 1, .low_open = false, .high_open = true};
  const Range positive_share{.low = 0, .high = 1, .low_open = true, .high_open = false};
  OptionTable<T> table("how a network is trained");
  table.add("epochs", &T::epochs, "passes over the training images", between(1, 100000));
  table.add("batch_size", &T::batch_size, "images in a batch", between(2, 65536));
  table.add("accumulate", &T::accumulate,
            "batches whose gradients are averaged before the weights change", between(1, 65536));
  table.add("optimizer", &T::optimizer, "stochastic gradient descent with momentum, or AdamW",
            named<OptimizerKind>({{"sgd", OptimizerKind::sgd}, {"adamw", OptimizerKind::adamw}}));
  table.add("learning_rate", &T::learning_rate,
            "largest learning rate; by default 0.1 for sgd, 0.002 for adamw", greater_than(0));
  table.add("momentum", &T::momentum, "of sgd, and the first beta of adamw", share);
  table.add("nesterov", &T::nesterov, "Nesterov's momentum for sgd");
  table.add("weight_decay", &T::weight_decay,
            "of the weights of convolutions and linear layers; biases and batch norms have none",
            at_least(0));
  table.add("label_smoothing", &T::label_smoothing,
            "share of each target that is spread over all classes", share);
  table.add("gradient_clip", &T::gradient_clip, "largest norm of the whole gradient, 0: any",
            at_least(0));
  table.add("schedule", &T::schedule, "course of the learning rate",
            named<ScheduleKind>({{"cosine", ScheduleKind::cosine},
                                 {"constant", ScheduleKind::constant},
                                 {"step", ScheduleKind::step}}));
  table.add("warmup_epochs", &T::warmup_epochs, "in which the learning rate rises from 0",
            at_least(0), unit("epochs"));
  table.add("step_epochs", &T::step_epochs,
            "schedule step: after so many epochs the learning rate falls", at_least(1),
            unit("epochs"));
  table.add("step_factor", &T::step_factor, "schedule step: what it is multiplied by",
            positive_share);
  table.add("augmentation", &T::augmentation, "random changes of the training images",
            augmentation_option_table());
  table.add("train_fraction", &T::train_fraction, "share of the training split that is used",
            positive_share);
  table.add("validate_every", &T::validate_every,
            "epochs between two validations; the last epoch is always validated", at_least(1),
            unit("epochs"));
  table.add("patience", &T::patience,
            "ends after so many validations without a better accuracy, 0: never", at_least(0));
  table.add("precision", &T::precision,
            "of convolutions and matrix products; bfloat16 where the device has it",
            named<Precision>({{"float32", Precision::float32}, {"bfloat16", Precision::bfloat16}}));
  table.add(
      "activations", &T::activations,
      "what the backward pass needs is kept, or recomputed: a third more time for less memory",
      named<Activations>({{"kept", Activations::kept}, {"recomputed", Activations::recomputed}}));
  table.check([](const T& options) {
    if (options.warmup_epochs >= options.epochs) {
      throw ConfigError("/warmup_epochs", fmt::format("{} is not less than the {} epochs",
                                                      options.warmup_epochs, options.epochs));
    }
    if ((options.schedule == ScheduleKind::step) == options.step_epochs.empty()) {
      throw ConfigError("/step_epochs",
                        options.step_epochs.empty()
                            ? "is empty, but the schedule step needs epochs"
                            : "belongs to the schedule step, but the schedule is another");
    }
    if (!std::ranges::is_sorted(options.step_epochs, std::ranges::less_equal{})) {
      throw ConfigError("/step_epochs", "the epochs must rise");
    }
    if (!options.step_epochs.empty() && options.step_epochs.back() >= options.epochs) {
      throw ConfigError("/step_epochs", fmt::format("{} is not less than the {} epochs",
                                                    options.step_epochs.back(), options.epochs));
    }
    if (options.optimizer == OptimizerKind::sgd && options.nesterov && options.momentum == 0) {
      throw ConfigError("/nesterov", "needs momentum above 0; write \"nesterov\": false");
    }
  });
  return table;
}

TrainOptions at_fidelity(const TrainOptions& options, double fidelity) {
  TrainOptions result = options;
  result.epochs = std::max(1, static_cast<int>(std::lround(fidelity * options.epochs)));
  if (result.epochs == options.epochs) return result;
  const double share = static_cast<double>(result.epochs) / options.epochs;
  result.warmup_epochs *= share;
  result.step_epochs.clear();
  int last = 0;
  for (const int step : options.step_epochs) {
    const int epoch = static_cast<int>(std::lround(share * step));
    if (epoch <= last || epoch >= result.epochs) continue;
    result.step_epochs.push_back(epoch);
    last = epoch;
  }
  if (options.schedule == ScheduleKind::step && result.step_epochs.empty()) {
    result.schedule = ScheduleKind::constant;
  }
  return result;
}

}  // namespace espalier
