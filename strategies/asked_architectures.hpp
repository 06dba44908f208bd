// What a strategy has asked for, and what it has not.
#pragma once

#include <memory>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/rng.hpp"
#include "search_spaces/mixed_radix.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

/// The canonical architectures that were asked for: bits in spaces of up to 2^26 choices, a set in
/// others.
class AskedArchitectures {
 public:
  explicit AskedArchitectures(std::shared_ptr<const SearchSpace> space);

  bool contains(const Architecture& a) const {
    return radix_ ? bits_[radix_->index(a)] : set_.contains(a);
  }
  /// Returns false for one that it contains already.
  bool insert(const Architecture& a);

  /// A random architecture that it does not contain: sample_uniform() again and again. Nothing when
  /// there is none left. That is exact for spaces of up to 2^20 choices: after 10,000 draws in vain
  /// those that are left are listed. In a larger space such a row of draws counts as the end.
  std::optional<Architecture> draw_other(Rng& rng);

  /// For snapshots: the list that draw_other() has made, if any, which a generator's draws depend
  /// on; and setting it.
  const std::optional<std::vector<Architecture>>& listed_others() const { return others_; }
  void list_others(std::vector<Architecture> others) { others_ = std::move(others); }

 private:
  void list_others();

  std::shared_ptr<const SearchSpace> space_;
  std::optional<MixedRadix> radix_;
  std::vector<bool> bits_;
  std::unordered_set<Architecture, ArchitectureHash> set_;
  std::optional<std::vector<Architecture>> others_;  // once listed: those that are left, and more
};

}  // namespace espalier
