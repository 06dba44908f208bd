#include "training/progressive_shrinking.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>
#include <variant>

#include "core/error.hpp"
#include "search_spaces/sampling.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {
namespace {

// What a decision makes smaller, in the order in which it opens.
enum class Kind { resolution, kernel, depth, width, unordered };

struct KindOfPhase {
  Kind kind;
  const char* name;
  bool at_once;  // all options in one phase
  int architectures;
};
constexpr std::array kinds{KindOfPhase{Kind::kernel, "kernel", true, 1},
                           KindOfPhase{Kind::depth, "depth", false, 2},
                           KindOfPhase{Kind::width, "width", false, 4}};

// Epochs and learning rates of the authors' phases.
constexpr double first_rate = 2.6 * 64 / 2048;  // at a batch of 64
struct Share {
  double epochs, rate_factor;
};
constexpr Share of_largest{180, 1}, of_kernels{120, 3e-2 / first_rate},
    of_early{25, 2.5e-3 / first_rate}, of_last{120, 7.5e-3 / first_rate};

std::vector<Kind> kinds_of(const SearchSpace& space) {
  const Graph& graph = space.supergraph()->graph();
  std::vector<Kind> result(space.decisions().size(), Kind::unordered);
  for (std::size_t d = 0; d < result.size(); ++d) {
    if (space.decisions()[d].ordinal) result[d] = Kind::width;
  }
  const auto mark = [&](DecisionId d, Kind kind) {
    if (result[d] != Kind::unordered) result[d] = std::min(result[d], kind);
  };
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    std::visit(
        [&](const auto& op) {
          if constexpr (requires { op.kernel.h; }) {
            for (const Dim side : {op.kernel.h, op.kernel.w}) {
              for (const DecisionId d : side.support()) mark(d, Kind::kernel);
            }
          }
        },
        node.op);
    if (const auto* choice = std::get_if<op::Choice>(&node.op)) mark(choice->decision, Kind::depth);
    if (id != graph.input()) continue;
    for (std::size_t axis = 1; axis < 3; ++axis) {
      for (const DecisionId d : node.shape[axis].support()) mark(d, Kind::resolution);
    }
  }
  return result;
}

// The options of a decision from the largest network to the smallest, seen from the largest
// architecture; where two cost as much, the larger number first.
std::vector<std::uint32_t> descending(const SearchSpace& space, const Architecture& largest,
                                      std::size_t d) {
  const Decision& decision = space.decisions()[d];
  std::vector<std::tuple<std::int64_t, std::int64_t, double, std::uint32_t>> sizes;
  for (std::uint32_t option = 0; option < decision.options.size(); ++option) {
    Architecture a = largest;
    a.choices[d] = option;
    const Cost cost = space.quick_cost(a);
    sizes.emplace_back(cost.macs, cost.params, std::stod(decision.options[option]), option);
  }
  std::ranges::sort(sizes, std::greater<>());
  std::vector<std::uint32_t> result;
  for (const auto& size : sizes) result.push_back(std::get<3>(size));
  return result;
}

// Shares `epochs` out by weight, each part at least 1, the parts' sum `epochs`.
void share_out(int epochs, std::span<const double> weights, std::vector<ShrinkingPhase>& phases) {
  const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  const int free = epochs - static_cast<int>(phases.size());  // beyond the one that each has
  double reached = 0;
  int given = 0;
  for (std::size_t p = 0; p < phases.size(); ++p) {
    reached += weights[p];
    const int up_to = static_cast<int>(std::lround(free * reached / all));
    phases[p].epochs = 1 + up_to - given;
    given = up_to;
  }
}

}  // namespace

std::vector<ShrinkingPhase> shrinking_phases(const SearchSpace& space, int epochs) {
  const std::vector<Kind> kind = kinds_of(space);
  const Architecture largest = largest_architecture(space);
  std::vector<std::vector<std::uint32_t>> order(kind.size());  // from the largest down
  ShrinkingPhase phase{
      .name = "largest", .rate_factor = of_largest.rate_factor, .distilled = false};
  for (std::size_t d = 0; d < kind.size(); ++d) {
    phase.choices.push_back({largest.choices[d]});
    if (kind[d] == Kind::unordered) continue;
    order[d] = descending(space, largest, d);
    phase.choices[d] = {order[d].front()};
    if (kind[d] != Kind::resolution) continue;
    phase.choices[d].resize(order[d].size());
    std::iota(phase.choices[d].begin(), phase.choices[d].end(), 0u);
  }
  std::vector<ShrinkingPhase> phases{phase};
  std::vector<double> weights{of_largest.epochs};
  phase.distilled = true;
  for (std::size_t d = 0; d < kind.size(); ++d) {
    if (kind[d] != Kind::unordered) continue;
    phase.choices[d].resize(space.choice_counts()[d]);
    std::iota(phase.choices[d].begin(), phase.choices[d].end(), 0u);
  }
  for (const auto& [opened, name, at_once, architectures] : kinds) {
    std::size_t most = 0;  // options
    for (std::size_t d = 0; d < kind.size(); ++d) {
      if (kind[d] == opened) most = std::max(most, order[d].size());
    }
    for (std::size_t open = at_once ? most : 2; open <= most; ++open) {
      if (most < 2) break;
      const Share share = at_once ? of_kernels : open == most ? of_last : of_early;
      for (std::size_t d = 0; d < kind.size(); ++d) {
        if (kind[d] != opened) continue;
        const auto count = static_cast<std::ptrdiff_t>(std::min(open, order[d].size()));
        phase.choices[d].assign(order[d].begin(), order[d].begin() + count);
        std::ranges::sort(phase.choices[d]);
      }
      phase.name = at_once || most == 2 ? std::string(name)
                                        : fmt::format("{} {} of {}", name, open - 1, most - 1);
      phase.rate_factor = share.rate_factor;
      phase.architectures = architectures;
      phase.sorted = opened == Kind::width;
      phases.push_back(phase);
      weights.push_back(share.epochs);
    }
  }
  if (phases.size() == 1) {
    throw UnsupportedError(
        "progressive shrinking needs decisions on kernels, depths or widths; take the rule "
        "uniform");
  }
  if (epochs < static_cast<int>(phases.size())) {
    throw ConfigError("/epochs", fmt::format("progressive shrinking has {} phases in this "
                                             "space, but there are {} epochs",
                                             phases.size(), epochs));
  }
  share_out(epochs, weights, phases);
  return phases;
}

Architecture sample_open(const SearchSpace& space, const ShrinkingPhase& phase, Rng& rng) {
  constexpr int max_draws = 100'000;
  Architecture a;
  a.choices.resize(phase.choices.size());
  for (int draw = 0; draw < max_draws; ++draw) {
    for (std::size_t d = 0; d < a.choices.size(); ++d) {
      a.choices[d] = phase.choices[d][rng.below(phase.choices[d].size())];
    }
    if (space.valid(a)) return space.canonical(a);
  }
  throw UnsupportedError(
      fmt::format("no valid architecture among {} draws of the phase \"{}\": "
                  "loosen the space's constraints, or take the rule uniform",
                  max_draws, phase.name));
}

}  // namespace espalier
