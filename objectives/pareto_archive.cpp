#include "objectives/pareto_archive.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

namespace espalier {

ParetoArchive::ParetoArchive(std::size_t dimension) : dimension_(dimension) {
  assert(dimension >= 1);
}

bool ParetoArchive::insert(std::uint64_t id, std::span<const double> costs) {
  assert(costs.size() == dimension_);
  assert(std::ranges::all_of(costs, [](double cost) { return std::isfinite(cost); }));
  return dimension_ <= 2 ? insert_sorted(id, costs) : insert_anywhere(id, costs);
}

// With one or two costs the points are sorted by the first: it rises strictly, and the second one
// falls strictly. So only the last point that is not worse in the first cost can dominate a new
// one.
bool ParetoArchive::insert_sorted(std::uint64_t id, std::span<const double> costs) {
  const auto first = [this](std::size_t i) { return costs_[i * dimension_]; };
  const auto last = [this](std::size_t i) { return costs_[(i + 1) * dimension_ - 1]; };
  std::size_t begin = 0, count = size();
  while (count > 0) {
    const std::size_t half = count / 2;
    if (first(begin + half) <= costs.front()) {
      begin += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  // `begin` is the first point with a larger first cost.
  if (begin > 0) {
    const std::size_t before = begin - 1;
    if (dimension_ == 1 || last(before) <= costs.back()) {
      if (first(before) < costs.front() || last(before) < costs.back()) return false;
      if (ids_[before] <= id) return false;
      ids_[before] = id;
      return true;
    }
    if (first(before) == costs.front()) begin = before;  // dominated by the new point
  }
  std::size_t end = begin;
  while (end < size() && (dimension_ == 1 || last(end) >= costs.back())) ++end;
  const auto offset = [](std::size_t i) { return static_cast<std::ptrdiff_t>(i); };
  if (begin == end) {
    ids_.insert(ids_.begin() + offset(begin), id);
    costs_.insert(costs_.begin() + offset(begin * dimension_), costs.begin(), costs.end());
    return true;
  }
  ids_[begin] = id;
  std::ranges::copy(costs, costs_.begin() + offset(begin * dimension_));
  ids_.erase(ids_.begin() + offset(begin + 1), ids_.begin() + offset(end));
  costs_.erase(costs_.begin() + offset((begin + 1) * dimension_),
               costs_.begin() + offset(end * dimension_));
  return true;
}

bool ParetoArchive::insert_anywhere(std::uint64_t id, std::span<const double> costs) {
  for (std::size_t i = 0; i < size(); ++i) {
    const std::span<const double> other = point(i);
    if (!std::equal(other.begin(), other.end(), costs.begin(), std::less_equal<>())) continue;
    if (std::ranges::equal(other, costs)) {
      if (ids_[i] <= id) return false;
      ids_[i] = id;
      return true;
    }
    // What dominated one point is likely to dominate the next.
    std::swap(ids_[0], ids_[i]);
    std::swap_ranges(costs_.begin(), costs_.begin() + static_cast<std::ptrdiff_t>(dimension_),
                     costs_.begin() + static_cast<std::ptrdiff_t>(i * dimension_));
    return false;
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < size(); ++i) {
    if (dominates(costs, point(i))) continue;
    ids_[kept] = ids_[i];
    std::copy_n(costs_.begin() + static_cast<std::ptrdiff_t>(i * dimension_), dimension_,
                costs_.begin() + static_cast<std::ptrdiff_t>(kept * dimension_));
    ++kept;
  }
  ids_.resize(kept);
  costs_.resize(kept * dimension_);
  ids_.push_back(id);
  costs_.insert(costs_.end(), costs.begin(), costs.end());
  return true;
}

std::vector<std::size_t> ParetoArchive::order() const {
  std::vector<std::size_t> order(size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [this](std::size_t a, std::size_t b) {
    return std::ranges::lexicographical_compare(point(a), point(b));
  });
  return order;
}

std::vector<std::uint64_t> ParetoArchive::ids() const {
  std::vector<std::uint64_t> ids;
  for (const std::size_t i : order()) ids.push_back(ids_[i]);
  return ids;
}

std::vector<double> ParetoArchive::costs() const {
  std::vector<double> costs;
  for (const std::size_t i : order()) {
    costs.insert(costs.end(), point(i).begin(), point(i).end());
  }
  return costs;
}

}  // namespace espalier
