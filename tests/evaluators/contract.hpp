// What every evaluator has to keep to. An evaluator joins by an entry in contract_test.cpp, the
// only file that includes this one.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "core/parallel.hpp"
#include "tests/evaluators/toy_space.hpp"

namespace espalier {

/// One member of the family and how it is made.
struct EvaluatorCase {
  std::string name;
  std::function<std::unique_ptr<Evaluator>(const EvaluatorContext&)> make;
};
inline void PrintTo(const EvaluatorCase& evaluator, std::ostream* out) { *out << evaluator.name; }

class EvaluatorContract : public testing::TestWithParam<EvaluatorCase> {
 protected:
  EvaluatorContract() : context_(toy_context()), evaluator_(GetParam().make(context_)) {
    Rng rng(3);
    for (int i = 0; i < 6; ++i) architectures_.push_back(sample_uniform(*context_.space, rng));
  }

  std::vector<double> run(Evaluator& evaluator, std::size_t trial) const {
    return evaluate(evaluator, *context_.space, architectures_[trial], trial);
  }

  EvaluatorContext context_;
  std::unique_ptr<Evaluator> evaluator_;
  std::vector<Architecture> architectures_;
};

TEST_P(EvaluatorContract, MetricsAreDeclaredAndFilled) {
  std::set<std::string> names;
  for (const MetricInfo& metric : evaluator_->metrics()) {
    EXPECT_FALSE(metric.name.empty());
    EXPECT_TRUE(names.insert(metric.name).second) << metric.name;
  }
  EXPECT_FALSE(names.empty());
  const auto values = run(*evaluator_, 0);
  ASSERT_EQ(values.size(), names.size());
  for (double value : values) EXPECT_TRUE(std::isfinite(value));
  EXPECT_EQ(GetParam().make(context_)->metrics(), evaluator_->metrics());
}

TEST_P(EvaluatorContract, ValuesDependOnTheTrialAlone) {
  std::vector<std::vector<double>> forwards, backwards(architectures_.size());
  for (std::size_t i = 0; i < architectures_.size(); ++i) forwards.push_back(run(*evaluator_, i));
  const auto other = GetParam().make(context_);
  for (std::size_t i = architectures_.size(); i-- > 0;) backwards[i] = run(*other, i);
  EXPECT_EQ(forwards, backwards);
}

TEST_P(EvaluatorContract, ThreadsDoNotMatter) {
  ASSERT_TRUE(evaluator_->thread_safe());
  std::vector<std::vector<double>> serial, parallel(architectures_.size());
  for (std::size_t i = 0; i < architectures_.size(); ++i) serial.push_back(run(*evaluator_, i));
  parallel_for(architectures_.size(), 4, [&](std::size_t i) { parallel[i] = run(*evaluator_, i); });
  EXPECT_EQ(serial, parallel);
}

}  // namespace espalier
