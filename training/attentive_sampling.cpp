#include "training/attentive_sampling.hpp"

#include <algorithm>
#include <utility>

#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

constexpr int max_draws = 100;  // until the MACs fit, as in the authors' code

}  // namespace

MacsConditionedSampler::MacsConditionedSampler(std::shared_ptr<const SearchSpace> space, Rng rng,
                                               int samples, int ranges)
    : space_(std::move(space)), ranges_(static_cast<std::size_t>(ranges)) {
  std::vector<std::pair<std::int64_t, Architecture>> seen;
  for (int i = 0; i < samples; ++i) {
    Architecture a = sample_uniform(*space_, rng);
    const std::int64_t macs = space_->quick_cost(a).macs;
    seen.emplace_back(macs, std::move(a));
  }
  const auto by_macs = [](const auto& one) { return one.first; };
  least_ = std::ranges::min_element(seen, {}, by_macs)->first;
  most_ = std::ranges::max_element(seen, {}, by_macs)->first;
  range_counts_.resize(ranges_);
  std::vector<std::vector<double>> none;
  for (const std::uint32_t count : space_->choice_counts()) none.emplace_back(count);
  choice_counts_.assign(ranges_, none);
  for (const auto& [macs, a] : seen) {
    const std::size_t range = range_of(a);
    ++range_counts_[range];
    for (DecisionId d = 0; d < a.choices.size(); ++d) {
      // The choice of an inactive decision is 0 and says nothing.
      if (space_->active(a, d)) ++choice_counts_[range][d][a.choices[d]];
    }
  }
  for (auto& counts_of_decisions : choice_counts_) {
    for (std::vector<double>& counts : counts_of_decisions) {
      if (std::ranges::all_of(counts, [](double count) { return count == 0; })) {
        std::ranges::fill(counts, 1.0);
      }
    }
  }
}

std::size_t MacsConditionedSampler::range_of(const Architecture& a) const {
  if (most_ == least_) return 0;
  const std::int64_t macs = std::clamp(space_->quick_cost(a).macs, least_, most_);
  const double place = static_cast<double>(macs - least_) / static_cast<double>(most_ - least_);
  return std::min(static_cast<std::size_t>(place * static_cast<double>(ranges_)), ranges_ - 1);
}

std::vector<Architecture> MacsConditionedSampler::draw(std::size_t count, Rng& rng) const {
  const std::size_t range = rng.weighted(range_counts_);
  std::vector<Architecture> result;
  for (std::size_t i = 0; i < count; ++i) result.push_back(draw_in(range, rng));
  return result;
}

Architecture MacsConditionedSampler::draw_in(std::size_t range, Rng& rng) const {
  Architecture a;
  for (int i = 0; i < max_draws; ++i) {
    Architecture drawn;
    for (const std::vector<double>& counts : choice_counts_[range]) {
      drawn.choices.push_back(static_cast<std::uint32_t>(rng.weighted(counts)));
    }
    if (!space_->valid(drawn)) continue;
    a = space_->canonical(drawn);
    if (range_of(a) == range) return a;
  }
  return a.choices.empty() ? sample_uniform(*space_, rng) : a;
}

}  // namespace espalier
