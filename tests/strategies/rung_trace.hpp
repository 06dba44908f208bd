// What strategies that evaluate at lower fidelities ask for, in short.
#pragma once

#include <cmath>
#include <cstddef>
#include <ostream>
#include <vector>

#include "tests/strategies/toy_search.hpp"

namespace espalier {

/// A candidate in short: 1 / fidelity, and its parent, -1 where it has none.
struct Asked {
  int part = 1;
  int parent = -1;
  friend bool operator==(const Asked&, const Asked&) = default;
};
inline void PrintTo(const Asked& asked, std::ostream* out) {
  *out << "1/" << asked.part << " of " << asked.parent;
}

/// Also checks that children are of the architecture of their parents.
inline std::vector<Asked> in_short(const std::vector<Trial>& trials) {
  std::vector<Asked> result;
  for (const Trial& trial : trials) {
    const Candidate& candidate = trial.candidate;
    Asked& asked = result.emplace_back();
    asked.part = static_cast<int>(std::lround(1 / candidate.fidelity));
    if (!candidate.parent) continue;
    asked.parent = static_cast<int>(*candidate.parent);
    if (trials[*candidate.parent].candidate.architecture != candidate.architecture) asked.part = 0;
  }
  return result;
}

/// The score of each trial by its id; 0 for further ones.
inline Outcome scores(std::vector<double> of_trials) {
  return [of_trials](const Candidate& candidate) {
    Trial trial{.candidate = candidate, .metrics = Metrics(test_metrics())};
    trial.metrics[0] = candidate.trial_id < of_trials.size() ? of_trials[candidate.trial_id] : 0;
    trial.metrics[1] = 0;
    return trial;
  };
}

}  // namespace espalier
