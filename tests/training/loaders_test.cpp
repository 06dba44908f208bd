#include "training/loaders.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/hash.hpp"
#include "core/json.hpp"
#include "tests/core/gzip.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string word(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}
std::string idx_images(std::uint32_t count, std::uint32_t height, std::uint32_t width,
                       const std::string& pixels) {
  return word(0x803) + word(count) + word(height) + word(width) + pixels;
}
std::string idx_labels(std::uint32_t count, const std::string& labels) {
  return word(0x801) + word(count) + labels;
}

class MnistTest : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& content) {
    write_file_atomically(directory_.path() / name, content);
  }
  void write_training(const std::string& images, const std::string& labels) {
    write("train-images-idx3-ubyte", images);
    write("train-labels-idx1-ubyte", labels);
  }
  std::string error() {
    return throws<IoError>([&] { read_mnist(directory_.path(), DatasetPart::training); });
  }
  TemporaryDirectory directory_;
};

TEST_F(MnistTest, ReadsPlainAndCompressedFiles) {
  write_training(idx_images(2, 1, 3, "abc\xff\x01\x02"), idx_labels(2, "\x09\x02"));
  write("t10k-images-idx3-ubyte.gz", gzip(idx_images(1, 1, 3, "xyz")));
  write("t10k-labels-idx1-ubyte.gz", gzip(idx_labels(1, "\x03")));
  const ImageSet training = read_mnist(directory_.path(), DatasetPart::training);
  EXPECT_THAT(training.shape, ElementsAre(1, 1, 3));
  EXPECT_EQ(training.classes, 10);
  EXPECT_THAT(training.pixels, ElementsAre('a', 'b', 'c', 255, 1, 2));
  EXPECT_THAT(training.labels, ElementsAre(9, 2));
  const ImageSet test = read_fashion_mnist(directory_.path(), DatasetPart::test);
  EXPECT_THAT(test.pixels, ElementsAre('x', 'y', 'z'));
  EXPECT_THAT(test.labels, ElementsAre(3));
}

TEST_F(MnistTest, MissingFilesAreNamed) {
  EXPECT_THAT(error(), HasSubstr("/train-images-idx3-ubyte: no such file, nor "
                                 "train-images-idx3-ubyte.gz; \"dir\" names the folder"));
  EXPECT_THAT(throws<IoError>([&] { read_fashion_mnist(directory_.path(), DatasetPart::test); }),
              HasSubstr("/t10k-images-idx3-ubyte: no such file, nor t10k-images-idx3-ubyte.gz; "
                        "install the Debian package dataset-fashion-mnist"));
  write("train-images-idx3-ubyte", idx_images(1, 1, 1, "a"));
  EXPECT_THAT(error(), HasSubstr("/train-labels-idx1-ubyte: no such file"));
}

TEST_F(MnistTest, WrongFilesAreErrors) {
  const std::string images = idx_images(2, 1, 1, "ab"), labels = idx_labels(2, "\x01\x02");
  write_training(labels, labels);
  EXPECT_THAT(error(), HasSubstr("/train-images-idx3-ubyte: 10 bytes, but the header of an IDX "
                                 "file of 3 axes has 16"));
  write_training(images, images);
  EXPECT_THAT(error(), HasSubstr("/train-labels-idx1-ubyte: begins with 0x00000803, but an IDX "
                                 "file of bytes and 1 axes with 0x00000801"));
  write_training(images, idx_labels(3, "\x01\x02\x03"));
  EXPECT_THAT(error(), testing::AllOf(HasSubstr("3 labels, but "), HasSubstr(" has 2 images")));
  write_training(images, idx_labels(2, "\x01\x0a"));
  EXPECT_THAT(error(), HasSubstr("label 10 of image 1; expected 0 to 9"));
  write_training(images + "c", labels);
  EXPECT_THAT(error(), HasSubstr("the header announces 2 bytes of values, but 3 follow"));
  write_training(idx_images(0xffffffff, 0xffffffff, 0xffffffff, "ab"), labels);
  EXPECT_THAT(error(), HasSubstr("the header announces 1099511627776 bytes of values, but 2"));
}

TEST_F(MnistTest, EveryTruncationIsAnError) {
  const std::string images = idx_images(2, 1, 2, "abcd"), labels = idx_labels(2, "\x01\x02");
  for (std::size_t size = 0; size < images.size(); ++size) {
    write_training(images.substr(0, size), labels);
    error();
  }
  for (std::size_t size = 0; size < labels.size(); ++size) {
    write_training(images, labels.substr(0, size));
    error();
  }
  write_training(gzip(images).substr(0, 20), labels);
  EXPECT_THAT(error(), HasSubstr("the gzip file is truncated"));
}

TEST(FashionMnistTest, TheRealFilesAreWhatTheyShouldBe) {
  const std::filesystem::path directory = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(directory)) {
    GTEST_SKIP() << "the Debian package dataset-fashion-mnist is not installed";
  }
  const ImageSet training = read_fashion_mnist(directory, DatasetPart::training);
  EXPECT_EQ(training.size(), 60000);
  EXPECT_THAT(training.shape, ElementsAre(1, 28, 28));
  EXPECT_THAT(std::vector(training.labels.begin(), training.labels.begin() + 5),
              ElementsAre(9, 0, 0, 3, 0));
  const ImageSet test = read_fashion_mnist(directory, DatasetPart::test);
  EXPECT_EQ(test.size(), 10000);
  EXPECT_THAT(std::vector(test.labels.begin(), test.labels.begin() + 5),
              ElementsAre(9, 2, 1, 1, 6));
  const Dataset data(
      "fashion_mnist", training, [] { return ImageSet{}; }, 0);
  EXPECT_NEAR(data.mean()[0], 0.2860, 5e-5);  // the published values
  EXPECT_NEAR(data.deviation()[0], 0.3530, 5e-5);
}

