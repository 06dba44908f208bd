#include "strategies/tpe.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "core/stats.hpp"

namespace espalier {
namespace {

constexpr int most_rounds = 20;

}  // namespace

std::vector<double> parzen_estimate(std::span<const std::uint32_t> chosen, std::uint32_t options,
                                    bool ordinal) {
  std::vector<double> estimate(options, 1);
  if (!ordinal) {
    for (const std::uint32_t option : chosen) estimate[option] += 1;
  } else {
    for (double& value : estimate) value /= options;
    // Each place once, with how often it was chosen.
    const std::set<std::uint32_t> places(chosen.begin(), chosen.end());
    for (auto place = places.begin(); place != places.end(); ++place) {
      const double at = *place;
      const double left = place == places.begin() ? at + 0.5 : at - *std::prev(place);
      const double right =
          std::next(place) == places.end() ? options - 0.5 - at : *std::next(place) - at;
      const double deviation = std::max(left, right);
      const auto below = [&](double x) { return normal_probability((x - at) / deviation); };
      const double whole = below(options - 0.5) - below(-0.5);
      const auto times = static_cast<double>(std::ranges::count(chosen, *place));
      for (std::uint32_t option = 0; option < options; ++option) {
        estimate[option] += times * (below(option + 0.5) - below(option - 0.5)) / whole;
      }
    }
  }
  const double sum = std::accumulate(estimate.begin(), estimate.end(), 0.0);
  for (double& value : estimate) value /= sum;
  return estimate;
}

OptionTable<TpeOptions> tpe_option_table() {
  using Options = TpeOptions;
  OptionTable<Options> table("the tree-structured Parzen estimator");
  table.add("samples", &Options::samples, "random architectures at first", at_least(2))
      .add("quantile", &Options::quantile, "share of all that are the good ones",
           Range{.low = 0, .high = 1, .low_open = true, .high_open = true})
      .add("candidates", &Options::candidates, "drawn from the good ones' distribution",
           at_least(1));
  return add_start_options(table);
}

Tpe::Tpe(const RunContext& context, const TpeOptions& options)
    : space_(context.space),
      rng_(context.rng),
      goals_(context.goals),
      start_(context, options),
      options_(options),
      asked_(space_),
      first_count_(std::max(static_cast<std::size_t>(options.samples), start_.known_count())) {}

std::vector<Candidate> Tpe::ask(std::size_t max_count) {
  std::vector<Candidate> candidates;
  while (candidates.size() < max_count && !finished_) {
    if (next_id_ >= first_count_ && told_count_ == 0) break;
    std::optional<Candidate> candidate =
        next_id_ < first_count_ || told_.size() < 2 ? start_.next_new(asked_, rng_) : proposal();
    if (!candidate) {
      finished_ = true;
      break;
    }
    asked_.insert(candidate->architecture);
    candidate->trial_id = next_id_++;
    candidates.push_back(*std::move(candidate));
  }
  return candidates;
}

void Tpe::tell(const Trial& trial) {
  assert(trial.candidate.trial_id == told_count_);
  ++told_count_;
  Individual individual = Individual::of(trial, goals_);
  (individual.failed ? failed_ : told_).push_back(std::move(individual));
  estimated_ = false;
}

void Tpe::estimate() {
  estimated_ = true;
  std::vector<const Individual*> all;
  for (const Individual& individual : told_) all.push_back(&individual);
  const std::size_t good_count = static_cast<std::size_t>(
      std::ceil(options_.quantile * static_cast<double>(all.size() + failed_.size())));
  const std::size_t good = std::clamp<std::size_t>(good_count, 1, all.size());
  const auto keys = rank_and_crowding(all);
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::nth_element(order, order.begin() + static_cast<std::ptrdiff_t>(good) - 1, {},
                           [&](std::size_t i) { return std::pair(keys[i], i); });
  const std::vector<Decision>& decisions = space_->decisions();
  std::vector<std::vector<std::uint32_t>> chosen[2];
  for (auto& part : chosen) part.resize(decisions.size());
  const auto add = [&](const Architecture& a, std::size_t part) {
    for (DecisionId d = 0; d < decisions.size(); ++d) {
      if (space_->active(a, d)) chosen[part][d].push_back(a.choices[d]);
    }
  };
  for (std::size_t i = 0; i < order.size(); ++i) {
    add(all[order[i]]->architecture, i < good ? 0 : 1);
  }
  for (const Individual& individual : failed_) add(individual.architecture, 1);
  good_.clear();
  rest_.clear();
  for (DecisionId d = 0; d < decisions.size(); ++d) {
    const bool ordinal = decisions[d].ordinal && decisions[d].pick == 1;
    good_.push_back(parzen_estimate(chosen[0][d], space_->choice_counts()[d], ordinal));
    rest_.push_back(parzen_estimate(chosen[1][d], space_->choice_counts()[d], ordinal));
  }
}

std::optional<Candidate> Tpe::proposal() {
  if (!estimated_) estimate();
  for (int round = 0; round < most_rounds; ++round) {
    std::optional<Architecture> best;
    double highest = 0;
    for (int i = 0; i < options_.candidates; ++i) {
      Architecture a;
      for (const std::vector<double>& weights : good_) {
        a.choices.push_back(static_cast<std::uint32_t>(rng_.weighted(weights)));
      }
      if (!space_->valid(a)) continue;
      a = space_->canonical(a);
      if (asked_.contains(a)) continue;
      double ratio = 0;
      for (DecisionId d = 0; d < a.choices.size(); ++d) {
        if (!space_->active(a, d)) continue;
        ratio += std::log(good_[d][a.choices[d]] / rest_[d][a.choices[d]]);
      }
      if (!best || ratio > highest) best = std::move(a), highest = ratio;
    }
    if (best) return Candidate{.architecture = *std::move(best)};
  }
  return start_.next_new(asked_, rng_);
}

}  // namespace espalier
