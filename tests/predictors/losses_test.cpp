#include "predictors/losses.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/rng.hpp"

namespace espalier {
namespace {

const std::vector<PredictorLoss> losses{PredictorLoss::regression, PredictorLoss::hinge,
                                        PredictorLoss::cross_entropy, PredictorLoss::listwise,
                                        PredictorLoss::relation};

at::Tensor numbers(const std::vector<double>& values) {
  return at::tensor(at::ArrayRef<double>(values), at::kDouble);
}

// Scores of 6 networks, or of a relation of them, of which two have equal values.
at::Tensor scores_for(PredictorLoss loss) {
  Rng rng(3);
  std::vector<double> drawn(loss == PredictorLoss::relation ? 12 : 6);
  for (double& x : drawn) x = rng.normal();
  const at::Tensor all = numbers(drawn);
  return loss == PredictorLoss::relation ? all.view({6, 2}) : all;
}
const std::vector<double> values{0.3, -1.0, 0.3, 2.0, 0.7, -0.2};

double plain(PredictorLoss loss, const at::Tensor& scores) {
  const auto s = [&](std::size_t i, int column = 0) {
    const auto row = static_cast<std::int64_t>(i);
    return (scores.dim() == 2 ? scores[row][column] : scores[row]).item<double>();
  };
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < 6; ++i) {
    if (loss == PredictorLoss::regression) {
      sum += (s(i) - values[i]) * (s(i) - values[i]);
      ++count;
    }
    if (loss == PredictorLoss::listwise) {
      // Of those that do not stand before i.
      double rest = 0;
      for (std::size_t j = 0; j < 6; ++j) {
        if (values[j] < values[i] || (values[j] == values[i] && j >= i)) rest += std::exp(s(j));
      }
      sum += std::log(rest) - s(i);
      ++count;
    }
    for (std::size_t j = 0; j < 6; ++j) {
      if (loss == PredictorLoss::hinge && values[i] > values[j]) {
        sum += std::max(0.0, 0.1 - (s(i) - s(j)));
        ++count;
      }
      if (loss == PredictorLoss::cross_entropy && values[i] > values[j]) {
        sum += std::log(1 + std::exp(s(j) - s(i)));
        ++count;
      }
      if (loss == PredictorLoss::relation && i != j) {
        const double wanted = std::exp(values[i]) / (std::exp(values[i]) + std::exp(values[j]));
        const double said = 1 / (1 + std::exp(-(s(i, 0) + s(j, 1))));
        sum -= wanted * std::log(said) + (1 - wanted) * std::log(1 - said);
        ++count;
      }
    }
  }
  return sum / count;
}

TEST(Losses, AreTheClosedForms) {
  for (const PredictorLoss loss : losses) {
    const at::Tensor scores = scores_for(loss);
    EXPECT_NEAR(predictor_loss(loss, scores, numbers(values)).item<double>(), plain(loss, scores),
                1e-12)
        << static_cast<int>(loss);
  }
}

TEST(Losses, GradientsAreFiniteDifferences) {
  for (const PredictorLoss loss : losses) {
    at::Tensor scores = scores_for(loss).set_requires_grad(true);
    predictor_loss(loss, scores, numbers(values)).backward();
    const at::Tensor gradient = scores.grad().flatten();
    for (std::int64_t i = 0; i < gradient.size(0); ++i) {
      constexpr double step = 1e-6;
      const auto moved = [&](double by) {
        at::Tensor other = scores.detach().clone();
        other.view({-1})[i] += by;
        return predictor_loss(loss, other, numbers(values)).item<double>();
      };
      EXPECT_NEAR(gradient[i].item<double>(), (moved(step) - moved(-step)) / (2 * step), 1e-7);
    }
  }
}

TEST(Losses, OrdersAreAllThatCountsForLossesOfAnOrder) {
  const at::Tensor stretched = numbers({3, -100, 3, 2000, 70, -2});
  for (const PredictorLoss loss :
       {PredictorLoss::hinge, PredictorLoss::cross_entropy, PredictorLoss::listwise}) {
    const at::Tensor scores = scores_for(loss);
    EXPECT_EQ(predictor_loss(loss, scores, numbers(values)).item<double>(),
              predictor_loss(loss, scores, stretched).item<double>());
  }
}

TEST(Losses, EqualValuesAndOneNetworkAreNoOrder) {
  for (const PredictorLoss loss : {PredictorLoss::hinge, PredictorLoss::cross_entropy}) {
    EXPECT_EQ(predictor_loss(loss, numbers({1, 2}), numbers({5, 5})).item<double>(), 0);
    EXPECT_EQ(predictor_loss(loss, numbers({1}), numbers({5})).item<double>(), 0);
  }
  EXPECT_EQ(predictor_loss(PredictorLoss::listwise, numbers({1}), numbers({5})).item<double>(), 0);
  EXPECT_EQ(predictor_loss(PredictorLoss::relation, numbers({1, 2}).view({1, 2}), numbers({5}))
                .item<double>(),
            0);
}

}  // namespace
}  // namespace espalier
