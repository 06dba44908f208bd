#pragma once

#include <vector>

#include "core/json.hpp"

namespace espalier {

/// A small space of every kind in the catalogue, but for `network` and `custom`; some of two.
inline std::vector<Json> small_spaces() {
  const Json stage = {{"channels", 8}, {"blocks", 2}};
  const Json wider = {{"channels", 12}, {"blocks", 2}};
  const Json image = {3, 16, 16};
  return {
      {{"type", "nasbench201"}, {"input", {3, 8, 8}}, {"channels", 4}, {"cells", 1}},
      {{"type", "chain"},
       {"input", {3, 12, 12}},
       {"stem_channels", 8},
       {"stages",
        {{{"blocks", {"plain", "residual", "bottleneck", "separable", "osa", "dense"}},
          {"widths", {8}},
          {"depths", {1, 2}},
          {"stride", 1}},
         {{"blocks", {"mbconv3", "mbconv6", "repvgg"}}, {"widths", {8, 16}}, {"kernels", {3}}}}}},
      {{"type", "mobilenet_v3"},
       {"input", image},
       {"stem_channels", 8},
       {"stages", {{{"channels", 8}, {"depths", {1, 2}}, {"se", "search"}}}},
       {"last_channels", 16}},
      {{"type", "nas_bench_macro"}, {"input", image}, {"channels", 8}},
      {{"type", "nats_bench_size"}, {"input", {3, 8, 8}}, {"widths", {4, 8, 12}}},
      {{"type", "transnas_micro"}, {"input", {3, 32, 32}}, {"classes", 5}, {"channels", 8}},
      {{"type", "resnet"},
       {"input", {3, 32, 32}},
       {"resolutions", {24, 32}},
       {"stem_channels", 32},
       {"stages",
        {{{"channels", 32}, {"depths", {1, 2}}}, {{"channels", 64}, {"depths", {1, 2}}}}}},
      {{"type", "darts"}, {"input", {3, 8, 8}}, {"channels", 4}, {"layers", 3}},
      {{"type", "darts"},
       {"input", {3, 64, 64}},
       {"stem", "imagenet"},
       {"channels", 4},
       {"layers", 3},
       {"compression", {{"channels", {0.5, 1.0}}, {"divisor", 2}}}},
      {{"type", "proxylessnas"},
       {"input", image},
       {"stem_channels", 8},
       {"first_channels", 8},
       {"stages", {stage, wider}},
       {"last_channels", 16}},
      {{"type", "mnasnet"},
       {"input", image},
       {"stem_channels", 8},
       {"stages",
        {{{"channels", 8}, {"stride", 1}, {"depths", {1, 2}}},
         {{"channels", 16}, {"stride", 2}, {"depths", {1, 2, 3}}}}},
       {"last_channels", 16}},
      {{"type", "fbnet"},
       {"input", image},
       {"stem_channels", 8},
       {"stages", {stage, wider}},
       {"last_channels", 16}},
      {{"type", "shufflenet_spos"},
       {"input", {3, 32, 32}},
       {"stem_channels", 8},
       {"channel_scales", {0.5, 1.0}},
       {"stages", {{{"channels", 16}, {"blocks", 2}}, {{"channels", 32}, {"blocks", 2}}}},
       {"last_channels", 16}},
      {{"type", "autoformer"},
       {"input", image},
       {"embed_dims", {8, 12}},
       {"depths", {1, 2}},
       {"heads", {1, 2}},
       {"mlp_ratios", {1.5, 2}},
       {"patch", 4},
       {"head_width", 4}},
      {{"type", "nasbench101"}, {"input", {3, 8, 8}}, {"channels", 6}, {"cells", 1}},
      {{"type", "hierarchical"}, {"input", {3, 8, 8}}, {"channels", 4}},
      {{"type", "transnas_macro"}, {"input", {3, 64, 64}}, {"classes", 5}, {"channels", 4}},
      {{"type", "nasnet"}, {"input", {3, 8, 8}}, {"channels", 4}, {"cells", 1}},
      {{"type", "enas"}, {"input", {3, 8, 8}}, {"channels", 4}, {"cells", 1}},
      {{"type", "regnet"},
       {"input", {3, 32, 32}},
       {"classes", 5},
       {"stem_channels", 8},
       {"depths", {4, 6}},
       {"initial_widths", {8, 16}},
       {"slopes", {8, 12}},
       {"group_widths", {4, 8}}},
  };
}

}  // namespace espalier
