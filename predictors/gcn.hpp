#pragma once

#include "core/options.hpp"
#include "core/rng.hpp"
#include "predictors/neural.hpp"

namespace espalier {

struct GcnOptions {
  int layers = 4;   ///< >= 1
  int width = 128;  ///< of each vertex
  double dropout = 0.2;
  FitOptions fit = {
      .loss = PredictorLoss::relation, .epochs = 250, .learning_rate = 1e-3, .weight_decay = 5e-4};
};
OptionTable<GcnOptions> gcn_option_table();

/// The graph convolutions of BRP-NAS on the graphs of a network's operators (Features::graphs):
/// vertices are entrances, operators and exits, and one that reads all of them. A layer multiplies
/// what vertices hold by a matrix, adds to each what those hold that read it, then come layer norm,
/// ReLU and dropout. What the vertex that reads all holds at the end is scored, or, with the loss
/// `relation`, put beside that of another network: two numbers, by which the one is before the
/// other, say which one is better.
///
/// The relation's numbers are linear in both networks. Predictions sort networks as the mean of
/// "a before b" and the contrary of "b before a" does, which is an order.
///
/// Source: L. Dudziak, T. Chau, M. Abdelfattah, R. Lee, H. Kim, N. Lane: BRP-NAS: prediction-based
/// NAS using GCNs, NeurIPS 2020, arXiv 2007.08668, sections 3.1 and 4, and its published code.
/// Differs from the source: 128 numbers for 600; graphs are those of operator_graphs(), all of a
/// network at once, each counted log2(1 + how often it occurs) times (of the known, 1 on average),
/// and vertices have attributes beside their kind; all pairs of a batch of networks are compared,
/// and values are standardized; a learning rate of 1e-3 throughout and batches of 512, where its
/// script has 3.5e-4, falling, and 64; no early stop.
/// Test: Gcn.IsTheConvolutionOfReaders.
class GcnPredictor : public NeuralPredictor {
 public:
  GcnPredictor(const GcnOptions& options, Rng rng);

 private:
  std::unique_ptr<ScoreNetwork> network(std::span<const Features> networks, Rng rng) const override;
  GcnOptions options_;
};

}  // namespace espalier
