#include "evaluators/train.hpp"

#include "core/error.hpp"
#include "nets/graph_module.hpp"
#include "training/dataset.hpp"
#include "training/threads.hpp"
#include "training/trainer.hpp"

namespace espalier {

OptionTable<TrainEvaluatorOptions> train_evaluator_option_table() {
  return OptionTable<TrainEvaluatorOptions>("stand-alone training from random weights")
      .add("train", &TrainEvaluatorOptions::train, "how it is trained", train_option_table());
}

TrainEvaluator::TrainEvaluator(const EvaluatorContext& context,
                               const TrainEvaluatorOptions& options)
    : data_(training_data(context)),
      options_(options.train),
      device_(context.device),
      metrics_{{"accuracy", "%", Direction::maximize}} {
  options_.threads = context.threads_per_trial;
  check_train_options(options_, *data_, Split::train, "/train", device_);
  // Only the accuracy after the last epoch counts; patience needs the others.
  if (options_.patience == 0) options_.validate_every = options_.epochs;
}

std::vector<double> TrainEvaluator::evaluate(const Candidate& candidate, const Network& network,
                                             Rng& rng) {
  const TorchThreads threads(options_.threads);
  GraphModule module(network.graph(), {.device = at::Device(device_)});
  module.reset_parameters(rng.fork("weights"));
  const TrainResult result =
      train(module, *data_, at_fidelity(options_, candidate.fidelity), rng.fork("train"));
  return {result.valid.value().accuracy};
}

}  // namespace espalier
