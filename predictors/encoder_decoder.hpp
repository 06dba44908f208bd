// Architectures as points of a space in which one can walk towards better ones. No LibTorch here.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/options.hpp"
#include "core/rng.hpp"

namespace espalier {

struct EncoderDecoderOptions {
  int width = 64;                 ///< of the states, >= 1
  int epochs = 200;               ///< of each train(), >= 1
  int batch = 100;                ///< sequences in one step, at most, >= 1
  double learning_rate = 2e-3;    ///< of Adam, > 0
  double prediction_share = 0.8;  ///< of the loss; the rest is that of reconstruction, [0, 1]
};
OptionTable<EncoderDecoderOptions> encoder_decoder_option_table();

struct EncoderDecoderNetwork;

/// An LSTM that encodes a sequence of symbols as a row of vectors, one for each symbol; layers that
/// predict a value from these; and an LSTM with attention to them that decodes them into a
/// sequence. A sequence has one symbol for each decision of a space, the same number in all.
///
/// All is trained together: a share of the squared error of the value (in standard deviations of
/// the first values), and a share of the mean cross entropy of the symbols, each with the symbols
/// before it given. It computes on the calling thread alone and draws from its generator.
///
/// Source: R. Luo, F. Tian, T. Qin, E. Chen, T. Liu: Neural architecture optimization, NeurIPS
/// 2018, arXiv 1808.07233, section 3, and its published code for PyTorch (vectors of length 1, also
/// once they were moved; the decoder begins with their mean). Differs from the source: a decision
/// has symbols of its own, and the decoder chooses among these alone; the layers that predict have
/// no residual and no sigmoid; no perturbed copies of the sequences; smaller widths.
/// Test: EncoderDecoder.IsThePublishedNetwork, EncoderDecoder.AscendsAndDecodes.
class EncoderDecoder {
 public:
  using Sequence = std::vector<std::uint32_t>;

  /// `symbols`: how many each decision has, >= 1.
  EncoderDecoder(const EncoderDecoderOptions& options, std::vector<std::uint32_t> symbols,
                 const Rng& rng);
  ~EncoderDecoder();

  /// Goes on from the weights that it has. As many values as sequences, at least 1.
  void train(std::span<const Sequence> sequences, std::span<const double> values);
  /// In the unit of the values. Throws Error before train().
  std::vector<double> predict(std::span<const Sequence> sequences) const;
  /// Of each sequence, the vectors are moved by `step` (>= 0) times the gradient of the predicted
  /// value, brought to length 1 again, and decoded: at each place the likeliest symbol. Throws
  /// Error before train().
  std::vector<Sequence> ascend(std::span<const Sequence> sequences, double step) const;

 private:
  EncoderDecoderOptions options_;
  std::vector<std::uint32_t> symbols_;
  Rng rng_;
  std::unique_ptr<EncoderDecoderNetwork> network_;
  std::uint64_t trainings_ = 0;
  double center_ = 0, scale_ = 1;  // of the values of the first training
};

}  // namespace espalier
