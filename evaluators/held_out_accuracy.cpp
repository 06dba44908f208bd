#include "evaluators/held_out_accuracy.hpp"

#include "nets/graph_module.hpp"
#include "training/trainer.hpp"

namespace espalier {

HeldOutAccuracy::HeldOutAccuracy(std::shared_ptr<const Dataset> data,
                                 const CandidateTraining& training, int threads,
                                 const std::string& device)
    : data_(std::move(data)), training_(training), threads_(threads) {
  if (!training_.fine_tune) return;
  TrainOptions& train = *training_.fine_tune;
  train.threads = threads;
  check_train_options(train, *data_, Split::train, "/fine_tune", device);
  // Only the accuracy after the last epoch counts; patience needs the others.
  if (train.patience == 0) train.validate_every = train.epochs;
}

double HeldOutAccuracy::of(const Candidate& candidate, const std::function<GraphModule()>& weights,
                           const Rng& rng, Age age) {
  const std::pair key(candidate.architecture, training_.fine_tune ? candidate.fidelity : 1.0);
  {
    const std::lock_guard lock(mutex_);
    if (age != age_) known_.clear();
    age_ = age;
    if (const auto known = known_.find(key); known != known_.end()) return known->second;
  }
  GraphModule module = weights();
  recalibrate_batch_norms(module, *data_, training_.recalibration, rng.fork("recalibration"),
                          threads_);
  if (training_.fine_tune) {
    train(module, *data_, at_fidelity(*training_.fine_tune, candidate.fidelity),
          rng.fork("fine tune"));
  }
  const double accuracy = evaluate(module, *data_, Split::valid, threads_).accuracy;
  const std::lock_guard lock(mutex_);
  known_.emplace(key, accuracy);
  return accuracy;
}

}  // namespace espalier
