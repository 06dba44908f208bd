#include "evaluators/hypernetwork.hpp"

#include "core/error.hpp"
#include "nets/hypernetwork.hpp"
#include "nets/weight_source.hpp"
#include "search_spaces/sampling.hpp"
#include "training/hypernetwork_trainer.hpp"

namespace espalier {

OptionTable<HyperNetworkEvaluatorOptions> hypernetwork_evaluator_option_table() {
  using H = HyperNetworkEvaluatorOptions;
  return OptionTable<H>("accuracy with weights that a network generates")
      .add("hypernetwork", &H::hypernetwork, "the network that generates",
           hypernetwork_option_table())
      .add("train", &H::train, "how it is trained", train_option_table())
      .add("recalibration", &H::recalibration, "batch norm statistics of each architecture",
           recalibration_option_table())
      .add("fine_tune", &H::fine_tune,
           "training of each candidate from the generated weights; a fidelity is a share of its "
           "epochs",
           train_option_table());
}

HyperNetworkEvaluator::HyperNetworkEvaluator(const EvaluatorContext& context,
                                             const HyperNetworkEvaluatorOptions& options)
    : space_(context.space),
      data_(training_data(context)),
      train_(options.train),
      metrics_{{"accuracy", "%", Direction::maximize}} {
  train_.threads = context.prepare_threads;
  check_hypernetwork_training(train_, *data_, Split::train, "/train", context.device);
  accuracy_ = std::make_unique<HeldOutAccuracy>(
      data_,
      CandidateTraining{.recalibration = options.recalibration, .fine_tune = options.fine_tune},
      context.threads_per_trial, context.device);
  try {
    net_ = std::make_unique<HyperNetwork>(options.hypernetwork,
                                          ModuleOptions{.device = at::Device(context.device)});
    net_->generate(space_->build(largest_architecture(*space_)));
  } catch (const UnsupportedError& error) {
    throw ConfigError("", error.what());
  } catch (const ConfigError& error) {
    throw error.within("/hypernetwork");
  }
}

HyperNetworkEvaluator::~HyperNetworkEvaluator() = default;

void HyperNetworkEvaluator::prepare(const PrepareContext& context) {
  rng_ = context.rng;
  net_->reset_parameters(rng_.fork("weights"));
  TrainRun run{.stop_requested = context.stop_requested, .progress = "hypernetwork"};
  if (!context.directory.empty()) run.checkpoint = context.directory / "hypernetwork.safetensors";
  trained_ = !train_hypernetwork(*net_, *space_, *data_, train_, rng_.fork("train"), run).stopped;
}

std::vector<double> HyperNetworkEvaluator::evaluate(const Candidate& candidate,
                                                    const Network& network, Rng&) {
  if (!trained_) throw Error("the hypernetwork is not trained yet; call prepare() first");
  const auto weights = [&] {
    GraphModule module(network.graph(), net_->options());
    HyperNetworkWeights(*net_).fill(module, candidate.architecture, rng_.fork("dropout"));
    return module;
  };
  return {accuracy_->of(candidate, weights, rng_)};
}

}  // namespace espalier
