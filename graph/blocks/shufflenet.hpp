#pragma once

#include <optional>
#include <string_view>

#include "graph/builder.hpp"

namespace espalier {

// Each throws ShapeError for widths that its halves, quarters or groups do not divide.

/// ShuffleNet v1's unit: grouped 1x1 convolution, channel shuffle, depthwise kxk and grouped 1x1
/// convolution; added to its input at stride 1, else joined to the input's 3x3 average at that
/// stride. {C,H,W} -> {out_channels,H',W'}; at stride 1, out_channels is C. Opens a scope of kind
/// "shuffle_v1_unit".
/// Source: Zhang et al., ShuffleNet, CVPR 2018, arXiv 1707.01083, figure 2.
/// Test: ShuffleBlocks.TheFirstUnitIsAsInTheFigure.
struct ShuffleV1UnitOptions {
  Dim kernel = 3;  ///< odd
  std::int64_t stride = 1;
  std::int64_t groups = 3;    ///< of the 1x1 convolutions; divides the widths, which cannot be open
  bool first_grouped = true;  ///< the first one too
  std::optional<Dim> mid_channels = {};  ///< of the depthwise convolution; default out_channels / 4
};
NodeId shuffle_v1_unit(GraphBuilder& builder, NodeId x, Dim out_channels,
                       const ShuffleV1UnitOptions& options, std::string_view name);

/// ShuffleNet v2's unit. At stride 1 the second half of the channels goes through a 1x1, a
/// depthwise kxk and a 1x1 convolution ("branch2"), and the first half past it; else both branches
/// read all channels, and the first one is a depthwise and a 1x1 convolution ("branch1"). The two
/// are joined and shuffled in two groups. {C,H,W} -> {out_channels,H',W'}; out_channels is even,
/// and C at stride 1. Opens a scope of kind "shuffle_v2_unit"; layers are named as in torchvision.
/// Source: Ma et al., ShuffleNet V2, ECCV 2018, arXiv 1807.11164, figure 3 (c) and (d).
/// Test: ShuffleBlocks.TheSecondUnitPassesHalfOfTheChannels.
struct ShuffleV2UnitOptions {
  Dim kernel = 3;  ///< odd
  std::int64_t stride = 1;
};
NodeId shuffle_v2_unit(GraphBuilder& builder, NodeId x, Dim out_channels,
                       const ShuffleV2UnitOptions& options, std::string_view name);

/// The choice block of Single Path One-Shot: ShuffleNet v2's unit, but the channels are dealt out
/// to the two branches one by one where v2 shuffles them at its end, at stride 2 the projection
/// keeps the width of its input, and the branch may be Xception-like (three times depthwise 3x3
/// and 1x1). {C,H,W} -> {out_channels,H',W'}; C is even and out_channels at stride 1. Opens a scope
/// of kind "spos_unit".
/// Source: Guo et al., Single Path One-Shot, ECCV 2020, arXiv 1904.00420, figure 6, and its code's
/// ShuffleNetV2_OneShot.
/// Test: ShuffleBlocks.TheOneShotUnitDealsOutItsChannels.
struct SposUnitOptions {
  Dim kernel = 3;  ///< odd; not of the Xception-like branch
  bool xception = false;
  std::int64_t stride = 1;
  std::optional<Dim> mid_channels = {};  ///< of the branch; default out_channels / 2
};
NodeId spos_unit(GraphBuilder& builder, NodeId x, Dim out_channels, const SposUnitOptions& options,
                 std::string_view name);

}  // namespace espalier
