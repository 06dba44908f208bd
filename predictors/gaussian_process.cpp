#include "predictors/gaussian_process.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "predictors/dense_features.hpp"
#include "predictors/normal_scores.hpp"

namespace espalier {
namespace {

constexpr std::size_t most_for_lengths = 200;
constexpr double decisions_weight = 0.5;
const std::vector<double> lengths{0.4, 1.2, 3.2}, cost_lengths{0.25, 1, 1000},
    noises{0.001, 0.01, 0.05};

// The three squared distances between two lists of architectures, row by row.
struct Distances {
  at::Tensor decisions, patterns, costs;
};

at::Tensor matrix(std::size_t rows, std::size_t columns) {
  return at::zeros({static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)},
                   at::kDouble);
}

at::Tensor squared_distances(const at::Tensor& a, const at::Tensor& a_square, const at::Tensor& b,
                             const at::Tensor& b_square) {
  return (a_square.unsqueeze(1) + b_square.unsqueeze(0) - 2 * at::matmul(a, b.t())).clamp_min_(0);
}

double median_above_zero(const at::Tensor& distances) {
  const at::Tensor above = distances.masked_select(distances > 1e-12);
  return above.numel() == 0 ? 1.0 : above.median().item<double>();
}

}  // namespace

struct GaussianProcess::Implementation {
  // Rows of numbers: those of what is known, which gave the patterns their columns, or of others.
  struct Rows {
    at::Tensor decisions, decisions_square = {}, patterns, patterns_square, costs,
                          costs_square = {};
  };
  Rows rows_of(std::span<const Features> networks) const {
    const std::size_t n = networks.size();
    Rows rows{.decisions = matrix(n, decision_count),
              .patterns = matrix(n, columns.size()),
              .patterns_square = matrix(n, 1).squeeze(1),
              .costs = matrix(n, cost_count)};
    double* decisions = rows.decisions.data_ptr<double>();
    double* patterns = rows.patterns.data_ptr<double>();
    double* squares = rows.patterns_square.data_ptr<double>();
    double* costs = rows.costs.data_ptr<double>();
    for (const Features& network : networks) {
      check_sizes(network, decision_count, cost_count - scores.size(), scores.size());
      decisions = std::ranges::copy(network.decisions, decisions).out;
      costs = std::ranges::copy(network.costs, costs).out;
      for (std::size_t s = 0; s < scores.size(); ++s) {
        const bool known = std::isfinite(network.scores[s]);
        *costs++ = known ? scores[s].rank_score(network.scores[s]) : 0;
      }
      for (const auto& [label, count] : network.patterns) {
        const auto column = columns.find(label);
        if (column != columns.end()) patterns[column->second] = count;
        *squares += static_cast<double>(count) * count;
      }
      patterns += columns.size();
      ++squares;
    }
    // Half the square: two nominal decisions that differ are at a distance of 1.
    rows.decisions *= std::sqrt(0.5);
    if (cost_center.defined()) rows.costs = (rows.costs - cost_center) * cost_factor;
    rows.decisions_square = rows.decisions.square().sum(1);
    rows.costs_square = rows.costs.square().sum(1);
    return rows;
  }

  Distances distances(const Rows& a, const Rows& b) const {
    return {squared_distances(a.decisions, a.decisions_square, b.decisions, b.decisions_square),
            squared_distances(a.patterns, a.patterns_square, b.patterns, b.patterns_square),
            squared_distances(a.costs, a.costs_square, b.costs, b.costs_square)};
  }

  at::Tensor kernel_matrix(const Distances& d, const Kernel& k) const {
    at::Tensor result = at::exp(d.decisions * (-1 / (k.decisions_length * unit[0])));
    if (!columns.empty()) {
      result = decisions_weight * result +
               (1 - decisions_weight) * at::exp(d.patterns * (-1 / (k.patterns_length * unit[1])));
    }
    if (cost_count > 0) result = result * at::exp(d.costs * (-1 / (k.costs_length * unit[2])));
    return result;
  }

  // The factor of the kernel's matrix, whose noise is raised until there is one.
  static at::Tensor factor(const at::Tensor& matrix, double noise) {
    const at::Tensor eye = at::eye(matrix.size(0), matrix.options());
    for (double added = noise;; added *= 10) {
      const auto [lower, info] = at::linalg_cholesky_ex(matrix + added * eye);
      if (info.item<int>() == 0) return lower;
      if (added > 1) throw NumericalError("the kernel's matrix of a Gaussian process is singular");
    }
  }

  static at::Tensor solve(const at::Tensor& lower, const at::Tensor& right) {
    return at::linalg_solve_triangular(lower, right, /*upper=*/false);
  }

  // The logarithm of the marginal likelihood, but for a constant, at its best scale.
  double likelihood(const Distances& d, const at::Tensor& z, const Kernel& k) const {
    const at::Tensor lower = factor(kernel_matrix(d, k), k.noise);
    const double n = static_cast<double>(z.size(0));
    const double square = solve(lower, z.unsqueeze(1)).square().sum().item<double>() / n;
    return -0.5 * n * std::log(std::max(square, 1e-300)) -
           lower.diagonal().log().sum().item<double>();
  }

