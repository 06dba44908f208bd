#include "predictors/ensemble.hpp"

#include <cstdint>

namespace espalier {

Ensemble::Ensemble(const EnsembleOptions& options, const Make& make, const Rng& rng)
    : options_(options), rng_(rng) {
  for (int m = 0; m < options.members; ++m) {
    members_.push_back(make(rng.fork("member").fork(static_cast<std::uint64_t>(m))));
  }
}

void Ensemble::fit(std::span<const Features> networks, std::span<const double> values) {
  check_fit_arguments(networks, values);
  for (std::size_t m = 0; m < members_.size(); ++m) {
    if (!options_.bootstrap) {
      members_[m]->fit(networks, values);
      continue;
    }
    Rng rng = rng_.fork("bootstrap").fork(m);
    std::vector<Features> drawn;
    std::vector<double> its;
    for (std::size_t i = 0; i < networks.size(); ++i) {
      const std::size_t which = rng.below(networks.size());
      drawn.push_back(networks[which]);
      its.push_back(values[which]);
    }
    members_[m]->fit(drawn, its);
  }
}

std::vector<Prediction> Ensemble::predict(std::span<const Features> networks) const {
  std::vector<std::vector<Prediction>> all;
  for (const auto& member : members_) all.push_back(member->predict(networks));
  const double count = static_cast<double>(members_.size());
  std::vector<Prediction> predictions(networks.size());
  for (std::size_t i = 0; i < networks.size(); ++i) {
    Prediction& p = predictions[i];
    for (const auto& its : all) p.mean += its[i].mean;
    p.mean /= count;
    for (const auto& its : all) {
      const double away = its[i].mean - p.mean;
      p.variance += away * away + its[i].variance;
    }
    p.variance /= count;
  }
  return predictions;
}

}  // namespace espalier
