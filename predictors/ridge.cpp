#include "predictors/ridge.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "predictors/dense_features.hpp"

namespace espalier {

struct Ridge::Implementation {
  // Rows less their means, in deviations; columns that are constant in what is known are 0.
  at::Tensor standardized(std::span<const Features> networks) const {
    std::vector<double> rows = features.rows(networks);
    const at::Tensor numbers = at::from_blob(
        rows.data(),
        {static_cast<std::int64_t>(networks.size()), static_cast<std::int64_t>(features.width())},
        at::kDouble);
    return (numbers - means) * inverse_deviations;
  }

  void fit(std::span<const Features> networks, std::span<const double> values) {
    check_fit_arguments(networks, values);
    features = DenseFeatures(networks);
    const auto n = static_cast<std::int64_t>(networks.size());
    count = static_cast<double>(n);
    const auto width = static_cast<std::int64_t>(features.width());
    means = at::zeros({width}, at::kDouble);
    inverse_deviations = at::ones({width}, at::kDouble);
    const at::Tensor raw = standardized(networks);
    means = raw.mean(0);
    const at::Tensor deviations = (raw - means).square().mean(0).sqrt();
    inverse_deviations =
        at::where(deviations > 1e-12, 1 / deviations.clamp_min(1e-12), at::zeros_like(deviations));
    const at::Tensor x = standardized(networks);
    at::Tensor y = at::from_blob(const_cast<double*>(values.data()), {n}, at::kDouble).clone();
    center = y.mean().item<double>();
    y -= center;
    const auto [u, s, vt] = at::linalg_svd(x, /*full_matrices=*/false);
    right = vt;
    squares = s.square();
    const at::Tensor turned = at::matmul(u.t(), y);
    const double unit = std::max(squares.sum().item<double>() / count, 1e-12);
    least = std::numeric_limits<double>::infinity();
    at::Tensor left;
    double freedom = 0;
    for (int step = 0; step <= 60; ++step) {
      const double tried = unit * std::pow(10.0, -4 + 0.2 * step);
      const at::Tensor shrink = squares / (squares + tried);
      const at::Tensor residual = y - at::matmul(u, shrink * turned);
      // Each value's weight in its own prediction, with that of the mean.
      const at::Tensor own = at::matmul(u.square(), shrink) + 1 / count;
      const double its = (residual / (1 - own).clamp_min(1e-9)).square().mean().item<double>();
      if (its >= least) continue;
      least = its;
      penalty = tried;
      left = residual;
      freedom = count - own.sum().item<double>();
    }
    weights = at::matmul(vt.t(), s / (squares + penalty) * turned).contiguous();
    noise = freedom > 1e-9 ? left.square().sum().item<double>() / freedom : 0;
    fitted = true;
  }

  std::vector<Prediction> predict(std::span<const Features> networks) const {
    check_fitted(fitted);
    std::vector<Prediction> predictions(networks.size());
    if (networks.empty()) return predictions;
    const at::Tensor x = standardized(networks);
    const at::Tensor mean = (at::matmul(x, weights) + center).contiguous();
    // x' (X'X + penalty)^-1 x: along what is known, and across it.
    const at::Tensor along = at::matmul(x, right.t()).square();
    const at::Tensor across = (x.square().sum(1) - along.sum(1)).clamp_min(0);
    const at::Tensor spread =
        ((along / (squares + penalty)).sum(1) + across / penalty + 1 + 1 / count).contiguous();
    for (std::size_t i = 0; i < predictions.size(); ++i) {
      predictions[i] = {.mean = mean.data_ptr<double>()[i],
                        .variance = noise * spread.data_ptr<double>()[i]};
    }
    return predictions;
  }

  bool fitted = false;
  DenseFeatures features;
  at::Tensor means, inverse_deviations;  // of columns
  at::Tensor right, squares;             // singular vectors and squared values of what is known
  at::Tensor weights;
  double count = 0, center = 0, penalty = 0, least = 0, noise = 0;
};

Ridge::Ridge() : implementation_(std::make_unique<Implementation>()) {}
Ridge::~Ridge() = default;

void Ridge::fit(std::span<const Features> networks, std::span<const double> values) {
  implementation_->fit(networks, values);
}
std::vector<Prediction> Ridge::predict(std::span<const Features> networks) const {
  return implementation_->predict(networks);
}
double Ridge::penalty() const { return implementation_->penalty; }
double Ridge::leave_one_out() const { return implementation_->least; }

}  // namespace espalier
