// The loops of kernels.hpp, compiled once for each instruction set: a source that includes this
// header sets ESPALIER_KERNELS_LANES, the floats of its widest vector, and gets `loops`. Nothing
// here has external linkage and nothing of the standard library is called, so that no code made for
// one machine can end up in what runs on all.
#pragma once

#include <cstdint>

#include "nets/kernels/kernels.hpp"

namespace espalier::kernels {
namespace {

using Size = std::int64_t;

template <int lanes>
struct VectorOf {
  using Float __attribute__((vector_size(4 * lanes))) = float;
  using Int __attribute__((vector_size(4 * lanes))) = std::int32_t;
  using Byte __attribute__((vector_size(lanes))) = std::uint8_t;
};

template <int lanes>
struct Tag {
  using V = typename VectorOf<lanes>::Float;
  using I = typename VectorOf<lanes>::Int;
  static constexpr int width = lanes;
};

template <class V>
[[gnu::always_inline]] inline V load(const float* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof(V));
  return v;
}
template <class V>
[[gnu::always_inline]] inline void store(float* p, V v) {
  __builtin_memcpy(p, &v, sizeof(V));
}
template <class V>
[[gnu::always_inline]] inline V splat(float value) {
  return value - V{};
}
template <class V>
[[gnu::always_inline]] inline float total(V v) {
  float sum = 0;
  for (unsigned i = 0; i < sizeof(V) / 4; ++i) sum += v[i];
  return sum;
}

/// Asks for `count` vectors `step` numbers apart, to be read, or with `write` written, soon. They
/// may lie outside the array.
template <int count, int write>
[[gnu::always_inline]] inline void prefetch(const float* p, Size step) {
#pragma GCC unroll 16
  for (int i = 0; i < count; ++i) __builtin_prefetch(p + i * step, write);
}

/// Calls f(tag, c) for vectors that cover [0, count), the wide ones first.
template <class F>
[[gnu::always_inline]] inline void over_vectors(Size count, F&& f) {
  Size c = 0;
#if ESPALIER_KERNELS_LANES >= 16
  for (; c + 16 <= count; c += 16) f(Tag<16>(), c);
#endif
#if ESPALIER_KERNELS_LANES >= 8
  for (; c + 8 <= count; c += 8) f(Tag<8>(), c);
#endif
  for (; c + 4 <= count; c += 4) f(Tag<4>(), c);
  for (; c < count; ++c) f(Tag<1>(), c);
}

constexpr Size min(Size a, Size b) { return a < b ? a : b; }
constexpr Size max(Size a, Size b) { return a > b ? a : b; }

struct Range {
  Size begin, end;
};

alignas(64) constexpr float zeros[16] = {};

// ---- depthwise convolution

constexpr int max_taps = 7;

/// One input row and the weights of the taps that read it.
struct TapRow {
  const float* x;
  const float* w[max_taps];
};

/// Output t reads the input columns first + unit * (step * t + tap), with `step` a template
/// argument below; columns outside [0, width) are zero.
struct Columns {
  Size first, unit, width;
};

/// What the row of outputs after this one will touch: the input row that none has read yet, and how
/// many numbers further to write. Asked for ahead, since what the machine fetches by itself ends
/// with a page of memory, often a row.
struct Next {
  const float* x;
  Size y;
};

/// `outputs` columns of one row and one vector of channels. Each input column is loaded once for
/// all the outputs that read it.
template <class T, int taps, int step, int outputs, bool inside>
[[gnu::always_inline]] inline void convolve_block(const TapRow* rows, int row_count,
                                                  const Columns& columns, Size t, Size channels,
                                                  Size c, const float* bias, float* y, Size y_step,
                                                  Size stored) {
  using V = typename T::V;
  V sum[outputs];
  const V start = bias == nullptr ? V{} : load<V>(bias + c);
#pragma GCC unroll 8
  for (int b = 0; b < outputs; ++b) sum[b] = start;
  for (int r = 0; r < row_count; ++r) {
    V w[taps];
#pragma GCC unroll 8
    for (int k = 0; k < taps; ++k) w[k] = load<V>(rows[r].w[k] + c);
    const float* x = rows[r].x + c;
    const Size first = columns.first + columns.unit * step * t;
#pragma GCC unroll 32
    for (int j = 0; j < (outputs - 1) * step + taps; ++j) {
      const Size column = first + columns.unit * j;
      const bool exists =
          inside || static_cast<std::uint64_t>(column) < static_cast<std::uint64_t>(columns.width);
      const V v = load<V>(exists ? x + column * channels : zeros);
#pragma GCC unroll 8
      for (int b = 0; b < outputs; ++b) {
        const int k = j - b * step;
        if (k >= 0 && k < taps) sum[b] += v * w[k];
      }
    }
  }
#pragma GCC unroll 8
  for (int b = 0; b < outputs; ++b) {
    if (b < stored) store(y + b * y_step + c, sum[b]);
  }
}

template <class T, int taps, int step>
void convolve_row(const TapRow* rows, int row_count, const Columns& columns, Size count,
                  Size channels, Size c, const float* bias, float* y, Size y_step,
                  const Next& next) {
  Size t = 0;
  while (t < count) {
    const Size left = count - t;
    float* out = y + t * y_step;
    if (left > 4) {
      const Size begin = columns.first + columns.unit * step * t;
      prefetch<8, 1>(out + next.y + c, y_step);
      prefetch<8 * step, 0>(next.x + begin * channels + c, columns.unit * channels);
      if (begin >= 0 && begin + columns.unit * (7 * step + taps - 1) < columns.width) {
        convolve_block<T, taps, step, 8, true>(rows, row_count, columns, t, channels, c, bias, out,
                                               y_step, left);
      } else {
        convolve_block<T, taps, step, 8, false>(rows, row_count, columns, t, channels, c, bias, out,
                                                y_step, left);
      }
      t += 8;
    } else if (left > 2) {
      convolve_block<T, taps, step, 4, false>(rows, row_count, columns, t, channels, c, bias, out,
                                              y_step, left);
      t += 4;
    } else {
      convolve_block<T, taps, step, 2, false>(rows, row_count, columns, t, channels, c, bias, out,
                                              y_step, left);
      t += 2;
    }
  }
}

/// One row in all channels.
template <int taps, int step>
void convolve(const TapRow* rows, int row_count, const Columns& columns, Size count, Size channels,
              const float* bias, float* y, Size y_step, const Next& next) {
  over_vectors(channels, [&](auto tag, Size c) {
    convolve_row<decltype(tag), taps, step>(rows, row_count, columns, count, channels, c, bias, y,
                                            y_step, next);
  });
}

using Convolve = void (*)(const TapRow*, int, const Columns&, Size, Size, const float*, float*,
                          Size, const Next&);

Convolve convolve_with(Size taps, Size step) {
  if (step == 2) {
    return taps == 3 ? convolve<3, 2> : taps == 5 ? convolve<5, 2> : convolve<7, 2>;
  }
  switch (taps) {
    case 1:
      return convolve<1, 1>;
    case 2:
      return convolve<2, 1>;
    case 3:
      return convolve<3, 1>;
    case 4:
      return convolve<4, 1>;
    case 5:
      return convolve<5, 1>;
    default:
      return convolve<7, 1>;
  }
}

/// The columns of output phase + phases * t, where the window reads inputs stride * output +
/// dilation * k - padding. With dilation 2 and stride 1 outputs of one parity read inputs of one
/// parity: two phases, each a plain convolution.
struct Phases {
  Size count, unit, step;
  explicit Phases(const Axis& w)
      : count(w.dilation == 2 && w.stride == 1 ? 2 : 1),
        unit(w.dilation),
        step(w.dilation == 2 ? 1 : w.stride) {}
  Columns columns(const Axis& w, Size phase) const {
    return {phase * w.stride - w.padding, unit, w.in};
  }
  Size outputs(const Axis& w, Size phase) const { return (w.out - phase + count - 1) / count; }
};

void depthwise(const Window& window, const float* x, const float* w, const float* bias, float* y,
               Size begin, Size end) {
  const Axis &ah = window.h, &aw = window.w;
  const Size channels = window.channels;
  const Phases phases(aw);
  const Convolve run = convolve_with(aw.kernel, phases.step);
  for (Size row = begin; row < end; ++row) {
    const Size image = row / ah.out, top = row % ah.out * ah.stride - ah.padding;
    TapRow rows[max_taps];
    int count = 0;
    for (Size k = 0; k < ah.kernel; ++k) {
      const Size from = top + k * ah.dilation;
      if (from < 0 || from >= ah.in) continue;
      rows[count].x = x + (image * ah.in + from) * aw.in * channels;
      for (Size j = 0; j < aw.kernel; ++j) {
        rows[count].w[j] = w + (k * aw.kernel + j) * channels;
      }
      ++count;
    }
    const Size new_row = top + (ah.kernel - 1) * ah.dilation + ah.stride;
    const Next next{x + (image * ah.in + new_row) * aw.in * channels, aw.out * channels};
    for (Size phase = 0; phase < phases.count; ++phase) {
      run(rows, count, phases.columns(aw, phase), phases.outputs(aw, phase), channels, bias,
          y + (row * aw.out + phase) * channels, phases.count * channels, next);
    }
  }
}

/// The inputs phase + period * t are read by outputs through the same taps: a convolution of dy
/// with these, last tap first.
void depthwise_dx(const Window& window, const float* dy, const float* w, float* dx, Size begin,
                  Size end) {
  const Axis &ah = window.h, &aw = window.w;
  const Size channels = window.channels;
  const Size period = max(aw.stride, aw.dilation), unit = period / aw.stride;
  for (Size row = begin; row < end; ++row) {
    const Size image = row / ah.in, from = row % ah.in + ah.padding;
    const Next next{dy + (image * ah.out + (from + 1) / ah.stride) * aw.out * channels,
                    aw.in * channels};
    for (Size phase = 0; phase < min(period, aw.in); ++phase) {
      Size taps[max_taps], tap_count = 0;
      for (Size k = aw.kernel; k-- > 0;) {
        if ((phase + aw.padding + k * aw.dilation) % aw.stride == 0) taps[tap_count++] = k;
      }
      TapRow rows[max_taps];
      int count = 0;
      for (Size k = 0; k < ah.kernel && tap_count > 0; ++k) {
        const Size offset = from - k * ah.dilation;
        if (offset < 0 || offset % ah.stride != 0 || offset / ah.stride >= ah.out) continue;
        rows[count].x = dy + (image * ah.out + offset / ah.stride) * aw.out * channels;
        for (Size j = 0; j < tap_count; ++j) {
          rows[count].w[j] = w + (k * aw.kernel + taps[j]) * channels;
        }
        ++count;
      }
      const Size outputs = (aw.in - phase + period - 1) / period;
      float* to = dx + (row * aw.in + phase) * channels;
      if (count == 0) {
        for (Size t = 0; t < outputs; ++t) {
          __builtin_memset(to + t * period * channels, 0, sizeof(float) * channels);
        }
        continue;
      }
      // Exact: the taps were chosen so. It may be negative.
      const Size first = (phase + aw.padding - taps[0] * aw.dilation) / aw.stride;
      convolve_with(tap_count, 1)(rows, count, {first, unit, aw.out}, outputs, channels, nullptr,
                                  to, period * channels, next);
    }
  }
}

/// Adds what `count` outputs of a row contribute to the taps of one kernel row.
template <class T, int taps, int step, int outputs, int sets, bool inside>
[[gnu::always_inline]] inline void correlate_block(typename T::V (&sum)[sets][taps], const float* x,
                                                   const Columns& columns, Size t, Size channels,
                                                   const float* dy, Size dy_step) {
  using V = typename T::V;
  V g[outputs];
#pragma GCC unroll 8
  for (int b = 0; b < outputs; ++b) g[b] = load<V>(dy + (t + b) * dy_step);
  const Size first = columns.first + columns.unit * step * t;
#pragma GCC unroll 32
  for (int j = 0; j < (outputs - 1) * step + taps; ++j) {
    const Size column = first + columns.unit * j;
    if (!inside && (column < 0 || column >= columns.width)) continue;
    const V v = load<V>(x + column * channels);
#pragma GCC unroll 8
    for (int b = 0; b < outputs; ++b) {
      const int k = j - b * step;
      if (k >= 0 && k < taps) sum[b % sets][k] += v * g[b];
    }
  }
}

/// One row of the output for one row of the kernel.
template <class T, int taps, int step, int sets>
[[gnu::always_inline]] inline void correlate_row(typename T::V (&sum)[sets][taps], const float* x,
                                                 const Columns& columns, Size count, Size channels,
                                                 const float* dy, Size dy_step) {
  Size t = 0;
  const auto begin = [&] { return columns.first + columns.unit * step * t; };
  while (t < count && begin() < 0) {
    correlate_block<T, taps, step, 1, sets, false>(sum, x, columns, t++, channels, dy, dy_step);
  }
  for (; t + 4 <= count && begin() + columns.unit * (3 * step + taps - 1) < columns.width; t += 4) {
    correlate_block<T, taps, step, 4, sets, true>(sum, x, columns, t, channels, dy, dy_step);
  }
  while (t < count) {
    correlate_block<T, taps, step, 1, sets, false>(sum, x, columns, t++, channels, dy, dy_step);
  }
}

template <int taps, int step>
void correlate(const Window& window, const float* x, const float* dy, float* dw, Size begin,
               Size end) {
  const Axis &ah = window.h, &aw = window.w;
  const Size channels = window.channels;
  const Phases phases(aw);
  // So many rows at once that the sums stay in registers for a while, and the rows in the cache.
  const Size run = max(1, 64 / aw.out);
  __builtin_memset(dw, 0, sizeof(float) * ah.kernel * taps * channels);
  for (Size from = begin; from < end; from += run) {
    const Size to = min(end, from + run);
    for (Size k = 0; k < ah.kernel; ++k) {
      over_vectors(channels, [&](auto tag, Size c) {
        using T = decltype(tag);
        using V = typename T::V;
        // Enough sums at once to hide the latency of an addition, few enough for the registers.
        constexpr int sets = taps <= 3 ? 4 : taps <= 5 || T::width == 16 ? 2 : 1;
        V sum[sets][taps] = {};
        for (Size row = from; row < to; ++row) {
          const Size image = row / ah.out;
          const Size y = row % ah.out * ah.stride - ah.padding + k * ah.dilation;
          if (y < 0 || y >= ah.in) continue;
          for (Size phase = 0; phase < phases.count; ++phase) {
            correlate_row<T, taps, step, sets>(sum, x + (image * ah.in + y) * aw.in * channels + c,
                                               phases.columns(aw, phase), phases.outputs(aw, phase),
                                               channels, dy + (row * aw.out + phase) * channels + c,
                                               phases.count * channels);
          }
        }
#pragma GCC unroll 8
        for (int j = 0; j < taps; ++j) {
          V all = sum[0][j];
#pragma GCC unroll 8
          for (int s = 1; s < sets; ++s) all += sum[s][j];
          float* at = dw + (k * taps + j) * channels + c;
          store(at, load<V>(at) + all);
        }
      });
    }
  }
}

void depthwise_dw(const Window& window, const float* x, const float* dy, float* dw, Size begin,
                  Size end) {
  const bool apart = Phases(window.w).step == 2;
  switch (window.w.kernel) {
    case 3:
      return (apart ? correlate<3, 2> : correlate<3, 1>)(window, x, dy, dw, begin, end);
    case 5:
      return (apart ? correlate<5, 2> : correlate<5, 1>)(window, x, dy, dw, begin, end);
    default:
      return (apart ? correlate<7, 2> : correlate<7, 1>)(window, x, dy, dw, begin, end);
  }
}

/// Both gradients in `outputs` columns of a row of x, for the vector of channels where the pointers
/// start: stores dx and adds to `sum`, kernel row by kernel row and last tap first. Each column of
/// dy is loaded once for all the products that it is in.
template <class T, int taps, int outputs, bool inside>
[[gnu::always_inline]] inline void gradients_block(const TapRow* rows, Range kernel_rows,
                                                   const Columns& columns, Size t, Size channels,
                                                   Size c, const float* x, float* dx, Size step,
                                                   typename T::V (&sum)[taps][taps]) {
  using V = typename T::V;
  V in[outputs], out[outputs] = {};
#pragma GCC unroll 8
  for (int b = 0; b < outputs; ++b) in[b] = load<V>(x + b * step);
  const Size first = columns.first + columns.unit * t;
  for (Size k = kernel_rows.begin; k < kernel_rows.end; ++k) {
    V w[taps], part[taps];
#pragma GCC unroll 8
    for (int j = 0; j < taps; ++j) {
      w[j] = load<V>(rows[k].w[j] + c);
      part[j] = sum[k][j];
    }
#pragma GCC unroll 32
    for (int i = 0; i < outputs + taps - 1; ++i) {
      const Size column = first + columns.unit * i;
      if (!inside && (column < 0 || column >= columns.width)) continue;
      const V g = load<V>(rows[k].x + column * channels + c);
#pragma GCC unroll 8
      for (int b = 0; b < outputs; ++b) {
        const int j = i - b;
        if (j < 0 || j >= taps) continue;
        out[b] += g * w[j];
        part[j] += g * in[b];
      }
    }
#pragma GCC unroll 8
    for (int j = 0; j < taps; ++j) sum[k][j] = part[j];
  }
#pragma GCC unroll 8
  for (int b = 0; b < outputs; ++b) store(dx + b * step, out[b]);
}

template <int taps>
void gradients(const Window& window, const float* x, const float* dy, const float* w, float* dx,
               float* dw, Size begin, Size end) {
  const Axis &ah = window.h, &aw = window.w;
  const Size channels = window.channels, phases = aw.dilation;
  // As in correlate().
  const Size run = max(1, 64 / aw.in);
  __builtin_memset(dw, 0, sizeof(float) * taps * taps * channels);
  for (Size from = begin; from < end; from += run) {
    const Size to = min(end, from + run);
    over_vectors(channels, [&](auto tag, Size c) {
      using T = decltype(tag);
      using V = typename T::V;
      constexpr int outputs = 4;
      V sum[taps][taps] = {};
      for (Size row = from; row < to; ++row) {
        // Kernel row k reads this row for the output row bottom - k * dilation.
        const Size image = row / ah.in, bottom = row % ah.in + ah.padding;
        const Range kernel_rows{bottom < ah.out ? 0 : (bottom - ah.out) / ah.dilation + 1,
                                min(taps, bottom / ah.dilation + 1)};
        TapRow rows[taps];
        for (Size k = kernel_rows.begin; k < kernel_rows.end; ++k) {
          rows[k].x = dy + (image * ah.out + bottom - k * ah.dilation) * aw.out * channels;
          for (Size j = 0; j < taps; ++j) {
            rows[k].w[j] = w + (k * taps + taps - 1 - j) * channels;
          }
        }
        const float* next = dy + (image * ah.out + bottom + 1) * aw.out * channels;  // see Next
        for (Size phase = 0; phase < phases; ++phase) {
          const Columns columns{phase + aw.padding - (taps - 1) * aw.dilation, aw.dilation, aw.out};
          const Size count = (aw.in - phase + phases - 1) / phases, step = phases * channels;
          const Size start = (row * aw.in + phase) * channels + c;
          Size t = 0;
          for (; t + outputs <= count; t += outputs) {
            const Size left = columns.first + columns.unit * t;
            const Size right = left + columns.unit * (outputs + taps - 2);
            const Size at = start + t * step;
            prefetch<outputs, 1>(dx + at + aw.in * channels, step);
            prefetch<outputs, 0>(x + at + aw.in * channels, step);
            prefetch<outputs, 0>(next + left * channels + c, columns.unit * channels);
            if (left >= 0 && right < columns.width) {
              gradients_block<T, taps, outputs, true>(rows, kernel_rows, columns, t, channels, c,
                                                      x + at, dx + at, step, sum);
            } else {
              gradients_block<T, taps, outputs, false>(rows, kernel_rows, columns, t, channels, c,
                                                       x + at, dx + at, step, sum);
            }
          }
          for (; t < count; ++t) {
            const Size at = start + t * step;
            gradients_block<T, taps, 1, false>(rows, kernel_rows, columns, t, channels, c, x + at,
                                               dx + at, step, sum);
          }
        }
      }
      for (int k = 0; k < taps; ++k) {
        for (int j = 0; j < taps; ++j) {
          float* at = dw + (k * taps + taps - 1 - j) * channels + c;
          store(at, load<V>(at) + sum[k][j]);
        }
      }
    });
  }
}

void depthwise_gradients(const Window& window, const float* x, const float* dy, const float* w,
                         float* dx, float* dw, Size begin, Size end) {
  const auto run = window.w.kernel == 3   ? gradients<3>
                   : window.w.kernel == 5 ? gradients<5>
                                          : gradients<7>;
  run(window, x, dy, w, dx, dw, begin, end);
}

// ---- pooling

/// The outputs whose window holds an input.
Range readers(const Axis& a, Size input) {
  const Size place = input + a.padding;
  const Size begin = place < a.kernel ? 0 : (place - a.kernel) / a.stride + 1;
  return {begin, min(a.out, place / a.stride + 1)};
}
/// The places k of a window that lie on an input.
Range places(const Axis& a, Size output) {
  const Size first = output * a.stride - a.padding;
  return {max(0, -first), min(a.kernel, a.in - first)};
}

/// Calls f(output, start, rows, columns) for every pixel of the output rows from begin to end: its
/// number, the number of the input pixel at place 0 of its window (which may lie outside), and the
/// places that lie on the image.
template <class F>
[[gnu::always_inline]] inline void over_windows(const Window& window, Size begin, Size end, F&& f) {
  const Axis &ah = window.h, &aw = window.w;
  for (Size row = begin; row < end; ++row) {
    const Size oh = row % ah.out, start = row / ah.out * ah.in + oh * ah.stride - ah.padding;
    const Range rows = places(ah, oh);
    for (Size ow = 0; ow < aw.out; ++ow) {
      f(row * aw.out + ow, start * aw.in + ow * aw.stride - aw.padding, rows, places(aw, ow));
    }
  }
}

/// Calls f(input, ih, iw, image, rows, columns) for every pixel of the input rows from begin to
/// end: its number, its place in the image, the number of the image's first output, and the outputs
/// that read it.
template <class F>
[[gnu::always_inline]] inline void over_inputs(const Window& window, Size begin, Size end, F&& f) {
  const Axis &ah = window.h, &aw = window.w;
  for (Size row = begin; row < end; ++row) {
    const Size ih = row % ah.in, image = row / ah.in * ah.out * aw.out;
    const Range rows = readers(ah, ih);
    for (Size iw = 0; iw < aw.in; ++iw) {
      f(row * aw.in + iw, ih, iw, image, rows, readers(aw, iw));
    }
  }
}

/// Both average pools of 3x3 windows with stride and padding 1: a row of sums over three rows of x
/// (one or two at the border), each number times its factor before or after the sum. The sum of a
/// column serves three outputs.
template <int rows>
void sum_of_windows(const float* const* x, const float* const* before, const float* after,
                    Size width, Size channels, float* y) {
  over_vectors(channels, [&](auto tag, Size c) {
    using V = typename decltype(tag)::V;
    const auto column = [&](Size w) {
      V sum{};
#pragma GCC unroll 3
      for (int r = 0; r < rows; ++r) {
        const V v = load<V>(x[r] + w * channels + c);
        sum += before == nullptr ? v : v * splat<V>(before[r][w]);
      }
      return sum;
    };
    V left{}, middle = column(0);
    for (Size w = 0; w < width; ++w) {
      const V right = w + 1 < width ? column(w + 1) : V{};
      const V sum = left + middle + right;
      store(y + w * channels + c, after == nullptr ? sum : sum * splat<V>(after[w]));
      left = middle;
      middle = right;
    }
  });
}

/// Row `row` of the sums over x; factors {H,W}.
void sum_of_windows(const Window& window, const float* x, const float* factors, bool factors_first,
                    float* y, Size row) {
  const Size height = window.h.in, width = window.w.in, channels = window.channels;
  const Size image = row / height, middle = row % height;
  const float *rows[3], *before[3];
  int count = 0;
  for (Size r = max(0, middle - 1); r < min(height, middle + 2); ++r) {
    rows[count] = x + (image * height + r) * width * channels;
    before[count++] = factors + r * width;
  }
  const auto run = count == 3   ? sum_of_windows<3>
                   : count == 2 ? sum_of_windows<2>
                                : sum_of_windows<1>;
  run(rows, factors_first ? before : nullptr, factors_first ? nullptr : factors + middle * width,
      width, channels, y + row * width * channels);
}

bool is_plain_three(const Window& window) {
  const auto plain = [](const Axis& a) { return a.kernel == 3 && a.stride == 1 && a.padding == 1; };
  return plain(window.h) && plain(window.w);
}

void average_pool(const Window& window, const float* x, const float* factors, float* y, Size begin,
                  Size end) {
  if (is_plain_three(window)) {
    for (Size row = begin; row < end; ++row) sum_of_windows(window, x, factors, false, y, row);
    return;
  }
  const Size channels = window.channels, width = window.w.in;
  const Size outputs = window.h.out * window.w.out;
  over_windows(window, begin, end, [&](Size output, Size start, Range rows, Range columns) {
    const float factor = factors[output % outputs];
    over_vectors(channels, [&](auto tag, Size c) {
      using V = typename decltype(tag)::V;
      V sum{};
      for (Size i = rows.begin; i < rows.end; ++i) {
        for (Size j = columns.begin; j < columns.end; ++j) {
          sum += load<V>(x + (start + i * width + j) * channels + c);
        }
      }
      store(y + output * channels + c, sum * splat<V>(factor));
    });
  });
}

void average_pool_dx(const Window& window, const float* dy, const float* factors, float* dx,
                     Size begin, Size end) {
  if (is_plain_three(window)) {
    for (Size row = begin; row < end; ++row) sum_of_windows(window, dy, factors, true, dx, row);
    return;
  }
  const Size channels = window.channels, width = window.w.out;
  over_inputs(window, begin, end,
              [&](Size input, Size, Size, Size image, Range rows, Range columns) {
                over_vectors(channels, [&](auto tag, Size c) {
                  using V = typename decltype(tag)::V;
                  V sum{};
                  for (Size i = rows.begin; i < rows.end; ++i) {
                    for (Size j = columns.begin; j < columns.end; ++j) {
                      const Size at = i * width + j;
                      sum += load<V>(dy + (image + at) * channels + c) * splat<V>(factors[at]);
                    }
                  }
                  store(dx + input * channels + c, sum);
                });
              });
}

/// The largest of the values so far, lane by lane, and where it was.
template <class T>
struct Best {
  typename T::V value;
  typename T::I place;
  /// The first of equals stays, the last NaN comes.
  [[gnu::always_inline]] void take(typename T::V v, typename T::I at) {
    const typename T::I taken = (v > value) | (v != v);
    value = taken ? v : value;
    place = taken ? at : place;
  }
};

template <class T>
[[gnu::always_inline]] inline typename T::I same_place(Size place) {
  return static_cast<std::int32_t>(place) - typename T::I{};
}

template <class T>
[[gnu::always_inline]] inline void store_bytes(std::uint8_t* to, typename T::I values) {
  const auto bytes = __builtin_convertvector(values, typename VectorOf<T::width>::Byte);
  __builtin_memcpy(to, &bytes, sizeof(bytes));
}
template <class T>
[[gnu::always_inline]] inline typename T::I load_bytes(const std::uint8_t* from) {
  // Lane by lane: GCC makes vectors of this loop, but not of a conversion.
  typename T::I values;
  for (int lane = 0; lane < T::width; ++lane) values[lane] = from[lane];
  return values;
}

/// Calls f(image, top, bottom) for a few rows of one image at a time.
template <class F>
[[gnu::always_inline]] inline void over_bands(Size height, Size begin, Size end, F&& f) {
  while (begin < end) {
    const Size image = begin / height, top = begin % height;
    const Size bottom = min(min(top + 4, height), top + end - begin);
    f(image, top, bottom);
    begin += bottom - top;
  }
}

/// Pools of 3x3 windows with stride and padding 1, down a few rows: the best of three neighbours in
/// a row serves three outputs. Rows before columns, as the order of places wants it.
void max_of_threes(const Window& window, const float* x, float* y, std::uint8_t* taps, Size begin,
                   Size end) {
  const Size height = window.h.in, width = window.w.in, channels = window.channels;
  over_bands(height, begin, end, [&](Size image, Size top, Size bottom) {
    for (Size w = 0; w < width; ++w) {
      const bool left = w > 0, right = w + 1 < width;
      over_vectors(channels, [&](auto tag, Size c) {
        using T = decltype(tag);
        using V = typename T::V;
        const auto number = [&](Size h) {
          return ((image * height + h) * width + w) * channels + c;
        };
        const auto best_of_row = [&](Size h) {
          const float* at = x + number(h);
          Best<T> best{load<V>(left ? at - channels : at), same_place<T>(left ? 0 : 1)};
          if (left) best.take(load<V>(at), same_place<T>(1));
          if (right) best.take(load<V>(at + channels), same_place<T>(2));
          return best;
        };
        Best<T> above = best_of_row(max(0, top - 1));
        Best<T> middle = top > 0 ? best_of_row(top) : above;
        for (Size h = top; h < bottom; ++h) {
          Best<T> best{middle.value, middle.place + 3};
          if (h > 0) {
            best = above;
            best.take(middle.value, middle.place + 3);
          }
          above = middle;
          if (h + 1 < height) {
            middle = best_of_row(h + 1);
            best.take(middle.value, middle.place + 6);
          }
          store(y + number(h), best.value);
          store_bytes<T>(taps + number(h), best.place);
        }
      });
    }
  });
}

/// The gradient of max_of_threes(): three columns of outputs down a few rows, each giving to three
/// rows of inputs.
void max_of_threes_dx(const Window& window, const float* dy, const std::uint8_t* taps, float* dx,
                      Size begin, Size end) {
  const Size height = window.h.in, width = window.w.in, channels = window.channels;
  over_bands(height, begin, end, [&](Size image, Size top, Size bottom) {
    for (Size w = 0; w < width; ++w) {
      over_vectors(channels, [&](auto tag, Size c) {
        using T = decltype(tag);
        using V = typename T::V;
        using I = typename T::I;
        const Size start = (image * height * width + w) * channels + c, row = width * channels;
        V above{}, middle{}, below{};
        for (Size h = top - 1; h <= bottom; ++h) {
          if (h >= 0 && h < height) {
            const auto give = [&](Size column) {
              const Size at = start + h * row + column * channels;
              const V g = load<V>(dy + at);
              const I place = load_bytes<T>(taps + at) + static_cast<std::int32_t>(column);
              above = place == 1 ? above + g : above;
              middle = place == 4 ? middle + g : middle;
              below = place == 7 ? below + g : below;
            };
            if (w > 0) give(-1);
            give(0);
            if (w + 1 < width) give(1);
          }
          if (h > top) store(dx + start + (h - 1) * row, above);
          above = middle;
          middle = below;
          below = V{};
        }
      });
    }
  });
}

void max_pool(const Window& window, const float* x, float* y, std::uint8_t* taps, Size begin,
              Size end) {
  if (is_plain_three(window)) return max_of_threes(window, x, y, taps, begin, end);
  const Size channels = window.channels, width = window.w.in, kernel = window.w.kernel;
  over_windows(window, begin, end, [&](Size output, Size start, Range rows, Range columns) {
    over_vectors(channels, [&](auto tag, Size c) {
      using T = decltype(tag);
      using V = typename T::V;
      Best<T> best{splat<V>(-__builtin_inff()), same_place<T>(rows.begin * kernel + columns.begin)};
      for (Size i = rows.begin; i < rows.end; ++i) {
        for (Size j = columns.begin; j < columns.end; ++j) {
          best.take(load<V>(x + (start + i * width + j) * channels + c),
                    same_place<T>(i * kernel + j));
        }
      }
      const Size at = output * channels + c;
      store(y + at, best.value);
      store_bytes<T>(taps + at, best.place);
    });
  });
}

void max_pool_dx(const Window& window, const float* dy, const std::uint8_t* taps, float* dx,
                 Size begin, Size end) {
  if (is_plain_three(window)) return max_of_threes_dx(window, dy, taps, dx, begin, end);
  const Axis &ah = window.h, &aw = window.w;
  const Size channels = window.channels;
  over_inputs(
      window, begin, end, [&](Size input, Size ih, Size iw, Size image, Range rows, Range columns) {
        over_vectors(channels, [&](auto tag, Size c) {
          using T = decltype(tag);
          using V = typename T::V;
          using I = typename T::I;
          V sum{};
          for (Size i = rows.begin; i < rows.end; ++i) {
            for (Size j = columns.begin; j < columns.end; ++j) {
              const Size at = (image + i * aw.out + j) * channels + c;
              const Size place =
                  (ih + ah.padding - i * ah.stride) * aw.kernel + iw + aw.padding - j * aw.stride;
              const I here = load_bytes<T>(taps + at) == static_cast<std::int32_t>(place);
              sum += here ? load<V>(dy + at) : V{};
            }
          }
          store(dx + input * channels + c, sum);
        });
      });
}

// ---- batch norm

/// How far ahead, in numbers, these loops ask for memory. They take a cycle or two a number, and a
/// gradient that is loaded only where its input is above zero has to wait for that input.
constexpr Size ahead = 1024;

/// Calls f(slot, pixel) for all pixels, four at a time: sums in four slots hide their latency.
template <class F>
[[gnu::always_inline]] inline void over_pixels(Size begin, Size end, F&& f) {
  Size p = begin;
  for (; p + 4 <= end; p += 4) {
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) f(s, p + s);
  }
  for (; p < end; ++p) f(0, p);
}

