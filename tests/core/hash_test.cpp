#include "core/hash.hpp"

#include <gtest/gtest.h>

#include <unordered_set>

namespace espalier {
namespace {

// Fingerprints are stored in files, so these values may never change.
TEST(HashTest, GoldenValues) {
  EXPECT_EQ(mix(1), 0x5692161d100b05e5u);
  EXPECT_EQ(combine(Hash128{}, std::uint64_t{1}).to_string(), "8278f0da3f49a0548e8727e2dd85db6c");
  EXPECT_EQ(combine(Hash128{}, "espalier").to_string(), "27949a1c1320c3123f1c3f0dc4c2ee6e");
  EXPECT_EQ(combine(Hash128{}, 0.5).to_string(), "6ba095b66c79356840cdf6ee93fad135");
}

TEST(HashTest, TheOrderAndTheLengthsMatter) {
  const auto two = [](std::uint64_t a, std::uint64_t b) { return combine(combine({}, a), b); };
  EXPECT_NE(two(1, 2), two(2, 1));
  const auto texts = [](std::string_view a, std::string_view b) {
    return combine(combine({}, a), b);
  };
  EXPECT_NE(texts("ab", "c"), texts("a", "bc"));
  EXPECT_NE(texts("", "a"), texts("a", ""));
  EXPECT_NE(combine(Hash128{}, std::string_view("a\0", 2)), combine(Hash128{}, "a"));
}

TEST(HashTest, EqualNumbersHaveEqualHashes) {
  EXPECT_EQ(combine(Hash128{}, 0.0), combine(Hash128{}, -0.0));
  EXPECT_NE(combine(Hash128{}, 1.0), combine(Hash128{}, 2.0));
}

TEST(HashTest, NoCollisionsAmongSmallInputs) {
  std::unordered_set<Hash128> seen;
  for (std::uint64_t a = 0; a < 300; ++a) {
    for (std::uint64_t b = 0; b < 300; ++b) seen.insert(combine(combine(Hash128{}, a), b));
  }
  EXPECT_EQ(seen.size(), 300u * 300u);
}

TEST(HashTest, EveryInputBitChangesAboutHalfOfTheOutput) {
  for (int bit = 0; bit < 64; ++bit) {
    int changed = 0;
    for (std::uint64_t word = 0; word < 200; ++word) {
      const Hash128 a = combine(Hash128{3, 4}, word);
      const Hash128 b = combine(Hash128{3, 4}, word ^ (std::uint64_t{1} << bit));
      changed += std::popcount(a.high ^ b.high) + std::popcount(a.low ^ b.low);
    }
    EXPECT_NEAR(changed / 200.0, 64, 4) << "input bit " << bit;
  }
}

}  // namespace
}  // namespace espalier
