// Operators on the CPU that run far below the machine's limit in LibTorch, as plain loops over
// channels-last data. No LibTorch here: functions.hpp makes differentiable operators of them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace espalier::kernels {

/// How a window moves along one axis. Output o reads inputs o * stride + k * dilation - padding,
/// for k below kernel, where there are such.
struct Axis {
  std::int64_t in = 1, out = 1;
  std::int64_t kernel = 1, stride = 1, padding = 0, dilation = 1;
};

/// A batch of images {N, H, W, C} in memory and a window. Rows are counted over the whole batch:
/// row r is row r % H of image r / H.
struct Window {
  std::int64_t channels = 1;
  Axis h, w;
};

/// What follows a batch norm in the same pass.
enum class Epilogue { none, relu, relu6, hard_swish };

/// One set of loops. All run on the calling thread and on float32; `begin` and `end` bound the rows
/// or pixels that a call computes, so that threads can share the work; a value does not depend on
/// how it is shared. Sizes of arrays are in braces. NaN goes through as in LibTorch.
struct Kernels {
  std::string_view name;

  /// Kernels of 3, 5 and 7 with stride and dilation 1 or 2 on both axes alike: see
  /// depthwise_fits(). x {N,H,W,C}, w {kh,kw,C}, bias {C} or null, y {N,H',W',C}.
  void (*depthwise)(const Window& window, const float* x, const float* w, const float* bias,
                    float* y, std::int64_t begin, std::int64_t end);
  /// Rows are those of `dx`, {N,H,W,C}.
  void (*depthwise_dx)(const Window& window, const float* dy, const float* w, float* dx,
                       std::int64_t begin, std::int64_t end);
  /// The part {kh,kw,C} that output rows from begin to end contribute.
  void (*depthwise_dw)(const Window& window, const float* x, const float* dy, float* dw,
                       std::int64_t begin, std::int64_t end);
  /// Both for stride 1, in one pass: rows of dx from begin to end, and the part {kh,kw,C} of dw
  /// that these rows of x contribute.
  void (*depthwise_gradients)(const Window& window, const float* x, const float* dy, const float* w,
                              float* dx, float* dw, std::int64_t begin, std::int64_t end);

  /// The sum over the window times `factors` {H',W'}, the reciprocals of what to divide by. Windows
  /// without dilation. Rows of y.
  void (*average_pool)(const Window& window, const float* x, const float* factors, float* y,
                       std::int64_t begin, std::int64_t end);
  /// Rows of dx.
  void (*average_pool_dx)(const Window& window, const float* dy, const float* factors, float* dx,
                          std::int64_t begin, std::int64_t end);
  /// `taps` {N,H',W',C} gets the place in the window, row by row, of the value that was taken: the
  /// first of equals, the last NaN. Windows of at most 255 places without dilation. Rows of y.
  void (*max_pool)(const Window& window, const float* x, float* y, std::uint8_t* taps,
                   std::int64_t begin, std::int64_t end);
  /// Rows of dx.
  void (*max_pool_dx)(const Window& window, const float* dy, const std::uint8_t* taps, float* dx,
                      std::int64_t begin, std::int64_t end);

  /// Mean and sum of squared distances from it {C}, over pixels from begin to end of x {pixels, C}.
  void (*moments)(std::int64_t channels, const float* x, float* mean, float* squares,
                  std::int64_t begin, std::int64_t end);
  /// y = f(x * scale + shift), all but x and y {C}. Pixels.
  void (*affine)(std::int64_t channels, Epilogue f, const float* x, const float* scale,
                 const float* shift, float* y, std::int64_t begin, std::int64_t end);
  /// With g = dy * f'(x * scale + shift): the sums of g and of g * (x - mean), {C} each, over
  /// pixels from begin to end.
  void (*affine_sums)(std::int64_t channels, Epilogue f, const float* x, const float* dy,
                      const float* scale, const float* shift, const float* mean, float* sum,
                      float* product, std::int64_t begin, std::int64_t end);
  /// dx = g * scale + (x - mean) * slope + offset, with the same g. Pixels.
  void (*affine_dx)(std::int64_t channels, Epilogue f, const float* x, const float* dy,
                    const float* scale, const float* shift, const float* mean, const float* slope,
                    const float* offset, float* dx, std::int64_t begin, std::int64_t end);

  /// What the gradient of affine_dx() without an epilogue needs, for a cotangent v of dx: the sums
  /// {5,C} of v, v * (x - mean), v * dy, dy and dy * (x - mean), over pixels from begin to end.
  void (*affine_sums_again)(std::int64_t channels, const float* x, const float* dy, const float* v,
                            const float* mean, float* sums, std::int64_t begin, std::int64_t end);
  /// With factors {7,C}: ddy = v * f0 + (x - mean) * f1 + f2 and
  /// dx = v * f3 + dy * f4 + (x - mean) * f5 + f6. Pixels.
  void (*affine_dx_again)(std::int64_t channels, const float* x, const float* dy, const float* v,
                          const float* mean, const float* factors, float* ddy, float* dx,
                          std::int64_t begin, std::int64_t end);

  /// The sums {N,C} of x * y over the pixels, x and y {N, pixels, C}. Images.
  void (*image_products)(std::int64_t channels, std::int64_t pixels, const float* x, const float* y,
                         float* products, std::int64_t begin, std::int64_t end);

  /// Whether each of x is above 0: number i is bit i % 64 of word i / 64. What is left of the last
  /// word is 0.
  void (*positive_bits)(std::int64_t count, const float* x, std::uint64_t* bits);
  /// The number of bits at which a and b differ.
  std::int64_t (*differing_bits)(std::int64_t words, const std::uint64_t* a,
                                 const std::uint64_t* b);

  /// One number for each image and channel: y = x * factors, with factors {N,C} and x
  /// {N, pixels, C}. Images.
  void (*scale_images)(std::int64_t channels, std::int64_t pixels, const float* x,
                       const float* factors, float* y, std::int64_t begin, std::int64_t end);
  /// dx = dy * factors and dfactors = the sum over the pixels of dy * x. Images.
  void (*scale_images_dx)(std::int64_t channels, std::int64_t pixels, const float* x,
                          const float* factors, const float* dy, float* dx, float* dfactors,
                          std::int64_t begin, std::int64_t end);

  /// y = the sum over i < inputs of weights[i] * x[i], number by number.
  void (*weighted_sum)(std::int64_t inputs, const float* const* x, const float* weights, float* y,
                       std::int64_t begin, std::int64_t end);
  /// dx[i] = weights[i] * dy where dx[i] is not null, and products[i] = the sum of dy * x[i].
  void (*weighted_sum_dx)(std::int64_t inputs, const float* const* x, const float* weights,
                          const float* dy, float* const* dx, float* products, std::int64_t begin,
                          std::int64_t end);
  /// y = the sum over i < inputs of x[i] * scale[i], plus shift; scale {inputs,C}, shift {C}.
  /// Pixels.
  void (*affine_sum)(std::int64_t channels, std::int64_t inputs, const float* const* x,
                     const float* scale, const float* shift, float* y, std::int64_t begin,
                     std::int64_t end);
};

/// Whether depthwise() and its gradients have loops for a window.
bool depthwise_fits(const Window& window);

/// The sets that this machine can run, the fastest first: AVX-512, AVX2, portable.
std::span<const Kernels* const> available_kernels();
/// The fastest one.
inline const Kernels& kernels() { return *available_kernels().front(); }

}  // namespace espalier::kernels
