// The network of BRP-NAS. Includes LibTorch: for its source and its tests.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "predictors/gcn.hpp"
#include "predictors/operator_batch.hpp"
#include "predictors/score_network.hpp"

namespace espalier {

class GcnNetwork : public ScoreNetwork {
 public:
  GcnNetwork(const GcnOptions& options, std::span<const Features> networks, Rng rng,
             at::ScalarType type = at::kFloat);
  Scorer scorer(std::span<const Features> networks) const override;
  const std::vector<at::Tensor>& weights() const override { return weights_.list(); }

  /// {N, width}: what the vertices that read all hold.
  at::Tensor embed(const OperatorBatch& batch, at::Generator* generator) const;
  const OperatorVocabulary& vocabulary() const { return vocabulary_; }

  struct Convolution {
    at::Tensor matrix, bias;   ///< {width, width}, {width}; of the first layer none and {width}
    at::Tensor scale, offset;  ///< {width} of the layer norm
  };
  // What it is made of, in the order in which it is drawn.
  at::Tensor ends;        ///< {entrances + 2, width}: of entrances, exit, and what reads all
  at::Tensor kinds;       ///< {kinds, width}
  at::Tensor attributes;  ///< {3, width}
  std::vector<Convolution> layers;
  Linear head;

 private:
  GcnOptions options_;
  OperatorVocabulary vocabulary_;
  Weights weights_;
};

}  // namespace espalier
