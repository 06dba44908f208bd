#include "training/batch.hpp"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <vector>

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

Batch draw_batch(const ImageTransform& transform, const ImageSet& images,
                 std::span<const std::uint32_t> indices, std::size_t count, Rng& rng) {
  std::vector<std::uint32_t> drawn;
  for (const std::size_t i :
       rng.sample_without_replacement(indices.size(), std::min(count, indices.size()))) {
    drawn.push_back(indices[i]);
  }
  return make_batch(transform, images, drawn, rng);
}

}  // namespace espalier
