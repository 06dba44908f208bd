// The random generator: forkable, with distributions that are equal on every machine.
#pragma once

#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/hash.hpp"

namespace espalier {

/// A value that draws pseudo-random numbers. Equal keys draw equal numbers on every machine; a copy
/// draws what the original would. Not thread-safe: fork one for each task.
/// Source: D. Blackman, S. Vigna: Scrambled linear pseudorandom number generators, ACM TOMS 2021,
/// arXiv 1805.01407 (xoshiro256**), its state filled from the key by splitmix64.
class Rng {
 public:
  explicit Rng(std::uint64_t key) noexcept : key_(key) {
    for (std::size_t i = 0; i < state_.size(); ++i) {
      state_[i] = mix(key + (i + 1) * 0x9e3779b97f4a7c15u);
    }
  }

  /// An independent generator. It depends on this one's key and on the id or name alone, never on
  /// how much was drawn; a name and an id give different ones.
  Rng fork(std::string_view name) const noexcept;
  Rng fork(std::uint64_t id) const noexcept;

  /// The next 64 random bits.
  std::uint64_t next() noexcept {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  /// An integer in [0, n), n >= 1, each exactly equally likely.
  /// Source: D. Lemire: Fast random integer generation in an interval, ACM TOMACS 2019,
  /// arXiv 1805.10941, algorithm 5.
  std::uint64_t below(std::uint64_t n) noexcept {
    assert(n > 0);
    __extension__ using Wide = unsigned __int128;
    Wide product = static_cast<Wide>(next()) * n;
    if (static_cast<std::uint64_t>(product) < n) {
      const std::uint64_t threshold = (0 - n) % n;
      while (static_cast<std::uint64_t>(product) < threshold) {
        product = static_cast<Wide>(next()) * n;
      }
    }
    return static_cast<std::uint64_t>(product >> 64);
  }

  /// An integer in [low, high], both included, low <= high.
  std::int64_t uniform_int(std::int64_t low, std::int64_t high) noexcept {
    assert(low <= high);
    const std::uint64_t count =
        static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
    const std::uint64_t offset = count == 0 ? next() : below(count);
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + offset);
  }

  /// A multiple of 2^-53 in [0, 1).
  double uniform() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

  /// A number of the standard normal distribution: the inverse of its distribution function at a
  /// uniform number, one draw each.
  double normal() noexcept;
  /// As many calls of normal(), in two thirds of the time.
  void fill_normal(std::span<double> values) noexcept;

  /// True with probability p.
  bool bernoulli(double p) noexcept { return uniform() < p; }

  /// Puts the items in an order drawn uniformly (Fisher and Yates).
  template <class T>
  void shuffle(std::span<T> items) noexcept {
    for (std::size_t i = items.size(); i > 1; --i) {
      using std::swap;
      swap(items[i - 1], items[below(i)]);
    }
  }
  template <class T>
  void shuffle(std::vector<T>& items) noexcept {
    shuffle(std::span<T>(items));
  }

  /// k different integers of [0, n), k <= n, in random order, every such sequence equally likely.
  /// Takes O(k) time and memory.
  std::vector<std::size_t> sample_without_replacement(std::size_t n, std::size_t k);

  /// An index drawn with probability proportional to its weight. Weights are finite, not negative,
  /// and not all zero; throws NumericalError otherwise. An index of weight 0 is never drawn.
  std::size_t weighted(std::span<const double> weights);

  /// The generator's whole state as a text, for snapshots; from_string(to_string()) continues as
  /// this one would. from_string throws Error on a text that to_string did not write.
  std::string to_string() const;
  static Rng from_string(std::string_view text);

  friend bool operator==(const Rng&, const Rng&) = default;

 private:
  std::uint64_t key_;
  std::array<std::uint64_t, 4> state_;
};

/// The inverse of the standard normal distribution function, for p in (0, 1); relative error about
/// 1e-15, equal on every machine. Infinite at 0 and 1.
/// Source: M. Wichura: Algorithm AS 241: the percentage points of the normal distribution, Applied
/// Statistics 1988 (PPND16).
double normal_quantile(double p) noexcept;

}  // namespace espalier
