#include "evaluators/train.hpp"

#include <fmt/format.h>

#include <system_error>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/json.hpp"
#include "core/log.hpp"
#include "nets/graph_module.hpp"
#include "nets/weight_source.hpp"
#include "training/checkpoint_weights.hpp"
#include "training/dataset.hpp"
#include "training/tensor_file.hpp"
#include "training/threads.hpp"
#include "training/trainer.hpp"

namespace espalier {

OptionTable<TrainEvaluatorOptions> train_evaluator_option_table() {
  const auto weights =
      OptionTable<FirstWeightsOptions>("where the weights of candidates come from")
          .add("from", &FirstWeightsOptions::from, "what a candidate begins with",
               named<FirstWeights>({{"random", FirstWeights::random},
                                    {"parent", FirstWeights::parent},
                                    {"checkpoint", FirstWeights::checkpoint}}))
          .add("file", &FirstWeightsOptions::file,
               "weights or checkpoint of a trained network, which each candidate must be, too")
          .check([](const FirstWeightsOptions& o) {
            if (o.file.has_value() == (o.from == FirstWeights::checkpoint)) return;
            throw ConfigError("/file", o.file
                                           ? "only goes with \"from\": \"checkpoint\"; leave it out"
                                           : "is missing: \"from\": \"checkpoint\" needs the file");
          });
  return OptionTable<TrainEvaluatorOptions>("stand-alone training")
      .add("train", &TrainEvaluatorOptions::train, "how it is trained", train_option_table())
      .add("weights", &TrainEvaluatorOptions::weights, "where it begins", weights)
      .add("lower_fidelity", &TrainEvaluatorOptions::lower_fidelity,
           "what a fidelity below 1 is: a training of fewer epochs with a schedule of its own, or "
           "the first epochs of the whole training, with which the next fidelity goes on",
           named<LowerFidelity>({{"short_training", LowerFidelity::short_training},
                                 {"first_epochs", LowerFidelity::first_epochs}}))
      .check([](const TrainEvaluatorOptions& o) {
        if (o.lower_fidelity != LowerFidelity::first_epochs ||
            o.weights.from != FirstWeights::parent) {
          return;
        }
        throw ConfigError("/weights/from",
                          "\"parent\" gives a training another beginning than its own first "
                          "epochs; write \"random\", or \"lower_fidelity\": \"short_training\"");
      });
}

TrainEvaluator::TrainEvaluator(const EvaluatorContext& context,
                               const TrainEvaluatorOptions& options)
    : data_(training_data(context)),
      options_(options.train),
      first_weights_(options.weights.from),
      lower_fidelity_(options.lower_fidelity),
      device_(context.device),
      metrics_{{"accuracy", "%", Direction::maximize}} {
  train_evaluator_option_table().validate(options);
  options_.threads = context.threads_per_trial;
  check_train_options(options_, *data_, Split::train, "/train", device_);
  // Only the accuracy after the last epoch counts; patience needs the others.
  if (options_.patience == 0) options_.validate_every = options_.epochs;
  if (options.weights.file) {
    checkpoint_ = std::make_unique<CheckpointWeights>(*options.weights.file);
  }
}

TrainEvaluator::~TrainEvaluator() = default;

void TrainEvaluator::prepare(const PrepareContext& context) {
  if (lower_fidelity_ == LowerFidelity::first_epochs) {
    trainings_ = context.rng.fork("trainings");
    if (context.several_searches) return;
    directory_ = context.directory;
    if (!directory_.empty()) make_directories(directory_);
    return;
  }
  if (first_weights_ != FirstWeights::parent) return;
  if (context.several_searches || context.directory.empty()) {
    throw ConfigError("/evaluator/weights/from",
                      fmt::format("\"parent\" keeps weights in the directory of a run, {}; take "
                                  "\"random\"",
                                  context.several_searches ? "and here are several searches"
                                                           : "and there is none"));
  }
  directory_ = context.directory;
  make_directories(directory_);
}

std::filesystem::path TrainEvaluator::weights_of(std::uint64_t trial) const {
  return directory_ / fmt::format("trial-{}.safetensors", trial);
}

void TrainEvaluator::fill(GraphModule& module, const Candidate& candidate, const Network& network,
                          const Rng& rng) const {
  const Architecture& a = candidate.architecture;
  if (checkpoint_) {
    checkpoint_->fill(module, a, rng);
  } else if (first_weights_ == FirstWeights::parent && candidate.parent &&
             std::filesystem::exists(weights_of(*candidate.parent))) {
    const TensorFile kept = read_tensors(weights_of(*candidate.parent));
    const SearchSpace& space = network.space();
    GraphModule parent(space.build(architecture_from_json(space, kept.info.at("architecture"))));
    parent.load_state(kept.tensors);
    ParentWeights(parent).fill(module, a, rng);
  } else {
    if (first_weights_ == FirstWeights::parent && candidate.parent) {
      log_warning(fmt::format(
          "trial {} begins with random weights: those of its parent, trial {}, are not in {}",
          candidate.trial_id, *candidate.parent, directory_.string()));
    }
    RandomWeights().fill(module, a, rng);
  }
}

double TrainEvaluator::train_first_epochs(const Candidate& candidate,
                                          const Network& network) const {
  if (!trainings_) throw Error("the trainings have no generator yet; call prepare() first");
  const Rng rng = trainings_->fork(network.space().to_string(candidate.architecture));
  const auto epochs = static_cast<std::size_t>(at_fidelity(options_, candidate.fidelity).epochs);
  std::filesystem::path checkpoint;
  if (!directory_.empty()) {
    checkpoint = directory_ / fmt::format("{:016x}.safetensors", Rng(rng).next());
  }
  std::optional<GraphModule> module;
  std::optional<Trainer> trainer;
  const auto begin = [&] {
    trainer.reset();
    module.emplace(network.graph(), ModuleOptions{.device = at::Device(device_)});
    fill(*module, candidate, network, rng.fork("weights"));
    trainer.emplace(*module, *data_, options_, rng.fork("train"));
  };
  begin();
  if (candidate.parent && !checkpoint.empty() && std::filesystem::exists(checkpoint)) {
    try {
      trainer->load(checkpoint);
    } catch (const IoError& error) {  // as of another number of threads: it saves time alone
      log_warning(fmt::format("{}; trial {} begins with the first epoch", error.what(),
                              candidate.trial_id));
      begin();
    }
    // It is ahead where a kill took trials that came after this one.
    if (trainer->history().size() > epochs) begin();
  }
  while (trainer->history().size() < epochs && !trainer->finished()) trainer->run_epoch();
  std::optional<Evaluation> valid = trainer->history().back().valid;
  if (!valid) valid = espalier::evaluate(*module, *data_, Split::valid, options_.threads);
  const double accuracy = valid->accuracy;
  if (checkpoint.empty()) return accuracy;
  if (candidate.fidelity < 1) {
    trainer->save(checkpoint);
  } else {
    std::filesystem::remove(checkpoint);
  }
  return accuracy;
}

std::vector<double> TrainEvaluator::evaluate(const Candidate& candidate, const Network& network,
                                             Rng& rng) {
  const bool kept = first_weights_ == FirstWeights::parent;
  if (kept && directory_.empty()) {
    throw Error("there is no directory for the weights yet; call prepare() first");
  }
  const TorchThreads threads(options_.threads);
  if (lower_fidelity_ == LowerFidelity::first_epochs) {
    return {train_first_epochs(candidate, network)};
  }
  GraphModule module(network.graph(), {.device = at::Device(device_)});
  fill(module, candidate, network, rng.fork("weights"));
  const TrainResult result =
      train(module, *data_, at_fidelity(options_, candidate.fidelity), rng.fork("train"));
  if (kept) {
    write_tensors(weights_of(candidate.trial_id),
                  {.tensors = module.state(),
                   .info = {{"format", "espalier weights"},
                            {"architecture",
                             architecture_to_json(network.space(), candidate.architecture)}}});
  }
  return {result.valid.value().accuracy};
}

}  // namespace espalier
