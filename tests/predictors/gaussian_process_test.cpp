#include "predictors/gaussian_process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/csv.hpp"
#include "core/error.hpp"
#include "core/stats.hpp"
#include "predictors/encoding.hpp"
#include "predictors/normal_scores.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

std::shared_ptr<const SearchSpace> cells() {
  static const std::shared_ptr<const SearchSpace> space =
      space_registry().create({{"type", "nasbench201"}}, "");
  return space;
}

std::vector<Architecture> sample(std::size_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::set<Architecture> seen;
  while (seen.size() < count) seen.insert(sample_uniform(*cells(), rng));
  std::vector<Architecture> result(seen.begin(), seen.end());
  rng.shuffle(result);
  return result;
}

std::vector<Features> encode(std::span<const Architecture> architectures,
                             const EncodingOptions& options = {}) {
  return Encoder(cells(), options).encode(architectures);
}

// Decisions that differ: the kernel of nominal decisions alone is exp(-that / length).
double differing(const Architecture& a, const Architecture& b) {
  double count = 0;
  for (DecisionId d = 0; d < a.choices.size(); ++d) {
    const bool in_a = cells()->active(a, d), in_b = cells()->active(b, d);
    if (in_a && in_b) {
      count += a.choices[d] != b.choices[d];
    } else if (in_a || in_b) {
      count += 0.5;
    }
  }
  return count;
}

TEST(GaussianProcess, IsThePosteriorOfTheKernel) {
  GaussianProcess model;
  const EncodingOptions decisions_only{.patterns = Patterns::none, .costs = false};
  const auto known = sample(4, 3);
  const std::vector<double> values{3, 5, 2, 9};
  model.fit(encode(known, decisions_only), values);
  // By hand, with Gauss's elimination.
  std::vector<double> distances;
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t j = 0; j < 4; ++j) {
      if (i != j) distances.push_back(differing(known[i], known[j]));
    }
  }
  std::ranges::sort(distances);
  const double length = model.kernel().decisions_length * distances[(distances.size() - 1) / 2];
  const double center = 4.75, scale = std::sqrt(7.1875);
  const auto k = [&](const Architecture& a, const Architecture& b) {
    return std::exp(-differing(a, b) / length);
  };
  for (const Architecture& a : sample(20, 4)) {
    // Solves K x = (k, z) for both right sides.
    double rows[4][6];
    for (std::size_t i = 0; i < 4; ++i) {
      for (std::size_t j = 0; j < 4; ++j) {
        rows[i][j] = k(known[i], known[j]) + (i == j ? model.kernel().noise : 0);
      }
      rows[i][4] = k(known[i], a);
      rows[i][5] = (values[i] - center) / scale;
    }
    for (int c = 0; c < 4; ++c) {
      for (int r = 0; r < 4; ++r) {
        if (r == c) continue;
        const double factor = rows[r][c] / rows[c][c];
        for (int j = 0; j < 6; ++j) rows[r][j] -= factor * rows[c][j];
      }
    }
    double mean = 0, explained = 0, square = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const double solved = rows[i][5] / rows[i][i];
      mean += k(known[i], a) * solved;
      explained += k(known[i], a) * rows[i][4] / rows[i][i];
      square += (values[i] - center) / scale * solved / 4;
    }
    const Prediction prediction = model.predict(encode({&a, 1}, decisions_only))[0];
    EXPECT_NEAR(prediction.mean, center + scale * mean, 1e-9);
    EXPECT_NEAR(prediction.variance, scale * scale * square * (1 - explained), 1e-9);
  }
}

TEST(GaussianProcess, RanksCellsFromFewOfThem) {
  const CsvTable table =
      CsvTable::read(std::string(ESPALIER_SOURCE_DIR) + "/benchmarks/tables/nasbench201.csv.gz");
  std::map<Architecture, double> truth;
  const auto accuracies = table.numbers("c10_valid");
  for (std::size_t row = 0; row < table.row_count(); ++row) {
    truth[cells()->parse(table.text(row, table.column("arch")))] = accuracies[row];
  }
  const auto tau = [&](const EncodingOptions& options) {
    double sum = 0;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      auto architectures = sample(356, seed);
      std::vector<double> values, expected, predicted;
      for (const Architecture& a : architectures) values.push_back(truth.at(a));
      expected.assign(values.begin() + 156, values.end());
      // Normal scores: cells that do not learn, at 10%, would be all that the values tell apart.
      values.resize(156);
      values = normal_scores(values);
      const auto features = encode(architectures, options);
      GaussianProcess model;
      model.fit(std::span(features).first(156), values);
      for (const Prediction& p : model.predict(std::span(features).subspan(156))) {
        predicted.push_back(p.mean);
      }
      sum += kendall_tau_b(predicted, expected) / 3;
    }
    return sum;
  };
  const double all = tau({});
  EXPECT_GT(all, 0.75);
  EXPECT_GT(all, tau({.patterns = Patterns::none, .costs = false}) + 0.05);
  EXPECT_GT(tau({.patterns = Patterns::weisfeiler_lehman, .costs = false}), 0.68);
}

