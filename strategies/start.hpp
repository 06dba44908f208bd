// What all strategies have in common: how they begin.
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "core/options.hpp"
#include "objectives/candidate.hpp"
#include "strategies/asked_architectures.hpp"
#include "strategies/run_context.hpp"

namespace espalier {

/// Screening of random candidates.
struct ScreenOptions {
  std::string metric;
  int samples = 10;                              ///< uniform draws for each candidate, >= 2
  std::optional<Direction> goal = std::nullopt;  ///< by default the metric's own direction
};

/// The options that every strategy has: its own options derive from these.
struct StartOptions {
  /// Known architectures, asked for before all others: the space's own strings, or {decision:
  /// label}.
  std::vector<Json> initial;
  std::optional<ScreenOptions> screen;
};

/// An architecture that a user wrote, the space's own string or {decision: label}, in canonical
/// form. Throws InvalidArchitecture.
Architecture known_architecture(const SearchSpace& space, const Json& written);

/// The option table of the screen.
OptionTable<ScreenOptions> screen_option_table();

/// Adds the common options to a strategy's table.
template <std::derived_from<StartOptions> T>
OptionTable<T>& add_start_options(OptionTable<T>& table) {
  return table
      .add("initial", static_cast<std::vector<Json> T::*>(&StartOptions::initial),
           "known architectures, evaluated first: strings, or objects of decision: label")
      .add("screen", static_cast<std::optional<ScreenOptions> T::*>(&StartOptions::screen),
           "makes each random candidate the best of several draws by a cheap metric",
           screen_option_table());
}

/// Serves the common options.
class Start {
 public:
  /// Throws ConfigError, with a pointer into the options, for an initial architecture that is not
  /// of the space, and for a screen that the run does not have or whose direction is not known.
  Start(const RunContext& context, const StartOptions& options);

  /// How many known architectures there are, each canonical one counted once.
  std::size_t known_count() const { return known_.size(); }
  /// The next known architecture, canonical; nothing when all were given out.
  std::optional<Architecture> next_known() {
    if (next_ == known_.size()) return std::nullopt;
    return known_[next_++];
  }

  /// The next candidate of a strategy that asks for nothing twice and has learned nothing yet: a
  /// known architecture, or else a random one that was not asked for, screened. Nothing where
  /// none is left.
  std::optional<Candidate> next_new(AskedArchitectures& asked, Rng& rng);

  /// An architecture from `draw`, which returns an optional one: without a screen its first result,
  /// with one the best of several (the first of equals). Nothing when `draw` gives nothing.
  template <class Draw>
  std::optional<Architecture> draw_screened(Draw draw) const {
    if (samples_ == 1) return draw();
    std::vector<Architecture> drawn;
    for (int i = 0; i < samples_; ++i) {
      std::optional<Architecture> a = draw();
      if (!a) break;
      drawn.push_back(*std::move(a));
    }
    if (drawn.empty()) return std::nullopt;
    return drawn[best_of(drawn)];
  }

 private:
  std::size_t best_of(std::span<const Architecture> drawn) const;

  std::vector<Architecture> known_;
  std::size_t next_ = 0;
  int samples_ = 1;
  double sign_ = 1;  // -1: the largest value is the best
  Screen screen_;
};

}  // namespace espalier
