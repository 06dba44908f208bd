// What a strategy is told.
#pragma once

#include <string>

#include "objectives/candidate.hpp"
#include "objectives/metric.hpp"

namespace espalier {

/// A trial failed when its evaluation threw or gave a metric that is NaN or infinite.
enum class TrialState { complete, failed };

/// A candidate and what came of it.
struct Trial {
  Candidate candidate;
  TrialState state = TrialState::complete;
  Metrics metrics;
  /// Why it failed; "" when it is complete.
  std::string error = "";

  friend bool operator==(const Trial&, const Trial&) = default;
};

}  // namespace espalier