void moments(Size channels, const float* x, float* mean, float* squares, Size begin, Size end) {
  const float share = 1.0f / static_cast<float>(end - begin);
  over_vectors(channels, [&](auto tag, Size c) {
    using V = typename decltype(tag)::V;
    V sum[4] = {};
    over_pixels(begin, end, [&](int s, Size p) {
      prefetch<1, 0>(x + p * channels + c + ahead, 0);
      sum[s] += load<V>(x + p * channels + c);
    });
    const V middle = ((sum[0] + sum[1]) + (sum[2] + sum[3])) * splat<V>(share);
    V square[4] = {};
    over_pixels(begin, end, [&](int s, Size p) {
      const V distance = load<V>(x + p * channels + c) - middle;
      square[s] += distance * distance;
    });
    store(mean + c, middle);
    store(squares + c, (square[0] + square[1]) + (square[2] + square[3]));
  });
}

template <Epilogue f, class T>
[[gnu::always_inline]] inline typename T::V value(typename T::V z) {
  using V = typename T::V;
  // The comparisons are such that NaN goes through.
  if constexpr (f == Epilogue::relu) {
    return z < 0 ? V{} : z;
  } else if constexpr (f == Epilogue::relu6) {
    const V low = z < 0 ? V{} : z;
    return low > 6 ? splat<V>(6) : low;
  } else if constexpr (f == Epilogue::hard_swish) {
    const V shifted = z + 3;
    const V low = shifted < 0 ? V{} : shifted;
    return z * (low > 6 ? splat<V>(6) : low) * splat<V>(1.0f / 6);
  } else {
    return z;
  }
}

