#include "strategies/nsga3.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "objectives/dominance.hpp"
#include "objectives/reference_directions.hpp"

namespace espalier {
namespace {

using Point = std::vector<double>;
constexpr double infinity = std::numeric_limits<double>::infinity();

// The solution of a system of linear equations: each row holds the coefficients, then the right
// side. Nothing when it is singular, nearly. By elimination with the largest pivot of a column.
std::optional<Point> solve(std::vector<Point> rows) {
  const std::size_t n = rows.size();
  for (std::size_t c = 0; c < n; ++c) {
    const auto pivot = std::max_element(
        rows.begin() + static_cast<std::ptrdiff_t>(c), rows.end(),
        [c](const Point& a, const Point& b) { return std::abs(a[c]) < std::abs(b[c]); });
    if (std::abs((*pivot)[c]) < 1e-12) return std::nullopt;
    std::swap(rows[c], *pivot);
    for (std::size_t r = 0; r < n; ++r) {
      if (r == c) continue;
      const double factor = rows[r][c] / rows[c][c];
      for (std::size_t k = c; k <= n; ++k) rows[r][k] -= factor * rows[c][k];
    }
  }
  Point solution(n);
  for (std::size_t c = 0; c < n; ++c) solution[c] = rows[c][n] / rows[c][c];
  return solution;
}

// The point that is best towards axis `d`: least in the largest of its costs, of which all others
// weigh a million times as much. Algorithm 2, equation 4.
const Point& extreme_point(const std::vector<Point>& points, std::size_t d) {
  const auto largest = [d](const Point& point) {
    double value = -infinity;
    for (std::size_t i = 0; i < point.size(); ++i) {
      value = std::max(value, i == d ? point[i] : 1e6 * point[i]);
    }
    return value;
  };
  return *std::ranges::min_element(points, {}, largest);
}

// Where the plane through the extreme points meets the axes.
std::optional<Point> intercepts(const std::vector<Point>& points) {
  std::vector<Point> rows;
  for (std::size_t d = 0; d < points[0].size(); ++d) {
    rows.push_back(extreme_point(points, d));
    rows.back().push_back(1);
  }
  std::optional<Point> plane = solve(std::move(rows));
  if (!plane) return std::nullopt;
  for (double& value : *plane) {
    value = 1 / value;
    if (!(value > 1e-12 && std::isfinite(value))) return std::nullopt;
  }
  return plane;
}

// The square of the distance of a point from the line through the origin along a direction.
double line_distance(const Point& point, const Point& direction) {
  double along = 0, length = 0, square = 0;
  for (std::size_t i = 0; i < point.size(); ++i) {
    along += point[i] * direction[i];
    length += direction[i] * direction[i];
    square += point[i] * point[i];
  }
  return square - along * along / length;
}

}  // namespace

// Costs less the ideal point, in units of the intercepts. The first `first_front` are not
// dominated.
std::vector<std::vector<double>> NichesOfDirections::normalized(
    const std::vector<std::vector<double>>& costs, std::size_t first_front) {
  std::vector<Point> points = costs;
  for (Point& point : points) {
    for (std::size_t i = 0; i < point.size(); ++i) point[i] -= ideal_[i];
  }
  std::optional<Point> units = intercepts(points);
  if (!units) {
    units.emplace(ideal_.size(), 0.0);
    for (std::size_t p = 0; p < first_front; ++p) {
      for (std::size_t i = 0; i < units->size(); ++i) {
        (*units)[i] = std::max((*units)[i], points[p][i]);
      }
    }
  }
  for (Point& point : points) {
    for (std::size_t i = 0; i < point.size(); ++i) {
      if ((*units)[i] > 0) point[i] /= (*units)[i];
    }
  }
  return points;
}

Survivors NichesOfDirections::choose(std::span<const Individual> pool, std::size_t count,
                                     Rng& rng) {
  std::vector<double> costs, violations;
  for (const Individual& individual : pool) {
    const Point point = individual.all_costs();
    if (individual.violation == 0) {
      if (ideal_.empty()) ideal_ = point;
      for (std::size_t i = 0; i < point.size(); ++i) ideal_[i] = std::min(ideal_[i], point[i]);
    }
    costs.insert(costs.end(), point.begin(), point.end());
    violations.push_back(individual.violation);
  }
  const std::vector<std::uint32_t> ranks =
      non_dominated_ranks(PointsView{costs, costs.size() / pool.size()}, violations);
  std::vector<std::size_t> order(pool.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return ranks[i]; });
  const auto end_of = [&](std::size_t from) {
    return static_cast<std::size_t>(
        std::ranges::upper_bound(order, ranks[order[from]], {},
                                 [&](std::size_t i) { return ranks[i]; }) -
        order.begin());
  };
  // Whole fronts, and the front that does not fit: [whole, end).
  std::size_t whole = 0, end = end_of(0);
  while (end < count) end = end_of(whole = end);
  if (end > count && violations[order[whole]] == 0) {
    order.resize(end);
    std::vector<Point> points;
    for (const std::size_t i : order) points.push_back(pool[i].all_costs());
    points = normalized(points, std::min(end_of(0), end));
    std::vector<std::size_t> niche(end);
    std::vector<double> distance(end, infinity);
    for (std::size_t p = 0; p < end; ++p) {
      for (std::size_t d = 0; d < directions_.size(); ++d) {
        const double its = line_distance(points[p], directions_[d]);
        if (its < distance[p]) niche[p] = d, distance[p] = its;
      }
    }
    std::vector<std::size_t> taken(directions_.size(), 0);
    for (std::size_t p = 0; p < whole; ++p) ++taken[niche[p]];
    std::vector<std::vector<std::size_t>> left(directions_.size());
    for (std::size_t p = whole; p < end; ++p) left[niche[p]].push_back(p);
    std::vector<std::size_t> chosen(order.begin(),
                                    order.begin() + static_cast<std::ptrdiff_t>(whole));
    while (chosen.size() < count) {
      std::vector<std::size_t> fewest;
      for (std::size_t d = 0; d < directions_.size(); ++d) {
        if (left[d].empty()) continue;
        if (!fewest.empty() && taken[d] < taken[fewest[0]]) fewest.clear();
        if (fewest.empty() || taken[d] == taken[fewest[0]]) fewest.push_back(d);
      }
      const std::size_t d = fewest[rng.below(fewest.size())];
      const auto next =
          taken[d] == 0
              ? std::ranges::min_element(left[d], {}, [&](std::size_t p) { return distance[p]; })
              : left[d].begin() + static_cast<std::ptrdiff_t>(rng.below(left[d].size()));
      chosen.push_back(order[*next]);
      left[d].erase(next);
      ++taken[d];
    }
    order = std::move(chosen);
  }
  order.resize(count);
  Survivors survivors{.places = std::move(order), .keys = {}};
  for (const std::size_t place : survivors.places) survivors.keys.push_back({violations[place], 0});
  return survivors;
}

OptionTable<Nsga3Options> nsga3_option_table() {
  using Options = Nsga3Options;
  OptionTable<Options> table("NSGA-III: evolution of a front, spread over reference directions");
  table.add("population", &Options::population, "individuals, and children of a generation",
            at_least(2));
  add_variation_options(table);
  return add_start_options(table);
}

std::unique_ptr<Strategy> nsga3(const RunContext& context, const Nsga3Options& options) {
  const auto population = static_cast<std::size_t>(options.population);
  return std::make_unique<Evolution>(
      context, options,
      GenerationOptions{
          .population = population,
          .children = population,
          .variation = {.crossover = options.crossover, .mutations = options.mutations}},
      std::make_unique<NichesOfDirections>(reference_directions(context.goals.size(), population)));
}

}  // namespace espalier
