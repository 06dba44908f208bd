#include "strategies/median_stopping.hpp"

#include <algorithm>

namespace espalier {
namespace {

// The best that a curve came to.
Individual best_of(const std::vector<Individual>& curve) {
  Individual best = curve[0];
  for (const Individual& other : curve) {
    if (best.costs.empty()) {
      if (better(other, best)) best = other;
      continue;
    }
    best.violation = std::min(best.violation, other.violation);
    for (std::size_t k = 0; k < best.costs.size(); ++k) {
      best.costs[k] = std::min(best.costs[k], other.costs[k]);
    }
  }
  return best;
}

// The mean of a curve up to each rung.
std::vector<Individual> running_means(const std::vector<Individual>& curve) {
  std::vector<Individual> means;
  Individual sum = curve[0];
  for (std::size_t i = 0; i < curve.size(); ++i) {
    if (i > 0) {
      sum.violation += curve[i].violation;
      sum.cost += curve[i].cost;
      for (std::size_t k = 0; k < sum.costs.size(); ++k) sum.costs[k] += curve[i].costs[k];
    }
    const double count = static_cast<double>(i + 1);
    Individual& mean = means.emplace_back(sum);
    mean.violation /= count;
    mean.cost /= count;
    for (double& cost : mean.costs) cost /= count;
  }
  return means;
}

}  // namespace

OptionTable<MedianStoppingOptions> median_stopping_option_table() {
  using Options = MedianStoppingOptions;
  OptionTable<Options> table("random search that stops evaluations that are behind the median");
  table.add("startup", &Options::startup, "full evaluations before any evaluation is stopped",
            at_least(1));
  return add_fidelity_options(table);
}

MedianStopping::MedianStopping(const RunContext& context, const MedianStoppingOptions& options)
    : EarlyStopping(context, options, rung_fidelities(options)),
      startup_(static_cast<std::size_t>(options.startup)) {}

bool MedianStopping::behind(const Curve& curve) {
  if (means_.size() < startup_) return false;
  const Individual best = best_of(curve);
  std::vector<const Individual*> pool{&best};
  for (const Curve& mean : means_) pool.push_back(&mean[curve.size() - 1]);
  const auto keys = rank_and_crowding(pool);
  // By rank: of those that do not dominate each other, none is worse for being near others.
  const auto ahead =
      std::ranges::count_if(keys, [&](const auto& key) { return key[0] < keys[0][0]; });
  return 2 * static_cast<std::size_t>(ahead) > means_.size();
}

void MedianStopping::complete(const Curve& curve) { means_.push_back(running_means(curve)); }

}  // namespace espalier
