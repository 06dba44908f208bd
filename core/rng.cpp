#include "core/rng.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "core/error.hpp"

namespace espalier {
namespace {

// Evaluates a polynomial, its coefficients from the constant upwards.
template <std::size_t n>
double polynomial(const double (&coefficients)[n], double x) {
  double sum = coefficients[n - 1];
  for (std::size_t i = n - 1; i-- > 0;) sum = sum * x + coefficients[i];
  return sum;
}

// Of 2^52 intervals of [0, 1]: never 0 and never 1.
double midpoint(std::uint64_t bits) { return (static_cast<double>(bits >> 12) + 0.5) * 0x1.0p-52; }

// The natural logarithm of a positive normal number, from exactly rounded operations only, since
// the last bit of the C library's depends on the processor. Relative error below 1e-15.
double portable_log(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);
  if (mantissa < 0.70710678118654752) {
    mantissa *= 2;
    --exponent;
  }
  // log(m) = 2 artanh(s), s = (m - 1) / (m + 1), |s| < 0.172: thirteen terms of the series.
  static constexpr double terms[] = {1.0,      1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9,
                                     1.0 / 11, 1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19,
                                     1.0 / 21, 1.0 / 23, 1.0 / 25};
  const double s = (mantissa - 1) / (mantissa + 1);
  const double sum = polynomial(terms, s * s);
  return 2 * s * sum + exponent * 0.69314718055994531;
}

// Normal quantiles by the distance q from the median, |q| <= widest_center.
constexpr double widest_center = 0.425;
inline double center_quantile(double q) {
  static constexpr double a[] = {3.3871328727963666080,   1.3314166789178437745e2,
                                 1.9715909503065514427e3, 1.3731693765509461125e4,
                                 4.5921953931549871457e4, 6.7265770927008700853e4,
                                 3.3430575583588128105e4, 2.5090809287301226727e3};
  static constexpr double b[] = {1.0,
                                 4.2313330701600911252e1,
                                 6.8718700749205790830e2,
                                 5.3941960214247511077e3,
                                 2.1213794301586595867e4,
                                 3.9307895800092710610e4,
                                 2.8729085735721942674e4,
                                 5.2264952788528545610e3};
  const double r = 0.180625 - q * q;
  return q * polynomial(a, r) / polynomial(b, r);
}

// The others, by the probability.
double tail_quantile(double p) {
  static constexpr double c[] = {1.42343711074968357734,    4.63033784615654529590,
                                 5.76949722146069140550,    3.64784832476320460504,
                                 1.27045825245236838258,    2.41780725177450611770e-1,
                                 2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr double d[] = {1.0,
                                 2.05319162663775882187,
                                 1.67638483018380384940,
                                 6.89767334985100004550e-1,
                                 1.48103976427480074590e-1,
                                 1.51986665636164571966e-2,
                                 5.47593808499534494600e-4,
                                 1.05075007164441684324e-9};
  static constexpr double e[] = {6.65790464350110377720,    5.46378491116411436990,
                                 1.78482653991729133580,    2.96560571828504891230e-1,
                                 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                 2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static constexpr double f[] = {1.0,
                                 5.99832206555887937690e-1,
                                 1.36929880922735805310e-1,
                                 1.48753612908506148525e-2,
                                 7.86869131145613259100e-4,
                                 1.84631831751005468180e-5,
                                 1.42151175831644588870e-7,
                                 2.04426310338993978564e-15};
  const double tail = p < 0.5 ? p : 1 - p;
  if (tail < std::numeric_limits<double>::min()) {
    return std::copysign(std::numeric_limits<double>::infinity(), p - 0.5);
  }
  const double r = std::sqrt(-portable_log(tail));
  const double value = r <= 5 ? polynomial(c, r - 1.6) / polynomial(d, r - 1.6)
                              : polynomial(e, r - 5) / polynomial(f, r - 5);
  return std::copysign(value, p - 0.5);
}

// Without fused multiply-adds, wider registers change no bit.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define ESPALIER_WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ESPALIER_WIDEST
#endif

ESPALIER_WIDEST void center_quantiles(const double* p, double* values, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) values[i] = center_quantile(p[i] - 0.5);
}

}  // namespace

Rng Rng::fork(std::string_view name) const noexcept {
  return Rng(combine(Hash128{key_, 1}, name).low);
}

Rng Rng::fork(std::uint64_t id) const noexcept { return Rng(combine(Hash128{key_, 2}, id).low); }

double Rng::normal() noexcept { return normal_quantile(midpoint(next())); }

void Rng::fill_normal(std::span<double> values) noexcept {
  std::array<double, 256> p{};
  for (std::size_t begin = 0; begin < values.size(); begin += p.size()) {
    const std::size_t count = std::min(p.size(), values.size() - begin);
    for (std::size_t i = 0; i < count; ++i) p[i] = midpoint(next());
    center_quantiles(p.data(), values.data() + begin, count);
    for (std::size_t i = 0; i < count; ++i) {
      if (std::abs(p[i] - 0.5) > widest_center) values[begin + i] = tail_quantile(p[i]);
    }
  }
}

std::vector<std::size_t> Rng::sample_without_replacement(std::size_t n, std::size_t k) {
  assert(k <= n);
  // The first k steps of a shuffle of 0..n-1, of which only the moved places are kept.
  std::unordered_map<std::size_t, std::size_t> moved;
  const auto at = [&moved](std::size_t place) {
    const auto found = moved.find(place);
    return found == moved.end() ? place : found->second;
  };
  std::vector<std::size_t> sample(k);
  for (std::size_t i = 0; i < k; ++i) {
    const std::size_t place = i + below(n - i);
    sample[i] = at(place);
    moved[place] = at(i);
  }
  return sample;
}

std::size_t Rng::weighted(std::span<const double> weights) {
  double total = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] >= 0)) {
      throw NumericalError(fmt::format("weight {} of a draw is {}, not >= 0", i, weights[i]));
    }
    total += weights[i];
  }
  if (!(total > 0) || std::isinf(total)) {
    throw NumericalError(
        fmt::format("the {} weights of a draw have the sum {}, not a positive finite one",
                    weights.size(), total));
  }
  double rest = uniform() * total;
  std::size_t last = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    if (rest < weights[i]) return i;
    rest -= weights[i];
    last = i;
  }
  return last;  // rounding left a little over
}

std::string Rng::to_string() const {
  return fmt::format("{:016x}-{:016x}{:016x}{:016x}{:016x}", key_, state_[0], state_[1], state_[2],
                     state_[3]);
}

Rng Rng::from_string(std::string_view text) {
  std::array<std::uint64_t, 5> words{};
  bool good = text.size() == 81 && text[16] == '-';
  for (std::size_t i = 0; good && i < words.size(); ++i) {
    const char* begin = text.data() + 16 * i + (i > 0 ? 1 : 0);
    const auto [end, error] = std::from_chars(begin, begin + 16, words[i], 16);
    good = error == std::errc() && end == begin + 16;
  }
  Rng rng(words[0]);
  std::copy(words.begin() + 1, words.end(), rng.state_.begin());
  // The state of zeros, which no key gives, would draw zeros for ever.
  if (!good || rng.to_string() != text || rng.state_ == decltype(state_){}) {
    throw Error(fmt::format("\"{}\" is not the state of a random generator", text));
  }
  return rng;
}

double normal_quantile(double p) noexcept {
  const double q = p - 0.5;
  return std::abs(q) <= widest_center ? center_quantile(q) : tail_quantile(p);
}

}  // namespace espalier
