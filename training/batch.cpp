#include "training/batch.hpp"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/error.hpp"

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

Batch random_batch(const Dataset& data, Split split, std::int64_t count,
                   std::array<std::int64_t, 2> size, const Rng& rng) {
  const SplitView view = data.view(split);
  if (count < 1 || count > view.size()) {
    throw Error(fmt::format("a batch of {} images of {}, whose split has {}", count, data.name(),
                            view.size()));
  }
  Rng draw = rng;
  std::vector<std::uint32_t> indices;
  for (const std::size_t i : draw.sample_without_replacement(static_cast<std::size_t>(view.size()),
                                                             static_cast<std::size_t>(count))) {
    indices.push_back(view.indices[i]);
  }
  return make_batch(ImageTransform(data, size), *view.images, indices, draw);
}

}  // namespace espalier
