// Batches of images as tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
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

/// `count` different ones of the images `indices`, drawn by chance, or all where there are fewer.
Batch draw_batch(const ImageTransform& transform, const ImageSet& images,
                 std::span<const std::uint32_t> indices, std::size_t count, Rng& rng);

}  // namespace espalier
