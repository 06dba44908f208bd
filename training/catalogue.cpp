#include "training/catalogue.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "training/loaders.hpp"

namespace espalier {
namespace {

struct FileOptions {
  std::string dir;
  double valid_fraction = 0.1;
};
struct FashionMnistOptions : FileOptions {
  FashionMnistOptions() { dir = "/usr/share/datasets/fashion-mnist"; }
};
struct SyntheticDataOptions {
  std::vector<std::int64_t> input = {1, 28, 28};
  std::int64_t classes = 10;
  std::int64_t images = 2000;
  std::int64_t test_images = 500;
  double noise = SyntheticOptions{}.noise;
  std::uint64_t seed = SyntheticOptions{}.seed;
  double valid_fraction = 0.1;
};

template <class Options>
void add_valid_fraction(OptionTable<Options>& table) {
  // A member of a base class needs the derived type spelled out.
  constexpr double Options::*member = &Options::valid_fraction;
  table.add("valid_fraction", member, "share of the training images that is held out",
            Range{.low = 0, .high = 1, .low_open = false, .high_open = true});
}

using Reader = ImageSet (*)(const std::filesystem::path&, DatasetPart);

template <class Options, class... A>
void add_files(DatasetRegistry& registry, const std::string& name, const std::string& doc,
               Reader read, const A&... of_dir) {
  OptionTable<Options> table(doc);
  constexpr std::string Options::*dir = &Options::dir;
  table.add("dir", dir, "folder of its files", of_dir...);
  add_valid_fraction(table);
  registry.add(name, table, [name, read](const Options& options) {
    const std::filesystem::path directory = options.dir;
    return std::make_shared<const Dataset>(
        name, read(directory, DatasetPart::training),
        [read, directory] { return read(directory, DatasetPart::test); }, options.valid_fraction);
  });
}

std::shared_ptr<const Dataset> make_synthetic(const SyntheticDataOptions& options) {
  SyntheticOptions training{.shape = {options.input[0], options.input[1], options.input[2]},
                            .classes = options.classes,
                            .images = options.images,
                            .noise = options.noise,
                            .seed = options.seed};
  SyntheticOptions test = training;
  test.images = options.test_images;
  return std::make_shared<const Dataset>(
      "synthetic", synthetic_images(training, DatasetPart::training),
      [test] { return synthetic_images(test, DatasetPart::test); }, options.valid_fraction);
}

}  // namespace

DatasetRegistry dataset_registry() {
  DatasetRegistry registry("data set");
  add_files<FashionMnistOptions>(
      registry, "fashion_mnist",
      "Fashion-MNIST: 60,000 and 10,000 images of clothes, 1x28x28, 10 classes",
      read_fashion_mnist);
  add_files<FileOptions>(registry, "mnist",
                         "MNIST: 60,000 and 10,000 handwritten digits, 1x28x28, 10 classes",
                         read_mnist, required());
  add_files<FileOptions>(
      registry, "cifar10",
      "CIFAR-10, binary version: 50,000 and 10,000 photographs, 3x32x32, 10 classes", read_cifar10,
      required());
  add_files<FileOptions>(
      registry, "cifar100",
      "CIFAR-100, binary version: 50,000 and 10,000 photographs, 3x32x32, 100 classes",
      read_cifar100, required());

  OptionTable<SyntheticDataOptions> table(
      "noisy images of smooth patterns, one for each class, made up for tests");
  using S = SyntheticDataOptions;
  table.add("input", &S::input, "channels, height and width", Items{.least = 3, .most = 3},
            between(1, 1024));
  table.add("classes", &S::classes, "number of classes", between(2, 1000));
  table.add("images", &S::images, "number of training images", between(1, 1000000));
  table.add("test_images", &S::test_images, "number of test images", between(1, 1000000));
  table.add("noise", &S::noise, "standard deviation of a pixel's noise; white is 1", at_least(0));
  table.add("seed", &S::seed, "of the patterns and the images");
  add_valid_fraction(table);
  registry.add("synthetic", table, make_synthetic);
  return registry;
}

Json dataset_config(std::string_view specification) {
  const std::size_t colon = specification.find(':');
  const std::string_view type = specification.substr(0, colon);
  if (type.empty() || colon == specification.size() - 1) {
    throw ConfigError("",
                      fmt::format("\"{}\" is not TYPE or TYPE:DIR, for example fashion_mnist or "
                                  "cifar10:/data/cifar10",
                                  specification));
  }
  Json config = {{"type", type}};
  if (colon != std::string_view::npos) config["dir"] = specification.substr(colon + 1);
  return config;
}

}  // namespace espalier
