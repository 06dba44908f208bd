#include "evaluators/one_shot.hpp"

#include <utility>

#include "core/error.hpp"
#include "training/shared_weights.hpp"
#include "training/supernet_rule.hpp"
#include "training/trainer.hpp"

namespace espalier {

OptionTable<OneShotOptions> one_shot_option_table() {
  const auto sharing = OptionTable<WeightSharing>("which weights are shared")
                           .add("kernel_transform", &WeightSharing::kernel_transform,
                                "smaller kernels are centres of larger ones times a learned matrix")
                           .add("batch_norm_per_width", &WeightSharing::batch_norm_per_width,
                                "each width has batch norms of its own");
  return OptionTable<OneShotOptions>("accuracy with weights that all architectures share")
      .add("supernet", &OneShotOptions::supernet, "how the shared weights are trained",
           supernet_option_table())
      .add("sharing", &OneShotOptions::sharing, "which weights are shared", sharing)
      .add("recalibration", &OneShotOptions::recalibration,
           "batch norm statistics of each architecture", recalibration_option_table())
      .add(
          "fine_tune", &OneShotOptions::fine_tune,
          "training of each candidate from the shared weights; a fidelity is a share of its epochs",
          train_option_table());
}

OneShotEvaluator::OneShotEvaluator(const EvaluatorContext& context, const OneShotOptions& options)
    : space_(context.space), options_(options), metrics_{{"accuracy", "%", Direction::maximize}} {
  if (space_->supergraph() == nullptr) {
    throw ConfigError("",
                      "architectures of this space cannot share weights, since it has no "
                      "supergraph; take the evaluator \"train\", or another space");
  }
  data_ = training_data(context);
  options_.supernet.train.threads = context.threads_per_trial;
  check_train_options(options_.supernet.train, *data_, Split::train, "/supernet/train");
  if (options_.fine_tune) {
    TrainOptions& train = *options_.fine_tune;
    train.threads = context.threads_per_trial;
    check_train_options(train, *data_, Split::train, "/fine_tune");
    // Only the accuracy after the last epoch counts; patience needs the others.
    if (train.patience == 0) train.validate_every = train.epochs;
  }
  try {
    const SupernetRule checked(space_, options_.supernet);
    check_split(*space_, options_.supernet);
  } catch (const UnsupportedError& error) {
    throw ConfigError("/supernet/rule", error.what());
  } catch (const ConfigError& error) {
    throw error.within("/supernet");
  }
  try {
    weights_ = std::make_unique<SharedWeights>(
        space_, ModuleOptions{.device = at::Device(context.device)}, options_.sharing);
  } catch (const UnsupportedError& error) {
    throw ConfigError("", error.what());
  }
}

OneShotEvaluator::~OneShotEvaluator() = default;

void OneShotEvaluator::prepare(const PrepareContext& context) {
  rng_ = context.rng;
  TrainRun run{.stop_requested = context.stop_requested, .progress = "supernet"};
  if (!context.directory.empty()) run.checkpoint = context.directory / "supernet.safetensors";
  trained_ = !weights_->train(*data_, options_.supernet, rng_, run).stopped;
}

std::vector<double> OneShotEvaluator::evaluate(const Candidate& candidate, const Network&, Rng&) {
  if (!trained_) throw Error("the shared weights are not trained yet; call prepare() first");
  const Architecture& a = candidate.architecture;
  const std::pair key(a, options_.fine_tune ? candidate.fidelity : 1.0);
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = known_.find(key); known != known_.end()) return {known->second};
  }
  const int threads = options_.supernet.train.threads;
  GraphModule module = weights_->extract(a);
  recalibrate_batch_norms(module, *data_, options_.recalibration, rng_.fork("recalibration"),
                          threads);
  if (options_.fine_tune) {
    train(module, *data_, at_fidelity(*options_.fine_tune, candidate.fidelity),
          rng_.fork("fine tune"));
  }
  const double accuracy = espalier::evaluate(module, *data_, Split::valid, threads).accuracy;
  const std::lock_guard lock(mutex_);
  known_.emplace(key, accuracy);
  return {accuracy};
}

}  // namespace espalier
