#include "strategies/progressive_darts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "core/json.hpp"
#include "training/step_training.hpp"

namespace espalier {
namespace {

using SpacePointer = std::shared_ptr<const SearchSpace>;

bool same_decisions(const SearchSpace& a, const SearchSpace& b) {
  return std::ranges::equal(a.decisions(), b.decisions(), [](const auto& x, const auto& y) {
    return x.name == y.name && x.options == y.options && x.pick == y.pick;
  });
}

const SpaceDepths& depths_of(const RunContext& context) {
  if (context.depths) return *context.depths;
  throw UnsupportedError(
      "\"p_darts\" searches networks of several depths, but this space has no option for its "
      "depth; "
      "take one that has \"layers\" or \"cells\", such as \"darts\", or another strategy, such as "
      "\"sdarts\"");
}

/// The space of the least depth from `wanted` on that is possible; none where that is its own.
SpacePointer from_depth(const SpaceDepths& depths, int wanted, const SearchSpace& own) {
  for (int depth = std::max(1, wanted); depth < depths.own; ++depth) {
    SpacePointer space;
    try {
      space = depths.make(depth);
    } catch (const ConfigError&) {  // too shallow
      continue;
    }
    if (same_decisions(*space, own)) return space;
    throw UnsupportedError(
        "\"p_darts\" searches networks of several depths, but this space's decisions change with "
        "its "
        "depth; leave out what each cell decides for itself, such as a compression");
  }
  return {};
}

std::vector<SpacePointer> spaces_of(const RunContext& context, const PDartsOptions& options) {
  const SpaceDepths& depths = depths_of(context);
  const std::size_t shallower = options.skip_dropout.size() - 1;
  std::vector<SpacePointer> result;
  if (options.depths.empty()) {
    // The depths of the source's stages are 5, 11 and 17.
    for (std::size_t i = 0; i < shallower; ++i) {
      const double share =
          (5 + 12.0 * static_cast<double>(i) / static_cast<double>(shallower)) / 17;
      result.push_back(
          from_depth(depths, static_cast<int>(std::lround(share * depths.own)), *context.space));
    }
    return result;
  }
  if (options.depths.size() != shallower) {
    throw ConfigError("/depths", fmt::format("{} depths, but {} stages before the last one; write "
                                             "one for each number of \"skip_dropout\" but the last",
                                             options.depths.size(), shallower));
  }
  for (std::size_t i = 0; i < shallower; ++i) {
    const std::string pointer = pointer_to("/depths", i);
    const int least = i == 0 ? 1 : options.depths[i - 1];
    if (options.depths[i] < least || options.depths[i] > depths.own) {
      throw ConfigError(pointer, fmt::format("{} is not between {}, the depth before, and {}, the "
                                             "space's own",
                                             options.depths[i], least, depths.own));
    }
    SpacePointer space;
    try {
      space = depths.make(options.depths[i]);
    } catch (const ConfigError& error) {
      throw ConfigError(pointer, error.message());
    }
    if (!same_decisions(*space, *context.space)) {
      throw ConfigError(pointer, fmt::format("at a depth of {} the space has other decisions than "
                                             "at {}; write another depth",
                                             options.depths[i], depths.own));
    }
    result.push_back(std::move(space));
  }
  return result;
}

}  // namespace

OptionTable<PDartsOptions> p_darts_option_table() {
  OptionTable<PDartsOptions> table(
      "P-DARTS: networks grow deeper and lose operators from stage to stage");
  table
      .add("depths", &PDartsOptions::depths,
           "of the networks of all stages but the last, whose depth is the space's (\"layers\" or "
           "\"cells\"); by default 5/17 and 11/17 of that",
           at_least(1), Items{0, 100})
      .add("operator_shares", &PDartsOptions::operator_shares,
           "what is left of each decision's operators after each stage but the last, as a share of "
           "all",
           Range{.low = 0, .high = 1, .low_open = true}, Items{0, 100})
      .add("skip_dropout", &PDartsOptions::skip_dropout,
           "for each stage, the share of values of skip connections that is dropped at its "
           "beginning",
           Range{.low = 0, .high = 1, .high_open = true}, Items{1, 100})
      .add("most_skips", &PDartsOptions::most_skips, "skip connections in a cell", at_least(0));
  return add_differentiable_options(table);
}

PDarts::PDarts(const RunContext& context, const PDartsOptions& options)
    : DifferentiableSearch(context, options, "p_darts", architecture_optimizer(options)),
      operator_shares_(options.operator_shares),
      skip_dropout_(options.skip_dropout),
      most_skips_(options.most_skips) {
  const int count = static_cast<int>(skip_dropout_.size()), epochs = training().epochs();
  if (operator_shares_.size() + 1 != skip_dropout_.size()) {
    throw ConfigError(
        "/operator_shares",
        fmt::format("{} shares, but {} stages before the last one; write one for each "
                    "number of \"skip_dropout\" but the last",
                    operator_shares_.size(), count - 1));
  }
  for (std::size_t i = 1; i < operator_shares_.size(); ++i) {
    if (operator_shares_[i] <= operator_shares_[i - 1]) continue;
    throw ConfigError(pointer_to("/operator_shares", i),
                      fmt::format("{} is more than the {} before, but what was dropped stays so",
                                  operator_shares_[i], operator_shares_[i - 1]));
  }
  if (epochs < count) {
    throw ConfigError(
        "/skip_dropout",
        fmt::format("{} stages need as many epochs, but there are {}", count, epochs));
  }
  std::vector<SpacePointer> spaces = spaces_of(context, options);
  spaces.emplace_back();  // the run's own
  for (int i = 0; i < count; ++i) {
    const auto begin = [&](int stage) {
      return static_cast<int>(std::lround(static_cast<double>(epochs) * stage / count));
    };
    stages_.push_back({.space = spaces[static_cast<std::size_t>(i)],
                       .begin = begin(i),
                       .epochs = begin(i + 1) - begin(i)});
    warmup_epochs(stages_.back().epochs);  // there are others
  }
  start({}, {}, stages_[0]);
}

void PDarts::begin_epoch() {
  const auto next = static_cast<std::size_t>(stage_) + 1;
  if (next == stages_.size() || epoch() < stages_[next].begin) return;
  drop_operators(operator_shares_[static_cast<std::size_t>(stage_)]);
  forget_after(0);  // eigenvalues of other networks say nothing
  enter(stage_ + 1);
}

void PDarts::enter(int stage) {
  stage_ = stage;
  restart(stages_[static_cast<std::size_t>(stage)], stage);
}

void PDarts::drop_operators(double share) {
  const std::span<const RelaxedDecision> decisions = parameters().decisions();
  const Strengths values = strengths();
  // By one operator an edge, inputs that operators tell apart could not be.
  std::vector<std::size_t> least(decisions.size(), 1);
  for (const RelaxedDecision& d : decisions) {
    for (const auto& edge : d.edges) {
      const bool chosen = static_cast<std::size_t>(d.pick) < d.options;
      if (d.told_apart && chosen && edge) least[*edge] = 2;
    }
  }
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    if (!decisions[d].operators) continue;
    const std::size_t count = std::max(
        least[d],
        static_cast<std::size_t>(std::lround(share * static_cast<double>(values[d].size()))));
    std::vector<std::size_t> left = kept(d);
    std::ranges::stable_sort(left, std::greater<>(),
                             [&](std::size_t option) { return values[d][option]; });
    const auto real = [&](std::size_t option) {
      return option < decisions[d].options && decisions[d].zero != option;
    };
    if (left.size() <= count) continue;
    if (std::none_of(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(count), real)) {
      const auto best = std::ranges::find_if(left, real);
      std::iter_swap(left.begin() + static_cast<std::ptrdiff_t>(count) - 1, best);
    }
    left.resize(count);
    keep(d, left);
  }
}