  void seek_kernel(const Distances& d, const at::Tensor& z) {
    const std::vector<double> none{1};
    double best = -std::numeric_limits<double>::infinity();
    for (const double decisions : lengths) {
      for (const double patterns : columns.empty() ? none : lengths) {
        for (const double costs : cost_count > 0 ? cost_lengths : none) {
          for (const double noise : noises) {
            const Kernel other{.decisions_length = decisions,
                               .patterns_length = patterns,
                               .costs_length = costs,
                               .noise = noise};
            const double its = likelihood(d, z, other);
            if (its > best) best = its, kernel = other;
          }
        }
      }
    }
  }

  void fit(std::span<const Features> networks, std::span<const double> values, bool may_seek) {
    check_fit_arguments(networks, values);
    decision_count = networks[0].decisions.size();
    scores.clear();
    for (std::size_t s = 0; s < networks[0].scores.size(); ++s) {
      std::vector<double> finite;
      for (const Features& network : networks) {
        if (std::isfinite(network.scores[s])) finite.push_back(network.scores[s]);
      }
      scores.emplace_back(finite);
    }
    cost_count = networks[0].costs.size() + scores.size();
    columns.clear();
    for (const Features& network : networks) {
      for (const auto& [label, count] : network.patterns) {
        columns.try_emplace(label, columns.size());
      }
    }
    size = networks.size();
    const bool seeks = may_seek && size >= 3 && 10 * size >= 11 * sought_at;
    if (cost_count > 0 && (seeks || !cost_center.defined())) {
      cost_center.reset();
      const at::Tensor costs = rows_of(networks).costs;
      const at::Tensor deviation =
          size > 1 ? costs.std(0) : at::ones({costs.size(1)}, costs.options());
      cost_center = costs.mean(0);
      // What does not vary tells nothing apart.
      cost_factor = at::where(deviation > 1e-6, deviation.reciprocal(), at::zeros_like(deviation));
    }
    known_rows = rows_of(networks);
    const at::Tensor given = at::from_blob(const_cast<double*>(values.data()),
                                           {static_cast<std::int64_t>(values.size())}, at::kDouble)
                                 .clone();
    center = given.mean().item<double>();
    const double deviation = given.std(/*unbiased=*/false).item<double>();
    scale = deviation > 0 ? deviation : 1;
    const at::Tensor z = (given - center) / scale;
    const Distances d = distances(known_rows, known_rows);
    if (seeks) {
      if (sought_at == 0) {
        unit = {median_above_zero(d.decisions), median_above_zero(d.patterns),
                median_above_zero(d.costs)};
      }
      sought_at = size;
      seek(d, z);
    }
    root = factor(kernel_matrix(d, kernel), kernel.noise);
    const at::Tensor half = solve(root, z.unsqueeze(1));
    weights = at::linalg_solve_triangular(root.t(), half, /*upper=*/true);
    const double square = half.square().sum().item<double>() / static_cast<double>(size);
    variance = deviation > 0 ? square : 0;
  }

  // Of many values, the last ones: those of a search that has closed in.
  void seek(const Distances& d, const at::Tensor& z) {
    const auto n = z.size(0), most = static_cast<std::int64_t>(most_for_lengths);
    if (n <= most) return seek_kernel(d, z);
    const auto part = [&](const at::Tensor& t) {
      return t.narrow(0, n - most, most).narrow(1, n - most, most).contiguous();
    };
    seek_kernel({part(d.decisions), part(d.patterns), part(d.costs)}, z.narrow(0, n - most, most));
  }

  std::vector<Prediction> predict(std::span<const Features> networks) const {
    check_fitted(size > 0);
    std::vector<Prediction> predictions(networks.size());
    if (networks.empty()) return predictions;
    const at::Tensor cross = kernel_matrix(distances(rows_of(networks), known_rows), kernel);
    const at::Tensor mean = at::matmul(cross, weights).squeeze(1).contiguous();
    const at::Tensor explained = solve(root, cross.t()).square().sum(0).contiguous();
    const double* means = mean.data_ptr<double>();
    const double* explains = explained.data_ptr<double>();
    for (std::size_t i = 0; i < predictions.size(); ++i) {
      predictions[i] = {.mean = center + scale * means[i],
                        .variance = scale * scale * variance * std::max(0.0, 1 - explains[i])};
    }
    return predictions;
  }

  std::size_t size = 0, decision_count = 0, cost_count = 0;  // of what is known
  std::unordered_map<std::uint64_t, std::size_t> columns;    // of its patterns
  std::vector<NormalScale> scores;                           // what they are among those known
  Rows known_rows;
  at::Tensor cost_center, cost_factor;  // of each cost, by which rows are brought to one scale
  std::array<double, 3> unit{1, 1, 1};
  Kernel kernel;
  std::size_t sought_at = 0;  // values when lengths were sought
  double center = 0, scale = 1, variance = 1;
  at::Tensor root, weights;  // of the kernel's matrix: its factor, and what it makes of the values
};

GaussianProcess::GaussianProcess() : implementation_(std::make_unique<Implementation>()) {}
GaussianProcess::~GaussianProcess() = default;

void GaussianProcess::fit(std::span<const Features> networks, std::span<const double> values) {
  implementation_->fit(networks, values, true);
}
void GaussianProcess::fit_again(std::span<const Features> networks,
                                std::span<const double> values) {
  implementation_->fit(networks, values, false);
}
std::vector<Prediction> GaussianProcess::predict(std::span<const Features> networks) const {
  return implementation_->predict(networks);
}
const GaussianProcess::Kernel& GaussianProcess::kernel() const { return implementation_->kernel; }

}  // namespace espalier
