#include "evaluators/one_shot.hpp"

#include <utility>

#include "core/error.hpp"
#include "training/shared_training.hpp"
#include "training/shared_weights.hpp"
#include "training/step_training.hpp"
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
      .add("train", &OneShotOptions::supernet, "how the shared weights are trained",
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
    : space_(context.space),
      options_(options.supernet),
      metrics_{{"accuracy", "%", Direction::maximize}} {
  if (space_->supergraph() == nullptr) {
    throw ConfigError(
        "",
        "architectures of this space cannot share weights, since it has no "
        "supergraph; take the evaluator \"train\" or \"hypernetwork\", or another space");
  }
  data_ = training_data(context);
  options_.train.threads = context.prepare_threads;
  check_train_options(options_.train, *data_, Split::train, "/train", context.device);
  accuracy_ = std::make_unique<HeldOutAccuracy>(
      data_,
      CandidateTraining{.recalibration = options.recalibration, .fine_tune = options.fine_tune},
      context.threads_per_trial, context.device);
  const bool by_strategy = options_.rule == RuleKind::strategy;
  try {
    if (!by_strategy) const SupernetRule checked(space_, options_);
    check_split(*space_, options_);
  } catch (const UnsupportedError& error) {
    throw ConfigError("/train/rule", error.what());
  } catch (const ConfigError& error) {
    throw error.within("/train");
  }
  try {
    weights_ = std::make_unique<SharedWeights>(
        space_, ModuleOptions{.device = at::Device(context.device)}, options.sharing);
  } catch (const UnsupportedError& error) {
    throw ConfigError("", error.what());
  }
  const SharedParts& parts = weights_->parts().front().supernet->shared_parts();
  if (options.sharing.kernel_transform && parts.transforms.empty()) {
    throw ConfigError("/sharing/kernel_transform",
                      "no convolution of this space has several square kernels; leave it out");
  }
  if (options.sharing.batch_norm_per_width && parts.norms.empty()) {
    throw ConfigError("/sharing/batch_norm_per_width",
                      "no batch norm of this space has several widths; leave it out");
  }
  if (by_strategy) {
    by_strategy_ =
        make_shared_training(*weights_->parts().front().supernet, space_, data_, options_);
  }
}

OneShotEvaluator::~OneShotEvaluator() = default;

void OneShotEvaluator::prepare(const PrepareContext& context) {
  rng_ = context.rng;
  if (by_strategy_) {
    if (by_strategy_->begins() == 0) {
      throw ConfigError("/evaluator/train/rule",
                        "the shared weights are those of the search whose strategy trains them, "
                        "and there is none here; write another rule");
    }
    trained_ = true;
    return;
  }
  TrainRun run{.stop_requested = context.stop_requested, .progress = "supernet"};
  if (!context.directory.empty()) run.checkpoint = context.directory / "supernet.safetensors";
  trained_ = !weights_->train(*data_, options_, rng_, run).stopped;
}

std::vector<double> OneShotEvaluator::evaluate(const Candidate& candidate, const Network&, Rng&) {
  if (!trained_) throw Error("the shared weights are not trained yet; call prepare() first");
  const auto weights = [&] {
    // A strategy may train those of a network of other depth for a time.
    return by_strategy_ ? by_strategy_->by_steps()->supernet().extract(candidate.architecture)
                        : weights_->extract(candidate.architecture);
  };
  HeldOutAccuracy::Age age;
  if (by_strategy_) age = {by_strategy_->begins(), by_strategy_->trained_epochs()};
  return {accuracy_->of(candidate, weights, rng_, age)};
}

}  // namespace espalier
