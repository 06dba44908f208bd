#include "predictors/learning_curve.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "core/error.hpp"
#include "core/stats.hpp"
#include "predictors/affine_sampler.hpp"

namespace espalier {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

const std::array<CurveFamily, 11> families{{
    {"vapor_pressure", 3,
     [](double x, const double* p) { return std::exp(p[0] + p[1] / x + p[2] * std::log(x)); }},
    {"pow3", 3, [](double x, const double* p) { return p[0] - p[1] * std::pow(x, -p[2]); }},
    {"log_log_linear", 2,
     [](double x, const double* p) { return std::log(p[0] * std::log(x) + p[1]); }},
    {"hill3", 3,
     [](double x, const double* p) {
       const double power = std::pow(x, p[1]);
       return p[0] * power / (std::pow(p[2], p[1]) + power);
     }},
    {"log_power", 3,
     [](double x, const double* p) { return p[0] / (1 + std::pow(x / std::exp(p[1]), p[2])); }},
    {"pow4", 4, [](double x, const double* p) { return p[0] - std::pow(p[1] * x + p[2], -p[3]); }},
    {"mmf", 4,
     [](double x, const double* p) {
       return p[0] - (p[0] - p[1]) / (1 + std::pow(p[2] * x, p[3]));
     }},
    {"exp4", 4,
     [](double x, const double* p) { return p[0] - std::exp(-p[1] * std::pow(x, p[3]) + p[2]); }},
    {"janoschek", 4,
     [](double x, const double* p) {
       return p[0] - (p[0] - p[1]) * std::exp(-p[2] * std::pow(x, p[3]));
     }},
    {"weibull", 4,
     [](double x, const double* p) {
       return p[0] - (p[0] - p[1]) * std::exp(-std::pow(p[2] * x, p[3]));
     }},
    // log(x + 1), which is not 0 at the first point.
    {"ilog2", 2, [](double x, const double* p) { return p[0] - p[1] / std::log(x + 1); }},
}};

// Parameters of curves from `low` at x = 1 to about `high` at `end`, in the order of the families.
std::vector<std::vector<double>> first_guesses(double low, double high, double end) {
  low = std::clamp(low, 0.005, 0.99);
  high = std::clamp(high, low + 0.001, 0.995);
  const double top = std::min(high + 0.3 * (high - low) + 0.001, 0.999);
  const double rise = top - low, part = -std::log(1 - low / top);
  const double slope = (std::exp(high) - std::exp(low)) / std::log(end);
  return {{std::log(high), std::log(low / high), 0.01},
          {top, rise, 0.5},
          {slope, std::exp(low)},
          {top, 1, top / low - 1},
          {top, std::log(top / low - 1), -1},
          {top, 0.5 / (rise * rise), 0.5 / (rise * rise), 0.5},
          {top, 0, low / rise, 1},
          {top, 1, std::log(rise) + 1, 0.5},
          {top, 0, part, 0.5},
          {top, 0, part * part, 0.5},
          {top, rise * std::log(2.0)}};
}

// The simplex method of Nelder and Mead, from a point; what is not finite is worst.
std::vector<double> minimize(const std::function<double(const std::vector<double>&)>& function,
                             const std::vector<double>& start) {
  const std::size_t n = start.size();
  struct Corner {
    std::vector<double> at;
    double value;
  };
  const auto corner = [&](std::vector<double> at) {
    const double value = function(at);
    return Corner{std::move(at), std::isfinite(value) ? value : infinity};
  };
  std::vector<Corner> corners{corner(start)};
  for (std::size_t i = 0; i < n; ++i) {
    std::vector<double> at = start;
    at[i] += at[i] == 0 ? 0.05 : 0.1 * at[i];
    corners.push_back(corner(std::move(at)));
  }
  for (std::size_t step = 0; step < 150 * n; ++step) {
    std::ranges::stable_sort(corners, {}, &Corner::value);
    std::vector<double> center(n);
    for (std::size_t c = 0; c < n; ++c) {
      for (std::size_t i = 0; i < n; ++i) center[i] += corners[c].at[i] / static_cast<double>(n);
    }
    const auto along = [&](double distance) {
      std::vector<double> at(n);
      for (std::size_t i = 0; i < n; ++i) {
        at[i] = center[i] + distance * (corners[n].at[i] - center[i]);
      }
      return corner(std::move(at));
    };
    Corner reflected = along(-1);
    if (reflected.value < corners[0].value) {
      Corner expanded = along(-2);
      corners[n] = expanded.value < reflected.value ? std::move(expanded) : std::move(reflected);
    } else if (reflected.value < corners[n - 1].value) {
      corners[n] = std::move(reflected);
    } else {
      Corner contracted = along(reflected.value < corners[n].value ? -0.5 : 0.5);
      if (contracted.value < std::min(reflected.value, corners[n].value)) {
        corners[n] = std::move(contracted);
        continue;
      }
      for (std::size_t c = 1; c <= n; ++c) {
        std::vector<double> at(n);
        for (std::size_t i = 0; i < n; ++i) at[i] = (corners[0].at[i] + corners[c].at[i]) / 2;
        corners[c] = corner(std::move(at));
      }
    }
  }
  return std::ranges::min_element(corners, {}, &Corner::value)->at;
}

// The combination of all families at points; its state is the families' parameters, their weights,
// and the noise.
class Combination {
 public:
  Combination(std::vector<double> places, std::vector<double> values)
      : places_(std::move(places)), values_(std::move(values)) {
    for (const CurveFamily& family : families) weights_at_ += std::size_t(family.parameters);
  }

