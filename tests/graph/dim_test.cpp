#include "graph/dim.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <thread>

#include "core/error.hpp"
#include "core/rng.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr std::uint32_t option_counts[] = {2, 3, 2, 4};
constexpr DecisionId decisions = 4;

std::vector<std::vector<std::uint32_t>> all_architectures() {
  std::vector<std::vector<std::uint32_t>> list{{}};
  for (std::uint32_t options : option_counts) {
    std::vector<std::vector<std::uint32_t>> longer;
    for (const auto& a : list) {
      for (std::uint32_t k = 0; k < options; ++k) {
        longer.push_back(a);
        longer.back().push_back(k);
      }
    }
    list = std::move(longer);
  }
  return list;
}

/// A Dim beside the oracle: its value for every architecture.
struct Checked {
  Dim dim;
  std::vector<std::int64_t> table;
};

class DimOracle : public testing::Test {
 protected:
  const std::vector<std::vector<std::uint32_t>> architectures_ = all_architectures();

  Checked constant(std::int64_t value) const {
    return {value, std::vector<std::int64_t>(architectures_.size(), value)};
  }
  Checked select(DecisionId decision, const std::vector<Checked>& branches) const {
    std::vector<Dim> dims;
    for (const Checked& b : branches) dims.push_back(b.dim);
    Checked result{Dim::select(decision, dims), {}};
    for (std::size_t a = 0; a < architectures_.size(); ++a) {
      result.table.push_back(branches[architectures_[a][decision]].table[a]);
    }
    return result;
  }
  std::size_t index(const std::vector<std::uint32_t>& architecture) const {
    return static_cast<std::size_t>(
        std::find(architectures_.begin(), architectures_.end(), architecture) -
        architectures_.begin());
  }
  /// Whether the function depends on `decision` once the earlier ones are as in architecture `a`;
  /// without `a`, whether it depends on it at all.
  bool depends(const Checked& c, DecisionId decision, const std::vector<std::uint32_t>* a) const {
    for (const auto& b : architectures_) {
      if (a && !std::equal(b.begin(), b.begin() + decision, a->begin())) continue;
      auto other = b;
      for (other[decision] = 0; other[decision] < option_counts[decision]; ++other[decision]) {
        if (c.table[index(b)] != c.table[index(other)]) return true;
      }
    }
    return false;
  }
  /// The Dim of a table, built with the last decision on the outside.
  Dim from_table(const Checked& c, std::vector<std::uint32_t> last_choices) const {
    if (last_choices.size() == decisions) {
      std::ranges::reverse(last_choices);
      return c.table[index(last_choices)];
    }
    const auto d = static_cast<DecisionId>(decisions - 1 - last_choices.size());
    std::vector<Dim> branches;
    last_choices.push_back(0);
    for (; last_choices.back() < option_counts[d]; ++last_choices.back()) {
      branches.push_back(from_table(c, last_choices));
    }
    return Dim::select(d, branches);
  }
  Checked random(Rng& rng, int depth) const {
    static constexpr std::int64_t large = std::int64_t{1} << 40;
    const std::uint64_t kind = depth == 0 ? 0 : rng.below(7);
    if (kind == 0) return constant(rng.bernoulli(0.1) ? large : rng.uniform_int(-2, 3));
    if (kind <= 3) {
      const auto decision = static_cast<DecisionId>(rng.below(decisions));
      std::vector<Checked> branches;
      for (std::uint32_t k = 0; k < option_counts[decision]; ++k) {
        branches.push_back(random(rng, depth - 1));
      }
      return select(decision, branches);
    }
    const Checked a = random(rng, depth - 1), b = random(rng, depth - 1);
    const auto f = [kind](std::int64_t x, std::int64_t y) {
      return kind == 4 ? x + y : kind == 5 ? (x % 1000) * (y % 1000) : std::max(x, y - 1);
    };
    Checked result{map(f, a.dim, b.dim), {}};
    for (std::size_t i = 0; i < a.table.size(); ++i) {
      result.table.push_back(f(a.table[i], b.table[i]));
    }
    return result;
  }
};

