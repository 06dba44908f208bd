#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/options.hpp"
#include "core/rng.hpp"
#include "evaluators/evaluator.hpp"
#include "evaluators/evaluator_context.hpp"
#include "training/train_options.hpp"

namespace espalier {

class CheckpointWeights;
class GraphModule;

/// Where the weights of candidates come from before they are trained.
enum class FirstWeights { random, parent, checkpoint };

struct FirstWeightsOptions {
  FirstWeights from = FirstWeights::random;
  std::optional<std::string> file = {};  ///< of `checkpoint`: see CheckpointWeights
};

/// What is trained at a fidelity below 1: a training of fewer epochs with a learning rate that
/// falls to its end, or the first epochs of the whole training.
enum class LowerFidelity { short_training, first_epochs };

struct TrainEvaluatorOptions {
  TrainOptions train;
  FirstWeightsOptions weights;
  LowerFidelity lower_fidelity = LowerFidelity::short_training;
};
OptionTable<TrainEvaluatorOptions> train_evaluator_option_table();

/// Trains each candidate alone and gives `accuracy`, in percent, on the held-out images after the
/// last epoch. At fidelity f it trains with the options at_fidelity(f). Quantized operators are
/// trained quantization-aware. A training is not cut short: the first Ctrl-C of a search waits for
/// those in flight.
///
/// With `first_epochs`, fidelity f means the first epochs of the whole training, as many as
/// at_fidelity(f) has; generators depend on the architecture, not on the trial. A child goes on
/// where the evaluation of its parent, the same architecture, ended: from a checkpoint with
/// weights, optimizer and generator, one for each architecture that was not evaluated fully yet, in
/// the directory. What comes of it is the same, bit by bit, with a checkpoint and without one, so
/// that a kill takes nothing but time.
///
/// First weights are random, or those of a file of the candidate's network, or what it inherits
/// from its parent by morph(): `parent` keeps the weights with which each trial ends as
/// trial-ID.safetensors in the directory, before it is told, so that a resumed run finds them. A
/// candidate without a parent, or whose parent failed, begins with random weights.
/// Source: Elsken et al., "Simple and Efficient Architecture Search for Convolutional Neural
/// Networks", 2017, arXiv 1711.04528 (children begin with their parent's weights). Differs from the
/// source: the strategy decides what the parent and the child are.
/// Test: TrainEvaluatorWeights.OfAParentAreInherited.
class TrainEvaluator : public Evaluator {
 public:
  /// Throws ConfigError without data or without held-out images, and as check_train_options does
  /// with a pointer below "/train"; IoError for a file of weights that cannot be read.
  TrainEvaluator(const EvaluatorContext& context, const TrainEvaluatorOptions& options);

  ~TrainEvaluator() override;

  const std::vector<MetricInfo>& metrics() const override { return metrics_; }
  /// Throws ConfigError (pointer "/weights/from") where weights are kept, but there is no
  /// directory.
  void prepare(const PrepareContext& context) override;
  /// Throws as train() does, IoError where the file of weights is of another network or the
  /// parent's weights or a checkpoint cannot be read, and, with weights of parents or
  /// `first_epochs`, Error before prepare().
  std::vector<double> evaluate(const Candidate& candidate, const Network& network,
                               Rng& rng) override;

 private:
  std::filesystem::path weights_of(std::uint64_t trial) const;
  void fill(GraphModule& module, const Candidate& candidate, const Network& network,
            const Rng& rng) const;
  double train_first_epochs(const Candidate& candidate, const Network& network) const;

  std::shared_ptr<const Dataset> data_;
  TrainOptions options_;
  FirstWeights first_weights_;
  LowerFidelity lower_fidelity_;
  std::unique_ptr<CheckpointWeights> checkpoint_;  // where they come from one
  std::filesystem::path directory_;
  std::optional<Rng> trainings_;  // of first epochs, forked for each architecture
  std::string device_;
  std::vector<MetricInfo> metrics_;
};

}  // namespace espalier