/// g times the derivative at z.
template <Epilogue f, class T>
[[gnu::always_inline]] inline typename T::V slope(typename T::V z, typename T::V g) {
  using V = typename T::V;
  if constexpr (f == Epilogue::relu) {
    return z <= 0 ? V{} : g;
  } else if constexpr (f == Epilogue::relu6) {
    return ((z <= 0) | (z >= 6)) ? V{} : g;
  } else if constexpr (f == Epilogue::hard_swish) {
    const V inner = g * (z * splat<V>(1.0f / 3) + splat<V>(0.5f));
    const V low = z < -3 ? V{} : inner;
    return z > 3 ? g : low;
  } else {
    return g;
  }
}

template <Epilogue f>
void affine_of(Size channels, const float* x, const float* scale, const float* shift, float* y,
               Size begin, Size end) {
  // Backwards, as what moments() read last is still in the caches; affine_dx_of() likewise.
  for (Size p = end; p-- > begin;) {
    over_vectors(channels, [&](auto tag, Size c) {
      using T = decltype(tag);
      using V = typename T::V;
      const Size at = p * channels + c;
      prefetch<1, 0>(x + at - ahead, 0);
      prefetch<1, 1>(y + at - ahead, 0);
      store(y + at, value<f, T>(load<V>(x + at) * load<V>(scale + c) + load<V>(shift + c)));
    });
  }
}

