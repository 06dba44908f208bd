// Training of shared weights.
#pragma once

#include <memory>

#include "core/json_fwd.hpp"
#include "core/rng.hpp"
#include "search_spaces/search_space.hpp"
#include "training/dataset.hpp"
#include "training/supernet_options.hpp"
#include "training/trainer.hpp"

namespace espalier {

class Supernet;

/// Trains the weights that the architectures of a space share, from what the supernet holds, so
/// initialize it first. In each step the rule's architectures run and their gradients are summed
/// up; what none of them uses stays as it is. Images have the size of each architecture's input.
/// The loss and the accuracy of an epoch are those of the first architecture of each step. With the
/// rule `progressive`, each phase has a learning rate schedule, an optimizer and a checkpoint of
/// its own, which "-phase1" and so on in the name tell apart; warm-up and step epochs shrink with
/// it.
///
/// Deterministic as Trainer, checkpoints included. The space is the supernet's own. Throws
/// UnsupportedError as SupernetRule, ShapeError where the networks do not fit the data, IoError for
/// a checkpoint of another space or training, NumericalError when a loss is not finite, naming step
/// and architecture (the last checkpoint is then untouched), and ConfigError as
/// check_train_options.
TrainResult train_supernet(Supernet& supernet, const std::shared_ptr<const SearchSpace>& space,
                           const Dataset& data, const SupernetOptions& options, const Rng& rng,
                           const TrainRun& run = {});

/// What a checkpoint of the training of shared weights must agree with.
Json supernet_identity(const SearchSpace& space, const SupernetOptions& options);

}  // namespace espalier
