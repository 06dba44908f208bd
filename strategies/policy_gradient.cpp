#include "strategies/policy_gradient.hpp"

#include <cassert>
#include <cmath>

#include "core/json.hpp"

namespace espalier {

void PolicyGradient::update(std::span<const PolicyExperience> batch) {
  assert(!batch.empty());
  double baseline = 0;
  if (baseline_.empty()) {
    for (const PolicyExperience& one : batch) {
      baseline += one.reward / static_cast<double>(batch.size());
    }
  } else {
    baseline = baseline_.value();
  }
  for (const PolicyExperience& one : batch) baseline_.add(one.reward);
  const int epochs = options_.clipping ? options_.clipping->epochs : 1;
  for (int epoch = 0; epoch < epochs; ++epoch) step(batch, baseline);
}

void PolicyGradient::step(std::span<const PolicyExperience> batch, double baseline) {
  const double share = 1 / static_cast<double>(batch.size());
  for (const auto& [draw, active, reward] : batch) {
    const double advantage = reward - baseline;
    std::vector<double> weights(active.size()), entropy_weights(active.size());
    std::vector<double> now;
    if (options_.clipping) now = policy_->recall(draw.architecture).log_probs;
    for (std::size_t d = 0; d < active.size(); ++d) {
      if (!active[d]) continue;
      entropy_weights[d] = share * options_.entropy;
      weights[d] = share * advantage;
      if (!options_.clipping) continue;
      const double ratio = std::exp(now[d] - draw.log_probs[d]);
      const double range = options_.clipping->range;
      const bool clipped = advantage > 0 ? ratio > 1 + range : ratio < 1 - range;
      weights[d] = clipped ? 0 : weights[d] * ratio;  // the gradient of r is r times that of log p
    }
    policy_->add_gradient(draw.architecture, weights, entropy_weights);
  }
  policy_->ascend(options_.learning_rate);
}

Json RewardBaseline::save() const { return {{"sum", sum_}, {"weight", weight_}}; }

void RewardBaseline::load(const Json& json) {
  json.at("sum").get_to(sum_);
  json.at("weight").get_to(weight_);
}

Json PolicyGradient::save() const {
  return {{"policy", policy_->save()}, {"baseline", baseline_.save()}};
}

void PolicyGradient::load(const Json& json) {
  policy_->load(json.at("policy"));
  baseline_.load(json.at("baseline"));
}

}  // namespace espalier
