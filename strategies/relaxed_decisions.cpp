#include "strategies/relaxed_decisions.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <set>
#include <string_view>

namespace espalier {
namespace {

/// Whether the value of one node is computed from another's.
bool reads(const Graph& graph, NodeId node, NodeId other) {
  std::vector<NodeId> open{node};
  std::vector<bool> seen(node + 1);
  while (!open.empty()) {
    const NodeId next = open.back();
    open.pop_back();
    for (const NodeId input : graph.inputs(next)) {
      if (input == other) return true;
      if (input < other || seen[input]) continue;
      seen[input] = true;
      open.push_back(input);
    }
  }
  return false;
}

/// The option of a choice that all others read; one alone has no others.
std::optional<std::size_t> passed_on(const Graph& graph, NodeId choice) {
  const auto inputs = graph.inputs(choice);
  if (inputs.size() < 2) return std::nullopt;
  const auto first = std::ranges::min_element(inputs);
  for (const NodeId input : inputs) {
    if (input != *first && !reads(graph, input, *first)) return std::nullopt;
  }
  return static_cast<std::size_t>(first - inputs.begin());
}

/// Whether options are numbers, such as a depth, or one says that nothing is there, such as a
/// squeeze: what passes on its input is then no skip connection in the place of an operator.
bool names_none(const Decision& decision) {
  return std::ranges::all_of(decision.options,
                             [](const std::string& option) {
                               return !option.empty() &&
                                      option.find_first_not_of("0123456789.") == std::string::npos;
                             }) ||
         std::ranges::find(decision.options, "no") != decision.options.end();
}

}  // namespace

std::string cell_kind(const RelaxedDecision& d) {
  const std::size_t dot = d.name.find('.');
  return dot == std::string::npos ? "" : d.name.substr(0, dot);
}

std::vector<RelaxedDecision> relaxed_decisions(const Supergraph& supergraph) {
  const Graph& graph = supergraph.graph();
  std::vector<RelaxedDecision> result;
  for (const Decision& d : supergraph.decisions()) {
    RelaxedDecision& relaxed = result.emplace_back();
    relaxed.name = d.name;
    relaxed.options = d.options.size();
    relaxed.pick = d.pick;
    if (d.pick > 1) relaxed.edges.resize(d.options.size());
    constexpr std::array<std::string_view, 3> skips{"skip_connect", "skip", "identity"};
    const auto label = std::ranges::find_if(d.options, [&](const std::string& option) {
      return std::ranges::find(skips, option) != skips.end();
    });
    if (label != d.options.end() && d.options.size() > 1) {
      relaxed.skip = static_cast<std::size_t>(label - d.options.begin());
    }
  }
  const auto choice_of = [&](NodeId id) { return std::get_if<op::Choice>(&graph.node(id).op); };
  // Nodes that others read than sums, than choices of several.
  std::vector<bool> beside_sums(graph.size()), beside_inputs(graph.size());
  for (NodeId id = 0; id < graph.size(); ++id) {
    const op::Choice* const choice = choice_of(id);
    const bool several = choice != nullptr && supergraph.decisions()[choice->decision].pick > 1;
    for (const NodeId input : graph.inputs(id)) {
      if (several) continue;
      beside_inputs[input] = true;
      if (!std::holds_alternative<op::Add>(graph.node(id).op)) beside_sums[input] = true;
    }
  }
  std::vector<bool> seen(result.size());
  for (NodeId id = 0; id < graph.size(); ++id) {
    const op::Choice* const choice = choice_of(id);
    if (choice == nullptr) continue;
    RelaxedDecision& relaxed = result[choice->decision];
    const auto inputs = graph.inputs(id);
    if (relaxed.pick > 1) {
      for (std::size_t s = 0; s < inputs.size(); ++s) {
        const op::Choice* const edge = choice_of(inputs[s]);
        if (edge != nullptr && result[edge->decision].pick == 1) relaxed.edges[s] = edge->decision;
      }
      continue;
    }
    if (!seen[choice->decision]) {
      seen[choice->decision] = true;
      relaxed.operators = relaxed.term = relaxed.input = true;
      if (!relaxed.skip && !names_none(supergraph.decisions()[choice->decision])) {
        relaxed.skip = passed_on(graph, id);
      }
      relaxed.unchanged = relaxed.skip.has_value();
    }
    relaxed.unchanged = relaxed.unchanged && passed_on(graph, id) == relaxed.skip;
    relaxed.term = relaxed.term && !beside_sums[id];
    relaxed.input = relaxed.input && !beside_inputs[id];
    for (std::size_t s = 0; s < inputs.size(); ++s) {
      if (std::holds_alternative<op::Zero>(graph.node(inputs[s]).op)) relaxed.zero = s;
    }
  }
  return result;
}

void mark_told_apart(std::vector<RelaxedDecision>& decisions, const std::vector<bool>& none) {
  for (RelaxedDecision& d : decisions) {
    std::set<DecisionId> seen;
    const bool by_edges = std::ranges::all_of(d.edges, [&](const auto& edge) {
      return edge && seen.insert(*edge).second &&
             decisions[*edge].options + (none[*edge] ? 1 : 0) > 1;
    });
    d.told_apart = d.pick > 1 && (by_edges || static_cast<std::size_t>(d.pick) == d.options);
  }
}

Architecture strongest(std::span<const RelaxedDecision> decisions, const Strengths& strengths) {
  const auto largest = [&](std::size_t d, bool with_zero) {
    std::size_t best = decisions[d].options;
    for (std::size_t k = 0; k < decisions[d].options; ++k) {
      if (!with_zero && decisions[d].zero == k) continue;
      if (best == decisions[d].options || strengths[d][k] > strengths[d][best]) best = k;
    }
    return best;
  };
  Architecture a;
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    const RelaxedDecision& decision = decisions[d];
    if (decision.pick == 1) {
      a.choices.push_back(static_cast<std::uint32_t>(largest(d, true)));
      continue;
    }
    std::vector<double> values = strengths[d];
    for (std::size_t s = 0; s < values.size(); ++s) {
      if (!decision.edges[s]) continue;
      const DecisionId edge = *decision.edges[s];
      values[s] *= strengths[edge][largest(edge, false)];
    }
    std::vector<std::uint32_t> order(values.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::stable_sort(order, std::greater<>(), [&](std::uint32_t s) { return values[s]; });
    order.resize(static_cast<std::size_t>(decision.pick));
    std::ranges::sort(order);
    a.choices.push_back(rank_subset(order));
  }
  return a;
}

double skip_share(const SearchSpace& space, std::span<const RelaxedDecision> decisions,
                  const Architecture& a) {
  std::size_t skips = 0, all = 0;
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    const std::optional<std::size_t> skip = decisions[d].skip;
    if (!decisions[d].operators || !skip || !space.active(a, static_cast<DecisionId>(d))) continue;
    ++all;
    if (a.choices[d] == *skip) ++skips;
  }
  return all == 0 ? 0 : static_cast<double>(skips) / static_cast<double>(all);
}

}  // namespace espalier