template <Epilogue f>
void affine_sums_of(Size channels, const float* x, const float* dy, const float* scale,
                    const float* shift, const float* mean, float* sum, float* product, Size begin,
                    Size end) {
  over_vectors(channels, [&](auto tag, Size c) {
    using T = decltype(tag);
    using V = typename T::V;
    const V a = load<V>(scale + c), b = load<V>(shift + c), middle = load<V>(mean + c);
    V sums[4] = {}, products[4] = {};
    over_pixels(begin, end, [&](int s, Size p) {
      prefetch<1, 0>(dy + p * channels + c + ahead, 0);
      prefetch<1, 0>(x + p * channels + c + ahead, 0);
      const V v = load<V>(x + p * channels + c);
      const V g = slope<f, T>(v * a + b, load<V>(dy + p * channels + c));
      sums[s] += g;
      products[s] += g * (v - middle);
    });
    store(sum + c, (sums[0] + sums[1]) + (sums[2] + sums[3]));
    store(product + c, (products[0] + products[1]) + (products[2] + products[3]));
  });
}

template <Epilogue f>
void affine_dx_of(Size channels, const float* x, const float* dy, const float* scale,
                  const float* shift, const float* mean, const float* slopes, const float* offset,
                  float* dx, Size begin, Size end) {
  for (Size p = end; p-- > begin;) {
    over_vectors(channels, [&](auto tag, Size c) {
      using T = decltype(tag);
      using V = typename T::V;
      const Size at = p * channels + c;
      prefetch<1, 0>(dy + at - ahead, 0);
      prefetch<1, 0>(x + at - ahead, 0);
      prefetch<1, 1>(dx + at - ahead, 0);
      const V v = load<V>(x + at), a = load<V>(scale + c);
      const V g = slope<f, T>(v * a + load<V>(shift + c), load<V>(dy + at));
      store(dx + at, g * a + ((v - load<V>(mean + c)) * load<V>(slopes + c) + load<V>(offset + c)));
    });
  }
}

