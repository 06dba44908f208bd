#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/decision.hpp"
#include "graph/graph.hpp"

namespace espalier {

/// A run of channels: `size` of the `max` that a supernet stores are in use, the first ones.
struct Segment {
  Dim size;
  std::int64_t max = 0;
  friend bool operator==(const Segment&, const Segment&) = default;
};

/// Where the channels of a supergraph's node lie in the full-width tensor. After a concat the used
/// channels are not "the first c": each segment has its own prefix.
struct Layout {
  std::vector<Segment> segments;  ///< neighbouring closed segments are merged
  std::int64_t inner = 1;         ///< values per channel: H*W after a flatten, unless closed

  bool closed() const;
  /// Channels times inner at full width.
  std::int64_t width() const;
  /// Positions in use for an architecture, ascending.
  std::vector<std::int64_t> indices(std::span<const std::uint32_t> choices) const;
  friend bool operator==(const Layout&, const Layout&) = default;
};

/// The channel layout of every node. Throws ShapeError where tensors that are added or picked
/// together have equal widths but different layouts (with an architecture for which they differ),
/// or a pick-1 choice joins tensors of different widths of which one has several segments;
/// UnsupportedError for a flatten of open H or W. ShapeError, too, where open channels are cut,
/// shuffled or flattened token by token.
std::vector<Layout> channel_layouts(const Graph& graph, std::span<const Decision> decisions);

}  // namespace espalier
