#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace espalier {

/// Index of a decision in its search space.
using DecisionId = std::uint32_t;

/// An integer attribute of a network: a constant, or a function of the architecture.
///
/// An open Dim is a reduced ordered decision diagram: a switch over the options of one decision
/// (smallest index first) whose branches are Dims, collapsed where all branches are equal.
/// Diagrams are interned, so a Dim is a 32-bit handle, and `==` means "equal for every
/// architecture". Interning is thread-safe and reading takes no lock; interned diagrams live as
/// long as the process.
///
/// A pick-k decision (k > 1) has one branch per combination of k options.
/// Source: Bryant, "Graph-Based Algorithms for Boolean Function Manipulation", IEEE TC 1986; here
/// with many-valued variables and integer leaves. Test: DimOracle.EqualFunctionsAreEqualDims.
class Dim {
 public:
  /// The constant 0.
  constexpr Dim() = default;
  /// The constant `value`. Implicit: a number is a Dim.
  constexpr Dim(std::int64_t value)  // NOLINT(google-explicit-constructor)
      : bits_(fits(value) ? static_cast<std::int32_t>(value) * 2 : intern_constant(value)) {}

  /// The Dim that equals `branches[k]` where option k of `decision` is chosen. Branches may read
  /// any decisions, `decision` too. Throws UnsupportedError where the diagram passes the limit, and
  /// InvalidArchitecture for no branches, or where it has to merge switches over one decision that
  /// have different numbers of options (a Supergraph holds all of them against its decisions).
  static Dim select(DecisionId decision, std::span<const Dim> branches);

  constexpr bool constant() const { return (bits_ & 1) == 0 || big_constant(); }
  /// The number. Throws InvalidArchitecture when the Dim is open.
  constexpr std::int64_t value() const { return (bits_ & 1) == 0 ? bits_ / 2 : pooled_value(); }
  /// The number for an architecture (`choices[d]` is the option of decision d).
  constexpr std::int64_t at(std::span<const std::uint32_t> choices) const {
    return (bits_ & 1) == 0 ? bits_ / 2 : pooled_at(choices);
  }
  /// Smallest and largest value over all architectures.
  std::int64_t min() const;
  std::int64_t max() const;

  /// The first decision that an open Dim reads. Throws InvalidArchitecture on a constant.
  DecisionId decision() const;
  /// One Dim per option of decision(). Empty for a constant.
  std::span<const Dim> branches() const;
  /// The Dim with `decision` fixed to `option`.
  Dim restrict(DecisionId decision, std::uint32_t option) const;
  /// The decisions that the Dim reads, ascending.
  std::vector<DecisionId> support() const;
  /// 1 where evaluating the Dim reads `decision`, else 0.
  Dim reads(DecisionId decision) const;
  /// "24", or "stage1.width{16|24}" with the name of each decision, "d3{16|24}" without.
  std::string to_string(std::span<const std::string> names = {}) const;

  friend constexpr bool operator==(Dim, Dim) = default;
  /// An arbitrary but fixed order within a process, for containers.
  constexpr std::uint32_t handle() const { return static_cast<std::uint32_t>(bits_); }

  /// Diagrams (and the work of one map()) above this many nodes throw UnsupportedError.
  static constexpr std::size_t max_nodes = 100'000;

 private:
  struct Pool;
  static constexpr bool fits(std::int64_t v) {
    return v >= -(std::int64_t{1} << 30) && v < (std::int64_t{1} << 30);
  }
  static std::int32_t intern_constant(std::int64_t value);
  bool big_constant() const;
  std::int64_t pooled_value() const;
  std::int64_t pooled_at(std::span<const std::uint32_t> choices) const;
  std::int32_t bits_ = 0;
};

