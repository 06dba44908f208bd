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

}  // namespace
}  // namespace espalier
