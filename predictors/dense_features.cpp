#include "predictors/dense_features.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.hpp"

namespace espalier {

void check_sizes(const Features& network, std::size_t decisions, std::size_t costs,
                 std::size_t scores) {
  if (network.decisions.size() != decisions || network.costs.size() != costs ||
      network.scores.size() != scores) {
    throw Error(
        fmt::format("a network has {} decisions, {} costs and {} scores as features; "
                    "the others have {}, {} and {}",
                    network.decisions.size(), network.costs.size(), network.scores.size(),
                    decisions, costs, scores));
  }
}

DenseFeatures::DenseFeatures(std::span<const Features> networks)
    : decisions_(networks[0].decisions.size()), costs_(networks[0].costs.size()) {
  for (const Features& network : networks) {
    check_sizes(network, decisions_, costs_, networks[0].scores.size());
    for (const auto& [label, count] : network.patterns) {
      columns_.try_emplace(label, decisions_ + columns_.size());
    }
  }
  for (std::size_t s = 0; s < networks[0].scores.size(); ++s) {
    std::vector<double> known;
    for (const Features& network : networks) {
      if (std::isfinite(network.scores[s])) known.push_back(network.scores[s]);
    }
    scores_.emplace_back(known);
  }
  width_ = decisions_ + columns_.size() + costs_ + 2 * scores_.size();
}

std::vector<double> DenseFeatures::rows(std::span<const Features> networks) const {
  std::vector<double> numbers(networks.size() * width_);
  double* row = numbers.data();
  for (const Features& network : networks) {
    check_sizes(network, decisions_, costs_, scores_.size());
    std::ranges::copy(network.decisions, row);
    for (const auto& [label, count] : network.patterns) {
      const auto column = columns_.find(label);
      if (column != columns_.end()) row[column->second] = count;
    }
    double* after = row + decisions_ + columns_.size();
    after = std::ranges::copy(network.costs, after).out;
    for (std::size_t s = 0; s < scores_.size(); ++s) {
      const bool known = std::isfinite(network.scores[s]);
      *after++ = known ? scores_[s].rank_score(network.scores[s]) : 0;
      *after++ = known ? 0 : 1;
    }
    row += width_;
  }
  return numbers;
}

}  // namespace espalier
