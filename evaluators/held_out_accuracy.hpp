#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "core/rng.hpp"
#include "objectives/candidate.hpp"
#include "training/dataset.hpp"
#include "training/recalibration.hpp"
#include "training/train_options.hpp"

namespace espalier {

class GraphModule;

/// What is done to weights that a candidate did not learn alone.
struct CandidateTraining {
  RecalibrationOptions recalibration = {};
  std::optional<TrainOptions> fine_tune = {};  ///< empty: none
};

/// The accuracy on held-out images, in percent, of candidates whose weights come from elsewhere.
/// Thread-safe.
class HeldOutAccuracy {
 public:
  /// Throws ConfigError as check_train_options, with a pointer below "/fine_tune".
  HeldOutAccuracy(std::shared_ptr<const Dataset> data, const CandidateTraining& training,
                  int threads, const std::string& device = "cpu");

  /// Of what a candidate's network does with `weights()` after its batch norms are recalibrated
  /// and, with fine_tune, after it is trained on by at_fidelity() of these options. The
  /// architecture (and with fine_tune the fidelity) decides alone, and what is known is not
  /// computed again: the generator and what weights() gives for an architecture must stay the same,
  /// while `age` does, which says which weights they are and how long they have been trained.
  using Age = std::pair<int, int>;
  double of(const Candidate& candidate, const std::function<GraphModule()>& weights, const Rng& rng,
            Age age = {});

 private:
  std::shared_ptr<const Dataset> data_;
  CandidateTraining training_;
  int threads_;
  std::mutex mutex_;                                         // of what follows
  Age age_;                                                  // of known_
  std::map<std::pair<Architecture, double>, double> known_;  // by fidelity, too
};

}  // namespace espalier
