// The network of EncoderDecoder. Includes LibTorch: for its source and its tests.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "predictors/score_network.hpp"

namespace espalier {

/// Symbols are numbered through all decisions, {n, decisions}; `outputs` are vectors of length 1,
/// {n, decisions, width}.
struct EncoderDecoderNetwork {
  EncoderDecoderNetwork(std::int64_t width, std::span<const std::uint32_t> symbols, const Rng& rng,
                        at::ScalarType type = at::kFloat);

  at::Tensor encode(const at::Tensor& symbols) const;
  /// {n}.
  at::Tensor predict(const at::Tensor& outputs) const;
  /// Outputs further up the gradient of what is predicted of them, of length 1 again.
  at::Tensor moved(const at::Tensor& outputs, double step) const;
  /// The mean cross entropy of symbols, each with those before it given.
  at::Tensor reconstruction(const at::Tensor& outputs, const at::Tensor& symbols) const;
  /// The likeliest symbol at each place, after those before it: {n, decisions}, numbered in each
  /// decision.
  at::Tensor decode(const at::Tensor& outputs) const;

  static constexpr std::int64_t hidden = 200;  // of the layers that predict
  Weights weights;
  std::vector<std::int64_t> begins, counts;  ///< of each decision's symbols among all
  // What it is made of, in the order in which it is drawn.
  at::Tensor
      embedding;  ///< {symbols + 1, width}; the last stands before the decoder's first symbol
  Linear encoder_read, encoder_state;  ///< to {4 width}, gates as in LstmNetwork
  Linear decoder_read, decoder_state;
  Linear attended, choose;
  Layers value;

 private:
  at::Tensor states(const at::Tensor& symbols, const Linear& read, const Linear& state,
                    at::Tensor held, at::Tensor cell) const;
  at::Tensor whole(const at::Tensor& outputs) const;
  at::Tensor seen(const at::Tensor& held, const at::Tensor& outputs) const;
  at::Tensor scores(std::size_t d, const at::Tensor& seen) const;
  at::Tensor first(std::int64_t n) const;
};

}  // namespace espalier