  std::size_t size() const { return weights_at_ + families.size() + 1; }
  std::size_t weights_at() const { return weights_at_; }

  double value(std::span<const double> state, double x) const {
    double sum = 0;
    const double* parameters = state.data();
    for (std::size_t f = 0; f < families.size(); ++f) {
      sum += state[weights_at_ + f] * families[f].value(x, parameters);
      parameters += families[f].parameters;
    }
    return sum;
  }
  double last(std::span<const double> state) const { return value(state, places_.back()); }

  // Of the mean square of what is left.
  double residual(std::span<const double> state) const {
    double sum = 0;
    for (std::size_t i = 0; i < values_.size(); ++i) {
      const double away = value(state, places_[i]) - values_[i];
      sum += away * away;
    }
    return std::sqrt(sum / static_cast<double>(values_.size()));
  }

  // The logarithm of the posterior but for a constant: flat priors of parameters, positive weights
  // and the noise's variance, of curves that grow from the first point to the end.
  double log_posterior(std::span<const double> state) const {
    const double noise = state.back();
    if (!(noise > 1e-5 && noise < 1)) return -infinity;
    for (std::size_t f = 0; f < families.size(); ++f) {
      if (!(state[weights_at_ + f] > 0)) return -infinity;
    }
    const double first = value(state, places_[0]), end = last(state);
    if (!(end > first && end >= 0 && end <= 1)) return -infinity;
    const double left = residual(state) / noise;
    const double count = static_cast<double>(values_.size());
    // The last term: the density of the deviation, where that of the variance is flat.
    const double result = -count * (std::log(noise) + 0.5 * left * left) + std::log(noise);
    return std::isfinite(result) ? result : -infinity;
  }

 private:
  std::vector<double> places_;  // of the values, then the end
  std::vector<double> values_;
  std::size_t weights_at_ = 0;
};

void check(std::span<const CurvePoint> points) {
  if (points.size() < 2) {
    throw Error(fmt::format("a learning curve has {} points; expected at least 2", points.size()));
  }
  double before = 0;
  for (const CurvePoint& point : points) {
    if (!std::isfinite(point.value)) {
      throw NumericalError(fmt::format("a learning curve has the value {}", point.value));
    }
    if (!(point.fidelity > before && point.fidelity <= 1)) {
      throw Error(
          fmt::format("a learning curve has fidelity {} after {}; expected ascending "
                      "ones within (0, 1]",
                      point.fidelity, before));
    }
    before = point.fidelity;
  }
}

}  // namespace

CurveForecast::CurveForecast(std::vector<double> means, std::vector<double> deviations)
    : means_(std::move(means)), deviations_(std::move(deviations)) {}

