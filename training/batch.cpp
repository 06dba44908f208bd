#include "training/batch.hpp"

#include <ATen/ops/empty.h>

#include <algorithm>

namespace espalier {

Batch make_batch(const ImageTransform& transform, const ImageSet& images,
                 std::span<const std::uint32_t> indices, Rng& rng) {
  const auto count = static_cast<std::int64_t>(indices.size());
  Batch batch{
      .images = at::empty({count, transform.channels(), transform.height(), transform.width()},
                          at::kFloat, at::MemoryFormat::ChannelsLast),
      .labels = at::empty({count}, at::kLong)};
  transform.fill(images, indices, rng,
                 {batch.images.data_ptr<float>(), static_cast<std::size_t>(batch.images.numel())});
  std::ranges::transform(indices, batch.labels.data_ptr<std::int64_t>(),
                         [&images](std::uint32_t index) { return images.labels[index]; });
  return batch;
}

}  // namespace espalier
