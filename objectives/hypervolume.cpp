#include "objectives/hypervolume.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <functional>
#include <iterator>
#include <map>
#include <numeric>
#include <vector>

#include "core/error.hpp"
#include "objectives/pareto_archive.hpp"

namespace espalier {
namespace {

using Points = std::vector<double>;  // one after the other

// The indices of the points, sorted by one cost.
std::vector<std::size_t> sorted_by(PointsView points, std::size_t axis) {
  std::vector<std::size_t> order(points.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [points, axis](std::size_t i) { return points[i][axis]; });
  return order;
}

// The area between a staircase and the reference point, while points are added to it.
class Staircase {
 public:
  Staircase(double reference_x, double reference_y)
      : reference_x_(reference_x), reference_y_(reference_y) {}

  double area() const { return area_; }

  void add(double x, double y) {
    // `next` is the first step with a larger x; the step before it is the lowest one left of x.
    auto next = steps_.upper_bound(x);
    double height = reference_y_;
    if (next != steps_.begin()) height = std::prev(next)->second;
    if (height <= y) return;
    if (next != steps_.begin() && std::prev(next)->first == x) next = std::prev(next);
    double left = x;
    while (next != steps_.end() && next->second >= y) {
      if (next->first > x) {
        area_ += (next->first - left) * (height - y);
        left = next->first;
        height = next->second;
      }
      next = steps_.erase(next);
    }
    const double right = next == steps_.end() ? reference_x_ : next->first;
    area_ += (right - left) * (height - y);
    steps_.emplace(x, y);
  }

 private:
  double reference_x_;
  double reference_y_;
  double area_ = 0;
  std::map<double, double> steps_;  // x to y; y falls as x rises
};

double volume(PointsView points, std::span<const double> reference);

double volume_of_three(PointsView points, std::span<const double> reference) {
  Staircase staircase(reference[0], reference[1]);
  double sum = 0;
  double level = 0;
  for (const std::size_t i : sorted_by(points, 2)) {
    const std::span<const double> point = points[i];
    sum += staircase.area() * (point[2] - level);
    level = point[2];
    staircase.add(point[0], point[1]);
  }
  return sum + staircase.area() * (reference[2] - level);
}

// From the worst in the last cost to the best, each point adds what it dominates and the later ones
// do not: all of them are limited to its own last cost, so one dimension less is left.
double volume_of_many(PointsView points, std::span<const double> reference) {
  const std::size_t last = points.dimension - 1;
  std::vector<std::size_t> order = sorted_by(points, last);
  std::ranges::reverse(order);
  double sum = 0;
  Points limited(last);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::span<const double> point = points[order[i]];
    double slice = 1;
    for (std::size_t axis = 0; axis < last; ++axis) slice *= reference[axis] - point[axis];
    ParetoArchive front(last);
    for (std::size_t j = i + 1; j < order.size(); ++j) {
      for (std::size_t axis = 0; axis < last; ++axis) {
        limited[axis] = std::max(point[axis], points[order[j]][axis]);
      }
      front.insert(j, limited);
    }
    slice -= volume({front.costs(), last}, reference.first(last));
    sum += slice * (reference[last] - point[last]);
  }
  return sum;
}

double volume(PointsView points, std::span<const double> reference) {
  if (points.size() == 0) return 0;
  switch (points.dimension) {
    case 1:
      return reference[0] - std::ranges::min(points.values);
    case 2: {
      Staircase staircase(reference[0], reference[1]);
      for (std::size_t i = 0; i < points.size(); ++i) staircase.add(points[i][0], points[i][1]);
      return staircase.area();
    }
    case 3:
      return volume_of_three(points, reference);
    default:
      return volume_of_many(points, reference);
  }
}

}  // namespace

double hypervolume(PointsView costs, std::span<const double> reference) {
  assert(reference.size() == costs.dimension);
  const auto check = [](double cost) {
    if (!std::isfinite(cost)) throw NumericalError(fmt::format("a hypervolume of cost {}", cost));
  };
  std::ranges::for_each(costs.values, check);
  std::ranges::for_each(reference, check);
  Points inside;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    const std::span<const double> point = costs[i];
    if (std::ranges::equal(point, reference, std::less<>())) {
      inside.insert(inside.end(), point.begin(), point.end());
    }
  }
  return volume({inside, costs.dimension}, reference);
}

}  // namespace espalier
