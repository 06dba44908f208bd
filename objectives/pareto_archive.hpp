// The non-dominated trials so far.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "objectives/dominance.hpp"

namespace espalier {

/// Keeps the non-dominated ones of the points that it is given, one by one. Of equal points it
/// keeps the one with the lowest id, so its content does not depend on the order of insertion.
///
/// insert() of a dominated point takes a binary search for up to two costs and a scan of the front
/// otherwise, in which points that dominated recently come first; of a new point, the size of the
/// front.
class ParetoArchive {
 public:
  /// `dimension` is the number of costs, at least 1.
  explicit ParetoArchive(std::size_t dimension);

  /// Returns whether the archive changed. Costs are minimized and finite.
  bool insert(std::uint64_t id, std::span<const double> costs);

  std::size_t size() const { return ids_.size(); }
  std::size_t dimension() const { return dimension_; }

  /// The ids, sorted by costs (the first one first), and the points in the same order.
  std::vector<std::uint64_t> ids() const;
  std::vector<double> costs() const;

 private:
  bool insert_sorted(std::uint64_t id, std::span<const double> costs);
  bool insert_anywhere(std::uint64_t id, std::span<const double> costs);
  std::vector<std::size_t> order() const;
  std::span<const double> point(std::size_t i) const {
    return std::span(costs_).subspan(i * dimension_, dimension_);
  }

  std::size_t dimension_;
  std::vector<std::uint64_t> ids_;
  std::vector<double> costs_;  // point by point; for two costs sorted by the first
};

}  // namespace espalier
