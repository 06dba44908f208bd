#include "search_spaces/design_space.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>
#include <string>

#include "core/error.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {

const OptionTable<CostRanges>& cost_ranges_options() {
  const auto check = [](const char* pointer, const std::optional<std::int64_t>& min,
                        const std::optional<std::int64_t>& max) {
    if (min && max && *min > *max) {
      throw ConfigError(pointer,
                        fmt::format("{} is above the largest allowed value, {}", *min, *max));
    }
  };
  static const auto table =
      OptionTable<CostRanges>("the costs that networks may have")
          .add("params_min", &CostRanges::params_min, "fewest parameters", at_least(0))
          .add("params_max", &CostRanges::params_max, "most parameters", at_least(0))
          .add("macs_min", &CostRanges::macs_min, "fewest multiply-accumulates", at_least(0))
          .add("macs_max", &CostRanges::macs_max, "most multiply-accumulates", at_least(0))
          .check([check](const CostRanges& o) {
            check("/params_min", o.params_min, o.params_max);
            check("/macs_min", o.macs_min, o.macs_max);
          });
  return table;
}

namespace {

constexpr int max_draws = 10'000;

bool within(std::int64_t value, const std::optional<std::int64_t>& min,
            const std::optional<std::int64_t>& max) {
  return value >= min.value_or(value) && value <= max.value_or(value);
}

std::string bounds_text(const char* name, const std::optional<std::int64_t>& min,
                        const std::optional<std::int64_t>& max) {
  if (!min && !max) return "";
  if (!max) return fmt::format(" {} of at least {}", name, *min);
  if (!min) return fmt::format(" {} of at most {}", name, *max);
  return fmt::format(" {} of {} to {}", name, *min, *max);
}

void require_finite(double value, const char* what, std::size_t i) {
  if (!std::isfinite(value)) throw NumericalError(fmt::format("{} {} is {}", what, i, value));
}

}  // namespace

std::vector<Architecture> sample_in_ranges(const SearchSpace& space, std::size_t count,
                                           const CostRanges& ranges, Rng& rng) {
  cost_ranges_options().validate(ranges);
  const bool open =
      !ranges.params_min && !ranges.params_max && !ranges.macs_min && !ranges.macs_max;
  std::vector<Architecture> sample;
  sample.reserve(count);
  struct Seen {
    std::int64_t low = std::numeric_limits<std::int64_t>::max(), high = 0;
    void add(std::int64_t value) { low = std::min(low, value), high = std::max(high, value); }
  };
  Seen params, macs;
  for (int misses = 0; sample.size() < count;) {
    Architecture a = sample_uniform(space, rng);
    if (!open) {
      const Cost cost = space.quick_cost(a);
      if (!within(cost.params, ranges.params_min, ranges.params_max) ||
          !within(cost.macs, ranges.macs_min, ranges.macs_max)) {
        if (misses == 0) params = macs = {};
        params.add(cost.params), macs.add(cost.macs);
        if (++misses < max_draws) continue;
        const std::string wanted_params =
            bounds_text("params", ranges.params_min, ranges.params_max);
        const std::string wanted_macs = bounds_text("macs", ranges.macs_min, ranges.macs_max);
        throw ConfigError(
            "", fmt::format("none of {} random networks in a row has{}{}{}; they have params of "
                            "{} to {} and macs of {} to {}",
                            max_draws, wanted_params,
                            wanted_params.empty() || wanted_macs.empty() ? "" : " and", wanted_macs,
                            params.low, params.high, macs.low, macs.high));
      }
    }
    misses = 0;
    sample.push_back(std::move(a));
  }
  return sample;
}

