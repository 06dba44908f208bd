// How children come from parents.
#pragma once

#include "core/options.hpp"
#include "core/rng.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

/// How a child is made of two parents.
struct VariationOptions {
  double crossover = 0.9;  ///< share of children that are crossed, in [0, 1]; others copy a parent
  double mutations = 1;    ///< expected mutations of a child, at most one a decision
};

/// A child: with probability `crossover` that of crossover(), else the first parent; then mutate()
/// k times, where k is binomial: each decision of the space counts with the same probability, so
/// that `mutations` are expected. Subset decisions exchange one member. Valid and canonical.
Architecture vary(const SearchSpace& space, const Architecture& a, const Architecture& b,
                  const VariationOptions& options, Rng& rng);

/// Adds "crossover" and "mutations" to the table of options with members of these names.
template <class T>
void add_variation_options(OptionTable<T>& table) {
  table
      .add("crossover", &T::crossover, "share of children that are crossed of two parents",
           between(0, 1))
      .add("mutations", &T::mutations, "expected mutations of a child", at_least(0));
}

}  // namespace espalier
