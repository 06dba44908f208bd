// A space of decisions that pick one or several options, for the tests of strategies.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "graph/builder.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

/// Independent decisions, each of {options, how many are picked}; all networks are alike.
class SubsetSpace : public SearchSpace {
 public:
  explicit SubsetSpace(const std::vector<std::pair<int, int>>& decisions)
      : SearchSpace(decisions_of(decisions)) {}

  Graph build(const Architecture& a) const override {
    require_valid(a);
    GraphBuilder builder;
    builder.output(builder.input(1, 1, 1));
    return builder.build();
  }

 private:
  static std::vector<Decision> decisions_of(const std::vector<std::pair<int, int>>& counts) {
    std::vector<Decision> decisions;
    for (const auto& [options, pick] : counts) {
      Decision& decision = decisions.emplace_back();
      decision.name = "d" + std::to_string(decisions.size());
      decision.pick = pick;
      for (int i = 0; i < options; ++i) decision.options.push_back(std::to_string(i));
    }
    return decisions;
  }
};

}  // namespace espalier
