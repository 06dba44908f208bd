#include "strategies/start.hpp"

#include <algorithm>
#include <cassert>
#include <limits>
#include <unordered_set>

#include "core/error.hpp"
#include "core/json.hpp"

namespace espalier {

OptionTable<ScreenOptions> screen_option_table() {
  return OptionTable<ScreenOptions>("screening of random candidates by a cheap metric")
      .add("metric", &ScreenOptions::metric, "what is compared: a proxy or a cost", required())
      .add("samples", &ScreenOptions::samples, "random draws for each candidate", at_least(2))
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

Start::Start(const RunContext& context, const StartOptions& options) {
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
  screen_ = context.screen(options.screen->metric);
  const auto direction = options.screen->goal ? options.screen->goal : screen_.direction;
  if (!direction) {
    throw ConfigError("/screen/goal", "the metric \"" + options.screen->metric +
                                          "\" does not say which values are better: write "
                                          "\"minimize\" or \"maximize\"");
  }
  sign_ = *direction == Direction::maximize ? -1 : 1;
  samples_ = options.screen->samples;
}

std::optional<Candidate> Start::next_new(AskedArchitectures& asked, Rng& rng) {
  std::optional<Architecture> a = next_known();
  if (!a) a = draw_screened([&] { return asked.draw_other(rng); });
  if (!a) return std::nullopt;
  return Candidate{.architecture = *std::move(a)};
}

std::size_t Start::best_of(std::span<const Architecture> drawn) const {
  const std::vector<double> values = screen_.score(drawn);
  assert(values.size() == drawn.size());
  std::size_t best = 0;
  double lowest = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (sign_ * values[i] < lowest) {  // false for NaN
      best = i;
      lowest = sign_ * values[i];
    }
  }
  return best;
}

}  // namespace espalier
