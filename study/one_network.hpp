// One network as a search space without decisions.
#pragma once

#include <utility>

#include "search_spaces/search_space.hpp"

namespace espalier {

/// A space with a single architecture, the empty one, so that a reference network or one from a
/// file is measured as candidates are.
class OneNetwork : public SearchSpace {
 public:
  explicit OneNetwork(Graph graph) : SearchSpace({}), graph_(std::move(graph)) {}
  Graph build(const Architecture& a) const override {
    require_valid(a);
    return graph_;
  }

 private:
  Graph graph_;
};

}  // namespace espalier
