// What a run's numbers depend on beside its options.
#pragma once

#include <string>

#include "core/json.hpp"

namespace espalier {

/// {"espalier", "libtorch": versions, "cpu": the instruction sets that change rounding}.
Json environment();

/// Throws ConfigError (pointer /compute/device) unless LibTorch has such a device here.
void require_device(const std::string& device);

}  // namespace espalier