TEST_F(DimOracle, EverythingAgreesWithEvaluationOverAllArchitectures) {
  const Rng rng(1);
  for (int round = 0; round < 300; ++round) {
    Rng r = rng.fork(static_cast<std::uint64_t>(round));
    const Checked c = random(r, 4);
    for (std::size_t a = 0; a < architectures_.size(); ++a) {
      ASSERT_EQ(c.dim.at(architectures_[a]), c.table[a]);
    }
    const auto [low, high] = std::ranges::minmax(c.table);
    EXPECT_EQ(c.dim.min(), low);
    EXPECT_EQ(c.dim.max(), high);
    EXPECT_EQ(c.dim.constant(), low == high);
    if (c.dim.constant()) {
      EXPECT_EQ(c.dim.value(), low);
    }

    std::vector<DecisionId> support;
    for (DecisionId d = 0; d < decisions; ++d) {
      if (depends(c, d, nullptr)) support.push_back(d);
    }
    EXPECT_EQ(c.dim.support(), support);
    if (!support.empty()) {
      EXPECT_EQ(c.dim.decision(), support[0]);
    }

    for (DecisionId d = 0; d < decisions; ++d) {
      const Dim reads = c.dim.reads(d);
      for (const auto& a : architectures_) {
        ASSERT_EQ(reads.at(a), depends(c, d, &a) ? 1 : 0);
      }
      for (std::uint32_t k = 0; k < option_counts[d]; ++k) {
        const Dim fixed = c.dim.restrict(d, k);
        for (auto a : architectures_) {
          const std::int64_t before = fixed.at(a);
          a[d] = k;
          ASSERT_EQ(before, c.table[index(a)]);
        }
      }
    }
  }
}

TEST_F(DimOracle, EqualFunctionsAreEqualDims) {
  Rng rng(2);
  std::vector<Checked> pool;
  for (int i = 0; i < 400; ++i) pool.push_back(random(rng, 3));
  for (std::size_t i = 0; i < pool.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      ASSERT_EQ(pool[i].dim == pool[j].dim, pool[i].table == pool[j].table);
    }
    ASSERT_EQ(pool[i].dim, from_table(pool[i], {}));
  }
}

TEST_F(DimOracle, SubtractionAndOperatorsOfThreeArguments) {
  Rng rng(3);
  const Checked a = random(rng, 3), b = random(rng, 3), c = random(rng, 3);
  const Dim difference = a.dim - b.dim;
  const Dim sum = a.dim + b.dim;
  const auto f = [](std::int64_t x, std::int64_t y, std::int64_t z) { return x > y ? z : -z; };
  const Dim mixed = map(f, a.dim, b.dim, c.dim);
  for (std::size_t i = 0; i < architectures_.size(); ++i) {
    EXPECT_EQ(difference.at(architectures_[i]), a.table[i] - b.table[i]);
    EXPECT_EQ(sum.at(architectures_[i]), a.table[i] + b.table[i]);
    EXPECT_EQ(mixed.at(architectures_[i]), f(a.table[i], b.table[i], c.table[i]));
  }
}

TEST_F(DimOracle, ExpectIsTheWeightedSumOverArchitectures) {
  Rng rng(4);
  std::vector<std::vector<double>> weights;
  for (std::uint32_t options : option_counts) {
    weights.emplace_back();
    for (std::uint32_t k = 0; k < options; ++k) weights.back().push_back(rng.uniform());
    const double sum = std::accumulate(weights.back().begin(), weights.back().end(), 0.0);
    for (double& w : weights.back()) w /= sum;
  }
  weights[1] = {0.0, 0.25, 0.75};
  for (int round = 0; round < 50; ++round) {
    const Checked c = random(rng, 4);
    double expected = 0;
    for (std::size_t a = 0; a < architectures_.size(); ++a) {
      double p = 1;
      for (DecisionId d = 0; d < decisions; ++d) p *= weights[d][architectures_[a][d]];
      expected += p * static_cast<double>(c.table[a]);
    }
    const double got = expect<double>(
        c.dim, [&](DecisionId d, std::uint32_t k) { return weights[d][k]; },
        [](double w) { return w == 0; }, [](std::int64_t v) { return static_cast<double>(v); });
    EXPECT_NEAR(got, expected, 1e-9 * std::max(1.0, std::abs(expected)));
  }
}

