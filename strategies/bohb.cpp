#include "strategies/bohb.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/stats.hpp"

namespace espalier {
namespace {

constexpr double least_bandwidth = 1e-3;
constexpr double least_kernel = 1e-32;

// Decisions that have a choice.
std::size_t free_decisions(const SearchSpace& space) {
  return static_cast<std::size_t>(
      std::ranges::count_if(space.choice_counts(), [](std::uint32_t count) { return count > 1; }));
}

// The largest bandwidth of a nominal decision: all options are as likely.
double even(double options) { return (options - 1) / options; }

double spread(std::span<const std::uint32_t> places, bool ordinal, std::uint32_t options) {
  const auto n = static_cast<double>(places.size());
  if (ordinal) {
    double sum = 0, squares = 0;
    for (const std::uint32_t place : places) sum += place;
    for (const std::uint32_t place : places) squares += (place - sum / n) * (place - sum / n);
    return std::sqrt(squares / n);
  }
  std::vector<double> shares(options, 0);
  for (const std::uint32_t place : places) shares[place] += 1 / n;
  double same = 0;
  for (const double share : shares) same += share * share;
  return std::sqrt(std::max(0.0, 1 - same) / 2);
}

}  // namespace

ArchitectureDensity::ArchitectureDensity(const SearchSpace& space, std::vector<Architecture> points)
    : space_(&space),
      points_(std::move(points)),
      bandwidths_(space.decisions().size(), 0),
      kernels_(space.decisions().size()) {
  const double scale = 1.06 * std::pow(static_cast<double>(points_.size()),
                                       -1 / (4 + static_cast<double>(free_decisions(space))));
  for (DecisionId d = 0; d < bandwidths_.size(); ++d) {
    const std::uint32_t options = space.choice_counts()[d];
    if (options == 1) continue;
    std::vector<std::uint32_t> places;
    for (const Architecture& point : points_) {
      if (space.active(point, d)) places.push_back(point.choices[d]);
    }
    const double h = places.empty() ? 0 : scale * spread(places, ordinal(d), options);
    if (ordinal(d)) {
      bandwidths_[d] = std::max(h, least_bandwidth * (options - 1));
      for (std::uint32_t place = 0; place < options; ++place) {
        kernels_[d].push_back(ordinal_kernel(d, place, bandwidths_[d]));
        for (double& kernel : kernels_[d].back()) kernel = std::log(std::max(kernel, least_kernel));
      }
    } else {
      bandwidths_[d] = std::clamp(h, least_bandwidth, even(options));
      kernels_[d] = {{std::log(bandwidths_[d] / (options - 1)), std::log(1 - bandwidths_[d])}};
    }
  }
}

bool ArchitectureDensity::ordinal(DecisionId d) const {
  const Decision& decision = space_->decisions()[d];
  return decision.ordinal && decision.pick == 1;
}

std::vector<double> ArchitectureDensity::ordinal_kernel(DecisionId d, std::uint32_t place,
                                                        double bandwidth) const {
  const auto below = [&](double x) { return normal_probability((x - place) / bandwidth); };
  const std::uint32_t options = space_->choice_counts()[d];
  const double whole = below(options - 0.5) - below(-0.5);
  std::vector<double> kernel;
  for (std::uint32_t option = 0; option < options; ++option) {
    kernel.push_back((below(option + 0.5) - below(option - 0.5)) / whole);
  }
  return kernel;
}

double ArchitectureDensity::log(const Architecture& a) const {
  std::vector<bool> active;
  for (DecisionId d = 0; d < a.choices.size(); ++d) active.push_back(space_->active(a, d));
  std::vector<double> logs;  // of each point's products, which may be as small as doubles are
  for (const Architecture& point : points_) {
    double sum = 0;
    for (DecisionId d = 0; d < a.choices.size(); ++d) {
      const double options = space_->choice_counts()[d];
      if (options == 1) continue;
      if (!active[d] || !space_->active(point, d)) {
        sum -= std::log(options);
      } else if (ordinal(d)) {
        sum += kernels_[d][point.choices[d]][a.choices[d]];
      } else {
        sum += kernels_[d][0][a.choices[d] == point.choices[d]];
      }
    }
    logs.push_back(sum);
  }
  const double highest = std::ranges::max(logs);
  double sum = 0;
  for (const double log : logs) sum += std::exp(log - highest);
  return highest + std::log(sum / static_cast<double>(points_.size()));
}

Architecture ArchitectureDensity::draw(double factor, Rng& rng) const {
  const Architecture& point = points_[rng.below(points_.size())];
  Architecture a = point;
  for (DecisionId d = 0; d < a.choices.size(); ++d) {
    const std::uint32_t options = space_->choice_counts()[d];
    if (options == 1) continue;
    if (!space_->active(point, d)) {
      a.choices[d] = static_cast<std::uint32_t>(rng.below(options));
    } else if (ordinal(d)) {
      a.choices[d] = static_cast<std::uint32_t>(
          rng.weighted(ordinal_kernel(d, point.choices[d], factor * bandwidths_[d])));
    } else if (rng.bernoulli(std::min(factor * bandwidths_[d], even(options)))) {
      const auto other = static_cast<std::uint32_t>(rng.below(options - 1));
      a.choices[d] = other + (other >= point.choices[d]);
    }
  }
  return a;
}

OptionTable<BohbOptions> bohb_option_table() {
  using Options = BohbOptions;
  OptionTable<Options> table("Hyperband whose new architectures come from a model");
  table
      .add("random_fraction", &Options::random_fraction, "of new architectures that are random",
           between(0, 1))
      .add("quantile", &Options::quantile, "share of a rung that are the good ones",
           Range{.low = 0, .high = 1, .low_open = true, .high_open = true})
      .add("candidates", &Options::candidates, "drawn for each new architecture", at_least(1))
      .add("bandwidth_factor", &Options::bandwidth_factor,
           "how much wider than those of the model the kernels are that candidates are drawn from",
           greater_than(0));
  return add_fidelity_options(table);
}

Bohb::Bohb(const RunContext& context, const BohbOptions& options)
    : Brackets(context, options, hyperband_brackets(rung_fidelities(options).size(), options.eta)),
      options_(options),
      least_(free_decisions(*context.space) + 1),
      told_(fidelities_.size()) {}

void Bohb::learn(std::size_t rung, const Individual& individual) {
  told_[rung].push_back(individual);
  fitted_ = false;
}

void Bohb::fit() {
  fitted_ = true;
  const auto enough = [this](const auto& rung) { return rung.size() >= least_ + 2; };
  const auto rung = std::ranges::find_if(told_.rbegin(), told_.rend(), enough);
  if (rung == told_.rend()) return;
  std::vector<std::size_t> order = best_first(*rung);
  for (std::size_t i = 0; i < rung->size(); ++i) {
    if ((*rung)[i].failed) order.push_back(i);
  }
  const std::size_t n = order.size();
  const std::size_t good =
      std::max(least_, static_cast<std::size_t>(options_.quantile * static_cast<double>(n)));
  const std::size_t bad = std::max(least_, n - good);
  const auto points = [&](std::size_t first, std::size_t count) {
    std::vector<Architecture> architectures;
    for (std::size_t i = first; i < first + count; ++i) {
      architectures.push_back((*rung)[order[i]].architecture);
    }
    return architectures;
  };
  model_.emplace(ArchitectureDensity(*space_, points(0, good)),
                 ArchitectureDensity(*space_, points(n - bad, bad)));
}

std::optional<Candidate> Bohb::propose() {
  if (std::optional<Architecture> known = start_.next_known()) {
    return Candidate{.architecture = *std::move(known)};
  }
  if (!fitted_) fit();
  if (rng_.bernoulli(options_.random_fraction) || !model_) return start_.next_new(asked_, rng_);
  std::optional<Architecture> best;
  double highest = 0;
  for (int i = 0; i < options_.candidates; ++i) {
    Architecture a = model_->good.draw(options_.bandwidth_factor, rng_);
    if (!space_->valid(a)) continue;
    a = space_->canonical(a);
    if (asked_.contains(a)) continue;
    const double ratio = model_->good.log(a) - model_->bad.log(a);
    if (!best || ratio > highest) best = std::move(a), highest = ratio;
  }
  if (!best) return start_.next_new(asked_, rng_);
  return Candidate{.architecture = *std::move(best)};
}

}  // namespace espalier
