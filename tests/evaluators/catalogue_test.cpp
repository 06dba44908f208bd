#include "evaluators/catalogue.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/toy_space.hpp"

namespace espalier {
namespace {

using testing::StartsWith;

class Constant : public Evaluator {
 public:
  const std::vector<MetricInfo>& metrics() const override { return metrics_; }
  std::vector<double> evaluate(const Candidate&, const Network&, Rng&) override { return {42}; }

 private:
  std::vector<MetricInfo> metrics_{{"answer"}};
};
struct NoOptions {};

std::unique_ptr<Evaluator> create(const Json& config,
                                  const EvaluatorRegistry& registry = evaluator_registry()) {
  return registry.create(config, "/evaluator", toy_context());
}

TEST(EvaluatorRegistry, HasTheKnownEvaluators) {
  EXPECT_THAT(evaluator_registry().names(),
              testing::ElementsAre("table", "zero_cost", "train", "one_shot", "hypernetwork",
                                   "hardware", "command", "composite"));
}

TEST(EvaluatorRegistry, NamesThePlaceOfAnError) {
  const Json good = {{"type", "zero_cost"}, {"proxies", {"params"}}};
  const Json bad = {{"type", "zero_cost"}, {"proxies", {"macs", "synflo"}}};
  EXPECT_THAT(throws<ConfigError>([&] { create(bad); }), StartsWith("/evaluator/proxies/1: "));
  const Json both = {{"type", "composite"}, {"members", {good, bad}}};
  EXPECT_THAT(throws<ConfigError>([&] { create(both); }),
              StartsWith("/evaluator/members/1/proxies/1: "));
  const Json unknown = {{"type", "composite"}, {"members", {good, {{"type", "tabel"}}}}};
  EXPECT_THAT(throws<ConfigError>([&] { create(unknown); }),
              StartsWith("/evaluator/members/1/type: unknown evaluator \"tabel\""));
  EXPECT_THAT(throws<ConfigError>([] {
                create({{"type", "hardware"}});
              }),
              StartsWith("/evaluator: there is no hardware model"));
}

TEST(EvaluatorRegistry, FillsInTheOptionsOfMembers) {
  const Json resolved = evaluator_registry().resolve(
      {{"type", "composite"}, {"members", {{{"type", "zero_cost"}}}}}, "/evaluator");
  EXPECT_EQ(resolved.at("members").at(0).at("batch_size"), 128);
}

TEST(AddComposite, MakesMembersOfTheUsersEvaluators) {
  EvaluatorRegistry registry = evaluator_registry();
  registry.add(
      "constant", OptionTable<NoOptions>("always 42"),
      [](const NoOptions&, const EvaluatorContext&) { return std::make_unique<Constant>(); });
  const Json config = {{"type", "composite"}, {"members", {{{"type", "constant"}}}}};
  throws<ConfigError>([&] { create(config, registry); });
  add_composite(registry);
  EXPECT_EQ(create(config, registry)->metrics()[0].name, "answer");
}

}  // namespace
}  // namespace espalier