TEST(Dim, ExpectDoesNotLookBehindWeightZero) {
  const Dim dim = Dim::select(0, std::array{Dim(1), Dim(2)});
  std::vector<std::int64_t> leaves;
  const double got = expect<double>(
      dim, [](DecisionId, std::uint32_t k) { return k == 0 ? 0.0 : 1.0; },
      [](double w) { return w == 0; },
      [&](std::int64_t v) { return leaves.push_back(v), static_cast<double>(v); });
  EXPECT_EQ(got, 2);
  EXPECT_THAT(leaves, ElementsAre(2));
  EXPECT_EQ(expect<double>(
                dim, [](DecisionId, std::uint32_t) { return 0.0; }, [](double w) { return w == 0; },
                [](std::int64_t v) { return static_cast<double>(v); }),
            0);
}

TEST(Dim, LargeConstants) {
  for (const std::int64_t base :
       {std::int64_t{1} << 30, std::int64_t{1} << 31, std::int64_t{1} << 62}) {
    for (const std::int64_t sign : {1, -1}) {
      for (const std::int64_t offset : {-1, 0, 1}) {
        const std::int64_t value = sign * base + offset;
        const Dim dim = value;
        EXPECT_TRUE(dim.constant());
        EXPECT_EQ(dim.value(), value);
        EXPECT_EQ(dim.at({}), value);
        EXPECT_EQ(dim.min(), value);
        EXPECT_EQ(dim.max(), value);
        EXPECT_EQ(dim, Dim(value));
        EXPECT_NE(dim, Dim(value + 1));
        EXPECT_EQ(dim.to_string(), std::to_string(value));
        EXPECT_TRUE(dim.branches().empty());
        EXPECT_TRUE(dim.support().empty());
        EXPECT_EQ(dim.restrict(0, 7), dim);
        EXPECT_EQ((dim - Dim(1) + Dim(1)), dim);
      }
    }
  }
  const Dim open = Dim::select(1, std::array{Dim(std::int64_t{1} << 40), Dim(2)});
  EXPECT_EQ((open * Dim(1 << 20)).at(std::array{0u, 0u}), std::int64_t{1} << 60);
  EXPECT_EQ(open.max(), std::int64_t{1} << 40);
}

TEST(Dim, ConstantsAreHandlesWithoutAPool) {
  static_assert(Dim(5).constant() && Dim(-5).value() == -5 && Dim().value() == 0);
  static_assert(std::is_trivially_copyable_v<Dim> && sizeof(Dim) == 4);
}

TEST(Dim, CollapsesAndOrders) {
  EXPECT_EQ(Dim::select(3, std::array{Dim(7), Dim(7)}), Dim(7));
  EXPECT_EQ(Dim::select(3, std::array{Dim(7)}), Dim(7));
  const Dim early = Dim::select(0, std::array{Dim(1), Dim(2)});
  const Dim late = Dim::select(5, std::array{early, Dim(1)});
  EXPECT_EQ(late.decision(), 0u);
  EXPECT_THAT(late.support(), ElementsAre(0u, 5u));
  EXPECT_EQ(Dim::select(0, std::array{early, early}), early);
}

TEST(Dim, Text) {
  const std::vector<std::string> names{"width", "depth"};
  const Dim width = Dim::select(0, std::array{Dim(16), Dim(24)});
  EXPECT_EQ(width.to_string(names), "width{16|24}");
  EXPECT_EQ(width.to_string(), "d0{16|24}");
  EXPECT_EQ(Dim::select(1, std::array{Dim(0), width}).to_string(names),
            "width{depth{0|16}|depth{0|24}}");
  std::vector<Dim> many;
  for (int i = 0; i < 100; ++i) many.push_back(1000 + i);
  const std::string text = Dim::select(0, many).to_string();
  EXPECT_LE(text.size(), 210u);
  EXPECT_THAT(text, HasSubstr("...}"));
}

