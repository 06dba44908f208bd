#include "search_spaces/enas.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

const std::string found =
    "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1";

/// The params of the network that the reference code makes of an architecture with 36 channels and
/// 15 + 2 cells, tallied layer by layer. Both kinds of cell leave no input loose.
std::int64_t tally(const std::vector<int>& numbers) {
  std::int64_t before = 3 * 36, last = before, channels = 36;
  std::int64_t params = 27 * last + 2 * last;
  for (int layer = 0; layer < 17; ++layer) {
    const bool reduction = layer == 5 || layer == 11;
    if (reduction) channels *= 2;
    params += before * channels + 2 * channels;  // a 1x1 convolution or a factorized reduction
    params += last * channels + 2 * channels + channels * channels + 2 * channels;
    std::set<int> loose = {2, 3, 4, 5, 6};
    for (std::size_t i = reduction ? 20 : 0; i < (reduction ? 40u : 20u); i += 2) {
      loose.erase(numbers[i]);
      const int op = numbers[i + 1];
      const std::int64_t kernel = op == 0 ? 3 : 5;
      if (op < 2) params += 2 * (kernel * kernel * channels + channels * channels + 2 * channels);
      if (op == 4 && reduction && numbers[i] < 2) params += channels * channels + 2 * channels;
    }
    before = last;
    last = channels * static_cast<std::int64_t>(loose.size());
  }
  return params + 10 * last;
}

// The architecture that the reference code trains. (The paper's table 2 says 4.6 M for the one that
// it found, which it does not print.)
TEST(Enas, TheFoundCellHasTheParamsOfTheReferenceCode) {
  const auto space = make_enas();
  const Architecture a = space->parse(found);
  EXPECT_EQ(space->to_string(a), found);
  EXPECT_EQ(cost(space->build(a)).params, tally({a.choices.begin(), a.choices.end()}));
  EXPECT_EQ(cost(space->build(a)).params, 3894372);
}

TEST(Enas, OperatorsAreCountedInTheOrderOfTheCode) {
  const auto space = make_enas({.input = {3, 8, 8}, .channels = 4, .cells = 1});
  Architecture a{std::vector<std::uint32_t>(40, 0)};
  for (std::size_t d = 1; d < 40; d += 2) a.choices[d] = 3;
  const std::int64_t pools = cost(space->build(a)).params;
  const auto params = [&](std::size_t decision, std::uint32_t op) {
    Architecture b = a;
    b.choices[decision] = op;
    EXPECT_NO_THROW(verify(space->build(b)));
    return cost(space->build(b)).params - pools;
  };
  const auto separable = [](std::int64_t k, std::int64_t c) {
    return 2 * (k * k * c + c * c + 2 * c);
  };
  EXPECT_EQ(params(1, 0), separable(3, 4) + separable(3, 8) + separable(3, 16));
  EXPECT_EQ(params(1, 1), separable(5, 4) + separable(5, 8) + separable(5, 16));
  EXPECT_EQ(params(1, 2), 0);
  EXPECT_EQ(params(1, 4), 0);
  // The identity of a reduction cell is a factorized reduction.
  EXPECT_EQ(params(21, 4), (8 * 8 + 16) + (16 * 16 + 32));
}

TEST(Enas, EveryCombinationCounts) {
  // (2 x 3 x 4 x 5 x 6)^2 inputs and 5^10 operators for each of two cells.
  EXPECT_EQ(space_size(*make_enas()).decimal, "25628906250000000000000000");
}

TEST(Enas, RefusesMalformedStrings) {
  const auto space = make_enas();
  EXPECT_EQ(space->parse("  " + found + "\n"), space->parse(found));
  const auto error = [&](const std::string& text) {
    try {
      space->parse(text);
    } catch (const InvalidArchitecture& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(error("").find("it has 0 numbers"), std::string::npos);
  EXPECT_NE(error(found + " 0").find("it has 41 numbers"), std::string::npos);
  EXPECT_NE(error("x").find("'x' is not a number"), std::string::npos);
  EXPECT_NE(error("1x").find("'1x' is not a number"), std::string::npos);
  EXPECT_NE(error("2" + found.substr(1)).find("normal.block1.input1 is 0 to 1, not 2"),
            std::string::npos);
  EXPECT_NE(error("0 5" + found.substr(3)).find("normal.block1.op1 is 0 to 4, not 5"),
            std::string::npos);
}

TEST(Enas, RefusesShapesThatReductionsCannotHalve) {
  try {
    make_enas({.input = {3, 32, 30}});
    FAIL();
  } catch (const ConfigError& e) {
    EXPECT_EQ(e.pointer(), "/input");
  }
}

}  // namespace
}  // namespace espalier
