// A whole run that takes a second.
#pragma once

#include "core/json.hpp"

namespace espalier {

/// Networks of 1x8x8 images in 4 classes, trained for an epoch: 4 trials, accuracy against latency.
inline Json small_run() {
  return {{"seed", 3},
          {"space",
           {{"type", "chain"},
            {"input", {1, 8, 8}},
            {"classes", 4},
            {"stem_channels", 4},
            {"stages", {{{"widths", {4, 8}}, {"depths", {1, 2}}, {"kernels", {3, 5}}}}}}},
          {"data",
           {{"type", "synthetic"},
            {"input", {1, 8, 8}},
            {"classes", 4},
            {"images", 96},
            {"test_images", 32}}},
          {"evaluator", {{"type", "train"}, {"train", {{"epochs", 1}, {"batch_size", 16}}}}},
          {"strategy", {{"type", "random"}}},
          {"hardware", {{{"type", "roofline"}, {"device", "cortex_m7"}}}},
          {"objectives",
           {{{"metric", "accuracy"}, {"goal", "maximize"}},
            {{"metric", "latency_ms@cortex_m7"}, {"goal", "minimize"}}}},
          {"constraints", {{{"metric", "params"}, {"max", 1e6}}}},
          {"budget", {{"trials", 4}}},
          {"final",
           {{"train", {{"epochs", 2}, {"batch_size", 16}}},
            {"export", {"json", "dot", "torchscript"}}}}};
}

}  // namespace espalier
