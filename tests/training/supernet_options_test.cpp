#include "training/supernet_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "core/json.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

TEST(SupernetOptionsTest, ReadsTheTrainingAndTheRule) {
  const Json json = {{"epochs", 3}, {"rule", "sandwich"}, {"random_architectures", 1}};
  const SupernetOptions options = supernet_option_table().read(json, "");
  EXPECT_EQ(options.train.epochs, 3);
  EXPECT_EQ(options.rule, RuleKind::sandwich);
  EXPECT_EQ(options.random_architectures, 1);
}

TEST(SupernetOptionsTest, ChecksOfTheTrainingAndOfTheWholeAreMade) {
  const auto error_of = [](const Json& json) {
    return throws<ConfigError>([&] { supernet_option_table().read(json, "/supernet"); });
  };
  EXPECT_THAT(error_of({{"patience", 2}}), testing::StartsWith("/supernet/patience: a supernet"));
  EXPECT_THAT(error_of({{"epochs", 2}, {"warmup_epochs", 2}}),
              testing::StartsWith("/supernet/warmup_epochs: "));
  EXPECT_THAT(error_of({{"validate_every", 2}}),
              testing::StartsWith("/supernet/validate_every: a supernet"));
  EXPECT_THAT(error_of({{"split", {{"by", "decision"}}}}),
              testing::StartsWith("/supernet/split/decision: name the decision"));
  EXPECT_THAT(error_of({{"split", {{"by", "gradient_matching"}, {"decision", "edge0_1"}}}}),
              testing::StartsWith("/supernet/split/decision: is only for"));
  for (const char* rule : {"progressive", "strategy"}) {
    EXPECT_THAT(
        error_of({{"split", {{"by", "gradient_matching"}}}, {"rule", rule}}),
        testing::StartsWith("/supernet/split: the rules progressive and strategy cannot be split"));
  }
  EXPECT_THAT(
      error_of({{"random_architectures", 4}}),
      testing::StartsWith("/supernet/random_architectures: is only for the rules sandwich and"));
  EXPECT_THAT(error_of({{"rule", "sandwich"}, {"attention", "worst_up"}}),
              testing::StartsWith("/supernet/attention: is only for the rule attentive"));
  EXPECT_THAT(error_of({{"candidates", 9}}),
              testing::StartsWith("/supernet/candidates: is only for the rule attentive"));
  EXPECT_THAT(error_of({{"split", {{"shared_epochs", 0.3}}}}),
              testing::StartsWith("/supernet/split/shared_epochs: is only for"));
  EXPECT_THAT(
      error_of({{"split", {{"by", "decision"}, {"decision", "edge0_1"}, {"times", 2}}}}),
      testing::StartsWith("/supernet/split/times: is only for \"by\": \"gradient_matching\""));
  EXPECT_THAT(error_of({{"rule", "sandwitch"}}), testing::HasSubstr("did you mean \"sandwich\""));
}

}  // namespace
}  // namespace espalier
