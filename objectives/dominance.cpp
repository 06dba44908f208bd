#include "objectives/dominance.hpp"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace espalier {
namespace {

// The fronts found so far, each with what is needed to tell whether it dominates a further point
// that comes later in lexicographic order.
class Fronts {
 public:
  explicit Fronts(PointsView costs) : costs_(costs) {}

  std::size_t size() const { return members_.size(); }

  bool dominate(std::size_t front, std::size_t point) const {
    const std::vector<std::size_t>& members = members_[front];
    if (costs_.dimension == 1) return true;  // an earlier, different point is smaller
    if (costs_.dimension == 2) return costs_[members.back()][1] <= costs_[point][1];
    return std::any_of(members.rbegin(), members.rend(), [&](std::size_t member) {
      return dominates(costs_[member], costs_[point]);
    });
  }

  void add(std::size_t front, std::size_t point) {
    if (front == members_.size()) members_.emplace_back();
    members_[front].push_back(point);
  }

 private:
  PointsView costs_;
  std::vector<std::vector<std::size_t>> members_;
};

}  // namespace

bool dominates(std::span<const double> a, std::span<const double> b) {
  assert(a.size() == b.size());
  bool better = false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] > b[i]) return false;
    better |= a[i] < b[i];
  }
  return better;
}

bool constrained_dominates(std::span<const double> a, double violation_a, std::span<const double> b,
                           double violation_b) {
  if (violation_a > 0 || violation_b > 0) return violation_a < violation_b;
  return dominates(a, b);
}

std::vector<std::uint32_t> non_dominated_ranks(PointsView costs) {
  std::vector<std::size_t> order(costs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [costs](std::size_t a, std::size_t b) {
    return std::ranges::lexicographical_compare(costs[a], costs[b]);
  });
  std::vector<std::uint32_t> ranks(costs.size());
  Fronts fronts(costs);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::size_t point = order[i];
    if (i > 0 && std::ranges::equal(costs[order[i - 1]], costs[point])) {
      ranks[point] = ranks[order[i - 1]];
      continue;
    }
    // What front k+1 dominates, front k dominates too: the first one that does not is bisected.
    std::size_t low = 0, high = fronts.size();
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if (fronts.dominate(middle, point)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    fronts.add(low, point);
    ranks[point] = static_cast<std::uint32_t>(low);
  }
  return ranks;
}

std::vector<std::uint32_t> non_dominated_ranks(PointsView costs,
                                               std::span<const double> violations) {
  assert(violations.size() == costs.size());
  std::vector<std::size_t> kept, broken;
  std::vector<double> kept_costs;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    if (violations[i] > 0) {
      broken.push_back(i);
    } else {
      kept.push_back(i);
      kept_costs.insert(kept_costs.end(), costs[i].begin(), costs[i].end());
    }
  }
  std::vector<std::uint32_t> ranks(costs.size());
  const std::vector<std::uint32_t> kept_ranks = non_dominated_ranks({kept_costs, costs.dimension});
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    ranks[kept[i]] = kept_ranks[i];
    next = std::max(next, kept_ranks[i] + 1);
  }
  std::ranges::stable_sort(broken, {}, [violations](std::size_t i) { return violations[i]; });
  for (std::size_t i = 0; i < broken.size(); ++i) {
    if (i > 0 && violations[broken[i]] > violations[broken[i - 1]]) ++next;
    ranks[broken[i]] = next;
  }
  return ranks;
}

}  // namespace espalier