ErrorDistribution::ErrorDistribution(std::vector<double> scores, std::vector<double> weights) {
  if (scores.empty()) throw NumericalError("a distribution needs at least 1 score");
  if (weights.empty()) weights.assign(scores.size(), 1.0);
  if (weights.size() != scores.size()) {
    throw NumericalError(fmt::format("{} scores with {} weights", scores.size(), weights.size()));
  }
  std::vector<std::size_t> order;
  double sum = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    require_finite(scores[i], "score", i);
    require_finite(weights[i], "weight", i);
    if (weights[i] < 0) throw NumericalError(fmt::format("weight {} is {}", i, weights[i]));
    if (weights[i] > 0) order.push_back(i);
    sum += weights[i];
  }
  if (order.empty()) throw NumericalError("all weights of a distribution are 0");
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return scores[i]; });
  for (const std::size_t i : order) {
    scores_.push_back(scores[i]);
    weights_.push_back(weights[i] / sum);
  }
}

double ErrorDistribution::at(double x) const {
  const auto below = std::ranges::lower_bound(scores_, x) - scores_.begin();
  return std::accumulate(weights_.begin(), weights_.begin() + below, 0.0);
}

double ErrorDistribution::quantile(double p) const {
  if (!(p >= 0 && p <= 1)) throw NumericalError(fmt::format("a quantile at {}, not 0 to 1", p));
  double sum = 0;
  for (std::size_t i = 0; i < scores_.size(); ++i) {
    sum += weights_[i];
    if (sum >= p - 1e-12) return scores_[i];  // sums of weights are rounded
  }
  return scores_.back();
}

double ErrorDistribution::mean() const {
  return std::inner_product(scores_.begin(), scores_.end(), weights_.begin(), 0.0);
}

double ErrorDistribution::area(double low, double high) const {
  if (!(std::isfinite(low) && std::isfinite(high) && low < high)) {
    throw NumericalError(fmt::format("an area from {} to {}, which is no range", low, high));
  }
  double sum = 0;
  for (std::size_t i = 0; i < scores_.size(); ++i) {
    sum += weights_[i] * (high - std::clamp(scores_[i], low, high));
  }
  return sum / (high - low);
}

std::vector<std::vector<double>> complexity_weights(
    std::span<const std::vector<double>> complexities, int bins) {
  if (bins < 1) throw ConfigError("", fmt::format("needs at least 1 bin, got {}", bins));
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  for (const std::vector<double>& all : complexities) {
    if (all.empty()) throw NumericalError("weights need at least 1 complexity of every space");
    for (std::size_t i = 0; i < all.size(); ++i) require_finite(all[i], "complexity", i);
    low = std::max(low, std::ranges::min(all));
    high = std::min(high, std::ranges::max(all));
  }
  const auto bin_of = [&](double c) -> std::optional<std::size_t> {
    if (c < low || c > high) return std::nullopt;
    const double place = high > low ? (c - low) / (high - low) * bins : 0;
    return std::min(static_cast<std::size_t>(place), static_cast<std::size_t>(bins) - 1);
  };
  std::vector<std::vector<std::size_t>> counts;
  for (const std::vector<double>& all : complexities) {
    auto& count = counts.emplace_back(static_cast<std::size_t>(bins));
    for (const double c : all) {
      if (const auto bin = bin_of(c)) ++count[*bin];
    }
  }
  const auto filled = [&](std::size_t bin) {
    return std::ranges::all_of(counts, [&](const auto& count) { return count[bin] > 0; });
  };
  std::size_t used = 0;
  for (std::size_t bin = 0; bin < static_cast<std::size_t>(bins); ++bin) used += filled(bin);
  if (used == 0) {
    throw NumericalError(fmt::format(
        "no part of the range of complexity, cut into {}, has networks of every space", bins));
  }
  std::vector<std::vector<double>> weights;
  for (std::size_t s = 0; s < complexities.size(); ++s) {
    auto& of_space = weights.emplace_back();
    for (const double c : complexities[s]) {
      const auto bin = bin_of(c);
      of_space.push_back(bin && filled(*bin) ? 1.0 / static_cast<double>(used * counts[s][*bin])
                                             : 0.0);
    }
  }
  return weights;
}