/// Calls run(template argument).
template <class F>
void with(Epilogue f, F&& run) {
  switch (f) {
    case Epilogue::none:
      return run.template operator()<Epilogue::none>();
    case Epilogue::relu:
      return run.template operator()<Epilogue::relu>();
    case Epilogue::relu6:
      return run.template operator()<Epilogue::relu6>();
    case Epilogue::hard_swish:
      return run.template operator()<Epilogue::hard_swish>();
  }
}

void affine(Size channels, Epilogue f, const float* x, const float* scale, const float* shift,
            float* y, Size begin, Size end) {
  with(f, [&]<Epilogue e>() { affine_of<e>(channels, x, scale, shift, y, begin, end); });
}

void affine_sums(Size channels, Epilogue f, const float* x, const float* dy, const float* scale,
                 const float* shift, const float* mean, float* sum, float* product, Size begin,
                 Size end) {
  with(f, [&]<Epilogue e>() {
    affine_sums_of<e>(channels, x, dy, scale, shift, mean, sum, product, begin, end);
  });
}

void affine_dx(Size channels, Epilogue f, const float* x, const float* dy, const float* scale,
               const float* shift, const float* mean, const float* slopes, const float* offset,
               float* dx, Size begin, Size end) {
  with(f, [&]<Epilogue e>() {
    affine_dx_of<e>(channels, x, dy, scale, shift, mean, slopes, offset, dx, begin, end);
  });
}