TEST(GaussianProcess, ComparesScoresByTheirRanks) {
  // Twice the same order, at quite other values; NaN lies in the middle.
  const auto with = [](const std::vector<double>& scores) {
    std::vector<Features> networks;
    for (const double score : scores) networks.push_back({.decisions = {1, 0}, .scores = {score}});
    return networks;
  };
  const std::vector<double> values{1, 2, 3, 4, 5};
  GaussianProcess one, other;
  one.fit(with({1, 2, 3, 4, 5}), values);
  other.fit(with({-1e9, 0, 1, 2, 1e20}), values);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(one.predict(with({double(i + 1)}))[0].mean, values[i], 0.5);
    const double score = std::vector<double>{-1e9, 0, 1, 2, 1e20}[i];
    EXPECT_NEAR(other.predict(with({score}))[0].mean, one.predict(with({double(i + 1)}))[0].mean,
                1e-9);
  }
  EXPECT_NEAR(one.predict(with({std::nan("")}))[0].mean, 3, 1e-9);
  // Beyond all that is known it is the last place.
  EXPECT_EQ(one.predict(with({1e30}))[0].mean, one.predict(with({5}))[0].mean);
}

TEST(GaussianProcess, CostsThatDoNotVaryTellNothingApart) {
  const auto with = [](const std::vector<double>& varying, bool constant) {
    std::vector<Features> networks;
    for (const double cost : varying) {
      networks.push_back({.decisions = {1, 0}, .costs = {cost}});
      if (constant) networks.back().costs.push_back(13.8);
    }
    return networks;
  };
  const std::vector<double> costs{1, 2, 4, 5, 7, 8, 9}, values{3, 1, 4, 1, 5, 9, 2};
  GaussianProcess with_constant, without;
  with_constant.fit(with(costs, true), values);
  without.fit(with(costs, false), values);
  for (const double cost : {0.5, 2.0, 3.0, 6.5, 20.0}) {
    const Prediction one = with_constant.predict(with({cost}, true))[0];
    const Prediction other = without.predict(with({cost}, false))[0];
    EXPECT_NEAR(one.mean, other.mean, 1e-9);
    EXPECT_NEAR(one.variance, other.variance, 1e-9);
  }
}

TEST(GaussianProcess, RefusesOtherFeatures) {
  const std::vector<Features> known{{.decisions = {1, 0}, .costs = {1}},
                                    {.decisions = {0, 1}, .costs = {2}}};
  GaussianProcess model;
  model.fit(known, std::vector<double>{1, 2});
  EXPECT_THAT(throws<Error>([&] {
                model.predict(std::vector<Features>{{.decisions = {1, 0}}});
              }),
              HasSubstr("0 costs"));
}

TEST(GaussianProcess, KnowsWhatItWasToldAndIsUnsureFarAway) {
  GaussianProcess model;
  const auto known = sample(30, 5);
  std::vector<double> values;
  for (const Architecture& a : known) {
    values.push_back(static_cast<double>(cells()->quick_cost(a).params) * 1e-5);
  }
  model.fit(encode(known), values);
  const auto at_known = model.predict(encode(known));
  double spread = standard_deviation(values);
  for (std::size_t i = 0; i < known.size(); ++i) {
    EXPECT_NEAR(at_known[i].mean, values[i], 0.3 * spread);
    EXPECT_GE(at_known[i].variance, 0);
  }
  double known_variance = 0, other_variance = 0;
  for (const Prediction& p : at_known) known_variance += p.variance;
  for (const Prediction& p : model.predict(encode(sample(30, 6)))) other_variance += p.variance;
  EXPECT_GT(other_variance, 2 * known_variance);
}

TEST(GaussianProcess, ConstantValuesAreCertain) {
  GaussianProcess model;
  const auto known = encode(sample(5, 7));
  model.fit(known, std::vector<double>(5, 4.5));
  for (const Prediction& p : model.predict(encode(sample(5, 8)))) {
    EXPECT_DOUBLE_EQ(p.mean, 4.5);
    EXPECT_EQ(p.variance, 0);
  }
  model.fit({known.data(), 1}, std::vector<double>{2});
  EXPECT_DOUBLE_EQ(model.predict({known.data(), 1})[0].mean, 2);
}

TEST(GaussianProcess, RefusesWhatItCannotLearnFrom) {
  GaussianProcess model;
  const auto some = encode(sample(3, 9));
  EXPECT_THAT(throws<Error>([&] { model.predict(some); }), HasSubstr("before it was fitted"));
  EXPECT_THAT(throws<Error>([&] { model.fit(some, std::vector<double>(2)); }),
              HasSubstr("3 networks and 2 values"));
  EXPECT_THROW(model.fit({}, {}), Error);
  EXPECT_THAT(throws<NumericalError>([&] {
                model.fit(some, std::vector<double>{1, std::nan(""), 2});
              }),
              HasSubstr("nan"));
}

}  // namespace
}  // namespace espalier
