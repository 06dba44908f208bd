#include "predictors/predictor.hpp"

#include <fmt/format.h>

#include <cmath>

#include "core/error.hpp"

namespace espalier {

void check_fit_arguments(std::span<const Features> networks, std::span<const double> values) {
  if (networks.empty() || networks.size() != values.size()) {
    throw Error(
        fmt::format("a predictor was given {} networks and {} values; expected as "
                    "many of both, and at least 1",
                    networks.size(), values.size()));
  }
  for (const double value : values) {
    if (!std::isfinite(value)) {
      throw NumericalError(fmt::format("a predictor was given the value {}", value));
    }
  }
}

void check_fitted(bool fitted) {
  if (!fitted) throw Error("a predictor was asked before it was fitted");
}

}  // namespace espalier
