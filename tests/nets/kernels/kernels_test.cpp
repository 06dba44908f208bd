// Every set of loops that this machine can run against the portable one.
#include "nets/kernels/kernels.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/rng.hpp"

namespace espalier::kernels {
namespace {

using Floats = std::vector<float>;

Floats draws(std::int64_t count, std::uint64_t seed) {
  Rng rng(seed);
  Floats values(static_cast<std::size_t>(count));
  for (float& v : values) v = static_cast<float>(rng.normal());
  return values;
}

/// All that a set computes from the same inputs.
std::vector<Floats> results(const Kernels& k, std::int64_t channels) {
  std::vector<Floats> all;
  const auto room = [&all](std::int64_t count) -> float* {
    return all.emplace_back(static_cast<std::size_t>(count), -7.0f).data();
  };
  constexpr std::int64_t images = 2, size = 11;
  const std::int64_t pixels = images * size * size;
  const Floats x = draws(pixels * channels, 1), bias = draws(channels, 2);
  for (const std::int64_t kernel : {3, 5, 7}) {
    for (const std::int64_t stride : {1, 2}) {
      for (const std::int64_t dilation : {1, 2}) {
        Axis a{size, 0, kernel, stride, dilation * (kernel / 2), dilation};
        a.out = (size - 1) / stride + 1;
        const Window w{channels, a, a};
        const std::int64_t rows = images * a.out, out = rows * a.out * channels;
        const Floats weight = draws(kernel * kernel * channels, 3), dy = draws(out, 4);
        k.depthwise(w, x.data(), weight.data(), bias.data(), room(out), 0, rows);
        k.depthwise_dx(w, dy.data(), weight.data(), room(pixels * channels), 0, images * size);
        k.depthwise_dw(w, x.data(), dy.data(), room(kernel * kernel * channels), 0, rows);
        if (stride == 1) {
          float* dx = room(pixels * channels);
          k.depthwise_gradients(w, x.data(), dy.data(), weight.data(), dx,
                                room(kernel * kernel * channels), 0, images * size);
        }
        if (dilation > 1) continue;
        const Floats factors = draws(a.out * a.out, 5);
        k.average_pool(w, x.data(), factors.data(), room(out), 0, rows);
        k.average_pool_dx(w, dy.data(), factors.data(), room(pixels * channels), 0, images * size);
        std::vector<std::uint8_t> taps(static_cast<std::size_t>(out));
        k.max_pool(w, x.data(), room(out), taps.data(), 0, rows);
        all.emplace_back(taps.begin(), taps.end());
        k.max_pool_dx(w, dy.data(), taps.data(), room(pixels * channels), 0, images * size);
      }
    }
  }
  const Floats dy = draws(pixels * channels, 6), scale = draws(channels, 7);
  const Floats shift = draws(channels, 8), mean = draws(channels, 9);
  float* means = room(channels);
  k.moments(channels, x.data(), means, room(channels), 3, pixels);
  for (const Epilogue f : {Epilogue::none, Epilogue::relu, Epilogue::relu6, Epilogue::hard_swish}) {
    k.affine(channels, f, x.data(), scale.data(), shift.data(), room(pixels * channels), 0, pixels);
    float* sums = room(channels);
    k.affine_sums(channels, f, x.data(), dy.data(), scale.data(), shift.data(), mean.data(), sums,
                  room(channels), 0, pixels);
    k.affine_dx(channels, f, x.data(), dy.data(), scale.data(), shift.data(), mean.data(),
                bias.data(), shift.data(), room(pixels * channels), 0, pixels);
  }
  const Floats v = draws(pixels * channels, 11), seven = draws(7 * channels, 12);
  k.affine_sums_again(channels, x.data(), dy.data(), v.data(), mean.data(), room(5 * channels), 3,
                      pixels);
  float* ddy = room(pixels * channels);
  k.affine_dx_again(channels, x.data(), dy.data(), v.data(), mean.data(), seven.data(), ddy,
                    room(pixels * channels), 0, pixels);
  k.image_products(channels, size * size, x.data(), dy.data(), room(images * channels), 0, images);
  for (const std::int64_t count : {pixels * channels, std::int64_t{64}}) {
    const auto words = static_cast<std::size_t>((count + 63) / 64);
    std::vector<std::uint64_t> bits(words, ~std::uint64_t{0}), other(words, ~std::uint64_t{0});
    k.positive_bits(count, x.data(), bits.data());
    k.positive_bits(count, dy.data(), other.data());
    Floats& signs = all.emplace_back();
    for (std::size_t i = 0; i < 64 * words; ++i) {
      signs.push_back(static_cast<float>(bits[i / 64] >> (i % 64) & 1));
    }
    signs.push_back(static_cast<float>(
        k.differing_bits(static_cast<std::int64_t>(words), bits.data(), other.data())));
  }
  const Floats factors = draws(images * channels, 10);
  k.scale_images(channels, size * size, x.data(), factors.data(), room(pixels * channels), 0,
                 images);
  float* dx = room(pixels * channels);
  k.scale_images_dx(channels, size * size, x.data(), factors.data(), dy.data(), dx,
                    room(images * channels), 0, images);
  const float* inputs[] = {x.data(), dy.data()};
  k.weighted_sum(2, inputs, scale.data(), room(pixels * channels), 0, pixels * channels);
  float* gradients[] = {room(pixels * channels), nullptr};
  k.weighted_sum_dx(2, inputs, scale.data(), dy.data(), gradients, room(2), 0, pixels * channels);
  k.affine_sum(channels, 2, inputs, seven.data(), shift.data(), room(pixels * channels), 0, pixels);
  return all;
}

TEST(Kernels, EverySetAgreesWithThePortableOne) {
  const auto sets = available_kernels();
  ASSERT_EQ(sets.back()->name, "portable");
  for (const std::int64_t channels : {2, 31, 56}) {
    const auto wanted = results(*sets.back(), channels);
    for (const Kernels* set : sets) {
      const auto got = results(*set, channels);
      ASSERT_EQ(got.size(), wanted.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        double largest = 1, off = 0;
        for (std::size_t j = 0; j < got[i].size(); ++j) {
          largest = std::max(largest, std::abs(static_cast<double>(wanted[i][j])));
          off = std::max(
              off, std::abs(static_cast<double>(wanted[i][j]) - static_cast<double>(got[i][j])));
        }
        EXPECT_LE(off, 1e-5 * largest) << set->name << ", result " << i;
      }
    }
  }
}

TEST(Kernels, TheFirstSetIsTheOneThatIsUsed) { EXPECT_EQ(&kernels(), available_kernels().front()); }

TEST(Kernels, DepthwiseFitsWhatItHasLoopsFor) {
  const auto fits = [](Axis h, Axis w) { return depthwise_fits({.channels = 4, .h = h, .w = w}); };
  const Axis good{.in = 9, .out = 9, .kernel = 3, .stride = 1, .padding = 1, .dilation = 1};
  EXPECT_TRUE(fits(good, good));
  Axis other = good;
  other.kernel = 5;
  EXPECT_TRUE(fits(other, other));
  EXPECT_FALSE(fits(good, other));
  for (const std::int64_t kernel : {1, 2, 4, 9}) {
    other.kernel = kernel;
    EXPECT_FALSE(fits(other, other));
  }
  other = good;
  other.stride = 3;
  EXPECT_FALSE(fits(other, other));
  other = good;
  other.dilation = 4;
  EXPECT_FALSE(fits(other, other));
}

}  // namespace
}  // namespace espalier::kernels
