// What a strategy sees that closes ordinal decisions one after the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "objectives/constraint.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

/// The decisions that have a choice, in the order in which they are closed; where each option lies
/// between 0 and 1; what is known when a decision is closed; and which options are left where the
/// network's costs are bounded.
class OrdinalWalk {
 public:
  /// Throws ConfigError, with the pointer "/type", naming the first decision with a choice that is
  /// not ordinal or picks several options.
  OrdinalWalk(const SearchSpace& space, std::span<const Constraint> constraints);

  std::size_t size() const { return steps_.size(); }
  DecisionId decision(std::size_t step) const { return steps_[step].decision; }

  /// The place of each option of a step, in [0, 1]: labels that are numbers lie between the least
  /// and the largest as numbers do, others evenly.
  std::span<const double> places(std::size_t step) const { return steps_[step].places; }

  std::size_t state_size() const;
  /// The state in which a step is taken, given the choices of the decisions before (others are not
  /// read). Of the step: its number, as a share and one-hot; whether its decision is a width, a
  /// kernel, bits of weights or of activations; the share of the cost that it decides on; and,
  /// where the space has a supergraph, the largest input and output channels, height, kernel and
  /// stride of the first convolution or linear layer that it changes, as shares of the largest of
  /// all steps. Of the way so far: the share of the cost that earlier steps have saved, the share
  /// that later steps decide on, and the place taken one step before. The cost is that of the first
  /// bound, else macs. All are in [-1, 1].
  std::vector<double> state(std::size_t step, const Architecture& so_far) const;

  /// Which options of a step let the bounds on macs, params and storage_bytes be kept, given the
  /// choices of the decisions before, when every later step takes its cheapest option. Where no
  /// option does, the cheapest alone.
  std::vector<bool> allowed(std::size_t step, const Architecture& so_far) const;

 private:
  struct Step {
    DecisionId decision = 0;
    std::vector<double> places;
    std::vector<double> features;  // those that do not depend on the way so far
    double share = 0;
  };
  struct Bound {
    std::int64_t Cost::*cost;
    double upper;
    Architecture cheapest;
  };
  double cost(const Architecture& a, std::int64_t Cost::*member) const;
  void add_layer_features();

  const SearchSpace* space_;
  std::vector<Step> steps_;
  std::vector<Bound> bounds_;
  std::int64_t Cost::*measured_ = &Cost::macs;
  Architecture largest_;
  double largest_cost_ = 0;
};

}  // namespace espalier
