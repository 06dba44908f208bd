// Neural networks as predictors. No LibTorch here.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/options.hpp"
#include "core/rng.hpp"
#include "predictors/losses.hpp"
#include "predictors/predictor.hpp"

namespace espalier {

class ScoreNetwork;

/// How a neural predictor is trained: by Adam, on as many batches of about equal size as an epoch
/// needs, in an order drawn anew for each.
struct FitOptions {
  PredictorLoss loss = PredictorLoss::hinge;
  int epochs = 200;
  int batch = 512;  ///< networks at most
  double learning_rate = 1e-3;
  double weight_decay = 0;  ///< apart from the gradient's step, times the learning rate
};
OptionTable<FitOptions> fit_option_table(
    const Named<PredictorLoss>& losses = predictor_loss_names());

/// A network that scores networks, trained from the start with each fit(). Values are standardized
/// for it. What it predicts is in their unit: with `regression`, the score itself; with the losses
/// of an order, the score moved and stretched so that those of what is known have the values' mean
/// and standard deviation. Variances are 0: an ensemble knows more.
///
/// It computes on the calling thread alone; weights, order and dropout are drawn from the
/// generator, and equal ones in each fit().
class NeuralPredictor : public Predictor {
 public:
  NeuralPredictor(const FitOptions& options, Rng rng);
  ~NeuralPredictor() override;
  void fit(std::span<const Features> networks, std::span<const double> values) override;
  std::vector<Prediction> predict(std::span<const Features> networks) const override;

 private:
  /// One that was not trained, for networks like these.
  virtual std::unique_ptr<ScoreNetwork> network(std::span<const Features> networks,
                                                Rng rng) const = 0;

  FitOptions options_;
  Rng rng_;
  std::unique_ptr<ScoreNetwork> network_;
  double center_ = 0, scale_ = 1;  // what makes a value of a score
};

}  // namespace espalier
