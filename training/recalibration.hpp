// Batch norm statistics for weights that were trained in other company.
#pragma once

#include <cstdint>

#include "core/options.hpp"
#include "core/rng.hpp"
#include "training/dataset.hpp"

namespace espalier {

class GraphModule;

struct RecalibrationOptions {
  int batches = 20;      ///< 0: all training images
  int batch_size = 128;  ///< >= 2; fewer where there are fewer images
};
OptionTable<RecalibrationOptions> recalibration_option_table();

/// Sets the running statistics of every batch norm to those of training images in this network, in
/// whose company shared weights have not learned: the mean and the variance of all values that the
/// batch norm reads, while it normalizes each batch by the batch's own. Images are drawn by the
/// generator, without augmentation, and a last batch of fewer images is left out. The module is in
/// evaluation mode then. Dropout is on meanwhile, and ranges of quantized activations go on
/// learning. Throws ShapeError when the network does not fit the data.
/// Source: Yu and Huang, "Universally Slimmable Networks and Improved Training Techniques", ICCV
/// 2019, arXiv 1903.05134 (post-statistics of batch normalization). Differs from the source: the
/// variance is that of all batches together, not the mean of theirs.
/// Test: Recalibration.StatisticsAreThoseOfAllImages.
void recalibrate_batch_norms(GraphModule& module, const Dataset& data,
                             const RecalibrationOptions& options, const Rng& rng, int threads = 1);

}  // namespace espalier
