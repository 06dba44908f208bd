#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "graph/builder.hpp"
#include "graph/cost.hpp"
#include "graph/decision.hpp"
#include "search_spaces/architecture.hpp"
#include "search_spaces/layout.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

/// A graph with holes (Choice nodes and open Dims) and the decisions that close them.
///
/// A decision is active when one of its holes is reached from the output; activity is derived as a
/// Dim (1 or 0) from the graph. Immutable; safe to share between threads.
class Supergraph {
 public:
  /// Checks every hole against the decisions. Throws ShapeError, ConfigError.
  Supergraph(Graph graph, std::vector<Decision> decisions);

  const Graph& graph() const { return graph_; }
  const std::vector<Decision>& decisions() const { return decisions_; }
  /// Channel layout of each node.
  const Layout& layout(NodeId id) const { return layouts_[id]; }
  /// 1 where the node is reached from the output.
  Dim node_active(NodeId id) const { return node_active_[id]; }
  /// 1 where the decision has a reached hole.
  Dim decision_active(DecisionId d) const { return decision_active_[d]; }

  /// The concrete graph: unreached nodes left out, a pick-1 choice aliased to its input, a pick-k
  /// choice turned into an Add. Names and scopes are shared with the supergraph.
  /// The architecture must be in range (SearchSpace::valid).
  Graph close(const Architecture& a) const;
  /// Sets the choices of inactive decisions to 0.
  Architecture canonical(const Architecture& a) const;
  /// Params and macs of close(a) without building it (the other costs stay 0).
  Cost quick_cost(const Architecture& a) const;
  /// The options (ascending) that `choice` of a decision picks.
  std::vector<std::uint32_t> picked(DecisionId d, std::uint32_t choice) const;

 private:
  struct CostTerms {
    std::int64_t constant = 0;
    std::vector<Dim> terms;  // one per set of decisions read
  };
  CostTerms collect(Dim NodeCost::*member) const;

  Graph graph_;
  std::vector<Decision> decisions_;
  std::vector<Layout> layouts_;
  std::vector<Dim> node_active_;
  std::vector<Dim> decision_active_;
  std::vector<DecisionId> conditional_;  // decisions that are not always active
  std::vector<std::uint8_t> closed_;     // nodes without open attributes or shape
  struct LazyCosts {
    std::once_flag once;
    CostTerms params, macs;
  };
  std::unique_ptr<LazyCosts> costs_;  // diagrams are summed on the first use
};

/// Builds a supergraph: a GraphBuilder that also opens holes.
class SupergraphBuilder : public GraphBuilder {
 public:
  /// Adds a decision; the same name with the same options again is the same decision (tied).
  /// Throws ConfigError when the name is taken by a different one.
  DecisionId decide(Decision decision);
  /// A pick-1 decision whose options are numbers, and the Dim that equals the chosen one.
  Dim number(std::string_view name, std::span<const std::int64_t> values);
  /// The same for factors that need not be whole: the Dim that equals value(the chosen factor).
  Dim number(std::string_view name, std::span<const double> factors,
             const std::function<Dim(double)>& value);
  /// The Dim that equals values[k] where option k of `d` is chosen.
  Dim dim(DecisionId d, std::span<const std::int64_t> values) const;
  /// The sum of the inputs that the decision picks; one input per option.
  NodeId choice(DecisionId d, std::span<const NodeId> inputs, std::string_view name = "choice");
  const std::vector<Decision>& decisions() const { return decisions_; }
  Supergraph finish();

 private:
  std::vector<Decision> decisions_;
};

/// A search space that is a supergraph: every space of the catalogue with shared weights.
class SupergraphSpace : public SearchSpace {
 public:
  explicit SupergraphSpace(Supergraph supergraph)
      : SearchSpace(supergraph.decisions()), supergraph_(std::move(supergraph)) {}

  Graph build(const Architecture& a) const override;
  Architecture canonical(const Architecture& a) const override { return supergraph_.canonical(a); }
  bool active(const Architecture& a, DecisionId d) const override {
    return supergraph_.decision_active(d).at(a.choices) != 0;
  }
  const Supergraph* supergraph() const override { return &supergraph_; }
  Cost quick_cost(const Architecture& a) const override { return supergraph_.quick_cost(a); }

 private:
  Supergraph supergraph_;
};

}  // namespace espalier