namespace detail {
/// The smallest decision that the open ones among `dims` read first.
DecisionId first_decision(std::span<const Dim> dims);
[[noreturn]] void throw_diagram_too_large();
/// The options of `decision`, read first by some of the dims. Throws InvalidArchitecture where two
/// disagree.
std::size_t option_count(std::span<const Dim> dims, DecisionId decision);

template <std::size_t N>
struct DimKeyHash {
  std::size_t operator()(const std::array<Dim, N>& key) const {
    std::uint64_t h = 0x9E3779B97F4A7C15ull;
    for (Dim d : key) h = (h ^ d.handle()) * 0xBF58476D1CE4E5B9ull, h ^= h >> 29;
    return static_cast<std::size_t>(h);
  }
};
template <std::size_t N>
using DimMemo = std::unordered_map<std::array<Dim, N>, Dim, DimKeyHash<N>>;

template <class F, std::size_t N, std::size_t... I>
Dim map_rec(F& f, const std::array<Dim, N>& key, DimMemo<N>& memo, std::index_sequence<I...> seq) {
  if ((key[I].constant() && ...)) return Dim(static_cast<std::int64_t>(f(key[I].value()...)));
  if (auto it = memo.find(key); it != memo.end()) return it->second;
  if (memo.size() >= Dim::max_nodes) throw_diagram_too_large();
  const DecisionId top = first_decision(key);
  std::vector<Dim> branches(option_count(key, top));
  for (std::size_t k = 0; k < branches.size(); ++k) {
    std::array<Dim, N> child = key;
    for (Dim& d : child) {
      if (!d.constant() && d.decision() == top) d = d.branches()[k];
    }
    branches[k] = map_rec(f, child, memo, seq);
  }
  const Dim result = Dim::select(top, branches);
  memo.emplace(key, result);
  return result;
}
}  // namespace detail

/// Lifts an integer function to Dims: the Dim that equals `f(dims...)` for every architecture.
/// `f` must be pure. Throws UnsupportedError where the diagram passes Dim::max_nodes, and
/// InvalidArchitecture where it has to merge switches over one decision that have different numbers
/// of options.
template <class F, class... Dims>
Dim map(F&& f, Dims... dims) {
  const std::array<Dim, sizeof...(Dims)> key{Dim(dims)...};
  detail::DimMemo<sizeof...(Dims)> memo;
  return detail::map_rec(f, key, memo, std::index_sequence_for<Dims...>{});
}

inline Dim operator+(Dim a, Dim b) {
  if (a.constant() && b.constant()) return a.value() + b.value();
  return map([](std::int64_t x, std::int64_t y) { return x + y; }, a, b);
}
inline Dim operator-(Dim a, Dim b) {
  if (a.constant() && b.constant()) return a.value() - b.value();
  return map([](std::int64_t x, std::int64_t y) { return x - y; }, a, b);
}
inline Dim operator*(Dim a, Dim b) {
  if (a.constant() && b.constant()) return a.value() * b.value();
  return map([](std::int64_t x, std::int64_t y) { return x * y; }, a, b);
}

/// `expect(dim, weights, leaf)`: the sum over the diagram of the products of option weights times
/// `leaf(value)`. `weights(decision, option)` gives a factor; a factor for which `is_zero` holds
/// is not descended (so that 0 x inf never appears). `T` needs `+` and `weight * T`.
/// Returns an empty optional-like default `T{}` only when every weight is zero. Takes a call of
/// `leaf` for each path, not for each node, of the diagram: up to the product of the numbers of
/// options of the decisions that it reads.
template <class T, class Weight, class IsZero, class Leaf>
T expect(Dim dim, Weight&& weight, IsZero&& is_zero, Leaf&& leaf) {
  if (dim.constant()) return leaf(dim.value());
  T sum{};
  bool first = true;
  const auto branches = dim.branches();
  for (std::uint32_t k = 0; k < branches.size(); ++k) {
    auto w = weight(dim.decision(), k);
    if (is_zero(w)) continue;
    T term = w * expect<T>(branches[k], weight, is_zero, leaf);
    sum = first ? std::move(term) : sum + term;
    first = false;
  }
  return sum;
}

}  // namespace espalier

template <>
struct std::hash<espalier::Dim> {
  std::size_t operator()(espalier::Dim d) const noexcept {
    return std::hash<std::uint32_t>{}(d.handle());
  }
};