void affine_sums_again(Size channels, const float* x, const float* dy, const float* v,
                       const float* mean, float* sums, Size begin, Size end) {
  over_vectors(channels, [&](auto tag, Size c) {
    using V = typename decltype(tag)::V;
    const V middle = load<V>(mean + c);
    V all[5][4] = {};
    over_pixels(begin, end, [&](int s, Size p) {
      const Size at = p * channels + c;
      prefetch<1, 0>(x + at + ahead, 0);
      prefetch<1, 0>(dy + at + ahead, 0);
      prefetch<1, 0>(v + at + ahead, 0);
      const V distance = load<V>(x + at) - middle, g = load<V>(dy + at), u = load<V>(v + at);
      all[0][s] += u;
      all[1][s] += u * distance;
      all[2][s] += u * g;
      all[3][s] += g;
      all[4][s] += g * distance;
    });
    for (int k = 0; k < 5; ++k) {
      store(sums + k * channels + c, (all[k][0] + all[k][1]) + (all[k][2] + all[k][3]));
    }
  });
}

void affine_dx_again(Size channels, const float* x, const float* dy, const float* v,
                     const float* mean, const float* factors, float* ddy, float* dx, Size begin,
                     Size end) {
  for (Size p = end; p-- > begin;) {
    over_vectors(channels, [&](auto tag, Size c) {
      using V = typename decltype(tag)::V;
      const Size at = p * channels + c;
      prefetch<1, 0>(x + at - ahead, 0);
      prefetch<1, 0>(dy + at - ahead, 0);
      prefetch<1, 0>(v + at - ahead, 0);
      const V distance = load<V>(x + at) - load<V>(mean + c);
      const V g = load<V>(dy + at), u = load<V>(v + at);
      const auto factor = [&](int k) { return load<V>(factors + k * channels + c); };
      store(ddy + at, u * factor(0) + (distance * factor(1) + factor(2)));
      store(dx + at, (u * factor(3) + g * factor(4)) + (distance * factor(5) + factor(6)));
    });
  }
}

