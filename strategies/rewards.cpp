#include "strategies/rewards.hpp"

#include <algorithm>
#include <array>
#include <cassert>

#include "core/error.hpp"
#include "objectives/scalarization.hpp"

namespace espalier {
namespace {

// The share of the others that are worse, given how many are and how many are as good.
double share(std::size_t worse, std::size_t as_good, std::size_t all) {
  if (all == 1) return 0.5;
  return (static_cast<double>(worse) + 0.5 * static_cast<double>(as_good)) /
         static_cast<double>(all - 1);
}

}  // namespace

Named<RewardKind> reward_kinds() {
  return named<RewardKind>({{"rank", RewardKind::rank}, {"value", RewardKind::value}});
}

Rewards::Rewards(const Goals& goals, RewardKind kind) : goals_(goals), kind_(kind) {
  if (kind == RewardKind::value && goals.size() > 1) {
    throw ConfigError("/reward",
                      "\"value\" is the value of one objective, and there are several; write "
                      "\"rank\"");
  }
}

void Rewards::add(const Trial& trial) {
  assert(trial.candidate.trial_id == told_.size());
  Individual individual = Individual::of(trial, goals_);
  failed_ += individual.failed;
  if (kind_ == RewardKind::value) {
    double value = 0;
    if (!individual.failed) {
      value = -individual.cost;
      if (individual.violation > 0) {
        value = mnasnet_reward(value, 1 + individual.violation, 1,
                               {.below = 0, .above = value > 0 ? -1.0 : 1.0});
      }
      lowest_ = failed_ == told_.size() ? value : std::min(lowest_, value);
    }
    values_.push_back(value);
  } else if (!individual.failed && individual.costs.empty()) {
    const std::pair place(individual.violation, individual.cost);
    order_.insert(std::ranges::upper_bound(order_, place), place);
  }
  ranks_.clear();
  told_.push_back(std::move(individual));
}

double Rewards::of(std::uint64_t trial_id) {
  const Individual& individual = told_.at(trial_id);
  if (kind_ == RewardKind::value) return individual.failed ? lowest_ : values_[trial_id];
  if (individual.failed) return share(0, failed_ - 1, told_.size());
  if (individual.costs.empty()) {
    const auto [first, last] =
        std::ranges::equal_range(order_, std::pair(individual.violation, individual.cost));
    return share(failed_ + static_cast<std::size_t>(order_.end() - last),
                 static_cast<std::size_t>(last - first) - 1, told_.size());
  }
  if (ranks_.empty()) rank();
  return ranks_[trial_id];
}

void Rewards::rank() {
  std::vector<const Individual*> pool;
  for (const Individual& individual : told_) {
    if (!individual.failed) pool.push_back(&individual);
  }
  const std::vector<std::array<double, 2>> keys = rank_and_crowding(pool);
  std::vector<std::array<double, 2>> order = keys;
  std::ranges::sort(order);
  ranks_.assign(told_.size(), 0);
  for (std::size_t i = 0; i < pool.size(); ++i) {
    const auto [first, last] = std::ranges::equal_range(order, keys[i]);
    ranks_[pool[i]->trial_id] = share(failed_ + static_cast<std::size_t>(order.end() - last),
                                      static_cast<std::size_t>(last - first) - 1, told_.size());
  }
}

}  // namespace espalier
