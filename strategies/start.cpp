#include "strategies/start.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <unordered_set>

#include "core/error.hpp"
#include "core/json.hpp"
#include "core/stats.hpp"

namespace espalier {

OptionTable<ScreenOptions> screen_option_table() {
  return OptionTable<ScreenOptions>("screening of candidates by cheap metrics")
      .add("metrics", &ScreenOptions::metrics,
           "what is compared: proxies and costs; of several, the sum of ranks", required(),
           non_empty())
      .add("samples", &ScreenOptions::samples, "draws for each candidate", at_least(2))
      .add(
          "moves", &ScreenOptions::moves,
          "screens mutations, children and neighbours, too (regularized_evolution, mu_plus_lambda, "
          "nsga2, nsga3, local_search)")
      .add(
          "goal", &ScreenOptions::goal, "which values are better; by default the metric's own",
          named<Direction>({{"minimize", Direction::minimize}, {"maximize", Direction::maximize}}));
}

Architecture known_architecture(const SearchSpace& space, const Json& written) {
  const Architecture a = written.is_string() ? space.parse(written.get<std::string>())
                                             : architecture_from_json(space, written);
  if (!space.valid(a)) {
    throw InvalidArchitecture("the architecture breaks a constraint of the space: " +
                              space.to_string(a));
  }
  return space.canonical(a);
}

Start::Start(const RunContext& context, const StartOptions& options, Moves moves) {
  const SearchSpace& space = *context.space;
  std::unordered_set<Architecture, ArchitectureHash> seen;
  for (std::size_t i = 0; i < options.initial.size(); ++i) {
    try {
      Architecture canonical = known_architecture(space, options.initial[i]);
      if (seen.insert(canonical).second) known_.push_back(std::move(canonical));
    } catch (const InvalidArchitecture& error) {
      throw ConfigError(pointer_to("/initial", i), error.what());
    }
  }
  if (!options.screen) return;
  if (!context.screen) {
    throw ConfigError("/screen", "this run has nothing to screen with; leave it out");
  }
  if (options.screen->moves && moves == Moves::none) {
    throw ConfigError("/screen/moves",
                      "this strategy screens random candidates alone; leave it out, or take "
                      "regularized_evolution, mu_plus_lambda, nsga2, nsga3 or local_search");
  }
  for (const std::string& metric : options.screen->metrics) {
    Screen& screen = screens_.emplace_back(context.screen(metric));
    if (options.screen->goal) screen.direction = options.screen->goal;
    if (!screen.direction) {
      throw ConfigError("/screen/goal", "the metric \"" + metric +
                                            "\" does not say which values are better: write "
                                            "\"minimize\" or \"maximize\"");
    }
  }
  samples_ = options.screen->samples;
  moves_ = options.screen->moves;
}

std::optional<Candidate> Start::next_new(AskedArchitectures& asked, Rng& rng) {
  std::optional<Architecture> a = next_known();
  if (!a) a = draw_screened([&] { return asked.draw_other(rng); });
  if (!a) return std::nullopt;
  return Candidate{.architecture = *std::move(a)};
}

// The better, the smaller.
std::vector<double> Start::rank_sums(const std::vector<Architecture>& drawn) const {
  std::vector<double> sums(drawn.size());
  for (const Screen& screen : screens_) {
    std::vector<double> values = screen.score(drawn);
    assert(values.size() == drawn.size());
    for (double& value : values) {
      if (*screen.direction == Direction::maximize) value = -value;
      // Ranks are of finite values.
      constexpr double largest = std::numeric_limits<double>::max();
      value = std::isnan(value) ? largest : std::clamp(value, -largest, largest);
    }
    const std::vector<double> its = ranks(values);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += its[i];
  }
  return sums;
}

void Start::sort_moves(std::vector<Architecture>& moves) const {
  if (!moves_ || moves.empty()) return;
  const std::vector<double> sums = rank_sums(moves);
  std::vector<std::size_t> order(moves.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater(), [&](std::size_t i) { return sums[i]; });
  std::vector<Architecture> sorted;
  for (const std::size_t i : order) sorted.push_back(std::move(moves[i]));
  moves = std::move(sorted);
}

}  // namespace espalier
