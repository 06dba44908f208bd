#include "core/parallel.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "core/error.hpp"
#include "core/rng.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

TEST(ParallelTest, CallsEveryIndexOnceForEveryThreadCount) {
  for (const std::size_t threads : {1u, 2u, 3u, 8u, 100u}) {
    for (const std::size_t n : {0u, 1u, 2u, 7u, 1000u}) {
      std::vector<std::atomic<int>> calls(n);
      parallel_for(n, threads, [&](std::size_t i) { ++calls[i]; });
      for (const auto& count : calls) EXPECT_EQ(count, 1);
    }
  }
}

TEST(ParallelTest, ResultsDoNotDependOnTheThreadCount) {
  const auto draw = [](std::size_t threads) {
    std::vector<std::uint64_t> values(100);
    const Rng rng(1);
    parallel_for(100, threads, [&](std::size_t i) { values[i] = rng.fork(i).next(); });
    return values;
  };
  EXPECT_EQ(draw(1), draw(4));
}

TEST(ParallelTest, ThrowsTheExceptionOfTheLowestIndex) {
  for (int round = 0; round < 200; ++round) {
    for (const std::size_t threads : {1u, 4u}) {
      const std::string text = throws<NumericalError>([&] {
        parallel_for(100, threads, [](std::size_t i) {
          if (i % 10 == 7) throw NumericalError("index " + std::to_string(i));
        });
      });
      EXPECT_EQ(text, "index 7");
    }
  }
}

TEST(ParallelTest, LoopsNest) {
  std::vector<int> sums(4);
  parallel_for(4, 2, [&](std::size_t i) {
    std::vector<int> values(10);
    parallel_for(10, 2, [&](std::size_t j) { values[j] = static_cast<int>(i * j); });
    for (const int value : values) sums[i] += value;
  });
  EXPECT_THAT(sums, testing::ElementsAre(0, 45, 90, 135));
}

TEST(ParallelTest, ThereIsAProcessor) { EXPECT_GE(hardware_threads(), 1u); }

}  // namespace
}  // namespace espalier
