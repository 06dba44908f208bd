#include "graph/dim.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <unordered_set>

#include "core/error.hpp"

namespace espalier {

namespace detail {
[[noreturn]] void throw_option_mismatch(DecisionId decision, std::size_t a, std::size_t b);
}  // namespace detail

namespace {

/// A leaf holds a constant too large for the handle; a switch holds its branches.
struct DiagramNode {
  std::int64_t value = 0;  // of a leaf
  std::int64_t min = 0;
  std::int64_t max = 0;
  DecisionId decision = 0;
  std::vector<Dim> branches;  // empty for a leaf
};

struct DiagramKey {
  DecisionId decision;
  std::vector<Dim> branches;
  bool operator==(const DiagramKey&) const = default;
};

struct DiagramKeyHash {
  std::size_t operator()(const DiagramKey& key) const {
    std::uint64_t h = key.decision + 0x9E3779B97F4A7C15ull;
    for (Dim d : key.branches) h = (h ^ d.handle()) * 0xBF58476D1CE4E5B9ull, h ^= h >> 29;
    return static_cast<std::size_t>(h);
  }
};

}  // namespace

/// Append-only. Nodes sit in chunks whose addresses never change and whose table is atomic, so a
/// handle obtained from any thread can be read without a lock.
struct Dim::Pool {
  static constexpr std::size_t chunk_size = std::size_t{1} << 14;
  static constexpr std::size_t max_chunks = std::size_t{1} << 14;

  std::mutex mutex;
  std::array<std::atomic<DiagramNode*>, max_chunks> chunks{};
  std::size_t size = 0;
  std::unordered_map<std::int64_t, std::int32_t> constants;
  std::unordered_map<DiagramKey, std::int32_t, DiagramKeyHash> switches;

