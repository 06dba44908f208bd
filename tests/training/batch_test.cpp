#include "training/batch.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "tests/training/images.hpp"

namespace espalier {
namespace {

class BatchTest : public testing::Test {
 protected:
  BatchTest()
      : data_(
            "d", counting_images({3, 7, 9}, 20, 4), [] { return ImageSet{}; }, 0.25) {}

  // The images, normalized by LibTorch.
  at::Tensor normalized() const {
    const ImageSet& images = *data_.view(Split::train).images;
    const auto vector = [](std::span<const float> values) {
      return torch::tensor(std::vector<float>(values.begin(), values.end())).view({1, 3, 1, 1});
    };
    const at::Tensor pixels = torch::from_blob(const_cast<std::uint8_t*>(images.pixels.data()),
                                               {20, 3, 7, 9}, torch::kByte);
    return (pixels.to(torch::kFloat) / 255 - vector(data_.mean())) / vector(data_.deviation());
  }

  Dataset data_;
};

TEST_F(BatchTest, IsTheImagesInChannelsLastOrder) {
  Rng rng(1);
  const std::vector<std::uint32_t> indices{5, 2};
  const Batch batch =
      make_batch(ImageTransform(data_, {7, 9}), *data_.view(Split::train).images, indices, rng);
  EXPECT_TRUE(batch.images.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(
      torch::allclose(batch.images, normalized().index({torch::tensor({5, 2})}), 1e-5, 1e-5));
  EXPECT_TRUE(batch.labels.equal(torch::tensor({1, 2}, torch::kLong)));
}

TEST_F(BatchTest, ResizesAsTorchDoes) {
  Rng rng(1);
  const std::vector<std::uint32_t> indices{3, 0, 11};
  const at::Tensor from = normalized().index({torch::tensor({3, 0, 11})});
  for (const std::array<std::int64_t, 2> size :
       {std::array<std::int64_t, 2>{14, 18}, {4, 5}, {7, 3}, {1, 1}, {20, 9}}) {
    const Batch batch =
        make_batch(ImageTransform(data_, size), *data_.view(Split::train).images, indices, rng);
    const at::Tensor expected = torch::upsample_bilinear2d(from, {size[0], size[1]}, false);
    EXPECT_TRUE(torch::allclose(batch.images, expected, 1e-4, 1e-5)) << size[0] << "x" << size[1];
  }
}

}  // namespace
}  // namespace espalier
