// Cells of NAS-Bench-201 and their published accuracies, for tests of predictors.
#pragma once

#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/csv.hpp"
#include "core/rng.hpp"
#include "core/stats.hpp"
#include "predictors/encoding.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier::testing_cells {

inline std::shared_ptr<const SearchSpace> space() {
  static const std::shared_ptr<const SearchSpace> cells =
      space_registry().create({{"type", "nasbench201"}}, "");
  return cells;
}

inline std::vector<Architecture> sample(std::size_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::set<Architecture> seen;
  while (seen.size() < count) seen.insert(sample_uniform(*space(), rng));
  std::vector<Architecture> result(seen.begin(), seen.end());
  rng.shuffle(result);
  return result;
}

inline std::vector<Features> encode(std::span<const Architecture> architectures,
                                    const EncodingOptions& options = {.graphs = true}) {
  return Encoder(space(), options).encode(architectures);
}

inline std::vector<double> accuracies(std::span<const Architecture> architectures) {
  static const auto truth = [] {
    const CsvTable table =
        CsvTable::read(std::string(ESPALIER_SOURCE_DIR) + "/benchmarks/tables/nasbench201.csv.gz");
    std::map<Architecture, double> result;
    const auto numbers = table.numbers("c10_valid");
    for (std::size_t row = 0; row < table.row_count(); ++row) {
      result[space()->parse(table.text(row, table.column("arch")))] = numbers[row];
    }
    return result;
  }();
  std::vector<double> values;
  for (const Architecture& a : architectures) values.push_back(truth.at(a));
  return values;
}

/// Kendall's tau of what a predictor says of 200 cells after it was fitted to others.
inline double tau(Predictor& predictor, std::size_t known, std::uint64_t seed) {
  const auto architectures = sample(known + 200, seed);
  const auto features = encode(architectures);
  const auto values = accuracies(architectures);
  predictor.fit(std::span(features).first(known), std::span(values).first(known));
  std::vector<double> predicted;
  for (const Prediction& p : predictor.predict(std::span(features).subspan(known))) {
    predicted.push_back(p.mean);
  }
  return kendall_tau_b(predicted, std::span(values).subspan(known));
}

}  // namespace espalier::testing_cells
