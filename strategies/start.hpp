// What strategies that ask for single architectures have in common: how they begin.
#pragma once

#include <algorithm>
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

/// Screening of candidates by cheap metrics.
struct ScreenOptions {
  std::vector<std::string> metrics;
  int samples = 10;                              ///< draws for each candidate, >= 2
  std::optional<Direction> goal = std::nullopt;  ///< by default each metric's own direction
  bool moves = false;  ///< also of mutations, children and neighbours, not only of random draws
};

/// The options of how they begin: a strategy's own options derive from these.
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
           "makes each random candidate the best of several draws by cheap metrics",
           screen_option_table());
}

/// Whether a strategy has moves that can be screened.
enum class Moves { none, screened };

/// Serves the common options.
class Start {
 public:
  /// Throws ConfigError, with a pointer into the options, for an initial architecture that is not
  /// of the space, for a screen that the run does not have or whose direction is not known, and for
  /// one of moves where there are none.
  Start(const RunContext& context, const StartOptions& options, Moves moves = Moves::none);

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

  /// What `draw` returns, an optional Architecture or Candidate: without a screen its first result,
  /// with one the best of several. Nothing when `draw` gives nothing. The best has the least sum of
  /// ranks by the metrics, equal values have equal ranks; it is the first of equals.
  template <class Draw>
  auto draw_screened(Draw draw) const -> decltype(draw()) {
    if (samples_ == 1) return draw();
    std::vector<typename decltype(draw())::value_type> drawn;
    std::vector<Architecture> architectures;
    for (int i = 0; i < samples_; ++i) {
      auto one = draw();
      if (!one) break;
      architectures.push_back(architecture_of(*one));
      drawn.push_back(*std::move(one));
    }
    if (drawn.empty()) return std::nullopt;
    const std::vector<double> ranks = rank_sums(architectures);
    return drawn[static_cast<std::size_t>(std::ranges::min_element(ranks) - ranks.begin())];
  }
  /// The same for what is made of architectures that were told: screened only where the options say
  /// so.
  template <class Draw>
  auto draw_move(Draw draw) const -> decltype(draw()) {
    return moves_ ? draw_screened(draw) : draw();
  }
  /// Where moves are screened, puts the best last.
  void sort_moves(std::vector<Architecture>& moves) const;

 private:
  static const Architecture& architecture_of(const Architecture& a) { return a; }
  static const Architecture& architecture_of(const Candidate& c) { return c.architecture; }
  std::vector<double> rank_sums(const std::vector<Architecture>& drawn) const;

  std::vector<Architecture> known_;
  std::size_t next_ = 0;
  int samples_ = 1;
  bool moves_ = false;
  std::vector<Screen> screens_;  // whose directions are known
};

}  // namespace espalier
