// Batches of images as tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <span>

#include "core/rng.hpp"
#include "training/augmentation.hpp"
#include "training/dataset.hpp"

namespace espalier {

/// Images, {N,C,H,W} floats in channels-last order, and their classes, {N} int64; on the CPU.
struct Batch {
  at::Tensor images;
  at::Tensor labels;
};

/// The images `indices` of a set, as the transform makes them.
Batch make_batch(const ImageTransform& transform, const ImageSet& images,
                 std::span<const std::uint32_t> indices, Rng& rng);

/// `count` different images of a split at random, normalized and resized to {height, width},
/// without augmentation. Throws Error when the split has fewer.
Batch random_batch(const Dataset& data, Split split, std::int64_t count,
                   std::array<std::int64_t, 2> size, const Rng& rng);

}  // namespace espalier
