#include "graph/fingerprint.hpp"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "graph/cost.hpp"
#include "graph/passes.hpp"

namespace espalier {

namespace {

/// An unordered collection is hashed by the sum of its members' hashes.
void add_to(Hash128& sum, Hash128 hash) {
  sum.low += hash.low;
  sum.high += hash.high + (sum.low < hash.low ? 1 : 0);
}

Hash128 hash_dim(Hash128 hash, Dim dim) {
  return combine(hash, static_cast<std::uint64_t>(dim.value()));
}

Hash128 hash_zeros(const Shape& shape) {
  Hash128 hash = combine(combine(Hash128{}, "zeros"), std::uint64_t{shape.rank});
  for (Dim d : shape.values()) hash = hash_dim(hash, d);
  return hash;
}

/// The graph as flat arrays, without what is only read by zeros.
class Refinement {
 public:
  explicit Refinement(const Graph& graph) {
    const std::vector<bool> zero = zero_nodes(graph);
    std::vector<bool> alive(graph.size());
    alive[graph.output()] = true;
    for (NodeId i = static_cast<NodeId>(graph.size()); i-- > 0;) {
      if (std::holds_alternative<op::Input>(graph.node(i).op)) alive[i] = true;
      if (!alive[i] || zero[i]) continue;
      for (NodeId input : graph.inputs(i)) alive[input] = true;
    }
    std::vector<std::uint32_t> index(graph.size());
    std::vector<std::uint32_t> seen(graph.size());  // per node: reads of it by the current one
    for (NodeId i = 0; i < graph.size(); ++i) {
      if (!alive[i]) continue;
      const Node& node = graph.node(i);
      index[i] = static_cast<std::uint32_t>(colours_.size());
      if (zero[i]) {
        colours_.push_back(hash_zeros(node.shape));
      } else {
        const auto inputs = graph.inputs(i);
        const bool commutative = is_commutative(node.op);
        Hash128 colour = operator_hash(node);
        for (NodeId input : inputs) ++seen[input];
        for (std::size_t slot = 0; slot < inputs.size(); ++slot) {
          // Of a commutative reader, the label is how often it reads this node.
          const std::uint64_t label = commutative ? seen[inputs[slot]] : slot;
          edges_.push_back({index[inputs[slot]], static_cast<std::uint32_t>(label)});
        }
        for (NodeId input : inputs) seen[input] = 0;
        if (!commutative) {  // which slots read the same node
          for (std::uint32_t slot = 0; slot < inputs.size(); ++slot) {
            std::uint32_t& first = seen[inputs[slot]];
            if (first == 0) first = slot + 1;
            colour = combine(colour, std::uint64_t{first});
          }
          for (NodeId input : inputs) seen[input] = 0;
        }
        colours_.push_back(colour);
      }
      commutative_.push_back(is_commutative(node.op));
      ends_.push_back(static_cast<std::uint32_t>(edges_.size()));
    }
    order_.resize(colours_.size());
    std::iota(order_.begin(), order_.end(), 0u);
  }

  Hash128 hash() {
    std::size_t classes = count_classes(), before = 0;
    do {
      sweep_down();
      sweep_up();
      before = std::exchange(classes, count_classes());
    } while (classes != before && classes != size());
    return hash_parts();
  }

 private:
  struct Edge {
    std::uint32_t from;   // the node that is read
    std::uint32_t label;  // the slot, or how often the reader reads the node
  };

  std::size_t size() const { return colours_.size(); }
  std::uint32_t begin(std::size_t node) const { return node == 0 ? 0 : ends_[node - 1]; }

  /// Sorts order_ by colour.
  std::size_t count_classes() {
    const auto less = [&](std::uint32_t a, std::uint32_t b) { return colours_[a] < colours_[b]; };
    std::sort(order_.begin(), order_.end(), less);
    std::size_t classes = size() == 0 ? 0 : 1;
    for (std::size_t i = 1; i < size(); ++i) {
      if (colours_[order_[i]] != colours_[order_[i - 1]]) ++classes;
    }
    return classes;
  }