// One record of a CIFAR file: its labels, and pixels that begin with `first`.
std::string record(const std::string& labels, char first) {
  return labels + first + std::string(3071, 'p');
}

TEST(CifarTest, ReadsTheBinaryVersionOfCifar10) {
  const TemporaryDirectory directory;
  for (char batch = 1; batch <= 5; ++batch) {
    write_file_atomically(directory.path() / ("data_batch_" + std::to_string(batch) + ".bin"),
                          record({batch}, 'a') + record({0}, 'b'));
  }
  write_file_atomically(directory.path() / "test_batch.bin", record("\x09", 'c'));
  const ImageSet training = read_cifar10(directory.path(), DatasetPart::training);
  EXPECT_THAT(training.shape, ElementsAre(3, 32, 32));
  EXPECT_EQ(training.classes, 10);
  EXPECT_THAT(training.labels, ElementsAre(1, 0, 2, 0, 3, 0, 4, 0, 5, 0));
  EXPECT_EQ(training.pixels.size(), 10u * 3072);
  EXPECT_EQ(training.pixels[3072], 'b');
  EXPECT_EQ(read_cifar10(directory.path(), DatasetPart::test).pixels[0], 'c');
}

TEST(CifarTest, ReadsTheFineLabelsOfCifar100) {
  const TemporaryDirectory directory;
  write_file_atomically(directory.path() / "train.bin", record("\x05\x63", 'a'));
  write_file_atomically(directory.path() / "test.bin.gz", gzip(record("\x13\x07", 'b')));
  const ImageSet training = read_cifar100(directory.path(), DatasetPart::training);
  EXPECT_EQ(training.classes, 100);
  EXPECT_THAT(training.labels, ElementsAre(99));
  EXPECT_EQ(training.pixels[0], 'a');
  EXPECT_THAT(read_cifar100(directory.path(), DatasetPart::test).labels, ElementsAre(7));
}

TEST(CifarTest, WrongFilesAreErrors) {
  const TemporaryDirectory directory;
  const auto error = [&](const std::string& content) {
    write_file_atomically(directory.path() / "test_batch.bin", content);
    return throws<IoError>([&] { read_cifar10(directory.path(), DatasetPart::test); });
  };
  EXPECT_THAT(throws<IoError>([&] { read_cifar10(directory.path(), DatasetPart::training); }),
              HasSubstr("/data_batch_1.bin: no such file, nor data_batch_1.bin.gz"));
  EXPECT_THAT(error(""), HasSubstr("0 bytes are not whole records of 3073 bytes"));
  EXPECT_THAT(error(record("\x01", 'a').substr(1)),
              HasSubstr("3072 bytes are not whole records of 3073 bytes"));
  EXPECT_THAT(error(record("\x01", 'a') + record("\x0a", 'a')),
              HasSubstr("label 10 in record 1; expected 0 to 9"));
}

TEST(SyntheticTest, IsEqualOnEveryMachine) {
  const SyntheticOptions options{.shape = {2, 9, 7}, .classes = 3, .images = 7};
  const ImageSet images = synthetic_images(options, DatasetPart::training);
  EXPECT_THAT(images.shape, ElementsAre(2, 9, 7));
  EXPECT_EQ(images.classes, 3);
  EXPECT_THAT(images.labels, ElementsAre(0, 1, 2, 0, 1, 2, 0));
  const std::string text(images.pixels.begin(), images.pixels.end());
  EXPECT_EQ(combine(Hash128{}, std::string_view(text)).to_string(),
            "77bb47f5ab23a43eb0d87eb580b5ff24");
  EXPECT_NE(synthetic_images(options, DatasetPart::test).pixels, images.pixels);
}

// The mean image of each class tells its images apart far above chance, but not perfectly.
TEST(SyntheticTest, ClassesAreSeparableButNoisy) {
  const SyntheticOptions options{.shape = {1, 12, 12}, .images = 600, .noise = 0.5};
  const ImageSet training = synthetic_images(options, DatasetPart::training);
  const ImageSet test = synthetic_images(options, DatasetPart::test);
  std::vector<std::vector<double>> means(10, std::vector<double>(144));
  for (std::size_t i = 0; i < 600; ++i) {
    for (std::size_t j = 0; j < 144; ++j) {
      means[static_cast<std::size_t>(training.labels[i])][j] += training.pixels[i * 144 + j] / 60.0;
    }
  }
  int right = 0;
  for (std::size_t i = 0; i < 600; ++i) {
    std::vector<double> distances;
    for (const auto& mean : means) {
      double distance = 0;
      for (std::size_t j = 0; j < 144; ++j) {
        distance += std::pow(test.pixels[i * 144 + j] - mean[j], 2);
      }
      distances.push_back(distance);
    }
    right += std::ranges::min_element(distances) - distances.begin() == test.labels[i];
  }
  EXPECT_GT(right, 400);
  EXPECT_LT(right, 600);
}

}  // namespace
}  // namespace espalier
