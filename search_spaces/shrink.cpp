#include "search_spaces/shrink.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "core/stats.hpp"

namespace espalier {
namespace {

OptionTable<ShrinkOptions> make_table() {
  return OptionTable<ShrinkOptions>("how a space is shrunk")
      .add("samples", &ShrinkOptions::samples, "networks scored in each round", at_least(2))
      .add("per_round", &ShrinkOptions::per_round, "options dropped before scores are taken anew",
           at_least(1))
      .add("drop", &ShrinkOptions::drop, "options dropped in all", at_least(1))
      .add("target_size", &ShrinkOptions::target_size, "choice vectors at which it ends",
           at_least(1))
      .add("better", &ShrinkOptions::better, "scores",
           named<Better>({{"higher", Better::higher}, {"lower", Better::lower}}))
      .add("ranges", &ShrinkOptions::ranges, "costs of the networks that are scored",
           cost_ranges_options())
      .add("bootstrap", &ShrinkOptions::bootstrap, "intervals of the scores", bootstrap_options())
      .check([](const ShrinkOptions& o) {
        if (!o.drop && !o.target_size) {
          throw ConfigError("", "needs \"drop\" or \"target_size\"");
        }
      });
}

/// The options of the space that are left, by decision, ascending.
using Left = std::vector<std::vector<std::uint32_t>>;

Restriction as_restriction(const std::vector<Decision>& decisions, const Left& left) {
  Restriction restriction;
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    for (const std::uint32_t option : left[d]) {
      restriction[decisions[d].name].push_back(decisions[d].options[option]);
    }
  }
  return restriction;
}

double size_of(const SearchSpace& space) {
  return std::accumulate(space.choice_counts().begin(), space.choice_counts().end(), 1.0,
                         std::multiplies<>());
}

std::vector<OptionScore> score_options(const RestrictedSpace& space, const Left& left,
                                       std::span<const Architecture> sample,
                                       std::span<const double> scores, const ShrinkOptions& options,
                                       const Rng& rng) {
  std::vector<std::vector<std::vector<double>>> values(left.size());  // [decision][option]
  for (std::size_t d = 0; d < left.size(); ++d) values[d].resize(left[d].size());
  for (std::size_t i = 0; i < sample.size(); ++i) {
    for (DecisionId d = 0; d < left.size(); ++d) {
      if (!space.active(sample[i], d)) continue;
      for (const std::uint32_t option :
           picked_options(space.decisions()[d], sample[i].choices[d])) {
        values[d][option].push_back(scores[i]);
      }
    }
  }
  std::vector<OptionScore> result;
  for (DecisionId d = 0; d < left.size(); ++d) {
    for (std::size_t k = 0; k < left[d].size(); ++k) {
      OptionScore entry{.decision = d, .option = left[d][k], .networks = values[d][k].size()};
      if (entry.networks > 0) {
        entry.mean = bootstrap_mean(values[d][k], options.bootstrap, rng.fork(d).fork(left[d][k]));
      }
      result.push_back(entry);
    }
  }
  std::ranges::stable_sort(result, [&](const OptionScore& x, const OptionScore& y) {
    if ((x.networks > 0) != (y.networks > 0)) return x.networks > 0;
    return options.better == Better::higher ? x.mean.value < y.mean.value
                                            : x.mean.value > y.mean.value;
  });
  return result;
}

}  // namespace

Shrinking shrink(std::shared_ptr<const SearchSpace> space, const Score& score,
                 const ShrinkOptions& options, const Rng& rng,
                 const std::function<void(const ShrinkRound&)>& done) {
  static const OptionTable<ShrinkOptions> table = make_table();
  table.validate(options);
  const std::vector<Decision>& decisions = space->decisions();
  Left left(decisions.size());
  std::size_t droppable = 0;
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    left[d].resize(decisions[d].options.size());
    std::iota(left[d].begin(), left[d].end(), 0u);
    droppable += left[d].size() - static_cast<std::size_t>(decisions[d].pick);
  }
  if (options.drop && static_cast<std::size_t>(*options.drop) > droppable) {
    throw ConfigError("/drop", fmt::format("{} options cannot be dropped: each decision keeps what "
                                           "it picks, and the space has {} more",
                                           *options.drop, droppable));
  }
  std::size_t to_drop = options.drop ? static_cast<std::size_t>(*options.drop) : droppable;
  Shrinking result{.space = std::make_shared<RestrictedSpace>(space, Restriction{}), .rounds = {}};
  const auto finished = [&] {
    return to_drop == 0 || (options.target_size && size_of(*result.space) <= *options.target_size);
  };
  const auto* restricted = dynamic_cast<const RestrictedSpace*>(space.get());
  while (!finished()) {
    const Rng round_rng = rng.fork(result.rounds.size());
    Rng draws = round_rng.fork("sample");
    const std::vector<Architecture> sample = sample_in_ranges(
        *result.space, static_cast<std::size_t>(options.samples), options.ranges, draws);
    std::vector<double> scores;
    for (const Architecture& a : sample) {
      const Architecture whole = result.space->lift(a);
      scores.push_back(score(space->canonical(restricted ? *restricted->lower(whole) : whole)));
    }
    ShrinkRound round{.size = size_of(*result.space), .mean = mean(scores), .options = {}};
    round.options = score_options(*result.space, left, sample, scores, options, round_rng);
    // What a decision must keep is what it picks among options that networks of the sample had:
    // others may not fit the ranges of costs.
    std::vector<std::size_t> known(left.size(), 0);
    for (const OptionScore& entry : round.options) known[entry.decision] += entry.networks > 0;
    int dropped = 0;
    for (OptionScore& entry : round.options) {
      if (entry.networks == 0 || dropped == options.per_round || finished()) break;
      const DecisionId d = entry.decision;
      if (known[d] <= static_cast<std::size_t>(decisions[d].pick)) continue;
      std::erase(left[d], entry.option);
      entry.dropped = true;
      --known[d], ++dropped, --to_drop;
      result.space = std::make_shared<RestrictedSpace>(space, as_restriction(decisions, left));
    }
    result.rounds.push_back(std::move(round));
    if (done) done(result.rounds.back());
    if (dropped == 0) {
      result.complete = false;
      break;
    }
  }
  return result;
}

}  // namespace espalier
