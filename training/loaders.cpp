#include "training/loaders.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/gzip.hpp"
#include "core/rng.hpp"

namespace espalier {
namespace {

namespace fs = std::filesystem;

// A file's content, from its name or its name with ".gz". `hint` ends the message when both are
// missing.
struct File {
  std::string path;
  std::string content;
};
File read_either(const fs::path& directory, const std::string& name, const std::string& hint) {
  fs::path path = directory / name;
  if (!fs::exists(path)) {
    if (!fs::exists(directory / (name + ".gz"))) {
      throw IoError(path.string(), fmt::format("no such file, nor {}.gz{}", name, hint));
    }
    path += ".gz";
  }
  return {path.string(), read_file_maybe_gzip(path)};
}

// The sizes in the header of an IDX file of bytes, after which the values come.
std::vector<std::int64_t> idx_sizes(const File& file, std::size_t rank) {
  const auto word = [&file](std::size_t index) {
    std::int64_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      value = value * 256 + static_cast<unsigned char>(file.content[4 * index + i]);
    }
    return value;
  };
  const std::size_t header = 4 * (1 + rank);
  if (file.content.size() < header) {
    throw IoError(file.path,
                  fmt::format("{} bytes, but the header of an IDX file of {} axes has {}",
                              file.content.size(), rank, header));
  }
  const std::int64_t magic = 0x800 + static_cast<std::int64_t>(rank);
  if (word(0) != magic) {
    throw IoError(file.path,
                  fmt::format("begins with {:#010x}, but an IDX file of bytes and {} axes with "
                              "{:#010x}",
                              word(0), rank, magic));
  }
  std::vector<std::int64_t> sizes;
  std::int64_t expected = 1;
  constexpr std::int64_t limit = std::int64_t{1} << 40;  // no file is larger
  for (std::size_t i = 1; i <= rank; ++i) {
    const std::int64_t size = sizes.emplace_back(word(i));
    expected = size > 0 && expected > limit / size ? limit : expected * size;
  }
  if (static_cast<std::int64_t>(file.content.size() - header) != expected) {
    throw IoError(file.path, fmt::format("the header announces {} bytes of values, but {} follow",
                                         expected, file.content.size() - header));
  }
  return sizes;
}

ImageSet read_idx(const fs::path& directory, DatasetPart part, const std::string& hint) {
  const std::string prefix = part == DatasetPart::training ? "train" : "t10k";
  const File images = read_either(directory, prefix + "-images-idx3-ubyte", hint);
  const File labels = read_either(directory, prefix + "-labels-idx1-ubyte", hint);
  const std::vector<std::int64_t> sizes = idx_sizes(images, 3);
  const std::int64_t label_count = idx_sizes(labels, 1)[0];
  if (label_count != sizes[0]) {
    throw IoError(labels.path, fmt::format("{} labels, but {} has {} images", label_count,
                                           images.path, sizes[0]));
  }
  ImageSet set{.shape = {1, sizes[1], sizes[2]}, .classes = 10};
  set.pixels.assign(images.content.begin() + 16, images.content.end());
  for (std::size_t i = 8; i < labels.content.size(); ++i) {
    const auto label = static_cast<unsigned char>(labels.content[i]);
    if (label >= set.classes) {
      throw IoError(labels.path,
                    fmt::format("label {} of image {}; expected 0 to 9", label, i - 8));
    }
    set.labels.push_back(label);
  }
  return set;
}

// Appends the records of a CIFAR file, of which each has `label_bytes` labels, the last one wanted.
void read_cifar(const fs::path& directory, const std::string& name, std::size_t label_bytes,
                ImageSet& set) {
  const File file = read_either(directory, name, "");
  const std::size_t pixels = static_cast<std::size_t>(set.stride());
  const std::size_t record = label_bytes + pixels;
  if (file.content.empty() || file.content.size() % record != 0) {
    throw IoError(file.path, fmt::format("{} bytes are not whole records of {} bytes",
                                         file.content.size(), record));
  }
  for (std::size_t at = 0; at < file.content.size(); at += record) {
    const auto label = static_cast<unsigned char>(file.content[at + label_bytes - 1]);
    if (label >= set.classes) {
      throw IoError(file.path, fmt::format("label {} in record {}; expected 0 to {}", label,
                                           at / record, set.classes - 1));
    }
    set.labels.push_back(label);
    const auto begin = file.content.begin() + static_cast<std::ptrdiff_t>(at + label_bytes);
    set.pixels.insert(set.pixels.end(), begin, begin + static_cast<std::ptrdiff_t>(pixels));
  }
}

}  // namespace

