#include "core/bootstrap.hpp"

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "core/error.hpp"
#include "core/stats.hpp"

namespace espalier {

const OptionTable<BootstrapOptions>& bootstrap_options() {
  static const auto table =
      OptionTable<BootstrapOptions>("intervals from resampling")
          .add("resamples", &BootstrapOptions::resamples, "of a sample", between(1, 1 << 20))
          .add("confidence", &BootstrapOptions::confidence,
               "chance that an interval holds the true value",
               Range{.low = 0, .high = 1, .low_open = true, .high_open = true});
  return table;
}

Interval percentile_interval(std::span<const double> replicates, double confidence) {
  return {quantile(replicates, (1 - confidence) / 2), quantile(replicates, (1 + confidence) / 2)};
}

Estimate bootstrap(std::size_t size,
                   const std::function<double(std::span<const std::size_t>)>& statistic,
                   const BootstrapOptions& options, Rng rng) {
  bootstrap_options().validate(options);
  if (size == 0) throw NumericalError("a statistic of a sample without members");
  std::vector<std::size_t> drawn(size);
  std::iota(drawn.begin(), drawn.end(), std::size_t{0});
  const double value = statistic(drawn);
  constexpr double undefined = std::numeric_limits<double>::quiet_NaN();
  if (std::isnan(value)) return {undefined, {undefined, undefined}};
  std::vector<double> replicates;
  for (int i = 0; i < options.resamples; ++i) {
    for (std::size_t& member : drawn) member = rng.below(size);
    if (const double replicate = statistic(drawn); !std::isnan(replicate)) {
      replicates.push_back(replicate);
    }
  }
  if (replicates.empty()) return {value, {undefined, undefined}};
  return {value, percentile_interval(replicates, options.confidence)};
}

Estimate bootstrap_mean(std::span<const double> values, const BootstrapOptions& options, Rng rng) {
  mean(values);  // refuses what has none
  const auto mean_of = [values](std::span<const std::size_t> drawn) {
    double sum = 0;
    for (const std::size_t i : drawn) sum += values[i];
    return sum / static_cast<double>(drawn.size());
  };
  return bootstrap(values.size(), mean_of, options, rng);
}

}  // namespace espalier