  static Pool& instance() {
    static Pool* pool = new Pool;  // never destroyed: handles may outlive static objects
    return *pool;
  }
  const DiagramNode& at(std::int32_t bits) const {
    const std::size_t index = static_cast<std::uint32_t>(bits) >> 1;
    return chunks[index / chunk_size].load(std::memory_order_acquire)[index % chunk_size];
  }
  std::int32_t append(DiagramNode node) {  // the caller holds the mutex
    const std::size_t chunk = size / chunk_size;
    if (chunk >= max_chunks) throw std::bad_alloc();  // 268 million diagrams, 20 GB
    DiagramNode* memory = chunks[chunk].load(std::memory_order_relaxed);
    if (memory == nullptr) {
      memory = new DiagramNode[chunk_size];
      chunks[chunk].store(memory, std::memory_order_release);
    }
    memory[size % chunk_size] = std::move(node);
    return static_cast<std::int32_t>((size++ << 1) | 1);
  }
};

std::int32_t Dim::intern_constant(std::int64_t value) {
  Pool& pool = Pool::instance();
  const std::lock_guard lock(pool.mutex);
  if (const auto it = pool.constants.find(value); it != pool.constants.end()) return it->second;
  DiagramNode node;
  node.value = node.min = node.max = value;
  const std::int32_t bits = pool.append(std::move(node));
  pool.constants.emplace(value, bits);
  return bits;
}

bool Dim::big_constant() const { return Pool::instance().at(bits_).branches.empty(); }

std::int64_t Dim::pooled_value() const {
  const DiagramNode& node = Pool::instance().at(bits_);
  if (!node.branches.empty()) {
    throw InvalidArchitecture("the dimension " + to_string() +
                              " is open: close the graph with an architecture to read a number");
  }
  return node.value;
}

std::int64_t Dim::pooled_at(std::span<const std::uint32_t> choices) const {
  const Pool& pool = Pool::instance();
  Dim d = *this;
  while ((d.bits_ & 1) != 0) {
    const DiagramNode& node = pool.at(d.bits_);
    if (node.branches.empty()) return node.value;
    if (node.decision >= choices.size() || choices[node.decision] >= node.branches.size()) {
      throw InvalidArchitecture("decision " + std::to_string(node.decision) +
                                " has no such option: the architecture has " +
                                std::to_string(choices.size()) + " choices");
    }
    d = node.branches[choices[node.decision]];
  }
  return d.bits_ / 2;
}

std::int64_t Dim::min() const {
  return (bits_ & 1) == 0 ? bits_ / 2 : Pool::instance().at(bits_).min;
}

std::int64_t Dim::max() const {
  return (bits_ & 1) == 0 ? bits_ / 2 : Pool::instance().at(bits_).max;
}

DecisionId Dim::decision() const {
  if (constant())
    throw InvalidArchitecture("the constant dimension " + to_string() + " reads no decision");
  return Pool::instance().at(bits_).decision;
}

std::span<const Dim> Dim::branches() const {
  if ((bits_ & 1) == 0) return {};
  return Pool::instance().at(bits_).branches;
}

namespace {

Dim intern_switch(DecisionId decision, std::vector<Dim> branches);

Dim select_rec(DecisionId decision, const std::vector<Dim>& branches,
               std::unordered_map<DiagramKey, Dim, DiagramKeyHash>& memo) {
  DiagramKey key{decision, branches};
  if (auto it = memo.find(key); it != memo.end()) return it->second;
  if (memo.size() >= Dim::max_nodes) detail::throw_diagram_too_large();
  const DecisionId top = std::min(decision, detail::first_decision(branches));
  std::size_t options = detail::option_count(branches, top);
  if (top == decision) {
    if (options != 0 && options != branches.size()) {
      detail::throw_option_mismatch(decision, options, branches.size());
    }
    options = branches.size();
  }
  std::vector<Dim> result(options);
  if (top == decision) {
    for (std::size_t k = 0; k < options; ++k) {
      const Dim b = branches[k];
      result[k] = !b.constant() && b.decision() == decision ? b.branches()[k] : b;
    }
  } else {
    for (std::size_t k = 0; k < options; ++k) {
      std::vector<Dim> child = branches;
      for (Dim& b : child) {
        if (!b.constant() && b.decision() == top) b = b.branches()[k];
      }
      result[k] = select_rec(decision, child, memo);
    }
  }
  const Dim dim = intern_switch(top, std::move(result));
  memo.emplace(std::move(key), dim);
  return dim;
}

}  // namespace

Dim Dim::select(DecisionId decision, std::span<const Dim> branches) {
  if (branches.empty()) throw InvalidArchitecture("a decision needs at least one option");
  std::unordered_map<DiagramKey, Dim, DiagramKeyHash> memo;
  bool simple = true;  // every branch reads later decisions only
  for (Dim b : branches) simple = simple && (b.constant() || b.decision() > decision);
  std::vector<Dim> copy(branches.begin(), branches.end());
  if (!simple) return select_rec(decision, copy, memo);
  if (std::all_of(copy.begin(), copy.end(), [&](Dim b) { return b == copy[0]; })) return copy[0];
  DiagramNode node;
  node.decision = decision;
  node.min = std::numeric_limits<std::int64_t>::max();
  node.max = std::numeric_limits<std::int64_t>::min();
  for (Dim b : copy) {
    node.min = std::min(node.min, b.min());
    node.max = std::max(node.max, b.max());
  }
  Pool& pool = Pool::instance();
  const std::lock_guard lock(pool.mutex);
  DiagramKey key{decision, std::move(copy)};
  Dim result;
  if (const auto it = pool.switches.find(key); it != pool.switches.end()) {
    result.bits_ = it->second;
  } else {
    node.branches = key.branches;
    result.bits_ = pool.append(std::move(node));
    pool.switches.emplace(std::move(key), result.bits_);
  }
  return result;
}

namespace {
Dim intern_switch(DecisionId decision, std::vector<Dim> branches) {
  return Dim::select(decision, branches);  // all branches read later decisions: interned directly
}

Dim restrict_rec(Dim dim, DecisionId decision, std::uint32_t option,
                 std::unordered_map<Dim, Dim>& memo) {
  if (dim.constant() || dim.decision() > decision) return dim;
  if (dim.decision() == decision) {
    if (option >= dim.branches().size()) {
      throw InvalidArchitecture("decision " + std::to_string(decision) + " has " +
                                std::to_string(dim.branches().size()) + " options, not option " +
                                std::to_string(option));
    }
    return dim.branches()[option];
  }
  if (auto it = memo.find(dim); it != memo.end()) return it->second;
  std::vector<Dim> branches;
  for (Dim b : dim.branches()) branches.push_back(restrict_rec(b, decision, option, memo));
  const Dim result = Dim::select(dim.decision(), branches);
  memo.emplace(dim, result);
  return result;
}

Dim reads_rec(Dim dim, DecisionId decision, std::unordered_map<Dim, Dim>& memo) {
  if (dim.constant() || dim.decision() > decision) return 0;
  if (dim.decision() == decision) return 1;
  if (auto it = memo.find(dim); it != memo.end()) return it->second;
  std::vector<Dim> branches;
  for (Dim b : dim.branches()) branches.push_back(reads_rec(b, decision, memo));
  const Dim result = Dim::select(dim.decision(), branches);
  memo.emplace(dim, result);
  return result;
}
}  // namespace

Dim Dim::restrict(DecisionId decision, std::uint32_t option) const {
  std::unordered_map<Dim, Dim> memo;
  return restrict_rec(*this, decision, option, memo);
}

std::vector<DecisionId> Dim::support() const {
  std::set<DecisionId> found;
  std::unordered_set<Dim> seen;
  std::vector<Dim> stack{*this};
  while (!stack.empty()) {
    const Dim d = stack.back();
    stack.pop_back();
    if (d.constant() || !seen.insert(d).second) continue;
    found.insert(d.decision());
    for (Dim b : d.branches()) stack.push_back(b);
  }
  return {found.begin(), found.end()};
}

Dim Dim::reads(DecisionId decision) const {
  std::unordered_map<Dim, Dim> memo;
  return reads_rec(*this, decision, memo);
}

std::string Dim::to_string(std::span<const std::string> names) const {
  if ((bits_ & 1) == 0) return std::to_string(bits_ / 2);
  const DiagramNode& node = Pool::instance().at(bits_);
  if (node.branches.empty()) return std::to_string(node.value);
  std::string text =
      node.decision < names.size() ? names[node.decision] : "d" + std::to_string(node.decision);
  text += '{';
  for (std::size_t k = 0; k < node.branches.size(); ++k) {
    if (k > 0) text += '|';
    text += node.branches[k].to_string(names);
    if (text.size() > 200) return text.substr(0, 200) + "...}";
  }
  return text + "}";
}

namespace detail {
DecisionId first_decision(std::span<const Dim> dims) {
  DecisionId top = std::numeric_limits<DecisionId>::max();
  for (Dim d : dims) {
    if (!d.constant()) top = std::min(top, d.decision());
  }
  return top;
}

void throw_option_mismatch(DecisionId decision, std::size_t a, std::size_t b) {
  throw InvalidArchitecture("decision " + std::to_string(decision) + " has " + std::to_string(a) +
                            " options in one dimension and " + std::to_string(b) +
                            " in another; give it one option list");
}

std::size_t option_count(std::span<const Dim> dims, DecisionId decision) {
  std::size_t options = 0;
  for (Dim d : dims) {
    if (d.constant() || d.decision() != decision) continue;
    if (options != 0 && options != d.branches().size()) {
      throw_option_mismatch(decision, options, d.branches().size());
    }
    options = d.branches().size();
  }
  return options;
}

void throw_diagram_too_large() {
  throw UnsupportedError(
      "a dimension depends on too many decisions at once: its diagram has more "
      "than " +
      std::to_string(Dim::max_nodes) +
      " nodes; tie some of these decisions or give them fewer options");
}
}  // namespace detail

}  // namespace espalier
