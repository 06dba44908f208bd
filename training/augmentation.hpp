// From 8-bit images to the input of a network: augmentation, normalization, resizing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/rng.hpp"
#include "training/dataset.hpp"
#include "training/train_options.hpp"

namespace espalier {

/// Fills batches: {N,C,H,W} 8-bit images to {N,H',W',C} floats, in this order: random crop of the
/// image padded with black, random flip, normalization by mean and deviation, cutout, resizing.
/// Immutable and thread-safe; takes about a nanosecond for each value.
class ImageTransform {
 public:
  /// {height, width} of the result; where they differ from the data's, images are resized
  /// bilinearly with half-pixel centres and no smoothing, as torch's interpolate does with
  /// align_corners false. Throws ConfigError, with a pointer into the augmentation's options, for a
  /// cutout larger than the image.
  ImageTransform(const Dataset& data, std::array<std::int64_t, 2> size,
                 const AugmentationOptions& augmentation = {});

  std::int64_t channels() const { return channels_; }
  std::int64_t height() const { return out_height_; }
  std::int64_t width() const { return out_width_; }

  /// Writes the images `indices` of `images`, which has the shape of the data, to `out`, which
  /// holds indices.size() * height() * width() * channels() values. All randomness is drawn from
  /// `rng`, the same number of draws for each image.
  void fill(const ImageSet& images, std::span<const std::uint32_t> indices, Rng& rng,
            std::span<float> out) const;

 private:
  struct Tap {  // one row or column of a resized image
    std::int64_t low, high;
    float weight;  // of high
  };
  static std::vector<Tap> taps(std::int64_t from, std::int64_t to);
  void place(const std::uint8_t* pixels, Rng& rng, float* out) const;
  void resize(const float* from, float* to) const;

  std::int64_t channels_, height_, width_, out_height_, out_width_;
  AugmentationOptions augmentation_;
  std::vector<std::array<float, 256>> normalized_;  // of each channel and pixel value
  std::vector<Tap> rows_, columns_;                 // empty where nothing is resized
};

}  // namespace espalier