  void sweep_down() {
    for (std::size_t i = 0; i < size(); ++i) {
      Hash128 inputs{};
      for (std::uint32_t e = begin(i); e < ends_[i]; ++e) {
        const Hash128 edge = combine(colours_[edges_[e].from], std::uint64_t{edges_[e].label});
        if (commutative_[i]) {
          add_to(inputs, edge);
        } else {
          inputs = combine(inputs, edge);
        }
      }
      colours_[i] = combine(colours_[i], inputs);
    }
  }

  void sweep_up() {
    readers_.assign(size(), Hash128{});
    for (std::size_t i = size(); i-- > 0;) {
      colours_[i] = combine(colours_[i], readers_[i]);  // all readers come later
      for (std::uint32_t e = begin(i); e < ends_[i]; ++e) {
        add_to(readers_[edges_[e].from], combine(colours_[i], std::uint64_t{edges_[e].label}));
      }
    }
  }

  Hash128 hash_parts() {
    std::vector<std::uint32_t> part(size());  // union-find, halving paths
    std::iota(part.begin(), part.end(), 0u);
    const auto find = [&](std::uint32_t i) {
      while (part[i] != i) i = part[i] = part[part[i]];
      return i;
    };
    std::vector<bool> unique(size(), true);
    for (std::size_t i = 1; i < size(); ++i) {
      if (colours_[order_[i]] == colours_[order_[i - 1]]) {
        unique[order_[i]] = unique[order_[i - 1]] = false;
      }
    }
    for (std::uint32_t i = 0; i < size(); ++i) {
      for (std::uint32_t e = begin(i); !unique[i] && e < ends_[i]; ++e) {
        if (!unique[edges_[e].from]) part[find(i)] = find(edges_[e].from);
      }
    }
    std::vector<Hash128> sums(size());
    for (std::uint32_t i = 0; i < size(); ++i) {
      add_to(sums[find(i)], combine(Hash128{}, colours_[i]));
    }
    Hash128 total{};
    for (std::uint32_t i = 0; i < size(); ++i) {
      if (part[i] == i) add_to(total, combine(Hash128{}, sums[i]));
    }
    return combine(total, static_cast<std::uint64_t>(size()));
  }

  std::vector<Hash128> colours_;
  std::vector<bool> commutative_;
  std::vector<std::uint32_t> ends_;  // of the edges of each node, which follow each other
  std::vector<Edge> edges_;
  std::vector<std::uint32_t> order_;  // nodes by colour
  std::vector<Hash128> readers_;
};

}  // namespace

Hash128 operator_hash(const Node& node) {
  Hash128 hash = combine(Hash128{}, op_name(node.op));
  for_each_attribute(node.op, [&](std::string_view, const auto& member) {
    using T = std::remove_cvref_t<decltype(member)>;
    if constexpr (std::is_same_v<T, Dim>) {
      hash = hash_dim(hash, member);
    } else if constexpr (std::is_same_v<T, Extent>) {
      hash = hash_dim(hash_dim(hash, member.h), member.w);
    } else if constexpr (std::is_same_v<T, float>) {
      hash = combine(hash, static_cast<double>(member));
    } else {
      hash = combine(hash, static_cast<std::uint64_t>(member));
    }
  });
  if (const auto& q = node.compression.quantization) {
    hash = hash_dim(hash_dim(hash, q->weight_bits), q->activation_bits);
  }
  return hash;  // shapes follow from the operators
}

Hash128 fingerprint(const Graph& graph) {
  if (!graph.concrete()) {
    throw InvalidArchitecture(
        "a graph with open decisions has no fingerprint; close it with an architecture first");
  }
  std::int64_t params = 0, macs = 0;
  for (NodeId i = 0; i < graph.size(); ++i) {
    params += node_params(graph, i);
    macs += node_macs(graph, i);
  }
  Hash128 hash = Refinement(simplify(graph)).hash();
  hash = combine(hash, static_cast<std::uint64_t>(params));
  return combine(hash, static_cast<std::uint64_t>(macs));
}

}  // namespace espalier
