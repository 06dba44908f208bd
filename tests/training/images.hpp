// Small data sets and networks for the tests of training.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include "core/rng.hpp"
#include "graph/builder.hpp"
#include "training/dataset.hpp"
#include "training/loaders.hpp"

namespace espalier {

/// Images whose pixels are 0, 1, 2, ... (modulo 251) and whose labels take turns.
inline ImageSet counting_images(std::array<std::int64_t, 3> shape, std::int64_t images,
                                std::int64_t classes) {
  ImageSet set{.shape = shape, .classes = classes};
  for (std::int64_t i = 0; i < images * set.stride(); ++i) {
    set.pixels.push_back(static_cast<std::uint8_t>(i % 251));
  }
  for (std::int64_t i = 0; i < images; ++i) set.labels.push_back(i % classes);
  return set;
}

/// Synthetic images of 1x8x8 in 4 classes, a fifth of them held out.
inline std::shared_ptr<const Dataset> small_data(std::int64_t images = 200) {
  SyntheticOptions options{.shape = {1, 8, 8}, .classes = 4, .images = images};
  return std::make_shared<const Dataset>(
      "small", synthetic_images(options, DatasetPart::training),
      [options] { return synthetic_images(options, DatasetPart::test); }, 0.2);
}

/// What a small network is made of.
struct SmallNet {
  std::array<std::int64_t, 3> input{1, 8, 8};
  std::int64_t classes = 4;
  float dropout = 0;
  std::int64_t bits = 32;  // of the second convolution's weights and activations
};

inline Graph small_net(const SmallNet& options = {}) {
  GraphBuilder b;
  NodeId x = b.input(options.input[0], options.input[1], options.input[2]);
  x = b.conv(x, 8, {.kernel = 3, .stride = 2});
  x = b.activation(b.batch_norm(x), ActivationKind::relu);
  Compression compression;
  if (options.bits < 32) {
    compression.quantization = {.weight_bits = options.bits, .activation_bits = options.bits};
  }
  const op::Conv2d conv{.out_channels = 16, .kernel = 3, .padding = 1};
  x = b.append(conv, std::array{x}, "conv", compression);
  x = b.activation(b.batch_norm(x), ActivationKind::relu);
  x = b.flatten(b.global_avg_pool(x));
  if (options.dropout > 0) x = b.dropout(x, options.dropout);
  b.output(b.linear(x, options.classes));
  return b.build();
}

}  // namespace espalier
