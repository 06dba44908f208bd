#include "core/stats.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numbers>
#include <numeric>
#include <utility>

#include "core/error.hpp"

namespace espalier {
namespace {

void check_values(std::span<const double> values, std::size_t least) {
  if (values.size() < least) {
    throw NumericalError(
        fmt::format("a statistic of {} values needs at least {}", values.size(), least));
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      throw NumericalError(fmt::format("value {} of a statistic is {}", i, values[i]));
    }
  }
}

void check_pairs(std::span<const double> x, std::span<const double> y) {
  if (x.size() != y.size()) {
    throw NumericalError(
        fmt::format("a correlation of {} values with {} values", x.size(), y.size()));
  }
  check_values(x, 2);
  check_values(y, 2);
}

std::int64_t pairs_of(std::int64_t count) { return count * (count - 1) / 2; }

// The number of pairs of equal values in a sorted range.
template <class Iterator, class Equal>
std::int64_t tied_pairs(Iterator begin, Iterator end, Equal equal) {
  std::int64_t ties = 0;
  for (Iterator group = begin; group != end;) {
    const Iterator next =
        std::find_if_not(group, end, [&](const auto& item) { return equal(*group, item); });
    ties += pairs_of(next - group);
    group = next;
  }
  return ties;
}

// How much of each value is among the k largest: 1, 0, or an equal share at the border.
std::vector<double> shares_of_top(std::span<const double> values, std::size_t k) {
  std::vector<double> sorted(values.begin(), values.end());
  std::ranges::sort(sorted, std::greater<>());
  const double border = sorted[k - 1];
  const auto tied = std::ranges::equal_range(sorted, border, std::greater<>());
  const double share =
      static_cast<double>(k - static_cast<std::size_t>(tied.begin() - sorted.begin())) /
      static_cast<double>(tied.size());
  std::vector<double> shares;
  for (const double value : values) {
    shares.push_back(value > border ? 1 : value == border ? share : 0);
  }
  return shares;
}

// Sorts the values and returns how many pairs of them were out of order.
std::int64_t sort_and_count_swaps(std::span<double> values, std::span<double> buffer) {
  if (values.size() < 2) return 0;
  const std::size_t half = values.size() / 2;
  std::int64_t swaps = sort_and_count_swaps(values.first(half), buffer.first(half)) +
                       sort_and_count_swaps(values.subspan(half), buffer.subspan(half));
  std::size_t left = 0, right = half;
  for (double& out : buffer) {
    if (right == values.size() || (left < half && values[left] <= values[right])) {
      out = values[left++];
    } else {
      swaps += static_cast<std::int64_t>(half - left);
      out = values[right++];
    }
  }
  std::ranges::copy(buffer, values.begin());
  return swaps;
}

}  // namespace

double mean(std::span<const double> values) {
  check_values(values, 1);
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double standard_deviation(std::span<const double> values) {
  check_values(values, 2);
  const double center = mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - center) * (value - center);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

double quantile(std::span<const double> values, double p) {
  check_values(values, 1);
  if (!(p >= 0 && p <= 1)) throw NumericalError(fmt::format("a quantile at {}, not 0 to 1", p));
  std::vector<double> sorted(values.begin(), values.end());
  std::ranges::sort(sorted);
  const double place = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

double normal_probability(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

std::vector<double> ranks(std::span<const double> values) {
  check_values(values, 0);
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [values](std::size_t i) { return values[i]; });
  std::vector<double> ranks(values.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    const double rank = static_cast<double>(begin + 1 + end) / 2;
    for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = rank;
    begin = end;
  }
  return ranks;
}

double pearson(std::span<const double> x, std::span<const double> y) {
  check_pairs(x, y);
  if (std::ranges::all_of(x, [&](double value) { return value == x[0]; }) ||
      std::ranges::all_of(y, [&](double value) { return value == y[0]; })) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  const double mean_x = mean(x), mean_y = mean(y);
  double xx = 0, yy = 0, xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  return std::clamp(xy / (std::sqrt(xx) * std::sqrt(yy)), -1.0, 1.0);
}

double spearman(std::span<const double> x, std::span<const double> y) {
  check_pairs(x, y);
  return pearson(ranks(x), ranks(y));
}

double kendall_tau_b(std::span<const double> x, std::span<const double> y) {
  check_pairs(x, y);
  std::vector<std::pair<double, double>> points(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) points[i] = {x[i], y[i]};
  std::ranges::sort(points);
  const auto same_x = [](const auto& a, const auto& b) { return a.first == b.first; };
  const std::int64_t ties_x = tied_pairs(points.begin(), points.end(), same_x);
  const std::int64_t ties_both = tied_pairs(points.begin(), points.end(), std::equal_to<>());
  std::vector<double> sorted_y(x.size()), buffer(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) sorted_y[i] = points[i].second;
  const std::int64_t discordant = sort_and_count_swaps(sorted_y, buffer);
  const std::int64_t ties_y = tied_pairs(sorted_y.begin(), sorted_y.end(), std::equal_to<>());
  const std::int64_t all = pairs_of(static_cast<std::int64_t>(x.size()));
  if (ties_x == all || ties_y == all) return std::numeric_limits<double>::quiet_NaN();
  const std::int64_t concordant = all - ties_x - ties_y + ties_both - discordant;
  return static_cast<double>(concordant - discordant) /
         (std::sqrt(static_cast<double>(all - ties_x)) *
          std::sqrt(static_cast<double>(all - ties_y)));
}

double precision_at_top(std::span<const double> scores, std::span<const double> values,
                        std::size_t k) {
  check_pairs(scores, values);
  if (k < 1 || k > scores.size()) {
    throw NumericalError(fmt::format("the top {} of {} values", k, scores.size()));
  }
  const std::vector<double> chosen = shares_of_top(scores, k), best = shares_of_top(values, k);
  return std::inner_product(chosen.begin(), chosen.end(), best.begin(), 0.0) /
         static_cast<double>(k);
}

}  // namespace espalier
