#include "search_spaces/supergraph.hpp"

#include <algorithm>
#include <map>
#include <unordered_set>

#include <fmt/format.h>

#include "core/error.hpp"

namespace espalier {

namespace {

Dim either(Dim a, Dim b) {
  if (a == Dim(1) || b == Dim(0)) return a;
  if (b == Dim(1) || a == Dim(0)) return b;
  if (a == b) return a;
  return map([](std::int64_t x, std::int64_t y) -> std::int64_t { return x != 0 || y != 0; }, a, b);
}

/// Calls f for each Dim of a node that is a hole when open.
template <class AnyNode, class F>
void for_each_hole(AnyNode& node, F&& f) {
  for_each_dim(node.op, [&](std::string_view, auto& d) { f(d); });
  if (node.compression.quantization) {
    f(node.compression.quantization->weight_bits);
    f(node.compression.quantization->activation_bits);
  }
}

}  // namespace

std::vector<std::uint32_t> Supergraph::picked(DecisionId d, std::uint32_t choice) const {
  return picked_options(decisions_[d], choice);
}

Supergraph::Supergraph(Graph graph, std::vector<Decision> decisions)
    : graph_(std::move(graph)),
      decisions_(std::move(decisions)),
      costs_(std::make_unique<LazyCosts>()) {
  const std::size_t n = graph_.size();
  graph_.output();
  std::vector<std::uint32_t> counts;
  for (const Decision& d : decisions_) counts.push_back(choice_count(d));
  std::unordered_set<Dim> checked;
  const auto check = [&](Dim dim, NodeId id) {
    const auto fail = [&](const std::string& what) {
      throw ShapeError("node '" + graph_.name(id) + "': the dimension " +
                       dim.to_string(graph_.decision_names()) + what);
    };
    std::vector<Dim> rest{dim};
    while (!rest.empty()) {
      const Dim d = rest.back();
      rest.pop_back();
      if (d.constant() || !checked.insert(d).second) continue;
      if (d.decision() >= decisions_.size() || decisions_[d.decision()].pick != 1) {
        fail(" must read pick-1 decisions of this supergraph");
      }
      const Decision& decision = decisions_[d.decision()];
      if (d.branches().size() != decision.options.size()) {
        fail(" has " + std::to_string(d.branches().size()) + " values for decision '" +
             decision.name + "', which has " + std::to_string(decision.options.size()) +
             " options");
      }
      for (Dim branch : d.branches()) rest.push_back(branch);
    }
  };
  closed_.resize(n);
  for (NodeId id = 0; id < n; ++id) {
    const Node& node = graph_.node(id);
    bool closed = true;
    for_each_hole(node, [&](Dim d) {
      if (!d.constant()) check(d, id), closed = false;
    });
    for (Dim d : node.shape.values()) closed = closed && d.constant();
    if (const auto* choice = std::get_if<op::Choice>(&node.op)) {
      if (choice->decision >= decisions_.size()) {
        throw ShapeError("choice '" + graph_.name(id) + "': decision " +
                         std::to_string(choice->decision) + " does not exist");
      }
      const Decision& decision = decisions_[choice->decision];
      if (decision.options.size() != node.input_count ||
          static_cast<std::uint32_t>(decision.pick) != choice->pick) {
        throw ShapeError("choice '" + graph_.name(id) + "': picks " + std::to_string(choice->pick) +
                         " of " + std::to_string(node.input_count) + " inputs, but decision '" +
                         decision.name + "' picks " + std::to_string(decision.pick) + " of " +
                         std::to_string(decision.options.size()) + " options");
      }
    }
    closed_[id] = closed;
  }
  layouts_ = channel_layouts(graph_, decisions_);

  node_active_.assign(n, Dim(0));
  decision_active_.assign(decisions_.size(), Dim(0));
  node_active_[graph_.output()] = 1;
  const auto both = [](std::int64_t x, std::int64_t y) -> std::int64_t { return x != 0 && y != 0; };
  for (NodeId id = static_cast<NodeId>(n); id-- > 0;) {
    const Dim active = node_active_[id];
    if (active == Dim(0)) continue;
    const Node& node = graph_.node(id);
    const auto inputs = graph_.inputs(id);
    if (const auto* choice = std::get_if<op::Choice>(&node.op)) {
      Dim& decision = decision_active_[choice->decision];
      decision = either(decision, active);
      std::vector<std::vector<Dim>> reached(inputs.size(),
                                            std::vector<Dim>(counts[choice->decision], Dim(0)));
      for (std::uint32_t c = 0; c < counts[choice->decision]; ++c) {
        for (std::uint32_t slot : picked(choice->decision, c)) reached[slot][c] = 1;
      }
      for (std::size_t slot = 0; slot < inputs.size(); ++slot) {
        Dim& in = node_active_[inputs[slot]];
        in = either(in, map(both, active, Dim::select(choice->decision, reached[slot])));
      }
    } else {
      for (NodeId input : inputs) node_active_[input] = either(node_active_[input], active);
    }
    if (closed_[id]) continue;
    for_each_hole(node, [&](Dim hole) {
      for (DecisionId d : hole.support()) {
        decision_active_[d] = either(decision_active_[d], map(both, active, hole.reads(d)));
      }
    });
  }
  for (DecisionId d = 0; d < decisions_.size(); ++d) {
    if (decision_active_[d] != Dim(1)) conditional_.push_back(d);
  }
}

Architecture Supergraph::canonical(const Architecture& a) const {
  Architecture result = a;
  for (DecisionId d : conditional_) {
    if (decision_active_[d].at(a.choices) == 0) result.choices[d] = 0;
  }
  return result;
}

Graph Supergraph::close(const Architecture& a) const {
  const std::size_t n = graph_.size();
  const std::span<const std::uint32_t> choices = a.choices;
  constexpr NodeId unreached = ~NodeId{0};
  static thread_local std::vector<std::uint8_t> active;
  static thread_local std::vector<NodeId> renumbered;  // of each supergraph node
  static thread_local std::vector<NodeId> inputs;
  active.assign(n, 0);
  renumbered.assign(n, unreached);
  active[n - 1] = 1;
  for (NodeId id = static_cast<NodeId>(n); id-- > 0;) {
    if (!active[id]) continue;
    const auto in = graph_.inputs(id);
    if (const auto* choice = std::get_if<op::Choice>(&graph_.node(id).op)) {
      if (choice->pick == 1) {
        active[in[choices[choice->decision]]] = 1;
      } else {
        for (std::uint32_t slot : picked(choice->decision, choices[choice->decision])) {
          active[in[slot]] = 1;
        }
      }
    } else {
      for (NodeId input : in) active[input] = 1;
    }
  }
  Graph graph = Graph::like(graph_, choices);
  std::size_t node_count = 0, input_count = 0;
  for (NodeId id = 0; id < n; ++id) {
    if (active[id]) ++node_count, input_count += graph_.node(id).input_count;
  }
  graph.reserve(node_count, input_count);
  for (NodeId id = 0; id < n; ++id) {
    if (!active[id]) continue;
    const Node& node = graph_.node(id);
    const auto in = graph_.inputs(id);
    inputs.clear();
    if (const auto* choice = std::get_if<op::Choice>(&node.op)) {
      if (choice->pick == 1) {
        renumbered[id] = renumbered[in[choices[choice->decision]]];
        continue;
      }
      for (std::uint32_t slot : picked(choice->decision, choices[choice->decision])) {
        inputs.push_back(renumbered[in[slot]]);
      }
      renumbered[id] = graph.add_trusted(op::Add{}, inputs, node.name, node.scope, {},
                                         graph.node(inputs[0]).shape);
      continue;
    }
    for (NodeId input : in) inputs.push_back(renumbered[input]);
    if (closed_[id]) {
      renumbered[id] =
          graph.add_trusted(node.op, inputs, node.name, node.scope, node.compression, node.shape);
      continue;
    }
    Node copy = node;
    for_each_hole(copy, [&](Dim& d) { d = d.at(choices); });
    for (std::uint32_t i = 0; i < copy.shape.rank; ++i) copy.shape[i] = copy.shape[i].at(choices);
    if (copy.compression.quantization == Quantization{}) copy.compression.quantization.reset();
    renumbered[id] =
        graph.add_trusted(copy.op, inputs, copy.name, copy.scope, copy.compression, copy.shape);
  }
  return graph;
}

Supergraph::CostTerms Supergraph::collect(Dim NodeCost::*member) const {
  // Summing diagrams that read the same decisions keeps the sums small; one sum of everything
  // would be a diagram over all decisions at once.
  CostTerms result;
  std::map<std::vector<DecisionId>, Dim> sums;
  const auto gated = [](std::int64_t active, std::int64_t cost) { return active * cost; };
  for (NodeId id = 0; id < graph_.size(); ++id) {
    const Dim cost = node_cost(graph_, id).*member;
    if (cost == Dim(0)) continue;
    const Dim term = node_active_[id] == Dim(1) ? cost : map(gated, node_active_[id], cost);
    if (term.constant()) {
      result.constant += term.value();
    } else {
      Dim& sum = sums[term.support()];
      sum = sum + term;
    }
  }
  for (const auto& [support, sum] : sums) result.terms.push_back(sum);
  return result;
}

Cost Supergraph::quick_cost(const Architecture& a) const {
  std::call_once(costs_->once, [this] {
    costs_->params = collect(&NodeCost::params);
    costs_->macs = collect(&NodeCost::macs);
  });
  Cost cost;
  cost.params = costs_->params.constant;
  for (Dim d : costs_->params.terms) cost.params += d.at(a.choices);
  cost.macs = costs_->macs.constant;
  for (Dim d : costs_->macs.terms) cost.macs += d.at(a.choices);
  return cost;
}

DecisionId SupergraphBuilder::decide(Decision decision) {
  for (DecisionId d = 0; d < decisions_.size(); ++d) {
    if (decisions_[d].name != decision.name) continue;
    if (decisions_[d] != decision) {
      throw ConfigError("", "decision '" + decision.name +
                                "' is opened twice with different options; give it another name, "
                                "or the same options to tie the two");
    }
    return d;
  }
  choice_count(decision);
  decisions_.push_back(std::move(decision));
  std::vector<std::string> names;
  for (const Decision& d : decisions_) names.push_back(d.name);
  graph_.set_decision_names(std::move(names));
  return static_cast<DecisionId>(decisions_.size() - 1);
}

Dim SupergraphBuilder::number(std::string_view name, std::span<const std::int64_t> values) {
  if (values.size() == 1) return values[0];
  Decision decision{.name = std::string(name), .options = {}, .pick = 1, .ordinal = true};
  for (std::int64_t v : values) decision.options.push_back(std::to_string(v));
  return dim(decide(std::move(decision)), values);
}

Dim SupergraphBuilder::number(std::string_view name, std::span<const double> factors,
                              const std::function<Dim(double)>& value) {
  if (factors.size() == 1) return value(factors[0]);
  Decision decision{.name = std::string(name), .options = {}, .pick = 1, .ordinal = true};
  std::vector<Dim> values;
  for (double factor : factors) {
    decision.options.push_back(fmt::format("{}", factor));
    values.push_back(value(factor));
  }
  return Dim::select(decide(std::move(decision)), values);
}

Dim SupergraphBuilder::dim(DecisionId d, std::span<const std::int64_t> values) const {
  if (d >= decisions_.size() || decisions_[d].options.size() != values.size()) {
    throw ShapeError("a dimension of " + std::to_string(values.size()) +
                     " values needs a decision of as many options");
  }
  return Dim::select(d, std::vector<Dim>(values.begin(), values.end()));
}

NodeId SupergraphBuilder::choice(DecisionId d, std::span<const NodeId> inputs,
                                 std::string_view name) {
  if (d >= decisions_.size()) {
    throw ShapeError("decision " + std::to_string(d) + " does not exist");
  }
  return append(op::Choice{d, static_cast<std::uint32_t>(decisions_[d].pick)}, inputs, name);
}

Supergraph SupergraphBuilder::finish() {
  return Supergraph(build(), std::exchange(decisions_, {}));
}

Graph SupergraphSpace::build(const Architecture& a) const {
  require_valid(a);
  return supergraph_.close(a);
}

}  // namespace espalier
