#include "strategies/rungs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace espalier {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;

FidelityOptions rungs(double min_fidelity, int eta) {
  FidelityOptions options;
  options.min_fidelity = min_fidelity;
  options.eta = eta;
  return options;
}

TEST(RungFidelities, GoDownToTheLowest) {
  EXPECT_THAT(rung_fidelities(FidelityOptions()), ElementsAre(1.0 / 9, 1.0 / 3, 1.0));
  EXPECT_THAT(rung_fidelities(rungs(0.25, 2)), ElementsAre(0.25, 0.5, 1.0));
  EXPECT_THAT(rung_fidelities(rungs(0.26, 2)), ElementsAre(0.5, 1.0));
  EXPECT_THAT(rung_fidelities(rungs(0.33333333333, 3)), ElementsAre(DoubleEq(1.0 / 3), 1.0));
  EXPECT_THAT(rung_fidelities(rungs(1, 3)), ElementsAre(1.0));
  EXPECT_EQ(rung_fidelities(rungs(0.0001, 2)).size(), 14u);
}

TEST(BestFirst, PutsFeasibleOnesFirstAndLeavesFailedOnesOut) {
  const auto of = [](double violation, double cost) {
    return Individual{.violation = violation, .cost = cost};
  };
  const std::vector<Individual> individuals{of(0, 3), of(1, 0), {.failed = true},
                                            of(0, 2), of(0, 3), of(0.5, 9)};
  EXPECT_THAT(best_first(individuals), ElementsAre(3u, 0u, 4u, 5u, 1u));
  EXPECT_TRUE(best_first({}).empty());
}

TEST(BestFirst, GoesByRankAndCrowdingWithSeveralObjectives) {
  const auto of = [](double first, double second) {
    return Individual{.cost = first, .costs = {first, second}};
  };
  // The second is dominated; of the front, the one in the middle comes last.
  const std::vector<Individual> individuals{of(2, 2.5), of(3, 3), of(0, 4), of(4, 0)};
  EXPECT_THAT(best_first(individuals), ElementsAre(2u, 3u, 0u, 1u));
}

}  // namespace
}  // namespace espalier