ImageSet read_mnist(const fs::path& directory, DatasetPart part) {
  return read_idx(directory, part, "; \"dir\" names the folder of the four files of MNIST");
}

ImageSet read_fashion_mnist(const fs::path& directory, DatasetPart part) {
  return read_idx(directory, part,
                  "; install the Debian package dataset-fashion-mnist, or let \"dir\" name the "
                  "folder of the four files");
}

ImageSet read_cifar10(const fs::path& directory, DatasetPart part) {
  ImageSet set{.shape = {3, 32, 32}, .classes = 10};
  if (part == DatasetPart::test) {
    read_cifar(directory, "test_batch.bin", 1, set);
    return set;
  }
  for (int batch = 1; batch <= 5; ++batch) {
    read_cifar(directory, fmt::format("data_batch_{}.bin", batch), 1, set);
  }
  return set;
}

ImageSet read_cifar100(const fs::path& directory, DatasetPart part) {
  ImageSet set{.shape = {3, 32, 32}, .classes = 100};
  // Each record has its superclass, then its class.
  read_cifar(directory, part == DatasetPart::training ? "train.bin" : "test.bin", 2, set);
  return set;
}

ImageSet synthetic_images(const SyntheticOptions& options, DatasetPart part) {
  const auto [channels, height, width] = options.shape;
  const Rng rng(options.seed);
  ImageSet set{.shape = options.shape, .classes = options.classes};
  set.pixels.reserve(static_cast<std::size_t>(options.images * set.stride()));

  // Patterns are 4x4 random values, interpolated in integers of 1/256.
  constexpr std::int64_t grid = 4;
  std::vector<std::vector<std::int64_t>> patterns;
  for (std::int64_t label = 0; label < options.classes; ++label) {
    Rng draw = rng.fork("pattern").fork(static_cast<std::uint64_t>(label));
    std::vector<std::int64_t>& pattern = patterns.emplace_back();
    for (std::int64_t c = 0; c < channels; ++c) {
      std::array<std::array<std::int64_t, grid + 1>, grid + 1> corners{};
      for (auto& row : corners) {
        for (std::int64_t& corner : row) corner = draw.uniform_int(0, 255);
      }
      for (std::int64_t y = 0; y < height; ++y) {
        const std::int64_t v = y * grid * 256 / height, row = v / 256, low = v % 256;
        for (std::int64_t x = 0; x < width; ++x) {
          const std::int64_t u = x * grid * 256 / width, column = u / 256, left = u % 256;
          const std::int64_t above =
              corners[row][column] * (256 - left) + corners[row][column + 1] * left;
          const std::int64_t below =
              corners[row + 1][column] * (256 - left) + corners[row + 1][column + 1] * left;
          pattern.push_back((above * (256 - low) + below * low) / (256 * 256));
        }
      }
    }
  }

  const Rng images = rng.fork(part == DatasetPart::training ? "training" : "test");
  for (std::int64_t i = 0; i < options.images; ++i) {
    Rng draw = images.fork(static_cast<std::uint64_t>(i));
    const std::int64_t label = i % options.classes;
    set.labels.push_back(label);
    const std::vector<std::int64_t>& pattern = patterns[static_cast<std::size_t>(label)];
    const std::int64_t down = draw.uniform_int(-height / 8, height / 8);
    const std::int64_t right = draw.uniform_int(-width / 8, width / 8);
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t y = 0; y < height; ++y) {
        const std::int64_t from_y = std::clamp<std::int64_t>(y - down, 0, height - 1);
        for (std::int64_t x = 0; x < width; ++x) {
          const std::int64_t from_x = std::clamp<std::int64_t>(x - right, 0, width - 1);
          const auto clean =
              pattern[static_cast<std::size_t>((c * height + from_y) * width + from_x)];
          const double noisy = static_cast<double>(clean) + 255 * options.noise * draw.normal();
          set.pixels.push_back(
              static_cast<std::uint8_t>(std::clamp(std::round(noisy), 0.0, 255.0)));
        }
      }
    }
  }
  return set;
}

}  // namespace espalier
