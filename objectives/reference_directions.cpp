#include "objectives/reference_directions.hpp"

#include <cassert>

namespace espalier {
namespace {

void add_points(std::vector<std::size_t>& units, std::size_t d, std::size_t left,
                std::size_t divisions, std::vector<std::vector<double>>& points) {
  if (d + 1 == units.size()) {
    units[d] = left;
    std::vector<double>& point = points.emplace_back();
    for (const std::size_t unit : units) {
      point.push_back(static_cast<double>(unit) / static_cast<double>(divisions));
    }
    return;
  }
  for (std::size_t unit = 0; unit <= left; ++unit) {
    units[d] = unit;
    add_points(units, d + 1, left - unit, divisions, points);
  }
}

// How many points a lattice has, or a larger number than `limit`.
std::size_t lattice_size(std::size_t dimension, std::size_t divisions, std::size_t limit) {
  std::size_t size = 1;
  for (std::size_t i = 1; i < dimension && size <= limit; ++i) {
    size = size * (divisions + i) / i;  // binomial(divisions + i, i)
  }
  return size;
}

// The most divisions, at least one, of a lattice of at most `count` points.
std::size_t most_divisions(std::size_t dimension, std::size_t count) {
  std::size_t divisions = 1;
  while (lattice_size(dimension, divisions + 1, count) <= count) ++divisions;
  return divisions;
}

}  // namespace

std::vector<std::vector<double>> simplex_lattice(std::size_t dimension, std::size_t divisions) {
  assert(dimension >= 1 && divisions >= 1);
  std::vector<std::vector<double>> points;
  std::vector<std::size_t> units(dimension);
  add_points(units, 0, divisions, divisions, points);
  return points;
}

std::vector<std::vector<double>> reference_directions(std::size_t dimension, std::size_t count) {
  if (dimension == 1) return {{1.0}};
  const std::size_t divisions = most_divisions(dimension, count);
  if (divisions >= dimension) return simplex_lattice(dimension, divisions);
  // No point of the lattice lies inside. The boundary's lattice leaves room for a coarser one.
  std::size_t outer = divisions;
  while (outer > 1 && lattice_size(dimension, outer, count) + dimension > count) --outer;
  std::vector<std::vector<double>> points = simplex_lattice(dimension, outer);
  if (points.size() + dimension > count) return points;
  const std::size_t inner = most_divisions(dimension, count - points.size());
  for (std::vector<double>& point : simplex_lattice(dimension, inner)) {
    for (double& weight : point) weight = weight / 2 + 0.5 / static_cast<double>(dimension);
    points.push_back(std::move(point));
  }
  return points;
}

}  // namespace espalier
