#include "training/dataset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "core/error.hpp"
#include "core/rng.hpp"

namespace espalier {
namespace {

void check(const ImageSet& images, const std::string& name) {
  if (std::ranges::any_of(images.shape, [](std::int64_t size) { return size < 1; })) {
    throw Error(fmt::format("{}: images of {}x{}x{}; expected sizes of at least 1", name,
                            images.shape[0], images.shape[1], images.shape[2]));
  }
  if (images.size() == 0 || images.size() > std::numeric_limits<std::uint32_t>::max()) {
    throw Error(fmt::format("{}: {} images; expected 1 to {}", name, images.size(),
                            std::numeric_limits<std::uint32_t>::max()));
  }
  if (static_cast<std::int64_t>(images.pixels.size()) != images.size() * images.stride()) {
    throw Error(fmt::format("{}: {} pixels, but {} images of {}x{}x{} have {}", name,
                            images.pixels.size(), images.size(), images.shape[0], images.shape[1],
                            images.shape[2], images.size() * images.stride()));
  }
  for (std::size_t i = 0; i < images.labels.size(); ++i) {
    if (images.labels[i] < 0 || images.labels[i] >= images.classes) {
      throw Error(fmt::format("{}: image {} has the label {}; expected 0 to {}", name, i,
                              images.labels[i], images.classes - 1));
    }
  }
}

std::vector<std::uint32_t> counting(std::int64_t size) {
  std::vector<std::uint32_t> indices(static_cast<std::size_t>(size));
  std::iota(indices.begin(), indices.end(), 0u);
  return indices;
}

}  // namespace

std::string_view split_name(Split split) {
  switch (split) {
    case Split::train:
      return "train";
    case Split::valid:
      return "valid";
    case Split::train_and_valid:
      return "train_and_valid";
    case Split::test:
      break;
  }
  return "test";
}

Dataset::Dataset(std::string name, ImageSet training, std::function<ImageSet()> load_test,
                 double valid_fraction)
    : name_(std::move(name)), training_(std::move(training)), load_test_(std::move(load_test)) {
  check(training_, name_);
  if (!(valid_fraction >= 0 && valid_fraction < 1)) {
    throw ConfigError("/valid_fraction", fmt::format("{} is not in [0, 1)", valid_fraction));
  }
  const auto held_out = std::llround(valid_fraction * static_cast<double>(training_.size()));
  if (held_out >= training_.size()) {
    throw ConfigError("/valid_fraction", fmt::format("{} of {} images leaves none to train on",
                                                     valid_fraction, training_.size()));
  }
  valid_size_ = static_cast<std::size_t>(held_out);
  order_ = counting(training_.size());
  Rng(0).fork("split of a data set").shuffle(order_);

  const std::int64_t plane = training_.shape[1] * training_.shape[2];
  for (std::int64_t c = 0; c < training_.shape[0]; ++c) {
    std::array<std::int64_t, 256> counts{};
    for (std::int64_t i = 0; i < training_.size(); ++i) {
      const std::uint8_t* pixels = training_.pixels.data() + i * training_.stride() + c * plane;
      for (std::int64_t j = 0; j < plane; ++j) ++counts[pixels[j]];
    }
    double sum = 0, squares = 0;
    const double count = static_cast<double>(training_.size() * plane);
    for (std::size_t v = 0; v < 256; ++v) {
      sum += static_cast<double>(v) * static_cast<double>(counts[v]);
    }
    const double mean = sum / count;
    for (std::size_t v = 0; v < 256; ++v) {
      const double difference = static_cast<double>(v) - mean;
      squares += difference * difference * static_cast<double>(counts[v]);
    }
    const double deviation = std::sqrt(squares / count) / 255;
    mean_.push_back(static_cast<float>(mean / 255));
    deviation_.push_back(deviation > 0 ? static_cast<float>(deviation) : 1.0f);
  }
}

SplitView Dataset::view(Split split) const {
  const std::span<const std::uint32_t> order = order_;
  switch (split) {
    case Split::train:
      return {&training_, order.subspan(valid_size_)};
    case Split::valid:
      return {&training_, order.first(valid_size_)};
    case Split::train_and_valid:
      return {&training_, order};
    case Split::test:
      break;
  }
  const std::lock_guard lock(test_mutex_);
  if (!test_) {
    ImageSet test = load_test_();
    check(test, name_ + " (test)");
    if (test.shape != training_.shape || test.classes != training_.classes) {
      throw Error(fmt::format(
          "{}: test images of {}x{}x{} in {} classes, but training images of {}x{}x{} in {}", name_,
          test.shape[0], test.shape[1], test.shape[2], test.classes, training_.shape[0],
          training_.shape[1], training_.shape[2], training_.classes));
    }
    test_order_ = counting(test.size());
    test_ = std::move(test);
  }
  return {&*test_, test_order_};
}

}  // namespace espalier
