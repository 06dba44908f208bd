#include "training/augmentation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "core/error.hpp"

namespace espalier {

ImageTransform::ImageTransform(const Dataset& data, std::array<std::int64_t, 2> size,
                               const AugmentationOptions& augmentation)
    : channels_(data.shape()[0]),
      height_(data.shape()[1]),
      width_(data.shape()[2]),
      out_height_(size[0]),
      out_width_(size[1]),
      augmentation_(augmentation) {
  if (augmentation.cutout > std::min(height_, width_)) {
    throw ConfigError("/cutout", fmt::format("{} pixels are more than the images' {}x{}",
                                             augmentation.cutout, height_, width_));
  }
  for (std::size_t c = 0; c < static_cast<std::size_t>(channels_); ++c) {
    std::array<float, 256>& normalized = normalized_.emplace_back();
    for (std::size_t v = 0; v < 256; ++v) {
      normalized[v] = (static_cast<float>(v) / 255.0f - data.mean()[c]) / data.deviation()[c];
    }
  }
  if (out_height_ != height_ || out_width_ != width_) {
    rows_ = taps(height_, out_height_);
    columns_ = taps(width_, out_width_);
  }
}

std::vector<ImageTransform::Tap> ImageTransform::taps(std::int64_t from, std::int64_t to) {
  std::vector<Tap> taps;
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  for (std::int64_t i = 0; i < to; ++i) {
    const double at = std::max(0.0, (static_cast<double>(i) + 0.5) * scale - 0.5);
    const auto low = static_cast<std::int64_t>(at);
    taps.push_back(
        {low, std::min(low + 1, from - 1), static_cast<float>(at - static_cast<double>(low))});
  }
  return taps;
}

void ImageTransform::fill(const ImageSet& images, std::span<const std::uint32_t> indices, Rng& rng,
                          std::span<float> out) const {
  const std::int64_t step = out_height_ * out_width_ * channels_;
  assert(static_cast<std::int64_t>(out.size()) == step * static_cast<std::int64_t>(indices.size()));
  const bool resized = !rows_.empty();
  std::vector<float> placed(resized ? static_cast<std::size_t>(images.stride()) : 0);
  float* to = out.data();
  for (const std::uint32_t index : indices) {
    const std::uint8_t* pixels = images.pixels.data() + index * images.stride();
    place(pixels, rng, resized ? placed.data() : to);
    if (resized) resize(placed.data(), to);
    to += step;
  }
}

void ImageTransform::place(const std::uint8_t* pixels, Rng& rng, float* out) const {
  const int padding = augmentation_.crop_padding;
  std::int64_t down = 0, right = 0;  // where the crop begins in the image
  if (padding > 0) {
    down = rng.uniform_int(-padding, padding);
    right = rng.uniform_int(-padding, padding);
  }
  const bool flipped = augmentation_.horizontal_flip && rng.below(2) == 1;
  for (std::int64_t c = 0; c < channels_; ++c) {
    const std::array<float, 256>& normalized = normalized_[static_cast<std::size_t>(c)];
    for (std::int64_t y = 0; y < height_; ++y) {
      const std::int64_t from_y = y + down;
      const bool inside = from_y >= 0 && from_y < height_;
      const std::uint8_t* row = pixels + (c * height_ + (inside ? from_y : 0)) * width_;
      float* to = out + y * width_ * channels_ + c;
      std::int64_t from_x = flipped ? width_ - 1 + right : right;
      const std::int64_t step = flipped ? -1 : 1;
      for (std::int64_t x = 0; x < width_; ++x, from_x += step, to += channels_) {
        *to = normalized[inside && from_x >= 0 && from_x < width_ ? row[from_x] : 0];
      }
    }
  }
  if (augmentation_.cutout > 0) {
    // The square's centre is any pixel; what hangs over the border is lost.
    const std::int64_t side = augmentation_.cutout;
    const std::int64_t top = rng.uniform_int(0, height_ - 1) - side / 2;
    const std::int64_t left = rng.uniform_int(0, width_ - 1) - side / 2;
    const std::int64_t first = std::max<std::int64_t>(left, 0) * channels_;
    const std::int64_t last = std::min(left + side, width_) * channels_;
    for (std::int64_t y = std::max<std::int64_t>(top, 0); y < std::min(top + side, height_); ++y) {
      float* row = out + y * width_ * channels_;
      std::fill(row + first, row + last, 0.0f);
    }
  }
}

void ImageTransform::resize(const float* from, float* to) const {
  for (const Tap& row : rows_) {
    const float* above = from + row.low * width_ * channels_;
    const float* below = from + row.high * width_ * channels_;
    for (const Tap& column : columns_) {
      for (std::int64_t c = 0; c < channels_; ++c) {
        const std::int64_t left = column.low * channels_ + c, right = column.high * channels_ + c;
        const float upper = above[left] + column.weight * (above[right] - above[left]);
        const float lower = below[left] + column.weight * (below[right] - below[left]);
        *to++ = upper + row.weight * (lower - upper);
      }
    }
  }
}

}  // namespace espalier