// ---- signs

void positive_bits(Size count, const float* x, std::uint64_t* bits) {
  Size i = 0;
  for (; i + 64 <= count; i += 64) {
    std::uint64_t word = 0;
    for (int b = 0; b < 64; ++b) word |= static_cast<std::uint64_t>(x[i + b] > 0) << b;
    bits[i / 64] = word;
  }
  if (i == count) return;
  bits[i / 64] = 0;
  for (; i < count; ++i) bits[i / 64] |= static_cast<std::uint64_t>(x[i] > 0) << (i % 64);
}

Size differing_bits(Size words, const std::uint64_t* a, const std::uint64_t* b) {
  Size sum = 0;
  for (Size i = 0; i < words; ++i) sum += __builtin_popcountll(a[i] ^ b[i]);
  return sum;
}

// ---- factors of images, sums of inputs

void image_products(Size channels, Size pixels, const float* x, const float* y, float* products,
                    Size begin, Size end) {
  for (Size n = begin; n < end; ++n) {
    over_vectors(channels, [&](auto tag, Size c) {
      using V = typename decltype(tag)::V;
      V sum[4] = {};
      over_pixels(n * pixels, (n + 1) * pixels, [&](int s, Size p) {
        sum[s] += load<V>(x + p * channels + c) * load<V>(y + p * channels + c);
      });
      store(products + n * channels + c, (sum[0] + sum[1]) + (sum[2] + sum[3]));
    });
  }
}

