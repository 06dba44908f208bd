#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <vector>

namespace espalier {

/// A point of a search space: choices[d] is the option of decision d, below its choice_count().
struct Architecture {
  std::vector<std::uint32_t> choices;
  friend bool operator==(const Architecture&, const Architecture&) = default;
  friend auto operator<=>(const Architecture&, const Architecture&) = default;
};

/// For hash tables keyed by architecture.
struct ArchitectureHash {
  std::size_t operator()(const Architecture& a) const noexcept {
    std::uint64_t h = 0x9E3779B97F4A7C15ull ^ a.choices.size();
    for (std::uint32_t c : a.choices) {
      h = (h ^ c) * 0xBF58476D1CE4E5B9ull;
      h ^= h >> 31;
    }
    return static_cast<std::size_t>(h);
  }
};

}  // namespace espalier
