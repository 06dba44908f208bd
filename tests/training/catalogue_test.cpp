#include "training/catalogue.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/training/images.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(DatasetRegistryTest, KnowsItsDataSets) {
  const DatasetRegistry registry = dataset_registry();
  EXPECT_THAT(registry.names(),
              ElementsAre("fashion_mnist", "mnist", "cifar10", "cifar100", "synthetic"));
  EXPECT_EQ(registry.sample("fashion_mnist")["dir"], "/usr/share/datasets/fashion-mnist");
  for (const std::string& name : registry.names()) {
    EXPECT_EQ(registry.sample(name)["valid_fraction"], 0.1) << name;
  }
}

TEST(DatasetRegistryTest, MakesSyntheticImages) {
  const auto data = dataset_registry().create({{"type", "synthetic"},
                                               {"input", {2, 6, 5}},
                                               {"classes", 3},
                                               {"images", 30},
                                               {"test_images", 9},
                                               {"valid_fraction", 0.2}},
                                              "/data");
  EXPECT_EQ(data->name(), "synthetic");
  EXPECT_THAT(data->shape(), ElementsAre(2, 6, 5));
  EXPECT_EQ(data->classes(), 3);
  EXPECT_EQ(data->view(Split::train).size(), 24);
  EXPECT_EQ(data->view(Split::test).size(), 9);
}

TEST(DatasetRegistryTest, ErrorsNameThePlace) {
  const DatasetRegistry registry = dataset_registry();
  const auto error = [&](const Json& config) {
    return throws<ConfigError>([&] { registry.create(config, "/data"); });
  };
  EXPECT_THAT(error({{"type", "cifar_10"}, {"dir", "x"}}),
              HasSubstr("/data/type: unknown data set \"cifar_10\"; did you mean \"cifar10\"?"));
  EXPECT_THAT(error({{"type", "cifar10"}}), HasSubstr("dir"));
  EXPECT_THAT(error({{"type", "synthetic"}, {"input", {1, 8}}}), HasSubstr("/data/input: "));
  EXPECT_THAT(error({{"type", "synthetic"}, {"valid_fraction", 1}}),
              HasSubstr("/data/valid_fraction: "));
  EXPECT_THAT(error({{"type", "synthetic"}, {"images", 2}, {"valid_fraction", 0.9}}),
              HasSubstr("/data/valid_fraction: 0.9 of 2 images leaves none"));
  EXPECT_THAT(throws<IoError>([&] {
                registry.create({{"type", "fashion_mnist"}, {"dir", "no/such/folder"}}, "/data");
              }),
              HasSubstr("no/such/folder/train-images-idx3-ubyte: no such file"));
}

TEST(DatasetRegistryTest, TakesTheUsersOwn) {
  DatasetRegistry registry = dataset_registry();
  struct Options {
    int images = 10;
  };
  registry.add("own", OptionTable<Options>("made up").add("images", &Options::images, "count"),
               [](const Options& options) {
                 const ImageSet images = counting_images({1, 2, 2}, options.images, 2);
                 return std::make_shared<const Dataset>(
                     "own", images, [images] { return images; }, 0.5);
               });
  EXPECT_EQ(registry.create({{"type", "own"}, {"images", 6}}, "")->view(Split::valid).size(), 3);
}

TEST(DatasetConfigTest, ReadsWhatTheCommandLineNames) {
  EXPECT_EQ(dataset_config("fashion_mnist"), Json({{"type", "fashion_mnist"}}));
  EXPECT_EQ(dataset_config("cifar10:C:/data"), Json({{"type", "cifar10"}, {"dir", "C:/data"}}));
  for (const std::string bad : {"", ":x", "cifar10:"}) {
    EXPECT_THAT(throws<ConfigError>([&] { dataset_config(bad); }),
                HasSubstr("\"" + bad + "\" is not TYPE or TYPE:DIR"));
  }
}

}  // namespace
}  // namespace espalier
