// Neural architecture optimization: walks in the space of encoded architectures.
#pragma once

#include <memory>

#include "predictors/encoder_decoder.hpp"
#include "strategies/start.hpp"
#include "strategies/strategy.hpp"

namespace espalier {

struct NaoOptions : StartOptions {
  int samples = 50;    ///< random architectures at first, >= 2
  int batch = 25;      ///< candidates found after one training, >= 1
  int seeds = 25;      ///< the best told, from which walks begin, >= 1
  int unlabelled = 0;  ///< random architectures that are learned with predicted values, >= 0
  EncoderDecoderOptions network = {};
};
OptionTable<NaoOptions> nao_option_table();

/// With unlabelled architectures, as in SemiNAS.
struct SemiNasOptions : NaoOptions {
  SemiNasOptions() { unlabelled = 500; }
};
OptionTable<SemiNasOptions> semi_nas_option_table();

/// NAO: an encoder, a predictor and a decoder are trained on the architectures told; the best ones
/// are encoded, moved along the gradient of the predicted value and decoded, with steps 1, 2, ...,
/// 100 until enough new architectures have come out; what is missing after that are random ones.
/// Where `unlabelled` is not 0, the predictor
/// then gives values to as many random architectures, and all are learned again (SemiNAS). Values
/// are normal scores of the order by rank_and_crowding(), so that there may be constraints and
/// several objectives. Throws ConfigError as Start does.
///
/// Source: R. Luo, F. Tian, T. Qin, E. Chen, T. Liu: Neural architecture optimization, NeurIPS
/// 2018, arXiv 1808.07233, algorithm 1; R. Luo, X. Tan, R. Wang, T. Qin, E. Chen, T. Liu:
/// Semi-supervised neural architecture search, NeurIPS 2020, arXiv 2002.10389, algorithm 1. Differs
/// from the sources: networks are trained anew for each batch; fewer architectures; see
/// EncoderDecoder.
/// Test: Nao.AsksForWhatWalksAlongTheGradientDecode,
/// SemiNas.LearnsUnlabelledArchitecturesAsPredicted.
std::unique_ptr<Strategy> nao(const RunContext& context, const NaoOptions& options);

}  // namespace espalier
