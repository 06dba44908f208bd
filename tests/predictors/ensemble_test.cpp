#include "predictors/ensemble.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/predictors/cells.hpp"

namespace espalier {
namespace {

// Predicts the mean of what it learned plus a number that it draws.
class Drawing : public Predictor {
 public:
  Drawing(Rng rng, double variance) : noise_(rng.normal()), variance_(variance) {}
  void fit(std::span<const Features> networks, std::span<const double> values) override {
    check_fit_arguments(networks, values);
    fitted_ = true;
    mean_ = mean(values);
  }
  std::vector<Prediction> predict(std::span<const Features> networks) const override {
    check_fitted(fitted_);
    return std::vector<Prediction>(networks.size(),
                                   {.mean = mean_ + noise_, .variance = variance_});
  }

 private:
  double noise_, variance_, mean_ = 0;
  bool fitted_ = false;
};

TEST(Ensemble, IsTheMixtureOfItsMembers) {
  const Rng rng(5);
  std::vector<double> drawn;
  Ensemble ensemble(
      {.members = 4},
      [&](const Rng& its) {
        drawn.push_back(Rng(its).normal());
        return std::make_unique<Drawing>(its, 0.25 * double(drawn.size()));
      },
      rng);
  ASSERT_EQ(std::set<double>(drawn.begin(), drawn.end()).size(), 4u);
  const auto networks = networks_of({{1}, {2}});
  ensemble.fit(networks, std::vector<double>{3, 5});
  double expected = 0, square = 0;
  for (std::size_t m = 0; m < 4; ++m) {
    const double its = 4 + drawn[m];
    expected += its / 4;
    square += (its * its + 0.25 * double(m + 1)) / 4;
  }
  for (const Prediction& p : ensemble.predict(networks)) {
    EXPECT_NEAR(p.mean, expected, 1e-12);
    EXPECT_NEAR(p.variance, square - expected * expected, 1e-12);
  }
}

TEST(Ensemble, MembersMayLearnFromBootstrapSamples) {
  const auto make = [](const Rng&) { return std::make_unique<Drawing>(Rng(1), 0); };
  const auto networks = networks_of({{1}, {2}, {3}});
  const std::vector<double> values{0, 3, 9};
  Ensemble same({.members = 10}, make, Rng(1));
  same.fit(networks, values);
  EXPECT_NEAR(same.predict(networks)[0].variance, 0, 1e-20);
  Ensemble resampled({.members = 10, .bootstrap = true}, make, Rng(1));
  resampled.fit(networks, values);
  const Prediction first = resampled.predict(networks)[0];
  EXPECT_GT(first.variance, 0.5);
  resampled.fit(networks, values);
  EXPECT_EQ(resampled.predict(networks)[0].mean, first.mean);
}

TEST(Ensemble, RefusesWhatItsMembersRefuse) {
  Ensemble ensemble(
      {}, [](const Rng& rng) { return std::make_unique<Drawing>(rng, 0); }, Rng(1));
  EXPECT_THROW(ensemble.predict(networks_of({{1}})), Error);
  EXPECT_THROW(ensemble.fit({}, {}), Error);
}

}  // namespace
}  // namespace espalier
