#include "core/hash.hpp"

#include <fmt/format.h>

namespace espalier {

std::string Hash128::to_string() const { return fmt::format("{:016x}{:016x}", high, low); }

}  // namespace espalier
