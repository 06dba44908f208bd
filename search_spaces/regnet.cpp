#include "search_spaces/regnet.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include <fmt/format.h>

#include "graph/blocks.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

const OptionTable<RegnetOptions>& regnet_options() {
  static const auto table =
      OptionTable<RegnetOptions>("RegNet: widths and depths of four stages from a linear rule")
          .add("input", &RegnetOptions::input, "channels, height and width of the images",
               at_least(1), Items{3, 3})
          .add("classes", &RegnetOptions::classes, "of the task", at_least(2))
          .add("stem_channels", &RegnetOptions::stem_channels, "of the first convolution",
               between(1, 65536))
          .add("depths", &RegnetOptions::depths, "numbers of blocks to choose from",
               between(4, 200), non_empty())
          .add("initial_widths", &RegnetOptions::initial_widths,
               "wanted channels of the first block, to choose from", between(1, 4096), non_empty())
          .add("slopes", &RegnetOptions::slopes,
               "wanted channels that each block adds, to choose from", between(0, 4096),
               non_empty())
          .add("multipliers", &RegnetOptions::multipliers,
               "ratios of the widths of neighbouring stages, to choose from", between(1.1, 16),
               non_empty())
          .add("group_widths", &RegnetOptions::group_widths,
               "channels per group of the 3x3 convolutions, to choose from", between(1, 4096),
               non_empty())
          .add("bottleneck_ratios", &RegnetOptions::bottleneck_ratios,
               "block width over the 3x3 convolution's, to choose from", between(1, 8), non_empty())
          .add("se_ratios", &RegnetOptions::se_ratios,
               "inner channels of squeeze-and-excitation over the block's input's, to choose from; "
               "0: none",
               between(0, 1), non_empty())
          .check([](const RegnetOptions& o) {
            check_distinct("/depths", o.depths);
            check_distinct("/initial_widths", o.initial_widths);
            check_distinct("/slopes", o.slopes);
            check_distinct("/multipliers", o.multipliers);
            check_distinct("/group_widths", o.group_widths);
            check_distinct("/bottleneck_ratios", o.bottleneck_ratios);
            check_distinct("/se_ratios", o.se_ratios);
          });
  return table;
}

namespace {

constexpr std::size_t stage_count = 4;

/// A parameter and its grid.
struct Axis {
  std::string name;
  std::vector<double> values;
};

struct Parameters {
  double depth, initial_width, slope, multiplier, group_width, bottleneck_ratio, se_ratio;
};

struct Stage {
  std::int64_t width;  ///< wanted, a multiple of 8
  int depth;
};

std::vector<Stage> stages_of(const Parameters& p) {
  std::vector<Stage> stages;
  for (int j = 0; j < static_cast<int>(p.depth); ++j) {
    const double wanted = p.initial_width + p.slope * j;
    const double power =
        std::nearbyint(std::log(wanted / p.initial_width) / std::log(p.multiplier));
    const auto width = static_cast<std::int64_t>(
        std::nearbyint(p.initial_width * std::pow(p.multiplier, power) / 8) * 8);
    if (stages.empty() || stages.back().width != width) stages.push_back({width, 0});
    ++stages.back().depth;
  }
  return stages;
}

struct BlockWidths {
  std::int64_t outer, inner, group;
};

BlockWidths compatible(std::int64_t width, const Parameters& p) {
  const auto ratio = static_cast<std::int64_t>(p.bottleneck_ratio);
  const std::int64_t inner = std::max<std::int64_t>(width / ratio, 1);
  const std::int64_t group = std::min(static_cast<std::int64_t>(p.group_width), inner);
  const std::int64_t rounded = make_divisible(static_cast<double>(inner), static_cast<int>(group));
  return {rounded * ratio, rounded, group};
}

NodeId block(GraphBuilder& builder, NodeId x, const BlockWidths& widths, int stride,
             double se_ratio, const std::string& name) {
  BottleneckOptions options{
      .mid_channels = widths.inner, .stride = stride, .group_width = widths.group};
  if (se_ratio > 0) {
    const auto squeezed = static_cast<std::int64_t>(
        std::nearbyint(se_ratio * static_cast<double>(builder.channels(x).value())));
    options.squeeze_excitation = SqueezeExcitationOptions{
        .squeeze_channels = std::max<std::int64_t>(squeezed, 1), .gate = ActivationKind::sigmoid};
  }
  return bottleneck(builder, x, widths.outer, options, name);
}

std::vector<Axis> axes_of(const RegnetOptions& o) {
  const auto numbers = [](const std::vector<std::int64_t>& values) {
    return std::vector<double>(values.begin(), values.end());
  };
  return {{"depth", numbers(o.depths)},
          {"initial_width", numbers(o.initial_widths)},
          {"slope", o.slopes},
          {"multiplier", o.multipliers},
          {"group_width", numbers(o.group_widths)},
          {"bottleneck_ratio", numbers(o.bottleneck_ratios)},
          {"se_ratio", o.se_ratios}};
}

std::vector<Decision> decisions_of(const std::vector<Axis>& axes) {
  std::vector<Decision> decisions;
  for (const Axis& axis : axes) {
    if (axis.values.size() == 1) continue;
    Decision decision{.name = axis.name, .options = {}, .ordinal = true};
    for (double v : axis.values) decision.options.push_back(fmt::format("{}", v));
    decisions.push_back(std::move(decision));
  }
  return decisions;
}

class RegnetSpace : public SearchSpace {
 public:
  explicit RegnetSpace(const RegnetOptions& options)
      : SearchSpace(decisions_of(axes_of(options))), options_(options), axes_(axes_of(options)) {}

  bool valid(const Architecture& a) const override {
    return SearchSpace::valid(a) && stages_of(parameters(a)).size() == stage_count;
  }

  Graph build(const Architecture& a) const override {
    require_valid(a);
    const Parameters p = parameters(a);
    GraphBuilder builder;
    NodeId x = builder.input(options_.input[0], options_.input[1], options_.input[2]);
    {
      const auto scope = builder.scope("stem");
      x = conv_bn_act(builder, x, options_.stem_channels, {.conv = {.kernel = 3, .stride = 2}});
    }
    int index = 0;
    for (const Stage& stage : stages_of(p)) {
      const auto scope = builder.scope("stage" + std::to_string(++index), "stage");
      for (int i = 1; i <= stage.depth; ++i) {
        x = block(builder, x, compatible(stage.width, p), i == 1 ? 2 : 1, p.se_ratio,
                  "block" + std::to_string(i));
      }
    }
    {
      const auto scope = builder.scope("head");
      x = builder.linear(builder.flatten(builder.global_avg_pool(x)), options_.classes);
    }
    builder.output(x);
    return builder.build();
  }

 private:
  /// `a` must be in range.
  Parameters parameters(const Architecture& a) const {
    std::array<double, 7> values{};
    std::size_t next = 0;
    for (std::size_t i = 0; i < axes_.size(); ++i) {
      const auto& grid = axes_[i].values;
      values[i] = grid[grid.size() == 1 ? 0 : a.choices[next++]];
    }
    return {.depth = values[0],
            .initial_width = values[1],
            .slope = values[2],
            .multiplier = values[3],
            .group_width = values[4],
            .bottleneck_ratio = values[5],
            .se_ratio = values[6]};
  }

  RegnetOptions options_;
  std::vector<Axis> axes_;
};

}  // namespace

std::unique_ptr<SearchSpace> make_regnet(const RegnetOptions& options) {
  regnet_options().validate(options);
  return std::make_unique<RegnetSpace>(options);
}

}  // namespace espalier
