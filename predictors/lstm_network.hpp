// An LSTM over decisions. Includes LibTorch: for its source and its tests.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "predictors/score_network.hpp"

namespace espalier {

class LstmNetwork : public ScoreNetwork {
 public:
  LstmNetwork(std::int64_t width, std::span<const Features> networks, Rng rng,
              at::ScalarType type = at::kFloat);
  Scorer scorer(std::span<const Features> networks) const override;
  const std::vector<at::Tensor>& weights() const override { return weights_.list(); }

  /// {n, width} of {n, decisions}, the rows of `choices` that were chosen.
  at::Tensor embed(const at::Tensor& chosen) const;

  static constexpr std::int64_t embedding_width = 48;
  // What it is made of, in the order in which it is drawn.
  at::Tensor choices;    ///< {choices + 1, embedding_width}, the last for those not seen: 0
  at::Tensor decisions;  ///< {decisions, embedding_width}
  Linear read, state;    ///< to {4 width}: of input, forget and output gates' and the cell's, in
                         ///< the order input, forget, cell, output
  Layers head;

 private:
  std::int64_t count_ = 0;  // of decisions
  std::vector<bool> seen_;  // of choices
  Weights weights_;
};

}  // namespace espalier
