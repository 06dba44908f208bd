// 128-bit hashes that are equal on every machine, for fingerprints. Not cryptographic.
#pragma once

#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace espalier {

/// A 128-bit hash value. Its order is arbitrary but fixed.
struct Hash128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  friend bool operator==(const Hash128&, const Hash128&) = default;
  friend auto operator<=>(const Hash128&, const Hash128&) = default;

  /// 32 lower-case hexadecimal digits.
  std::string to_string() const;
};

/// A bijection of 64-bit words in which every input bit changes every output bit with probability
/// near one half.
/// Source: G. Steele, D. Lea, C. Flood: Fast splittable pseudorandom number generators, OOPSLA
/// 2014, with the constants of D. Stafford's variant 13 (the finalizer of splitmix64).
constexpr std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// Folds one word into a hash; the order of the words matters.
constexpr Hash128 combine(Hash128 hash, std::uint64_t word) noexcept {
  const std::uint64_t high = mix(hash.high + 0x9e3779b97f4a7c15u + word);
  const std::uint64_t low = mix((hash.low ^ word) * 0xff51afd7ed558ccdu + high);
  return {high + std::rotl(low, 23), low};
}

/// Folds one hash into another; the order matters.
constexpr Hash128 combine(Hash128 hash, Hash128 other) noexcept {
  return combine(combine(hash, other.high), other.low);
}

/// Folds the bits of a number into a hash. Numbers that compare equal give equal hashes: -0 is 0.
constexpr Hash128 combine(Hash128 hash, double value) noexcept {
  return combine(hash, std::bit_cast<std::uint64_t>(value == 0 ? 0.0 : value));
}

/// Folds a text, with its length, into a hash.
constexpr Hash128 combine(Hash128 hash, std::string_view text) noexcept {
  hash = combine(hash, static_cast<std::uint64_t>(text.size()));
  for (std::size_t i = 0; i < text.size(); i += 8) {
    std::uint64_t word = 0;
    for (std::size_t j = 0; j < 8 && i + j < text.size(); ++j) {
      word |= static_cast<std::uint64_t>(static_cast<unsigned char>(text[i + j])) << (8 * j);
    }
    hash = combine(hash, word);
  }
  return hash;
}

}  // namespace espalier

template <>
struct std::hash<espalier::Hash128> {
  std::size_t operator()(const espalier::Hash128& value) const noexcept {
    return static_cast<std::size_t>(value.low ^ std::rotl(value.high, 32));
  }
};