void scale_images(Size channels, Size pixels, const float* x, const float* factors, float* y,
                  Size begin, Size end) {
  for (Size n = begin; n < end; ++n) {
    for (Size p = n * pixels; p < (n + 1) * pixels; ++p) {
      over_vectors(channels, [&](auto tag, Size c) {
        using V = typename decltype(tag)::V;
        const Size at = p * channels + c;
        store(y + at, load<V>(x + at) * load<V>(factors + n * channels + c));
      });
    }
  }
}

void scale_images_dx(Size channels, Size pixels, const float* x, const float* factors,
                     const float* dy, float* dx, float* dfactors, Size begin, Size end) {
  for (Size n = begin; n < end; ++n) {
    over_vectors(channels, [&](auto tag, Size c) {
      using V = typename decltype(tag)::V;
      const V factor = load<V>(factors + n * channels + c);
      V sum[4] = {};
      over_pixels(n * pixels, (n + 1) * pixels, [&](int s, Size p) {
        const Size at = p * channels + c;
        const V g = load<V>(dy + at);
        store(dx + at, g * factor);
        sum[s] += g * load<V>(x + at);
      });
      store(dfactors + n * channels + c, (sum[0] + sum[1]) + (sum[2] + sum[3]));
    });
  }
}

void weighted_sum(Size inputs, const float* const* x, const float* weights, float* y, Size begin,
                  Size end) {
  over_vectors(end - begin, [&](auto tag, Size i) {
    using V = typename decltype(tag)::V;
    V sum = load<V>(x[0] + begin + i) * splat<V>(weights[0]);
    for (Size k = 1; k < inputs; ++k) {
      sum += load<V>(x[k] + begin + i) * splat<V>(weights[k]);
    }
    store(y + begin + i, sum);
  });
}

void weighted_sum_dx(Size inputs, const float* const* x, const float* weights, const float* dy,
                     float* const* dx, float* products, Size begin, Size end) {
  // In runs of so few numbers that dy stays in the nearest cache for all inputs.
  constexpr Size run = 2048;
  for (Size k = 0; k < inputs; ++k) products[k] = 0;
  for (Size from = begin; from < end; from += run) {
    const Size count = min(run, end - from);
    for (Size k = 0; k < inputs; ++k) {
      typename VectorOf<ESPALIER_KERNELS_LANES>::Float wide{};
      float sum = 0;
      over_vectors(count, [&](auto tag, Size i) {
        using T = decltype(tag);
        using V = typename T::V;
        const V g = load<V>(dy + from + i);
        if (dx[k] != nullptr) store(dx[k] + from + i, g * splat<V>(weights[k]));
        const V product = g * load<V>(x[k] + from + i);
        if constexpr (T::width == ESPALIER_KERNELS_LANES) {
          wide += product;
        } else {
          sum += total(product);
        }
      });
      products[k] += sum + total(wide);
    }
  }
}

void affine_sum(Size channels, Size inputs, const float* const* x, const float* scale,
                const float* shift, float* y, Size begin, Size end) {
  // A few pixels at a time, which stay in the nearest cache for all inputs and channels.
  const Size run = 2048 / channels + 1;
  for (Size from = begin; from < end; from += run) {
    const Size to = min(from + run, end);
    over_vectors(channels, [&](auto tag, Size c) {
      using V = typename decltype(tag)::V;
      const V added = load<V>(shift + c);
      for (Size p = from; p < to; ++p) {
        const Size at = p * channels + c;
        V sum = added;
        for (Size k = 0; k < inputs; ++k)
          sum += load<V>(x[k] + at) * load<V>(scale + k * channels + c);
        store(y + at, sum);
      }
    });
  }
}

constexpr Kernels loops_named(std::string_view name) {
  return {name,           depthwise,       depthwise_dx,   depthwise_dw,      depthwise_gradients,
          average_pool,   average_pool_dx, max_pool,       max_pool_dx,       moments,
          affine,         affine_sums,     affine_dx,      affine_sums_again, affine_dx_again,
          image_products, positive_bits,   differing_bits, scale_images,      scale_images_dx,
          weighted_sum,   weighted_sum_dx, affine_sum};
}

}  // namespace
}  // namespace espalier::kernels
