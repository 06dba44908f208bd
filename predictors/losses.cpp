#include "predictors/losses.hpp"

#include <ATen/ATen.h>

#include <cassert>

namespace espalier {

Named<PredictorLoss> predictor_loss_names() {
  return named<PredictorLoss>({{"regression", PredictorLoss::regression},
                               {"hinge", PredictorLoss::hinge},
                               {"cross_entropy", PredictorLoss::cross_entropy},
                               {"listwise", PredictorLoss::listwise}});
}

Named<PredictorLoss> predictor_loss_names_with_relation() {
  Named<PredictorLoss> names = predictor_loss_names();
  names.names.emplace_back("relation", PredictorLoss::relation);
  return names;
}

at::Tensor predictor_loss(PredictorLoss loss, const at::Tensor& scores, const at::Tensor& values) {
  assert(scores.dim() == (loss == PredictorLoss::relation ? 2 : 1));
  assert(scores.size(0) == values.size(0) && scores.size(0) > 0);
  switch (loss) {
    case PredictorLoss::regression:
      return (scores - values).square().mean();
    case PredictorLoss::hinge:
    case PredictorLoss::cross_entropy: {
      const at::Tensor better = (values.unsqueeze(1) > values.unsqueeze(0)).to(scores.dtype());
      const at::Tensor ahead = scores.unsqueeze(1) - scores.unsqueeze(0);
      const at::Tensor each =
          loss == PredictorLoss::hinge ? at::relu(hinge_margin - ahead) : at::softplus(-ahead);
      return (each * better).sum() / better.sum().clamp_min(1);
    }
    case PredictorLoss::listwise: {
      const auto order = std::get<1>(at::sort(values, /*stable=*/true, /*dim=*/0,
                                              /*descending=*/true));
      const at::Tensor sorted = scores.index_select(0, order);
      return (at::logcumsumexp(sorted.flip(0), 0).flip(0) - sorted).mean();
    }
    case PredictorLoss::relation: {
      const at::Tensor odds = scores.select(1, 0).unsqueeze(1) + scores.select(1, 1).unsqueeze(0);
      const at::Tensor wanted = at::sigmoid(values.unsqueeze(1) - values.unsqueeze(0));
      const at::Tensor each = at::softplus(-odds) * wanted + at::softplus(odds) * (1 - wanted);
      const at::Tensor others = 1 - at::eye(scores.size(0), scores.options());
      return (each * others).sum() / others.sum().clamp_min(1);
    }
  }
  assert(false);
  return {};
}

}  // namespace espalier