Prediction CurveForecast::value() const {
  const double center = mean(means_), count = static_cast<double>(means_.size());
  double variance = 0;
  for (std::size_t i = 0; i < means_.size(); ++i) {
    const double away = means_[i] - center;
    variance += away * away + deviations_[i] * deviations_[i];
  }
  return {.mean = center, .variance = variance / count};
}

double CurveForecast::probability_above(double value) const {
  double sum = 0;
  for (std::size_t i = 0; i < means_.size(); ++i) {
    sum += deviations_[i] > 0 ? normal_probability((means_[i] - value) / deviations_[i])
                              : double(means_[i] >= value);
  }
  return sum / static_cast<double>(means_.size());
}

OptionTable<CurveModelOptions> curve_model_option_table() {
  using Options = CurveModelOptions;
  return OptionTable<Options>("extrapolation of learning curves by a sum of parametric families")
      .add("walkers", &Options::walkers, "Markov chains, an even number", at_least(98))
      .add("burn_in", &Options::burn_in, "moves of each that do not count", at_least(0))
      .add("samples", &Options::samples, "moves that do", at_least(1))
      .check([](const Options& options) {
        if (options.walkers % 2 != 0) {
          throw ConfigError("/walkers",
                            fmt::format("is {}; expected an even number", options.walkers));
        }
      });
}

std::span<const CurveFamily> curve_families() { return families; }

CurveForecast forecast_curve(std::span<const CurvePoint> points, const CurveModelOptions& options,
                             Rng rng) {
  check(points);
  curve_model_option_table().validate(options);
  std::vector<double> places, values;
  for (const CurvePoint& point : points) {
    places.push_back(point.fidelity / points[0].fidelity);
    values.push_back(point.value);
  }
  const std::vector<double> seen = places;
  places.push_back(1 / points[0].fidelity);
  const Combination combination(places, values);

  std::vector<double> start;
  const auto guesses = first_guesses(values.front(), values.back(), seen.back());
  for (std::size_t f = 0; f < families.size(); ++f) {
    const auto squares = [&](const std::vector<double>& parameters) {
      double sum = 0;
      for (std::size_t i = 0; i < seen.size(); ++i) {
        const double away = families[f].value(seen[i], parameters.data()) - values[i];
        sum += away * away;
      }
      // So that the end can be computed, too.
      return sum + 0 * families[f].value(places.back(), parameters.data());
    };
    const std::vector<double> fitted = minimize(squares, guesses[f]);
    start.insert(start.end(), fitted.begin(), fitted.end());
  }
  start.resize(combination.size(), 1.0 / static_cast<double>(families.size()));
  const double end = combination.last(start);
  if (end > 0.999) {
    for (std::size_t f = 0; f < families.size(); ++f) {
      start[combination.weights_at() + f] *= 0.999 / end;
    }
  }
  start.back() = std::clamp(combination.residual(start), 1e-3, 0.5);

  std::vector<std::vector<double>> walkers;
  std::vector<double> logs;
  double spread = 0.05;
  for (int attempt = 0; attempt < 20 * options.walkers; ++attempt) {
    if (walkers.size() == static_cast<std::size_t>(options.walkers)) break;
    std::vector<double> at = start;
    for (double& number : at) number *= 1 + spread * rng.normal();
    const double log = combination.log_posterior(at);
    if (log == -infinity) {
      spread *= 0.98;
      continue;
    }
    walkers.push_back(std::move(at));
    logs.push_back(log);
  }
  if (walkers.size() < static_cast<std::size_t>(options.walkers)) {
    return CurveForecast({values.back()}, {standard_deviation(values)});
  }
  const auto density = [&](std::span<const double> state) {
    return combination.log_posterior(state);
  };
  for (int move = 0; move < options.burn_in; ++move) {
    stretch_walkers(walkers, logs, density, rng);
  }
  std::vector<double> means, deviations;
  for (int move = 0; move < options.samples; ++move) {
    stretch_walkers(walkers, logs, density, rng);
    for (const auto& walker : walkers) {
      means.push_back(combination.last(walker));
      deviations.push_back(walker.back());
    }
  }
  return CurveForecast(std::move(means), std::move(deviations));
}

}  // namespace espalier
