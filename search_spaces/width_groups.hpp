#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace espalier {

/// Sets of widths that must agree, and those that must not change: a union-find.
class WidthGroups {
 public:
  /// A new set of one width; its number.
  std::size_t add() {
    parent_.push_back(parent_.size());
    fixed_.push_back(false);
    return parent_.back();
  }
  /// The smallest number in the set, which stands for it.
  std::size_t find(std::size_t g) const {
    while (parent_[g] != g) g = parent_[g];
    return g;
  }
  void tie(std::size_t a, std::size_t b) {
    a = find(a), b = find(b);
    const std::size_t root = std::min(a, b);  // the first convolution names the group
    fixed_[root] = fixed_[a] || fixed_[b];
    parent_[a] = parent_[b] = root;
  }
  void fix(std::size_t g) { fixed_[find(g)] = true; }
  bool fixed(std::size_t g) const { return fixed_[find(g)]; }

 private:
  std::vector<std::size_t> parent_;
  std::vector<bool> fixed_;
};

}  // namespace espalier
