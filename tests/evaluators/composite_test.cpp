#include "evaluators/composite.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/toy_space.hpp"
#include "tests/strategies/fake_training.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;

// Gives its trial's number and a draw; remembers how it was prepared.
class Fake : public Evaluator {
 public:
  Fake(std::string name, bool safe = true)
      : metrics_{{name}, {name + "_draw", "", std::nullopt, true}}, safe_(safe) {}
  const std::vector<MetricInfo>& metrics() const override { return metrics_; }
  void prepare(const PrepareContext& context) override {
    directory = context.directory;
    prepared_with = Rng(context.rng).next();
    EXPECT_TRUE(context.stop_requested());
  }
  std::vector<double> evaluate(const Candidate& candidate, const Network&, Rng& rng) override {
    return {static_cast<double>(candidate.trial_id), rng.uniform()};
  }
  bool thread_safe() const override { return safe_; }
  std::shared_ptr<SharedTraining> shared_training() override { return training; }

  std::shared_ptr<SharedTraining> training;
  std::filesystem::path directory;
  std::uint64_t prepared_with = 0;

 private:
  std::vector<MetricInfo> metrics_;
  bool safe_;
};

struct Two {
  Two(const std::string& first, const std::string& second, bool second_safe = true) {
    auto a = std::make_unique<Fake>(first), b = std::make_unique<Fake>(second, second_safe);
    members = {a.get(), b.get()};
    std::vector<std::unique_ptr<Evaluator>> list;
    list.push_back(std::move(a));
    list.push_back(std::move(b));
    evaluator = std::make_unique<CompositeEvaluator>(std::move(list));
  }
  std::vector<Fake*> members;
  std::unique_ptr<CompositeEvaluator> evaluator;
};

TEST(CompositeEvaluator, HasTheWeightsOfItsMember) {
  Two two("a", "b");
  EXPECT_EQ(two.evaluator->shared_training(), nullptr);
  two.members[1]->training = std::make_shared<FakeTraining>(1);
  EXPECT_EQ(two.evaluator->shared_training(), two.members[1]->training);
}

TEST(CompositeEvaluator, JoinsItsMembers) {
  const auto space = toy_space();
  Two two("a", "b");
  EXPECT_EQ(two.evaluator->metrics().size(), 4u);
  EXPECT_EQ(two.evaluator->metrics()[2].name, "b");
  EXPECT_TRUE(two.evaluator->metrics()[3].report_only);
  const Architecture a{std::vector<std::uint32_t>(space->decisions().size(), 0)};
  const auto values = evaluate(*two.evaluator, *space, a, 7);
  EXPECT_THAT(values, ElementsAre(7, testing::_, 7, testing::_));
  EXPECT_NE(values[1], values[3]);
}

TEST(CompositeEvaluator, PreparesItsMembersApart) {
  const TemporaryDirectory directory;
  Two two("a", "b");
  const auto prepare = [&](const std::filesystem::path& path) {
    two.evaluator->prepare(
        {.directory = path, .rng = Rng(1), .stop_requested = [] { return true; }});
  };
  prepare(directory.path());
  EXPECT_EQ(two.members[0]->directory, directory.path() / "0");
  EXPECT_EQ(two.members[1]->directory, directory.path() / "1");
  EXPECT_TRUE(std::filesystem::is_directory(directory.path() / "1"));
  EXPECT_NE(two.members[0]->prepared_with, two.members[1]->prepared_with);
  prepare({});  // nothing is kept
  EXPECT_TRUE(two.members[1]->directory.empty());
}

TEST(CompositeEvaluator, IsThreadSafeWhereAllAre) {
  EXPECT_TRUE(Two("a", "b", true).evaluator->thread_safe());
  EXPECT_FALSE(Two("a", "b", false).evaluator->thread_safe());
}

TEST(CompositeEvaluator, RefusesAMetricOfTwoMembers) {
  EXPECT_EQ(throws<ConfigError>([] { Two("a", "a"); }),
            "two evaluators give the metric \"a\"; expected one");
}

}  // namespace
}  // namespace espalier
