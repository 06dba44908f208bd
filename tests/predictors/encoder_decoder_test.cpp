#include "predictors/encoder_decoder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "core/error.hpp"
#include "core/stats.hpp"

namespace espalier {
namespace {

using Sequence = EncoderDecoder::Sequence;

// Sequences of 5 symbols of 4 each, and their weighted sums.
struct Problem {
  explicit Problem(std::size_t count) {
    Rng rng(1);
    for (std::size_t i = 0; i < count; ++i) {
      Sequence& sequence = sequences.emplace_back();
      for (int d = 0; d < 5; ++d) sequence.push_back(static_cast<std::uint32_t>(rng.below(4)));
      values.push_back(value_of(sequence));
    }
  }
  static double value_of(const Sequence& sequence) {
    double value = 0;
    for (std::size_t d = 0; d < sequence.size(); ++d) {
      value += static_cast<double>(sequence[d] * (1 + d % 2));
    }
    return value;
  }
  std::vector<Sequence> sequences;
  std::vector<double> values;
};

const std::vector<std::uint32_t> symbols(5, 4);
const EncoderDecoderOptions quick{.width = 32, .epochs = 150, .batch = 50, .learning_rate = 5e-3};

TEST(EncoderDecoder, AscendsAndDecodes) {
  const Problem problem(200);
  EncoderDecoder model(quick, symbols, Rng(3));
  model.train(problem.sequences, problem.values);
  EXPECT_GT(kendall_tau_b(model.predict(problem.sequences), problem.values), 0.8);
  // Without a step, what is decoded is what was encoded.
  const std::vector<Sequence> same = model.ascend(problem.sequences, 0);
  int right = 0;
  for (std::size_t i = 0; i < same.size(); ++i) right += same[i] == problem.sequences[i];
  EXPECT_GT(right, 180);
  // With small steps, values rise.
  double before = 0, after = 0;
  const std::vector<Sequence> better = model.ascend(problem.sequences, 1);
  for (std::size_t i = 0; i < better.size(); ++i) {
    before += problem.values[i] / 200;
    after += Problem::value_of(better[i]) / 200;
    for (const std::uint32_t symbol : better[i]) EXPECT_LT(symbol, 4u);
  }
  EXPECT_GT(after, before + 1);
}

TEST(EncoderDecoder, IsAFunctionOfItsGenerator) {
  const Problem problem(20);
  const auto predicted = [&](std::uint64_t seed) {
    EncoderDecoder model({.width = 8, .epochs = 3}, symbols, Rng(seed));
    model.train(problem.sequences, problem.values);
    model.train(problem.sequences, problem.values);
    return model.predict(problem.sequences);
  };
  EXPECT_EQ(predicted(1), predicted(1));
  EXPECT_NE(predicted(1), predicted(2));
}

TEST(EncoderDecoder, TrainsOnFromItsWeights) {
  const Problem problem(50);
  EncoderDecoder model(quick, symbols, Rng(3));
  const auto error = [&] {
    const auto predicted = model.predict(problem.sequences);
    double sum = 0;
    for (std::size_t i = 0; i < predicted.size(); ++i) {
      sum += (predicted[i] - problem.values[i]) * (predicted[i] - problem.values[i]);
    }
    return sum;
  };
  model.train(problem.sequences, problem.values);
  const double once = error();
  model.train(problem.sequences, problem.values);
  EXPECT_LT(error(), once);
}

TEST(EncoderDecoder, RefusesWhatItCannotDo) {
  EncoderDecoder model({}, symbols, Rng(1));
  const Problem problem(2);
  EXPECT_THROW(model.predict(problem.sequences), Error);
  EXPECT_THROW(model.ascend(problem.sequences, 1), Error);
  EXPECT_THROW(model.train({}, {}), Error);
  EXPECT_THROW(model.train(problem.sequences, std::vector<double>{1}), Error);
  EXPECT_THROW(encoder_decoder_option_table().read({{"width", 0}}, ""), ConfigError);
  EXPECT_THROW(encoder_decoder_option_table().read({{"prediction_share", 1.1}}, ""), ConfigError);
}

}  // namespace
}  // namespace espalier