namespace {

/// The scores of one space among the different scores of both.
struct Ranked {
  std::vector<std::size_t> ranks;  // of each score, into the different ones
  std::vector<double> weights;
};

/// What is compared, once for the samples and once for every resample.
struct Statistics {
  double mean_difference = 0, kolmogorov_smirnov = 0, win_probability = 0;
  std::vector<double> below_a, below_b;  // the EDFs at the levels
};

/// From the share of networks at each of the different scores, which ascend.
Statistics statistics(std::span<const double> scores, std::span<const double> a,
                      std::span<const double> b, const ComparisonOptions& options) {
  Statistics result;
  double below_a = 0, below_b = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    result.mean_difference += scores[i] * (a[i] - b[i]);
    const double b_worse =
        options.better == Better::higher ? below_b : std::max(0.0, 1 - below_b - b[i]);
    result.win_probability += a[i] * (b_worse + b[i] / 2);
    below_a += a[i], below_b += b[i];
    result.kolmogorov_smirnov = std::max(result.kolmogorov_smirnov, std::abs(below_a - below_b));
  }
  for (const double level : options.levels) {
    const auto end = std::ranges::lower_bound(scores, level) - scores.begin();
    result.below_a.push_back(std::accumulate(a.begin(), a.begin() + end, 0.0));
    result.below_b.push_back(std::accumulate(b.begin(), b.begin() + end, 0.0));
  }
  return result;
}

void resample(const Ranked& sample, Rng& rng, std::vector<double>& shares) {
  std::ranges::fill(shares, 0.0);
  double sum = 0;
  for (std::size_t i = 0; i < sample.ranks.size(); ++i) {
    const std::size_t drawn = rng.below(sample.ranks.size());
    shares[sample.ranks[drawn]] += sample.weights[drawn];
    sum += sample.weights[drawn];
  }
  for (double& share : shares) share /= sum;
}

}  // namespace

SpaceComparison compare_spaces(const ErrorDistribution& a, const ErrorDistribution& b,
                               const ComparisonOptions& options, Rng rng) {
  bootstrap_options().validate(options.bootstrap);
  for (std::size_t i = 0; i < options.levels.size(); ++i) {
    require_finite(options.levels[i], "level", i);
  }
  std::vector<double> scores;
  std::ranges::set_union(a.scores(), b.scores(), std::back_inserter(scores));
  const auto repeated = std::ranges::unique(scores);
  scores.erase(repeated.begin(), repeated.end());
  const auto ranked = [&](const ErrorDistribution& space, std::vector<double>& shares) {
    Ranked result{.ranks = {}, .weights = {space.weights().begin(), space.weights().end()}};
    shares.assign(scores.size(), 0.0);
    for (std::size_t i = 0; i < space.scores().size(); ++i) {
      result.ranks.push_back(static_cast<std::size_t>(
          std::ranges::lower_bound(scores, space.scores()[i]) - scores.begin()));
      shares[result.ranks[i]] += space.weights()[i];
    }
    return result;
  };
  std::vector<double> shares_a, shares_b;
  const Ranked sample_a = ranked(a, shares_a), sample_b = ranked(b, shares_b);
  const Statistics sampled = statistics(scores, shares_a, shares_b, options);
  std::vector<Statistics> replicates;
  for (int i = 0; i < options.bootstrap.resamples; ++i) {
    resample(sample_a, rng, shares_a);
    resample(sample_b, rng, shares_b);
    replicates.push_back(statistics(scores, shares_a, shares_b, options));
  }
  std::vector<double> values(replicates.size());
  const auto estimate = [&](const auto& statistic) {
    std::ranges::transform(replicates, values.begin(), statistic);
    return Estimate{statistic(sampled), percentile_interval(values, options.bootstrap.confidence)};
  };
  SpaceComparison result{
      .mean_difference = estimate([](const Statistics& s) { return s.mean_difference; }),
      .levels = {},
      .kolmogorov_smirnov = estimate([](const Statistics& s) { return s.kolmogorov_smirnov; }),
      .win_probability = estimate([](const Statistics& s) { return s.win_probability; })};
  for (std::size_t i = 0; i < options.levels.size(); ++i) {
    result.levels.push_back(
        {.level = options.levels[i],
         .a = sampled.below_a[i],
         .b = sampled.below_b[i],
         .difference = estimate([i](const Statistics& s) { return s.below_a[i] - s.below_b[i]; })});
  }
  return result;
}

}  // namespace espalier
