// What becomes of the chosen network.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>

#include "study/config.hpp"
#include "study/results.hpp"
#include "training/dataset.hpp"

namespace espalier {

/// What goes with the final training beside the config.
struct FinalRun {
  std::filesystem::path directory;      ///< of the run
  std::shared_ptr<const Dataset> data;  ///< where the config has data
  std::function<bool()> stop_requested = {};
  bool progress = false;  ///< shown on stderr
};

/// Writes `best/` for the chosen trial: architecture.json, and, where "final" has "train", trains
/// the network from random weights on all training images, measures it once on the test images, and
/// writes weights.safetensors, the exports (each verified) and final.json: {"trial", "arch",
/// "final", "test_accuracy", "test_loss", "epochs", "metrics", "files"}, of which "final" is what
/// was asked for.
///
/// Does nothing when no trial is chosen, and when final.json is there for it, of the same options.
/// Otherwise `best/` is made anew; a training that was cut short is continued. Returns false when
/// it was stopped before its end. Throws what training and exporting throw.
bool finish_chosen(const Results& results, const RunConfig& config, const FinalRun& run);

}  // namespace espalier
