#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "search_spaces/search_space.hpp"

namespace espalier {

/// Numbers the architectures of a small space in the order of enumerate(), canonical or not: an
/// index into flat tables.
class MixedRadix {
 public:
  /// Empty where there are more than `limit` architectures.
  static std::optional<MixedRadix> of(const SearchSpace& space, std::uint64_t limit) {
    MixedRadix radix;
    radix.counts_ = space.choice_counts();
    for (std::uint32_t count : radix.counts_) {
      if (radix.size_ > limit / count) return std::nullopt;
      radix.size_ *= count;
    }
    return radix;
  }

  /// The product of the choice counts.
  std::uint64_t size() const { return size_; }

  /// In [0, size()). The choices must be in range (SearchSpace::valid).
  std::uint64_t index(const Architecture& a) const {
    std::uint64_t index = 0;
    for (std::size_t d = 0; d < counts_.size(); ++d) index = index * counts_[d] + a.choices[d];
    return index;
  }

 private:
  MixedRadix() = default;
  std::vector<std::uint32_t> counts_;
  std::uint64_t size_ = 1;
};

}  // namespace espalier
