#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/options.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

struct RegnetOptions {
  std::vector<std::int64_t> input{3, 224, 224};  ///< {C, H, W}
  int classes = 1000;
  int stem_channels = 32;
  /// Blocks in all stages.
  std::vector<std::int64_t> depths{12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27};
  std::vector<std::int64_t> initial_widths{24, 32, 40, 48, 56, 64, 72, 80, 88, 96};  ///< w_0
  /// w_a: channels that each block adds before quantization. 24.48 and 27.89 are those of the
  /// published RegNetX-400MF and RegNetY-400MF.
  std::vector<double> slopes{16, 20, 24.48, 27.89, 32, 36, 40, 48, 56, 64};
  /// w_m: ratio of the widths of neighbouring stages; 2.54 and 2.09 are those of the same networks.
  std::vector<double> multipliers{2, 2.09, 2.25, 2.4, 2.54, 2.75, 3};
  std::vector<std::int64_t> group_widths{8, 16, 24, 32, 40, 48};  ///< channels per group
  std::vector<std::int64_t> bottleneck_ratios{1, 2, 4};  ///< block width over its inner width
  std::vector<double> se_ratios{0,
                                0.25};  ///< SE's inner channels over the block's input's; 0: none
};
const OptionTable<RegnetOptions>& regnet_options();

/// The RegNet space: a strided 3x3 stem, four stages of bottleneck blocks with grouped convolutions
/// and a classifier. Block j < depth is wanted w_0 + w_a j channels wide, which is rounded to the
/// nearest w_0 w_m^s for a whole s, then to a multiple of 8; runs of equal widths are the stages.
/// Their widths then become multiples of the group width (times the bottleneck ratio). A stage's
/// first block has stride 2.
/// Parameters that do not give four stages are no valid architecture.
/// Decisions: depth, initial_width, slope, multiplier, group_width, bottleneck_ratio, se_ratio;
/// lists of one value open none. The space has no supergraph, as widths follow from arithmetic.
/// Source: Radosavovic et al., "Designing Network Design Spaces", CVPR 2020, arXiv 2003.13678,
/// section 3.3, equations 2 to 4, and section 4 (RegNetY's SE).
/// Differs from the source: a width becomes the nearest multiple of the group width by
/// make_divisible(), as in torchvision: ties go up (400 channels, not 384, in RegNetX-400MF's last
/// stage), and never more than 10% is lost.
/// Test: Regnet.PublishedNetworksHaveTheirCounts.
/// Throws ConfigError for options that regnet_options() refuses.
std::unique_ptr<SearchSpace> make_regnet(const RegnetOptions& options = {});

}  // namespace espalier
