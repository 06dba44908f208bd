// Labelled images in memory, and how they are split.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace espalier {

/// Images of one size with a class each.
struct ImageSet {
  std::array<std::int64_t, 3> shape{};  ///< {channels, height, width} of each image
  std::int64_t classes = 0;
  std::vector<std::uint8_t> pixels = {};  ///< {N,C,H,W}
  std::vector<std::int64_t> labels = {};  ///< {N}, each in [0, classes)

  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
  /// Pixels of one image, of all channels.
  std::int64_t stride() const { return shape[0] * shape[1] * shape[2]; }
};

/// What a data set is used for. `train` and `valid` are the two parts of the training images,
/// `train_and_valid` is all of them, for the final training of a chosen network. `test` is for its
/// final evaluation only.
enum class Split { train, valid, train_and_valid, test };
/// "train", "valid", ...
std::string_view split_name(Split split);

/// Some images of a set. The set must outlive it.
struct SplitView {
  const ImageSet* images = nullptr;
  std::span<const std::uint32_t> indices;  ///< into the set

  std::int64_t size() const { return static_cast<std::int64_t>(indices.size()); }
};

/// A data set for image classification: training images, split by a fixed seed, and test images
/// that are loaded when they are first asked for. Immutable and thread-safe.
class Dataset {
 public:
  /// `load_test` returns the test images; it is called at most once unless it throws.
  /// round(valid_fraction * N) of the N training images are held out. Throws ConfigError with the
  /// pointer "/valid_fraction" unless it is in [0, 1) and leaves a training image, and Error for
  /// images that contradict themselves: counts that differ, a label out of range, no image.
  Dataset(std::string name, ImageSet training, std::function<ImageSet()> load_test,
          double valid_fraction);

  const std::string& name() const { return name_; }
  const std::array<std::int64_t, 3>& shape() const { return training_.shape; }
  std::int64_t classes() const { return training_.classes; }
  /// Mean and standard deviation of each channel over all training images, in pixel values divided
  /// by 255; the deviation of a channel that is constant is given as 1.
  std::span<const float> mean() const { return mean_; }
  std::span<const float> deviation() const { return deviation_; }

  /// Training images are in random but fixed order, so a share of a split is a prefix. Throws
  /// what the loader of the test images throws, and Error when those contradict themselves or
  /// differ from the training images in shape or classes.
  SplitView view(Split split) const;

 private:
  std::string name_;
  ImageSet training_;
  std::vector<std::uint32_t> order_;  // the held-out images first
  std::size_t valid_size_ = 0;
  std::vector<float> mean_, deviation_;
  std::function<ImageSet()> load_test_;
  mutable std::mutex test_mutex_;
  mutable std::optional<ImageSet> test_;
  mutable std::vector<std::uint32_t> test_order_;
};

}  // namespace espalier
