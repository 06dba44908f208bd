// Training of hypernetworks.
#pragma once

#include <string>

#include "core/rng.hpp"
#include "search_spaces/search_space.hpp"
#include "training/dataset.hpp"
#include "training/trainer.hpp"

namespace espalier {

class HyperNetwork;

/// Trains a hypernetwork from the weights that it has, so reset them first: in each step the
/// weights of one architecture, sample_uniform(), are generated, and its loss teaches the
/// hypernetwork; where the gradients of several batches are averaged for a step, each batch has an
/// architecture of its own. Images have the size of the architecture's input.
///
/// Deterministic as Trainer, checkpoints included. Throws UnsupportedError as
/// HyperNetwork::generate(), ShapeError where the networks do not fit the data, IoError for a
/// checkpoint of another space, hypernetwork or training, NumericalError when a loss is not finite,
/// naming step and architecture (the last checkpoint is then untouched), and ConfigError as
/// check_hypernetwork_training().
///
/// Source: Brock et al., "SMASH: One-Shot Model Architecture Search through HyperNetworks", ICLR
/// 2018, arXiv 1708.05344, algorithm 1. Differs from the source: architectures are drawn as in any
/// other training here.
/// Test: TrainHyperNetwork.EachStepTeachesByAnotherArchitecture.
TrainResult train_hypernetwork(HyperNetwork& net, const SearchSpace& space, const Dataset& data,
                               const TrainOptions& options, const Rng& rng,
                               const TrainRun& run = {});

/// Throws as check_train_options(), and ConfigError for a patience or a validate_every of its own,
/// since there is no validation.
void check_hypernetwork_training(const TrainOptions& options, const Dataset& data, Split split,
                                 const std::string& pointer = "",
                                 const std::string& device = "cpu");

}  // namespace espalier
