// How a supernet is trained. No LibTorch here.
#pragma once

#include <string>

#include "core/options.hpp"
#include "training/train_options.hpp"

namespace espalier {

/// Which architectures learn in a step: see SupernetRule; with `strategy`, those that a strategy
/// says, see SharedTraining.
enum class RuleKind { uniform, fair, sandwich, attentive, progressive, strategy };

/// Which of several architectures learns: the one of the lowest loss, or of the highest.
enum class Attention { best_up, worst_up };

/// How a supernet is split into several, see SharedWeights.
enum class SplitKind { none, decision, gradient_matching };

struct SplitOptions {
  SplitKind by = SplitKind::none;
  std::string decision = {};   ///< of SplitKind::decision: its name
  int times = 1;               ///< of gradient matching: each time every supernet becomes two, 1-6
  double shared_epochs = 0.5;  ///< share of the epochs before the last split, within (0, 1)
  int batches = 100;           ///< of gradient matching: images and architectures drawn, >= 1
};

/// How a supernet is trained.
struct SupernetOptions {
  /// Without patience and validate_every: a supernet is not validated.
  TrainOptions train = {};
  RuleKind rule = RuleKind::uniform;
  int random_architectures = 2;              ///< of sandwich and attentive, in each step, >= 0
  Attention attention = Attention::best_up;  ///< of attentive
  int candidates = 3;                        ///< of attentive, for each of its architectures, >= 2
  SplitOptions split = {};
};
OptionTable<SupernetOptions> supernet_option_table();

}  // namespace espalier
