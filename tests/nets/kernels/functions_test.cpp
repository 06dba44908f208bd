#include "nets/kernels/functions.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "nets/kernels/kernels.hpp"

namespace espalier::kernels {
namespace {

using Tensors = std::vector<at::Tensor>;
using Function = std::function<at::Tensor(const Tensors&)>;

at::Tensor draws(at::IntArrayRef sizes, std::uint64_t seed) {
  const at::Tensor values =
      at::randn(sizes, at::make_generator<at::CPUGeneratorImpl>(seed), at::kFloat);
  return sizes.size() == 4 ? values.contiguous(at::MemoryFormat::ChannelsLast) : values;
}

/// Leaves of a graph of their own; undefined ones stay so.
Tensors leaves(const Tensors& all, at::ScalarType type) {
  Tensors result;
  for (const at::Tensor& t : all) {
    result.push_back(t.defined() ? t.detach().to(type).clone().set_requires_grad(true) : t);
  }
  return result;
}

void expect_near(const at::Tensor& got, const at::Tensor& wanted, const std::string& what,
                 double tolerance) {
  if (!got.defined() || !wanted.defined()) {
    // An undefined gradient is one of zeros.
    const at::Tensor& other = got.defined() ? got : wanted;
    EXPECT_TRUE(!other.defined() || other.eq(0).all().item<bool>()) << what;
    return;
  }
  ASSERT_EQ(got.sizes(), wanted.sizes()) << what;
  const at::Tensor difference = (got.to(at::kDouble) - wanted).abs();
  EXPECT_LE(difference.max().item<double>(), tolerance * (1 + wanted.abs().max().item<double>()))
      << what;
}

/// Values, gradients and gradients of gradients of `ours` in float32 against `theirs` in float64.
void expect_equal(const Function& ours, const Function& theirs, const Tensors& inputs,
                  const std::string& what) {
  SCOPED_TRACE(what);
  const Tensors x = leaves(inputs, at::kFloat), reference = leaves(inputs, at::kDouble);
  const at::Tensor y = ours(x), wanted = theirs(reference);
  EXPECT_NE(y.grad_fn()->name().find("CppNode"), std::string::npos)
      << "the loops were not taken, but " << y.grad_fn()->name();
  expect_near(y, wanted, "output", 1e-5);

  const auto defined = [](const Tensors& all) {
    Tensors result;
    for (const at::Tensor& t : all) {
      if (t.defined()) result.push_back(t);
    }
    return result;
  };
  // A gradient in the other memory order, as it may arrive.
  const at::Tensor dy = draws(wanted.sizes(), 99).contiguous();
  const Tensors got = torch::autograd::grad({y}, defined(x), {dy}, true, false);
  const Tensors expected =
      torch::autograd::grad({wanted}, defined(reference), {dy.to(at::kDouble)}, true, false);
  for (std::size_t i = 0; i < got.size(); ++i) {
    expect_near(got[i], expected[i], "gradient " + std::to_string(i), 2e-5);
  }

  const auto second = [&](const at::Tensor& out, const Tensors& in, at::ScalarType type) {
    const Tensors first = torch::autograd::grad({out}, in, {dy.to(type)}, true, true);
    at::Tensor sum = at::zeros({}, type);
    for (const at::Tensor& g : first) {
      if (g.requires_grad()) sum = sum + g.pow(2).sum();
    }
    if (!sum.requires_grad()) return Tensors(in.size());
    return torch::autograd::grad({sum}, in, {}, false, false, true);
  };
  const Tensors again = second(y, defined(x), at::kFloat);
  const Tensors again_expected = second(wanted, defined(reference), at::kDouble);
  for (std::size_t i = 0; i < again.size(); ++i) {
    expect_near(again[i], again_expected[i], "second gradient " + std::to_string(i), 1e-4);
  }
}

TEST(KernelFunctions, DepthwiseEqualsLibTorchInFloat64) {
  std::uint64_t seed = 0;
  for (const std::int64_t kernel : {3, 5, 7}) {
    for (const std::int64_t stride : {1, 2}) {
      for (const std::int64_t dilation : {1, 2}) {
        for (const std::int64_t channels : {3, 16, 37}) {
          for (const Pair size : {Pair{13, 14}, Pair{7, 22}, Pair{2, 3}}) {
            for (const std::int64_t padding : {dilation * (kernel - 1) / 2, std::int64_t{1}}) {
              const std::int64_t room = 2 * padding - dilation * (kernel - 1);
              if (size[0] + room < 1 || size[1] + room < 1) continue;
              const Steps steps{{stride, stride}, {padding, padding}, {dilation, dilation}};
              ++seed;
              expect_equal(
                  [&](const Tensors& t) { return depthwise_conv2d(t[0], t[1], t[2], steps); },
                  [&](const Tensors& t) {
                    return at::conv2d(t[0], t[1], t[2], steps.stride, steps.padding, steps.dilation,
                                      channels);
                  },
                  {draws({2, channels, size[0], size[1]}, seed),
                   draws({channels, 1, kernel, kernel}, seed + 1000),
                   seed % 2 ? draws({channels}, seed + 2000) : at::Tensor()},
                  "kernel " + std::to_string(kernel) + " stride " + std::to_string(stride) +
                      " dilation " + std::to_string(dilation) + " channels " +
                      std::to_string(channels) + " width " + std::to_string(size[1]) + " padding " +
                      std::to_string(padding));
            }
          }
        }
      }
    }
  }
}

struct PoolCase {
  std::int64_t kernel, stride, padding;
};
const std::vector<PoolCase> pools{{3, 1, 1}, {3, 2, 1}, {2, 2, 0}, {5, 1, 2}, {3, 3, 0}, {1, 2, 0}};

TEST(KernelFunctions, AveragePoolEqualsLibTorchInFloat64) {
  for (const PoolCase& p : pools) {
    for (const bool include : {false, true}) {
      for (const std::int64_t channels : {5, 24}) {
        const Steps steps{{p.stride, p.stride}, {p.padding, p.padding}};
        expect_equal(
            [&](const Tensors& t) {
              return avg_pool2d(t[0], {p.kernel, p.kernel}, steps, false, include);
            },
            [&](const Tensors& t) {
              return at::avg_pool2d(t[0], {p.kernel, p.kernel}, steps.stride, steps.padding, false,
                                    include);
            },
            {draws({3, channels, 9, 12}, 7)},
            "kernel " + std::to_string(p.kernel) + " stride " + std::to_string(p.stride));
      }
    }
  }
}

TEST(KernelFunctions, MaxPoolEqualsLibTorchInFloat64) {
  for (const PoolCase& p : pools) {
    for (const std::int64_t channels : {5, 24}) {
      const Steps steps{{p.stride, p.stride}, {p.padding, p.padding}};
      // Equal values are common: the gradient must go to the same one.
      expect_equal(
          [&](const Tensors& t) {
            return max_pool2d(t[0], {p.kernel, p.kernel}, steps, false);
          },
          [&](const Tensors& t) {
            return at::max_pool2d(t[0], {p.kernel, p.kernel}, steps.stride, steps.padding);
          },
          {draws({3, channels, 9, 12}, 8).round()},
          "kernel " + std::to_string(p.kernel) + " stride " + std::to_string(p.stride));
    }
  }
}

at::Tensor followed_by(const at::Tensor& z, Epilogue f) {
  return f == Epilogue::none    ? z
         : f == Epilogue::relu  ? at::relu(z)
         : f == Epilogue::relu6 ? at::hardtanh(z, 0, 6)
                                : at::hardswish(z);
}

TEST(KernelFunctions, BatchNormEqualsLibTorchInFloat64) {
  for (const Epilogue f : {Epilogue::none, Epilogue::relu, Epilogue::relu6, Epilogue::hard_swish}) {
    for (const bool training : {true, false}) {
      for (const std::int64_t channels : {1, 19, 32}) {
        for (const bool affine : {true, false}) {
          const at::Tensor mean = draws({channels}, 3), variance = draws({channels}, 4).square();
          at::Tensor our_mean = mean.clone(), our_variance = variance.clone() + 0.5;
          at::Tensor their_mean = mean.to(at::kDouble);
          at::Tensor their_variance = our_variance.to(at::kDouble);
          // Far from zero, where sums of squares would have lost the variance.
          const at::Tensor x = draws({5, channels, 11, 6}, 5) * 3 + 20;
          const at::Tensor weight = affine ? draws({channels}, 6) * 4 : at::Tensor();
          const at::Tensor bias = affine ? draws({channels}, 7) : at::Tensor();
          expect_equal(
              [&](const Tensors& t) {
                return batch_norm(t[0], {t[1], t[2], our_mean, our_variance, training, 0.3, 1e-3},
                                  f);
              },
              [&](const Tensors& t) {
                return followed_by(at::batch_norm(t[0], t[1], t[2], their_mean, their_variance,
                                                  training, 0.3, 1e-3, false),
                                   f);
              },
              {x, weight, bias},
              "epilogue " + std::to_string(static_cast<int>(f)) + " channels " +
                  std::to_string(channels) + (training ? " training" : ""));
          expect_near(our_mean, their_mean, "running mean", 1e-6);
          expect_near(our_variance, their_variance, "running variance", 1e-5);
        }
      }
    }
  }
}

TEST(KernelFunctions, ScaledImagesEqualLibTorchInFloat64) {
  for (const std::int64_t channels : {6, 40}) {
    const auto product = [](const Tensors& t) { return t[0] * t[1]; };
    expect_equal([](const Tensors& t) { return scale_images(t[0], t[1]); }, product,
                 {draws({3, channels, 5, 7}, 1), draws({3, channels, 1, 1}, 2)}, "");
  }
}

TEST(KernelFunctions, WeightedSumsEqualLibTorchInFloat64) {
  for (const std::int64_t size : {1, 5, 40}) {
    expect_equal([](const Tensors& t) { return weighted_sum(std::span(t).subspan(1), t[0]); },
                 [](const Tensors& t) {
                   return t[0].select(0, 0) * t[1] + t[0].select(0, 1) * t[2] +
                          t[0].select(0, 2) * t[3];
                 },
                 {draws({3}, 1), draws({2, 7, size, 3}, 2), draws({2, 7, size, 3}, 3),
                  draws({2, 7, size, 3}, 4)},
                 std::to_string(size));
  }
}

TEST(KernelFunctions, WeightedSumsOfNormsEqualLibTorchInFloat64) {
  for (const std::int64_t channels : {3, 16, 24}) {
    at::Tensor our_mean = at::zeros({channels}), our_variance = at::ones({channels});
    at::Tensor their_mean = at::zeros({channels}, at::kDouble);
    at::Tensor their_variance = at::ones({channels}, at::kDouble);
    // A plain term, a norm, a norm without weights or statistics, and the plain term normalized.
    const auto ours = [&](const Tensors& t) {
      const BatchNorm own{.weight = t[3],
                          .bias = t[4],
                          .running_mean = our_mean,
                          .running_var = our_variance,
                          .training = true};
      const BatchNorm bare{
          .weight = {}, .bias = {}, .running_mean = {}, .running_var = {}, .training = true};
      return weighted_sum_of_norms(
          std::array<Term, 4>{Term{t[1]}, Term{t[2], own}, Term{t[5], bare}, Term{t[1], bare}},
          t[0]);
    };
    const auto theirs = [&](const Tensors& t) {
      const auto norm = [](const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           const at::Tensor& mean, const at::Tensor& variance) {
        return at::batch_norm(x, weight, bias, mean, variance, true, 0.1, 1e-5, false);
      };
      return t[0].select(0, 0) * t[1] +
             t[0].select(0, 1) * norm(t[2], t[3], t[4], their_mean, their_variance) +
             t[0].select(0, 2) * norm(t[5], {}, {}, {}, {}) +
             t[0].select(0, 3) * norm(t[1], {}, {}, {}, {});
    };
    expect_equal(ours, theirs,
                 {draws({4}, 1), draws({3, channels, 7, 5}, 2), draws({3, channels, 7, 5}, 3),
                  draws({channels}, 4), draws({channels}, 5), draws({3, channels, 7, 5}, 6)},
                 std::to_string(channels) + " channels");
    expect_near(our_mean, their_mean, "running mean", 1e-6);
    expect_near(our_variance, their_variance, "running variance", 1e-5);
  }
}

TEST(KernelFunctions, ConvolutionEqualsLibTorchInFloat64) {
  for (const std::int64_t groups : {1, 2, 6}) {
    for (const std::int64_t stride : {1, 2}) {
      for (const std::int64_t kernel : {1, 3}) {
        for (const bool bias : {true, false}) {
          const Steps steps{{stride, 1}, {kernel / 2, 1}, {1, kernel == 3 ? 2 : 1}};
          expect_equal([&](const Tensors& t) { return conv2d(t[0], t[1], t[2], steps, groups); },
                       [&](const Tensors& t) {
                         return at::conv2d(t[0], t[1], t[2], steps.stride, steps.padding,
                                           steps.dilation, groups);
                       },
                       {draws({3, 6, 7, 9}, 1), draws({12, 6 / groups, kernel, kernel}, 2),
                        bias ? draws({12}, 3) : at::Tensor()},
                       "groups " + std::to_string(groups) + " stride " + std::to_string(stride) +
                           " kernel " + std::to_string(kernel));
        }
      }
    }
  }
}

// On AVX-512, with two threads, LibTorch 1.13 damages the memory here.
TEST(KernelFunctions, ConvolutionWithAStrideBetweenItsPixelsTakesOddBatches) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  for (const std::int64_t batch : {1, 3, 7}) {
    for (const std::int64_t groups : {1, 2}) {
      for (const Pair stride : {Pair{2, 2}, Pair{1, 3}}) {
        const Steps steps{stride};
        expect_equal(
            [&](const Tensors& t) { return conv2d(t[0], t[1], {}, steps, groups); },
            [&](const Tensors& t) {
              return at::conv2d(t[0], t[1], {}, steps.stride, at::IntArrayRef{0, 0}, 1, groups);
            },
            {draws({batch, 4, 16, 15}, 1), draws({8, 4 / groups, 1, 1}, 2)},
            "batch " + std::to_string(batch) + " groups " + std::to_string(groups));
      }
    }
  }
  at::set_num_threads(before);
}

TEST(KernelFunctions, ThirdDerivativesEqualLibTorchInFloat64) {
  const auto check = [](const Function& ours, const Function& theirs, const Tensors& inputs) {
    const auto third = [](const Function& f, const Tensors& x) {
      const at::Tensor y = f(x), dy = draws(y.sizes(), 9).to(y.scalar_type());
      const Tensors first = torch::autograd::grad({y}, {x[0], x[1]}, {dy}, true, true);
      const at::Tensor sum = (first[0].square().sum() + first[1].square().sum());
      const Tensors second = torch::autograd::grad({sum}, {x[0], x[1]}, {}, true, true);
      return torch::autograd::grad({second[0].square().sum() + second[1].square().sum()},
                                   {x[0], x[1]});
    };
    const Tensors got = third(ours, leaves(inputs, at::kFloat));
    const Tensors wanted = third(theirs, leaves(inputs, at::kDouble));
    for (std::size_t i = 0; i < got.size(); ++i) {
      expect_near(got[i], wanted[i], "third gradient " + std::to_string(i), 1e-3);
    }
  };
  check([](const Tensors& t) { return conv2d(t[0], t[1], {}, {}, 1).square(); },
        [](const Tensors& t) { return at::conv2d(t[0], t[1]).square(); },
        {draws({2, 3, 4, 4}, 1), draws({2, 3, 3, 3}, 2)});
  check(
      [](const Tensors& t) {
        return batch_norm(t[0], {t[1], t[1], at::zeros({3}), at::ones({3}), true}, Epilogue::none)
            .square();
      },
      [](const Tensors& t) {
        return at::batch_norm(t[0], t[1], t[1], {}, {}, true, 0.1, 1e-5, false).square();
      },
      {draws({2, 3, 4, 4}, 1), draws({3}, 2)});
}

TEST(KernelFunctions, ProductsOfImagesAndAgreementsOfSignsEqualTheirFormulas) {
  const at::Tensor x = draws({3, 19, 5, 7}, 1), y = draws({3, 19, 5, 7}, 2);
  expect_near(image_products(x, y), (x * y).to(at::kDouble).sum({2, 3}), "products", 1e-5);
  expect_near(image_products(x.contiguous(), y), (x * y).to(at::kDouble).sum({2, 3}), "other order",
              1e-5);
  for (const at::Tensor& units :
       {at::relu(x), x, x.contiguous(), x.slice(2, 0, 3), x.slice(0, 0, 1)}) {
    const at::Tensor codes = units.gt(0).flatten(1);
    const at::Tensor wanted = codes.unsqueeze(0).eq(codes.unsqueeze(1)).sum(2).to(at::kDouble);
    EXPECT_TRUE(at::equal(sign_agreements(units), wanted));
  }
  const at::Tensor none = at::full({2, 70}, std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(at::equal(sign_agreements(none), at::full({2, 2}, 70.0, at::kDouble)));
}

TEST(KernelFunctions, NotANumberGoesThrough) {
  at::Tensor x = draws({1, 17, 6, 6}, 1);
  x[0][3][2][2] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor mean = at::zeros({17}), variance = at::ones({17});
  const auto expect_same = [](const at::Tensor& ours, const at::Tensor& theirs) {
    EXPECT_TRUE(at::equal(ours.isnan(), theirs.isnan()));
    EXPECT_GT(theirs.isnan().sum().item<std::int64_t>(), 0);
  };
  const at::Tensor weight = draws({17, 1, 3, 3}, 2);
  expect_same(depthwise_conv2d(x, weight, {}, {{1, 1}, {1, 1}}),
              at::conv2d(x, weight, {}, 1, 1, 1, 17));
  expect_same(max_pool2d(x, {3, 3}, {{1, 1}, {1, 1}}, false), at::max_pool2d(x, 3, 1, 1));
  expect_same(avg_pool2d(x, {3, 3}, {{1, 1}, {1, 1}}, false, false),
              at::avg_pool2d(x, 3, 1, 1, false, false));
  for (const Epilogue f : {Epilogue::none, Epilogue::relu, Epilogue::relu6, Epilogue::hard_swish}) {
    for (const bool training : {false, true}) {
      expect_same(batch_norm(x, {{}, {}, mean.clone(), variance.clone(), training}, f),
                  followed_by(at::batch_norm(x, {}, {}, mean.clone(), variance.clone(), training,
                                             0.1, 1e-5, false),
                              f));
    }
  }
}

TEST(KernelFunctions, MaxPoolGivesTheGradientOfEqualsInfinitiesAndNaNToTheSamePlace) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr float infinity = std::numeric_limits<float>::infinity();
  at::Tensor values = draws({8, 24, 13, 11}, 1).round();
  values.masked_fill_(draws(values.sizes(), 2) > 1, nan);
  values.masked_fill_(draws(values.sizes(), 3) > 0, -infinity);
  const int before = at::get_num_threads();
  for (const int threads : {1, 3}) {
    at::set_num_threads(threads);
    const at::Tensor x = values.clone().set_requires_grad(true);
    const at::Tensor ours = max_pool2d(x, {3, 3}, {{1, 1}, {1, 1}}, false);
    const at::Tensor theirs = at::max_pool2d(x, 3, 1, 1);
    EXPECT_TRUE(at::allclose(ours, theirs, 0, 0, /*equal_nan=*/true));
    const at::Tensor dy = draws(ours.sizes(), 4);
    const at::Tensor dx = torch::autograd::grad({ours}, {x}, {dy})[0];
    EXPECT_TRUE(at::allclose(dx, torch::autograd::grad({theirs}, {x}, {dy})[0], 1e-6, 1e-6));
  }
  at::set_num_threads(before);
}

TEST(KernelFunctions, WhatDoesNotFitFallsBack) {
  const at::Tensor x = draws({2, 8, 9, 9}, 1), other_order = x.contiguous();
  const at::Tensor three = draws({8, 1, 3, 3}, 2), four = draws({8, 1, 4, 4}, 3);
  const auto equal = [](const at::Tensor& a, const at::Tensor& b) {
    EXPECT_TRUE(at::allclose(a, b, 1e-5, 1e-5));
  };
  const auto convolved = [&x](const at::Tensor& weight, Pair stride) {
    return at::conv2d(x, weight, {}, stride, Pair{0, 0}, Pair{1, 1}, 8);
  };
  equal(depthwise_conv2d(other_order, three, {}, {}), convolved(three, {1, 1}));
  equal(depthwise_conv2d(x, four, {}, {}), convolved(four, {1, 1}));
  equal(depthwise_conv2d(x, three, {}, {.stride = {1, 2}}), convolved(three, {1, 2}));
  equal(avg_pool2d(x, {2, 2}, {{2, 2}}, true, true), at::avg_pool2d(x, 2, 2, 0, true));
  equal(max_pool2d(x, {2, 2}, {{2, 2}}, true), at::max_pool2d(x, 2, 2, 0, 1, true));
  equal(max_pool2d(other_order, {3, 3}, {{1, 1}}, false), at::max_pool2d(x, 3, 1));
  EXPECT_THROW(max_pool2d(x, {2, 2}, {{1, 1}, {2, 2}}, false), c10::Error);
  EXPECT_THROW(avg_pool2d(x, {12, 12}, {}, false, true), c10::Error);
  equal(scale_images(x, draws({8, 1, 1}, 4)), x * draws({8, 1, 1}, 4));
  const Tensors two{x, other_order};
  const at::Tensor weights = draws({2}, 5);
  equal(weighted_sum(two, weights), weights[0] * x + weights[1] * other_order);
}

TEST(KernelFunctions, Bfloat16IsComputedInFloat32) {
  const at::Tensor x = draws({2, 4, 6, 6}, 1).to(at::kBFloat16), exact = x.to(at::kFloat);
  const auto equal = [](const at::Tensor& a, const at::Tensor& b) {
    EXPECT_EQ(a.scalar_type(), at::kFloat);
    EXPECT_TRUE(a.equal(b));
  };
  const at::Tensor weight = draws({4, 1, 3, 3}, 2);
  equal(depthwise_conv2d(x, weight, {}, {}), depthwise_conv2d(exact, weight, {}, {}));
  equal(avg_pool2d(x, {2, 2}, {}, false, true), avg_pool2d(exact, {2, 2}, {}, false, true));
  equal(max_pool2d(x, {2, 2}, {}, false), max_pool2d(exact, {2, 2}, {}, false));
  equal(scale_images(x, x.mean({2, 3}, true)),
        scale_images(exact, x.mean({2, 3}, true).to(at::kFloat)));
  const auto normalized = [](const at::Tensor& image) {
    return batch_norm(image, {{}, {}, at::zeros({4}), at::ones({4}), true}, Epilogue::relu);
  };
  equal(normalized(x), normalized(exact));
  const at::Tensor leaf = x.clone().requires_grad_();
  max_pool2d(leaf, {2, 2}, {}, false).sum().backward();
  EXPECT_EQ(leaf.grad().scalar_type(), at::kBFloat16);
}

TEST(KernelFunctions, ResultsDoNotDependOnTheThreads) {
  const int before = at::get_num_threads();
  const auto run = [](int threads) {
    at::set_num_threads(threads);
    Tensors in = leaves({draws({8, 36, 32, 32}, 1), draws({36, 1, 5, 5}, 2), draws({36}, 3),
                         draws({36}, 4), draws({2}, 5), draws({36}, 7), draws({8, 36, 1, 1}, 8)},
                        at::kFloat);
    const at::Tensor c = depthwise_conv2d(in[0], in[1], in[5], {{1, 1}, {2, 2}});
    const at::Tensor n =
        batch_norm(c, {in[2], in[3], at::zeros({36}), at::ones({36}), true}, Epilogue::hard_swish);
    const Tensors both{n, scale_images(c, in[6])};
    const at::Tensor y = weighted_sum(both, in[4]);
    Tensors result = torch::autograd::grad({y}, in, {draws(y.sizes(), 6)});
    result.push_back(y.detach());
    return result;
  };
  const Tensors one = run(1), three = run(3);
  at::set_num_threads(before);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], three[i])) << i;
}

TEST(KernelFunctions, InputsThatDependOnEachOtherHaveTheSameGradientsToBeDifferentiatedAgain) {
  const auto check = [](const std::function<at::Tensor(const at::Tensor&)>& f) {
    const at::Tensor x = draws({2, 4, 6, 6}, 1).set_requires_grad(true);
    const at::Tensor y = f(x), dy = draws(y.sizes(), 2);
    const at::Tensor plain = torch::autograd::grad({y}, {x}, {dy}, true)[0];
    const at::Tensor again = torch::autograd::grad({y}, {x}, {dy}, true, true)[0];
    EXPECT_TRUE(at::allclose(again, plain, 1e-5, 1e-6));
    EXPECT_TRUE(again.requires_grad());
  };
  check([](const at::Tensor& x) {
    return scale_images(x, at::sigmoid(x.mean(at::IntArrayRef{2, 3}, true)));
  });
  check([](const at::Tensor& x) {
    const Tensors both{x, x.square()};
    return weighted_sum(both, at::tensor({0.25f, 0.75f}).set_requires_grad(true));
  });
}

}  // namespace
}  // namespace espalier::kernels
