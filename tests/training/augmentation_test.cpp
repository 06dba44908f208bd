#include "training/augmentation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/training/images.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

// A data set of one image, 1x5x6, whose pixels 10, 11, 12, ... are all different.
constexpr std::int64_t height = 5, width = 6;
ImageSet ramp() {
  ImageSet set{.shape = {1, height, width}, .classes = 1, .pixels = {}, .labels = {0}};
  for (int i = 0; i < height * width; ++i) {
    set.pixels.push_back(static_cast<std::uint8_t>(10 + i));
  }
  return set;
}

class AugmentationTest : public testing::Test {
 protected:
  // The one image, augmented `count` times, as pixel values: -1 stands for the mean.
  std::vector<std::vector<int>> augmented(const AugmentationOptions& options, int count = 2000) {
    const ImageTransform transform(data_, {height, width}, options);
    const std::vector<std::uint32_t> indices(static_cast<std::size_t>(count), 0);
    std::vector<float> out(indices.size() * height * width);
    Rng rng(3);
    transform.fill(*data_.view(Split::train).images, indices, rng, out);
    std::vector<std::vector<int>> images;
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (i % (height * width) == 0) images.emplace_back();
      const float pixel = (out[i] * data_.deviation()[0] + data_.mean()[0]) * 255;
      images.back().push_back(out[i] == 0 ? -1 : static_cast<int>(std::lround(pixel)));
    }
    return images;
  }

  static int original(std::int64_t y, std::int64_t x) {
    const bool inside = y >= 0 && y < height && x >= 0 && x < width;
    return inside ? static_cast<int>(10 + y * width + x) : 0;
  }

  Dataset data_{"ramp", ramp(), ramp, 0};
};

TEST_F(AugmentationTest, NoneNormalizesOnly) {
  const ImageTransform transform(data_, {height, width});
  std::vector<float> out(height * width);
  Rng rng(1);
  const Rng before = rng;
  transform.fill(*data_.view(Split::train).images, std::array{0u}, rng, out);
  EXPECT_EQ(rng, before);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const float pixel = static_cast<float>(10 + i) / 255.0f;
    EXPECT_FLOAT_EQ(out[i], (pixel - data_.mean()[0]) / data_.deviation()[0]);
  }
}

TEST_F(AugmentationTest, FlipMirrorsHalfOfTheImages) {
  int mirrored = 0;
  for (const std::vector<int>& image : augmented({.horizontal_flip = true})) {
    const bool flipped = image[0] != 10;
    mirrored += flipped;
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        ASSERT_EQ(image[static_cast<std::size_t>(y * width + x)],
                  original(y, flipped ? width - 1 - x : x));
      }
    }
  }
  EXPECT_GT(mirrored, 900);
  EXPECT_LT(mirrored, 1100);
}

TEST_F(AugmentationTest, CropsAreTheImageMovedOverBlack) {
  std::set<std::pair<std::int64_t, std::int64_t>> offsets;
  for (const std::vector<int>& image : augmented({.crop_padding = 2})) {
    // The pixel (2, 2) of the result is always inside.
    const int centre = image[2 * width + 2] - 10;
    const std::int64_t down = centre / width - 2, right = centre % width - 2;
    offsets.emplace(down, right);
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        ASSERT_EQ(image[static_cast<std::size_t>(y * width + x)], original(y + down, x + right));
      }
    }
  }
  EXPECT_EQ(offsets.size(), 25u);
  EXPECT_EQ(offsets.begin()->first, -2);
  EXPECT_EQ(offsets.rbegin()->first, 2);
}

TEST_F(AugmentationTest, AFlippedCropIsTheMirroredCrop) {
  const AugmentationOptions crop{.crop_padding = 2};
  AugmentationOptions both = crop;
  both.horizontal_flip = true;
  std::set<std::vector<int>> crops;
  for (const std::vector<int>& image : augmented(crop)) crops.insert(image);
  for (std::vector<int> image : augmented(both)) {
    std::vector<int> mirrored = image;
    for (std::int64_t y = 0; y < height; ++y) {
      std::reverse(mirrored.begin() + y * width, mirrored.begin() + (y + 1) * width);
    }
    ASSERT_TRUE(crops.contains(image) || crops.contains(mirrored));
  }
}

TEST_F(AugmentationTest, CutoutIsASquareAroundAnyPixel) {
  for (const int side : {3, 4}) {
    std::set<std::pair<std::int64_t, std::int64_t>> centres;
    for (const std::vector<int>& image : augmented({.cutout = side})) {
      std::int64_t top = height, bottom = -1, left = width, right = -1, area = 0;
      for (std::int64_t y = 0; y < height; ++y) {
        for (std::int64_t x = 0; x < width; ++x) {
          const int pixel = image[static_cast<std::size_t>(y * width + x)];
          if (pixel != -1) {
            ASSERT_EQ(pixel, original(y, x));
            continue;
          }
          ++area;
          top = std::min(top, y), bottom = std::max(bottom, y);
          left = std::min(left, x), right = std::max(right, x);
        }
      }
      ASSERT_EQ(area, (bottom - top + 1) * (right - left + 1));  // a rectangle
      ASSERT_LE(bottom - top + 1, side);
      ASSERT_LE(right - left + 1, side);
      ASSERT_GE(4 * area, side * side);  // what is left in a corner
      // Where it is narrower than its side, it touches the border.
      ASSERT_TRUE(bottom - top + 1 == side || top == 0 || bottom == height - 1);
      ASSERT_TRUE(right - left + 1 == side || left == 0 || right == width - 1);
      centres.emplace(top == 0 ? bottom - side + 1 : top, left == 0 ? right - side + 1 : left);
    }
    EXPECT_EQ(centres.size(), static_cast<std::size_t>(height * width)) << side;
  }
}

TEST_F(AugmentationTest, ACutoutLargerThanTheImageIsAnError) {
  EXPECT_THAT(throws<ConfigError>([&] {
                ImageTransform(data_, {height, width}, {.cutout = 6});
              }),
              HasSubstr("/cutout: 6 pixels are more than the images' 5x6"));
}

TEST(ImageTransformTest, ChannelsComeLastAndShareTheirPlace) {
  const ImageSet images = counting_images({3, 4, 4}, 5, 2);
  const Dataset data(
      "d", images, [] { return ImageSet{}; }, 0);
  const ImageTransform transform(data, {4, 4}, {.horizontal_flip = true, .crop_padding = 1});
  std::vector<float> out(2 * 4 * 4 * 3), again(out.size());
  Rng rng(5), same(5);
  transform.fill(images, std::array{1u, 3u}, rng, out);
  transform.fill(images, std::array{1u, 3u}, same, again);
  EXPECT_EQ(out, again);
  for (const std::size_t i : {0u, 1u}) {
    const std::size_t base = (2 * i + 1) * 48;
    for (std::size_t pixel = 0; pixel < 16; ++pixel) {
      // Which place of the image it came from, if any, is the same for its three channels.
      std::array<std::set<int>, 3> sources;
      for (std::size_t c = 0; c < 3; ++c) {
        const float value =
            (out[(i * 16 + pixel) * 3 + c] * data.deviation()[c] + data.mean()[c]) * 255;
        for (int place = 0; place < 16; ++place) {
          const int there = images.pixels[base + c * 16 + static_cast<std::size_t>(place)];
          if (std::abs(value - static_cast<float>(there)) < 0.01f) sources[c].insert(place);
        }
      }
      EXPECT_EQ(sources[0], sources[1]);
      EXPECT_EQ(sources[1], sources[2]);
    }
  }
}

}  // namespace
}  // namespace espalier
