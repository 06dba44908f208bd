#pragma once

#include "core/options.hpp"
#include "core/rng.hpp"
#include "predictors/neural.hpp"

namespace espalier {

struct LstmOptions {
  int width = 96;  ///< of its state
  FitOptions fit = {};
};
OptionTable<LstmOptions> lstm_option_table();

/// An LSTM over the decisions of a network, one after the other (Features::choices). What it reads
/// is a vector of the choice and one of the decision. Its outputs, each of length 1, are averaged,
/// again made of length 1, and scored by linear layers.
///
/// Source: R. Luo, F. Tian, T. Qin, E. Chen, T. Liu: Neural architecture optimization, NeurIPS
/// 2018, arXiv 1808.07233, section 3.1 (encoder and performance predictor); with the widths of X.
/// Ning et al., ECCV 2020, arXiv 2004.01899, who compare with it. Differs from the source: no
/// decoder; an order is learned unless told otherwise.
/// Test: Lstm.IsTheRecurrenceOfItsEquations.
class LstmPredictor : public NeuralPredictor {
 public:
  LstmPredictor(const LstmOptions& options, Rng rng);

 private:
  std::unique_ptr<ScoreNetwork> network(std::span<const Features> networks, Rng rng) const override;
  LstmOptions options_;
};

}  // namespace espalier
