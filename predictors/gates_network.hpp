// The network of GATES and TA-GATES. Includes LibTorch: for their source and its tests.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "predictors/operator_batch.hpp"
#include "predictors/score_network.hpp"

namespace espalier {

/// Layers of a flow of information over operators: with sources s {S, ..} and what operators hold
/// h {O, ..}, first nothing, a layer makes s W of the sources, and of each operator
/// sigmoid(gate(embedding)) times what it gathers of (s, h) W. Between layers there is a ReLU.
struct InformationFlow {
  InformationFlow() = default;
  InformationFlow(Weights& weights, std::int64_t in, std::int64_t width, std::int64_t embedding,
                  std::int64_t layers);
  struct Held {
    at::Tensor sources, operators;  ///< {S, width}, {O, width}
  };
  /// Edges go from sources (0 to S - 1) and operators (from S on) to operators.
  Held operator()(at::Tensor sources, const at::Tensor& embedding,
                  const WeightedEdges& edges) const;
  std::vector<at::Tensor> matrix;  ///< {in, width}
  std::vector<Linear> gate;
};

/// With one step GATES, with more TA-GATES.
struct GatesNetworkOptions {
  std::int64_t width = 128;
  std::int64_t steps = 1;
  double noise = 0;
};

class GatesNetwork : public ScoreNetwork {
 public:
  GatesNetwork(const GatesNetworkOptions& options, std::span<const Features> networks, Rng rng,
               at::ScalarType type = at::kFloat);
  Scorer scorer(std::span<const Features> networks) const override;
  const std::vector<at::Tensor>& weights() const override { return weights_.list(); }

  /// {N, width}: what arrives at the exits.
  at::Tensor embed(const OperatorBatch& batch) const;
  const OperatorVocabulary& vocabulary() const { return vocabulary_; }

  static constexpr std::int64_t embedding_width = 48, source_width = 48, hidden = 96;
  // What it is made of, in the order in which it is drawn.
  at::Tensor source;         ///< {entrances, source_width}
  Linear source_layer;       ///< to hidden
  at::Tensor kinds;          ///< {kinds, embedding_width}
  at::Tensor attributes;     ///< {3, embedding_width}
  InformationFlow forward;   ///< from entrances
  InformationFlow backward;  ///< from exits
  Layers turn;               ///< of what arrived, what goes back
  Layers update;             ///< of embedding, forward and backward, the embedding's change
  Layers head;               ///< scores

 private:
  GatesNetworkOptions options_;
  OperatorVocabulary vocabulary_;
  Weights weights_;
  at::Tensor noise_;  // {places, embedding_width}
};

}  // namespace espalier
