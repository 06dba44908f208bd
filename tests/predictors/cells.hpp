// Cells of NAS-Bench-201 as examples for predictors.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/csv.hpp"
#include "core/rng.hpp"
#include "core/stats.hpp"
#include "predictors/encoding.hpp"
#include "predictors/normal_scores.hpp"
#include "predictors/predictor.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {

inline std::shared_ptr<const SearchSpace> cells() {
  static const std::shared_ptr<const SearchSpace> space =
      space_registry().create({{"type", "nasbench201"}}, "");
  return space;
}

/// Different cells in random order.
inline std::vector<Architecture> sample_cells(std::size_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::set<Architecture> seen;
  while (seen.size() < count) seen.insert(sample_uniform(*cells(), rng));
  std::vector<Architecture> result(seen.begin(), seen.end());
  rng.shuffle(result);
  return result;
}

inline std::vector<Features> encode_cells(std::span<const Architecture> architectures,
                                          const EncodingOptions& options = {}) {
  return Encoder(cells(), options).encode(architectures);
}

/// Validation accuracies on CIFAR-10, in percent.
inline std::vector<double> accuracies_of(std::span<const Architecture> architectures) {
  static const std::map<Architecture, double> truth = [] {
    const CsvTable table =
        CsvTable::read(std::string(ESPALIER_SOURCE_DIR) + "/benchmarks/tables/nasbench201.csv.gz");
    const auto accuracies = table.numbers("c10_valid");
    std::map<Architecture, double> all;
    for (std::size_t row = 0; row < table.row_count(); ++row) {
      all[cells()->parse(table.text(row, table.column("arch")))] = accuracies[row];
    }
    return all;
  }();
  std::vector<double> values;
  for (const Architecture& a : architectures) values.push_back(truth.at(a));
  return values;
}

inline std::vector<double> means_of(const std::vector<Prediction>& predictions) {
  std::vector<double> means;
  for (const Prediction& p : predictions) means.push_back(p.mean);
  return means;
}

/// Kendall's tau-b on 200 cells of a predictor that learned from 156 others.
inline double tau_on_cells(Predictor& predictor, std::uint64_t seed,
                           const EncodingOptions& options = {}) {
  const std::vector<Architecture> all = sample_cells(356, seed);
  const std::vector<Features> features = encode_cells(all, options);
  const std::vector<double> values = accuracies_of(all);
  predictor.fit(std::span(features).first(156), std::span(values).first(156));
  return kendall_tau_b(means_of(predictor.predict(std::span(features).subspan(156))),
                       std::span(values).subspan(156));
}

/// Networks with such rows as their costs.
inline std::vector<Features> networks_of(const std::vector<std::vector<double>>& rows) {
  std::vector<Features> networks;
  for (const auto& row : rows) networks.push_back({.costs = row});
  return networks;
}

}  // namespace espalier
