#include "objectives/crowding.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <numeric>
#include <tuple>

namespace espalier {

std::vector<double> crowding_distances(PointsView costs, std::span<const std::uint32_t> ranks) {
  const std::size_t n = ranks.size();
  std::vector<double> distances(n, 0);
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t d = 0; d < costs.dimension; ++d) {
    std::ranges::sort(order, {},
                      [&](std::size_t i) { return std::tuple(ranks[i], costs[i][d], i); });
    for (std::size_t begin = 0, end; begin < n; begin = end) {
      end = begin + 1;
      while (end < n && ranks[order[end]] == ranks[order[begin]]) ++end;
      const auto cost = [&](std::size_t position) { return costs[order[position]][d]; };
      const double spread = cost(end - 1) - cost(begin);
      if (spread == 0) continue;
      distances[order[begin]] = distances[order[end - 1]] = std::numeric_limits<double>::infinity();
      for (std::size_t i = begin + 1; i + 1 < end; ++i) {
        distances[order[i]] += (cost(i + 1) - cost(i - 1)) / spread;
      }
    }
  }
  return distances;
}

}  // namespace espalier
