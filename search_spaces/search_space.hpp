#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_fwd.hpp"
#include "graph/cost.hpp"
#include "graph/decision.hpp"
#include "graph/graph.hpp"
#include "search_spaces/architecture.hpp"

namespace espalier {

class Supergraph;

/// A network with open decisions. An Architecture closes them. Immutable and safe to share between
/// threads.
class SearchSpace {
 public:
  virtual ~SearchSpace() = default;
  SearchSpace(const SearchSpace&) = delete;
  SearchSpace& operator=(const SearchSpace&) = delete;

  const std::vector<Decision>& decisions() const { return decisions_; }
  /// choice_count() of each decision.
  const std::vector<std::uint32_t>& choice_counts() const { return counts_; }

  /// True when the architecture has one in-range choice per decision and keeps the space's
  /// constraints (there are none unless a space overrides this).
  virtual bool valid(const Architecture& a) const;
  /// Whether valid() refuses architectures in range although the space has a supergraph. Default:
  /// false.
  virtual bool constrained() const { return false; }
  /// The network. Throws InvalidArchitecture when not valid().
  virtual Graph build(const Architecture& a) const = 0;
  /// The architecture with the choices that do not change the network set to 0, so that equal
  /// canonical architectures have equal networks. Default: unchanged.
  virtual Architecture canonical(const Architecture& a) const { return a; }
  /// Whether changing decision `d` can change the network. Default: true.
  virtual bool active(const Architecture& a, DecisionId d) const;
  /// For the spaces that can share weights.
  virtual const Supergraph* supergraph() const { return nullptr; }
  /// Params and macs (only those two are set) faster than cost(build(a)) where the space can.
  virtual Cost quick_cost(const Architecture& a) const;

  /// The space's own string for an architecture; default "decision=label,decision=label".
  virtual std::string to_string(const Architecture& a) const;
  /// Inverse of to_string(). Throws InvalidArchitecture saying what a string looks like.
  virtual Architecture parse(std::string_view text) const;

 protected:
  explicit SearchSpace(std::vector<Decision> decisions);
  /// Throws InvalidArchitecture naming the wrong decision.
  void require_valid(const Architecture& a) const;

 private:
  std::vector<Decision> decisions_;
  std::vector<std::uint32_t> counts_;
};

/// {decision: label} of every decision.
Json architecture_to_json(const SearchSpace& space, const Architecture& a);
/// Inverse; a decision that is left out takes its first option. Throws InvalidArchitecture naming
/// an unknown decision or label and the nearest known one.
Architecture architecture_from_json(const SearchSpace& space, const Json& json);
/// Reads what a user may write: the space's own string or a JSON object of labels. Throws
/// InvalidArchitecture.
Architecture parse_architecture(const SearchSpace& space, std::string_view text);

/// The number of different canonical architectures. It is an estimate where decisions that depend
/// on each other have more than 2,000,000 combinations: with a supergraph their canonical share is
/// that of a million random ones (fixed seed), without one all combinations count. Where a space
/// with a supergraph is constrained() and has more than 100,000 of them, the share of valid ones is
/// that of 100,000 random ones.
struct SpaceSize {
  std::string decimal;    ///< all digits
  bool estimate = false;  ///< else exact
};
SpaceSize space_size(const SearchSpace& space);

/// A network of a space: builds its graph and costs when first asked. Not thread-safe; cheap to
/// make. The space and the architecture must outlive it.
class Network {
 public:
  Network(const SearchSpace& space, const Architecture& architecture)
      : space_(&space), architecture_(&architecture) {}

  const SearchSpace& space() const { return *space_; }
  const Architecture& architecture() const { return *architecture_; }
  const Graph& graph() const;
  const Cost& cost() const;

 private:
  const SearchSpace* space_;
  const Architecture* architecture_;
  mutable std::unique_ptr<Graph> graph_;
  mutable std::unique_ptr<Cost> cost_;
};

}  // namespace espalier
