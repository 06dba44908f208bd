// Which weights the architectures of a supernet share. No LibTorch here.
#pragma once

namespace espalier {

/// What architectures share.
struct WeightSharing {
  /// Smaller square kernels are not the plain centre of the largest one: each is the centre of the
  /// next larger one times a learned matrix, the identity at first, that all filters of a
  /// convolution share.
  /// Source: Cai et al., "Once-for-All", ICLR 2020, arXiv 1908.09791 (elastic kernel size).
  /// Differs from the source: dense convolutions have it, too.
  /// Test: SupernetSharing.SmallerKernelsAreTransformedStepByStep.
  bool kernel_transform = false;
  /// Each width of a batch norm has statistics, weights and biases of its own.
  /// Source: Yu et al., "Slimmable Neural Networks", ICLR 2019, arXiv 1812.08928 (switchable batch
  /// normalization). Differs from the source: a switch is the width of the batch norm, not that of
  /// the whole network.
  /// Test: SupernetSharing.EachWidthHasABatchNormOfItsOwn.
  bool batch_norm_per_width = false;
};

}  // namespace espalier