MixedOptions PDarts::mixed_options() const {
  MixedOptions options = DifferentiableSearch::mixed_options();
  const TrainingStage& stage = stages_[static_cast<std::size_t>(stage_)];
  const double first = skip_dropout_[static_cast<std::size_t>(stage_)];
  const int now = epoch() - stage.begin;
  const int warmup = warmup_epochs(stage.epochs);
  // Down a line while weights learn alone, then again from the beginning and exponentially: by a
  // fifth of the exponent in each of 25 epochs.
  options.skip_dropout = now < warmup ? first * std::max(0, stage.epochs - now - 1) / stage.epochs
                                      : first * std::exp(-0.2 * 25 * (now - warmup) / stage.epochs);
  return options;
}

Architecture PDarts::derived(const Strengths& strengths) const {
  const std::span<const RelaxedDecision> decisions = parameters().decisions();
  // Kinds of cell in which some skip is not the input itself reduce their input's size.
  std::map<std::string, bool> limited;
  for (const RelaxedDecision& d : decisions) {
    if (!d.operators || !d.skip) continue;
    bool& own = limited.try_emplace(cell_kind(d), true).first->second;
    own = own && d.unchanged;
  }
  Strengths values = strengths;
  std::vector<bool> weakened(decisions.size());
  while (true) {
    const Architecture a = DifferentiableSearch::derived(values);
    const auto counts = [&](std::size_t d) {
      const RelaxedDecision& decision = decisions[d];
      return decision.operators && decision.skip && limited[cell_kind(decision)] &&
             a.choices[d] == *decision.skip && space().active(a, static_cast<DecisionId>(d));
    };
    std::map<std::string, int> skips;
    for (std::size_t d = 0; d < decisions.size(); ++d) {
      if (counts(d)) ++skips[cell_kind(decisions[d])];
    }
    std::optional<std::size_t> weakest;
    const auto strength = [&](std::size_t d) -> double& { return values[d][*decisions[d].skip]; };
    for (std::size_t d = 0; d < decisions.size(); ++d) {
      if (!counts(d) || weakened[d] || skips[cell_kind(decisions[d])] <= most_skips_) continue;
      if (!weakest || strength(d) < strength(*weakest)) weakest = d;
    }
    if (!weakest) return a;
    // Not to 0, which what was dropped has.
    strength(*weakest) *= 1e-12;
    weakened[*weakest] = true;
  }
}

Json PDarts::save_own() const { return {{"stage", stage_}}; }

void PDarts::load_own(const Json& state) {
  const int stage = state.at("stage").get<int>();
  if (stage != stage_) enter(stage);
}

}  // namespace espalier
