// Readers of the usual image files, and images made up.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>

#include "training/dataset.hpp"

namespace espalier {

/// The part of a data set that its publisher calls so.
enum class DatasetPart { training, test };

/// Reads {train,t10k}-images-idx3-ubyte and {train,t10k}-labels-idx1-ubyte, each with or without
/// .gz: the files of MNIST and Fashion-MNIST, 10 classes. Throws IoError naming the file when it is
/// missing, truncated, of another format, or when its counts contradict each other.
/// Source: Y. LeCun, C. Cortes, C. Burges: The MNIST database of handwritten digits (IDX format).
ImageSet read_mnist(const std::filesystem::path& directory, DatasetPart part);

/// As read_mnist; a missing file's message names the Debian package that holds it.
/// Source: H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, arXiv 1708.07747.
ImageSet read_fashion_mnist(const std::filesystem::path& directory, DatasetPart part);

/// Reads the binary version of CIFAR-10 (data_batch_1.bin to data_batch_5.bin, test_batch.bin).
/// Throws IoError as read_mnist.
/// Source: A. Krizhevsky: Learning multiple layers of features from tiny images, 2009.
ImageSet read_cifar10(const std::filesystem::path& directory, DatasetPart part);

/// Reads the binary version of CIFAR-100 (train.bin, test.bin) with its 100 fine labels. Throws
/// IoError as read_mnist. Source: as read_cifar10.
ImageSet read_cifar100(const std::filesystem::path& directory, DatasetPart part);

/// Images made up: each class is a smooth random pattern, each image its class's pattern moved by
/// up to an eighth of the size, with noise added to every pixel.
struct SyntheticOptions {
  std::array<std::int64_t, 3> shape{1, 28, 28};  ///< {channels, height, width}, each >= 1
  std::int64_t classes = 10;                     ///< >= 2
  std::int64_t images = 2000;                    ///< >= 1; the classes take turns
  double noise = 0.25;                           ///< standard deviation in units of 255, >= 0
  std::uint64_t seed = 1;                        ///< of the patterns and of the images
};

/// Equal options and part give equal images on every machine.
ImageSet synthetic_images(const SyntheticOptions& options, DatasetPart part);

}  // namespace espalier
