// How a supernet is trained. No LibTorch here.
#pragma once

#include "core/options.hpp"
#include "training/train_options.hpp"

namespace espalier {

/// Which architectures learn in a step: see SupernetRule.
enum class RuleKind { uniform, fair, sandwich, progressive };

/// How a supernet is trained.
struct SupernetOptions {
  /// Without patience and validate_every: a supernet is not validated.
  TrainOptions train = {};
  RuleKind rule = RuleKind::uniform;
  int random_architectures = 2;  ///< of sandwich, in each step, >= 0
};
OptionTable<SupernetOptions> supernet_option_table();

}  // namespace espalier
