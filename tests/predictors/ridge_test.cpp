#include "predictors/ridge.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.hpp"
#include "tests/predictors/cells.hpp"

namespace espalier {
namespace {

// Two columns and a constant one.
std::vector<std::vector<double>> some_rows(std::size_t count) {
  Rng rng(6);
  std::vector<std::vector<double>> rows;
  for (std::size_t i = 0; i < count; ++i) rows.push_back({rng.normal(), 100 * rng.uniform(), 7});
  return rows;
}

std::vector<double> values_of(const std::vector<std::vector<double>>& rows) {
  Rng rng(7);
  std::vector<double> values;
  for (const auto& row : rows) values.push_back(2 * row[0] - 0.03 * row[1] + 5 + rng.normal());
  return values;
}

// Ridge regression on two standardized columns by Cramer's rule. Columns are standardized by all
// rows, of which those with weight 0 are not learned from.
struct ByHand {
  double mean[2] = {}, deviation[2] = {}, weight[2] = {}, center = 0;
  double inverse[2][2] = {};

  ByHand(const std::vector<std::vector<double>>& rows, const std::vector<double>& values,
         double penalty, std::size_t without) {
    const double n = static_cast<double>(rows.size());
    for (int c = 0; c < 2; ++c) {
      for (const auto& row : rows) mean[c] += row[c] / n;
      for (const auto& row : rows) deviation[c] += std::pow(row[c] - mean[c], 2) / n;
      deviation[c] = std::sqrt(deviation[c]);
    }
    // The unpenalized constant is the third unknown.
    double a[3][4] = {};
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i == without) continue;
      const double z[3] = {at(rows[i], 0), at(rows[i], 1), 1};
      for (int r = 0; r < 3; ++r) {
        for (int c = 0; c < 3; ++c) a[r][c] += z[r] * z[c];
        a[r][3] += z[r] * values[i];
      }
    }
    a[0][0] += penalty;
    a[1][1] += penalty;
    const double det = a[0][0] * a[1][1] - a[0][1] * a[1][0];
    inverse[0][0] = a[1][1] / det;
    inverse[1][1] = a[0][0] / det;
    inverse[0][1] = inverse[1][0] = -a[0][1] / det;
    for (int k = 0; k < 3; ++k) {
      for (int r = 0; r < 3; ++r) {
        if (r == k) continue;
        const double factor = a[r][k] / a[k][k];
        for (int c = k; c < 4; ++c) a[r][c] -= factor * a[k][c];
      }
    }
    weight[0] = a[0][3] / a[0][0];
    weight[1] = a[1][3] / a[1][1];
    center = a[2][3] / a[2][2];
  }
  double at(const std::vector<double>& row, int c) const {
    return (row[c] - mean[c]) / deviation[c];
  }
  double predict(const std::vector<double>& row) const {
    return center + weight[0] * at(row, 0) + weight[1] * at(row, 1);
  }
};

constexpr std::size_t none = 1000;

TEST(Ridge, IsTheClosedForm) {
  const auto rows = some_rows(12);
  const auto values = values_of(rows);
  Ridge ridge;
  ridge.fit(networks_of(rows), values);
  const ByHand by_hand(rows, values, ridge.penalty(), none);
  double left = 0, freedom = 12;
  const auto spread = [&](const std::vector<double>& row) {
    double sum = 0;
    for (int r = 0; r < 2; ++r) {
      for (int c = 0; c < 2; ++c) {
        sum += by_hand.at(row, r) * by_hand.inverse[r][c] * by_hand.at(row, c);
      }
    }
    return sum + 1.0 / 12;
  };
  for (std::size_t i = 0; i < 12; ++i) {
    left += std::pow(values[i] - by_hand.predict(rows[i]), 2);
    freedom -= spread(rows[i]);
  }
  for (const auto& row : {rows[3], {0.5, 20, 7}, {-4, 300, 7}}) {
    const Prediction p = ridge.predict(networks_of({row}))[0];
    EXPECT_NEAR(p.mean, by_hand.predict(row), 1e-9);
    EXPECT_NEAR(p.variance, left / freedom * (1 + spread(row)), 1e-9);
  }
}

TEST(Ridge, ChoosesTheLeastLeaveOneOutError) {
  for (const std::size_t count : {5u, 12u}) {
    const auto rows = some_rows(count);
    const auto values = values_of(rows);
    Ridge ridge;
    ridge.fit(networks_of(rows), values);
    // By leaving each out and learning from the others.
    const auto error = [&](double penalty) {
      double sum = 0;
      for (std::size_t i = 0; i < count; ++i) {
        const ByHand others(rows, values, penalty, i);
        sum += std::pow(values[i] - others.predict(rows[i]), 2) / static_cast<double>(count);
      }
      return sum;
    };
    EXPECT_NEAR(ridge.leave_one_out(), error(ridge.penalty()), 1e-9);
    for (const double factor : {0.01, 0.63, 1.59, 100.0}) {
      EXPECT_LE(ridge.leave_one_out(), error(factor * ridge.penalty()) + 1e-12) << factor;
    }
  }
}

TEST(Ridge, MoreNumbersThanNetworks) {
  std::vector<std::vector<double>> rows(6, std::vector<double>(20));
  Rng rng(1);
  std::vector<double> values;
  for (auto& row : rows) {
    for (double& number : row) number = rng.normal();
    values.push_back(3 * row[0]);
  }
  Ridge ridge;
  ridge.fit(networks_of(rows), values);
  const auto known = ridge.predict(networks_of(rows));
  std::vector<double> away(20, 50.0);
  const Prediction far = ridge.predict(networks_of({away}))[0];
  for (const Prediction& p : known) EXPECT_LT(p.variance, far.variance);
}

TEST(Ridge, ConstantValuesAreCertain) {
  Ridge ridge;
  const auto rows = some_rows(5);
  ridge.fit(networks_of(rows), std::vector<double>(5, 3.5));
  const Prediction p = ridge.predict(networks_of({{9, 9, 9}}))[0];
  EXPECT_NEAR(p.mean, 3.5, 1e-12);
  EXPECT_NEAR(p.variance, 0, 1e-12);
}

TEST(Ridge, RanksCellsFromFewOfThem) {
  double tau = 0;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    NormalScored ridge(std::make_unique<Ridge>());
    tau += tau_on_cells(ridge, seed) / 3;
  }
  EXPECT_GT(tau, 0.6);
}

}  // namespace
}  // namespace espalier
