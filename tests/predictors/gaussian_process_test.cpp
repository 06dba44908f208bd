#include "predictors/gaussian_process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
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

// The lower triangle of a factor of a positive definite matrix, and what it makes of a right side.
std::vector<std::vector<double>> cholesky(std::vector<std::vector<double>> a) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      for (std::size_t k = 0; k < j; ++k) a[i][j] -= a[i][k] * a[j][k];
      a[i][j] = i == j ? std::sqrt(a[i][i]) : a[i][j] / a[j][j];
    }
  }
  return a;
}
std::vector<double> solve(const std::vector<std::vector<double>>& lower, std::vector<double> x) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) x[i] -= lower[i][j] * x[j];
    x[i] /= lower[i][i];
  }
  return x;
}

TEST(GaussianProcess, TheKernelOfDecisionsPatternsAndCostsIsTheLikeliest) {
  const auto known = encode(sample(14, 3)), asked = encode(sample(10, 4));
  const std::size_t n = known.size();
  std::vector<double> z;
  for (const Features& f : known) z.push_back(f.costs.at(0) + std::sin(9 * f.costs.at(1)));
  GaussianProcess model;
  model.fit(known, z);
  const double center = mean(z);
  double scale = 0;
  for (const double v : z) scale += (v - center) * (v - center) / static_cast<double>(n);
  scale = std::sqrt(scale);
  for (double& v : z) v = (v - center) / scale;
  // The three squared distances.
  std::vector<double> deviations;
  for (std::size_t c = 0; c < known[0].costs.size(); ++c) {
    std::vector<double> costs;
    for (const Features& f : known) costs.push_back(f.costs[c]);
    const double its = mean(costs);
    double square = 0;
    for (const double cost : costs) square += (cost - its) * (cost - its);
    deviations.push_back(std::sqrt(square / static_cast<double>(n - 1)));
  }
  const auto distances = [&](const Features& a, const Features& b) {
    std::array<double, 3> d{};
    for (std::size_t i = 0; i < a.decisions.size(); ++i) {
      d[0] += std::pow(a.decisions[i] - b.decisions[i], 2) / 2;
    }
    std::map<std::uint64_t, double> counts;
    for (const auto& [label, count] : a.patterns) counts[label] += count;
    for (const auto& [label, count] : b.patterns) counts[label] -= count;
    for (const auto& [label, difference] : counts) d[1] += difference * difference;
    for (std::size_t c = 0; c < deviations.size(); ++c) {
      d[2] += std::pow((a.costs[c] - b.costs[c]) / deviations[c], 2);
    }
    return d;
  };
  std::array<double, 3> unit{};
  for (std::size_t part = 0; part < 3; ++part) {
    std::vector<double> above;
    for (const Features& a : known) {
      for (const Features& b : known) {
        if (const double d = distances(a, b)[part]; d > 1e-12) above.push_back(d);
      }
    }
    std::ranges::sort(above);
    unit[part] = above[(above.size() - 1) / 2];
  }
  const auto kernel = [&](const Features& a, const Features& b, const GaussianProcess::Kernel& k) {
    const auto d = distances(a, b);
    return (std::exp(-d[0] / (k.decisions_length * unit[0])) +
            std::exp(-d[1] / (k.patterns_length * unit[1]))) /
           2 * std::exp(-d[2] / (k.costs_length * unit[2]));
  };
  const auto factor = [&](const GaussianProcess::Kernel& k) {
    std::vector<std::vector<double>> matrix(n, std::vector<double>(n));
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        matrix[i][j] = kernel(known[i], known[j], k) + (i == j ? k.noise : 0);
      }
    }
    return cholesky(matrix);
  };
  double best = -1e300;
  GaussianProcess::Kernel likeliest;
  for (const double decisions : {0.4, 1.2, 3.2}) {
    for (const double patterns : {0.4, 1.2, 3.2}) {
      for (const double costs : {0.25, 1.0, 1000.0}) {
        for (const double noise : {0.001, 0.01, 0.05}) {
          const GaussianProcess::Kernel k{.decisions_length = decisions,
                                          .patterns_length = patterns,
                                          .costs_length = costs,
                                          .noise = noise};
          const auto lower = factor(k);
          double square = 0, determinant = 0;
          for (const double v : solve(lower, z)) square += v * v / static_cast<double>(n);
          for (std::size_t i = 0; i < n; ++i) determinant += std::log(lower[i][i]);
          const double its = -0.5 * static_cast<double>(n) * std::log(square) - determinant;
          if (its > best) best = its, likeliest = k;
        }
      }
    }
  }
  EXPECT_TRUE(model.kernel() == likeliest);
  const auto lower = factor(likeliest);
  const auto half = solve(lower, z);
  double square = 0;
  for (const double v : half) square += v * v / static_cast<double>(n);
  const auto predictions = model.predict(asked);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    std::vector<double> cross;
    for (const Features& f : known) cross.push_back(kernel(f, asked[i], likeliest));
    const auto solved = solve(lower, cross);
    double expected = 0, explained = 0;
    for (std::size_t j = 0; j < n; ++j) {
      expected += solved[j] * half[j];
      explained += solved[j] * solved[j];
    }
    EXPECT_NEAR(predictions[i].mean, center + scale * expected, 1e-8);
    EXPECT_NEAR(predictions[i].variance, scale * scale * square * (1 - explained), 1e-8);
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