TEST(Dim, Throws) {
  const Dim open = Dim::select(2, std::array{Dim(1), Dim(2)});
  EXPECT_THAT([&] { (void)open.value(); },
              ThrowsMessage<InvalidArchitecture>(HasSubstr("d2{1|2} is open")));
  EXPECT_THAT(
      [&] {
        (void)open.at(std::array{0u, 0u});
      },
      ThrowsMessage<InvalidArchitecture>(HasSubstr("decision 2 has no such option")));
  EXPECT_THAT(
      [&] {
        (void)open.at(std::array{0u, 0u, 2u});
      },
      ThrowsMessage<InvalidArchitecture>(HasSubstr("decision 2 has no such option")));
  EXPECT_THAT([] { (void)Dim(3).decision(); },
              ThrowsMessage<InvalidArchitecture>(HasSubstr("the constant dimension 3")));
  EXPECT_THAT([] { (void)Dim::select(0, {}); },
              ThrowsMessage<InvalidArchitecture>(HasSubstr("at least one option")));
  EXPECT_THAT([&] { (void)open.restrict(2, 2); },
              ThrowsMessage<InvalidArchitecture>(HasSubstr("decision 2 has 2 options")));
  const Dim three = Dim::select(2, std::array{Dim(1), Dim(2), Dim(3)});
  EXPECT_THAT([&] { (void)(open + three); },
              ThrowsMessage<InvalidArchitecture>(HasSubstr("2 options in one dimension and 3")));
  EXPECT_THAT(
      [&] {
        (void)Dim::select(2, std::array{open, Dim(5), Dim(6)});
      },
      ThrowsMessage<InvalidArchitecture>(HasSubstr("2 options in one dimension and 3")));
  EXPECT_THAT(
      [&] {
        (void)Dim::select(3, std::array{open, three});
      },
      ThrowsMessage<InvalidArchitecture>(HasSubstr("2 options in one dimension and 3")));
}

/// The number whose binary digits are the first `bits` decisions.
Dim binary_number(DecisionId bits, std::int64_t factor) {
  Dim sum = 0;
  for (DecisionId d = 0; d < bits; ++d) {
    sum = sum + Dim::select(d, std::array{Dim(0), Dim(factor << d)});
  }
  return sum;
}

TEST(Dim, TooLargeDiagramsAreRefused) {
  EXPECT_THAT([] { (void)binary_number(20, 1); },
              ThrowsMessage<UnsupportedError>(HasSubstr("too many decisions at once")));
  const Dim a = binary_number(16, 1), b = binary_number(16, -1);
  EXPECT_EQ(a.max(), 65535);
  EXPECT_THAT(
      [&] {
        (void)Dim::select(16, std::array{a, b});
      },
      ThrowsMessage<UnsupportedError>(HasSubstr("more than 100000 nodes")));
}

TEST(Dim, InterningIsThreadSafe) {
  constexpr int threads = 8, dims = 3000;
  std::vector<std::vector<Dim>> results(threads, std::vector<Dim>(dims));
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t) {
    pool.emplace_back([&, t] {
      for (int n = 0; n < dims; ++n) {
        const int i = t % 2 == 0 ? n : dims - 1 - n;
        const Dim x = Dim::select(900, std::array{Dim(i), Dim(i + 1)});
        const Dim y = Dim::select(901, std::array{x, Dim((std::int64_t{1} << 33) + i)});
        results[static_cast<std::size_t>(t)][static_cast<std::size_t>(i)] = x + y;
      }
    });
  }
  for (std::thread& thread : pool) thread.join();
  std::vector<std::uint32_t> choices(902);
  for (int i = 0; i < dims; ++i) {
    const auto at = static_cast<std::size_t>(i);
    for (const auto& result : results) EXPECT_EQ(result[at], results[0][at]);
    choices[900] = 1, choices[901] = 0;
    EXPECT_EQ(results[0][at].at(choices), 2 * (i + 1));
    choices[901] = 1;
    EXPECT_EQ(results[0][at].at(choices), i + 1 + (std::int64_t{1} << 33) + i);
  }
  const std::set<std::uint32_t> handles = [&] {
    std::set<std::uint32_t> set;
    for (Dim d : results[0]) set.insert(d.handle());
    return set;
  }();
  EXPECT_EQ(handles.size(), static_cast<std::size_t>(dims));
}

}  // namespace
}  // namespace espalier
