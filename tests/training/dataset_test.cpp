#include "training/dataset.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/training/images.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Dataset dataset(ImageSet training, ImageSet test, double valid_fraction) {
  return Dataset(
      "d", std::move(training), [test] { return test; }, valid_fraction);
}

TEST(DatasetTest, SplitsAreDisjointFixedAndInRandomOrder) {
  const ImageSet images = counting_images({1, 2, 2}, 100, 10);
  const Dataset data = dataset(images, images, 0.25);
  const SplitView train = data.view(Split::train), valid = data.view(Split::valid);
  EXPECT_EQ(train.size(), 75);
  EXPECT_EQ(valid.size(), 25);
  std::set<std::uint32_t> seen(train.indices.begin(), train.indices.end());
  seen.insert(valid.indices.begin(), valid.indices.end());
  EXPECT_EQ(seen.size(), 100u);
  EXPECT_FALSE(std::ranges::is_sorted(train.indices));
  EXPECT_EQ(train.images, valid.images);
  const SplitView all = data.view(Split::train_and_valid);
  EXPECT_EQ(std::set<std::uint32_t>(all.indices.begin(), all.indices.end()), seen);

  const Dataset again = dataset(images, images, 0.25);
  EXPECT_TRUE(std::ranges::equal(again.view(Split::train).indices, train.indices));
  // The split never changes, or old results could not be compared with new ones.
  EXPECT_THAT(valid.indices.first(5), ElementsAre(96, 94, 85, 10, 51));
  EXPECT_EQ(dataset(images, images, 0).view(Split::valid).size(), 0);
}

TEST(DatasetTest, MeanAndDeviationOfEachChannel) {
  ImageSet images{.shape = {2, 1, 2}, .classes = 1, .pixels = {}, .labels = {0, 0}};
  images.pixels = {0, 255, 7, 7, 255, 255, 7, 7};
  const Dataset data = dataset(images, images, 0);
  EXPECT_THAT(data.mean(), ElementsAre(0.75f, 7 / 255.0f));
  EXPECT_FLOAT_EQ(data.deviation()[0], std::sqrt(0.75f * 0.25f));
  EXPECT_EQ(data.deviation()[1], 1.0f);  // constant
}

TEST(DatasetTest, TestImagesAreLoadedWhenAskedFor) {
  int loads = 0;
  const ImageSet images = counting_images({1, 2, 2}, 10, 2);
  const Dataset data(
      "d", images,
      [&] {
        if (++loads == 1) throw IoError("test.bin", "no such file");
        return counting_images({1, 2, 2}, 4, 2);
      },
      0.1);
  data.view(Split::train_and_valid);
  EXPECT_EQ(loads, 0);
  throws<IoError>([&] { data.view(Split::test); });
  EXPECT_EQ(data.view(Split::test).size(), 4);
  EXPECT_EQ(data.view(Split::test).images->labels.size(), 4u);
  EXPECT_EQ(loads, 2);
}

TEST(DatasetTest, RefusesFractionsThatLeaveNothing) {
  const ImageSet images = counting_images({1, 2, 2}, 4, 2);
  for (const double fraction : {-0.1, 1.0, std::nan("")}) {
    EXPECT_THAT(throws<ConfigError>([&] { dataset(images, images, fraction); }),
                HasSubstr("/valid_fraction: "));
  }
  EXPECT_THAT(throws<ConfigError>([&] { dataset(images, images, 0.9); }),
              HasSubstr("0.9 of 4 images leaves none to train on"));
}

TEST(DatasetTest, RefusesImagesThatContradictThemselves) {
  const ImageSet good = counting_images({1, 2, 2}, 4, 2);
  const auto error = [&](ImageSet bad) { return throws<Error>([&] { dataset(bad, good, 0); }); };
  ImageSet bad = good;
  bad.shape[1] = 0;
  EXPECT_THAT(error(bad), HasSubstr("d: images of 1x0x2"));
  bad = good;
  bad.labels.pop_back();
  EXPECT_THAT(error(bad), HasSubstr("16 pixels, but 3 images of 1x2x2 have 12"));
  bad = good;
  bad.labels[2] = 2;
  EXPECT_THAT(error(bad), HasSubstr("image 2 has the label 2; expected 0 to 1"));
  EXPECT_THAT(error({.shape = {1, 2, 2}, .classes = 2}), HasSubstr("0 images"));

  EXPECT_THAT(throws<Error>([&] {
                dataset(good, counting_images({1, 2, 3}, 4, 2), 0).view(Split::test);
              }),
              HasSubstr("test images of 1x2x3 in 2 classes, but training images of 1x2x2 in 2"));
  bad = good;
  bad.labels[0] = -1;
  EXPECT_THAT(throws<Error>([&] { dataset(good, bad, 0).view(Split::test); }),
              HasSubstr("d (test): image 0 has the label -1"));
}

}  // namespace
}  // namespace espalier
