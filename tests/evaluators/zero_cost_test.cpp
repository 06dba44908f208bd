#include "evaluators/zero_cost.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/error.hpp"
#include "search_spaces/nasbench201.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/toy_space.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Architecture first{std::vector<std::uint32_t>(toy_space()->decisions().size(), 0)};

TEST(ZeroCostEvaluator, GivesCostsAndScores) {
  const EvaluatorContext context = toy_context();
  ZeroCostEvaluator evaluator(context, {.proxies = {"macs", "params"}});
  const Cost expected = cost(context.space->build(first));
  EXPECT_THAT(evaluate(evaluator, *context.space, first),
              ElementsAre(expected.macs, expected.params));
}

TEST(ZeroCostEvaluator, TakesProxiesOfTheUser) {
  EvaluatorContext context = toy_context();
  context.proxies["mean_pixel"] = {
      .doc = "of the images",
      .direction = Direction::minimize,
      .needs_data = true,
      .score = [](const ProxyInput& input) {
        EXPECT_EQ(input.images.shape, (std::array<std::int64_t, 4>{30, 8, 8, 1}));
        EXPECT_EQ(input.images.labels.size(), 30u);
        double sum = 0;
        for (float pixel : input.images.pixels) sum += pixel;
        return sum / static_cast<double>(input.images.pixels.size());
      }};
  ZeroCostEvaluator evaluator(context, {.proxies = {"mean_pixel"}, .batch_size = 30});
  EXPECT_THAT(evaluator.metrics(), ElementsAre(MetricInfo{"mean_pixel", "", Direction::minimize}));
  EXPECT_NEAR(evaluate(evaluator, *context.space, first)[0], 0, 0.3);  // normalized
}

TEST(ZeroCostEvaluator, AScoreThatIsNotFiniteIsAFailedTrial) {
  EvaluatorContext context = toy_context();
  context.proxies["wild"] = {.doc = "", .score = [](const ProxyInput&) {
                               return std::numeric_limits<double>::infinity();
                             }};
  ZeroCostEvaluator evaluator(context, {.proxies = {"wild"}});
  EXPECT_EQ(throws<NumericalError>([&] { evaluate(evaluator, *context.space, first); }),
            "the proxy \"wild\" is inf, not finite");
}

TEST(ZeroCostEvaluator, RefusesWhatCannotWork) {
  EvaluatorContext context = toy_context();
  const auto message = [&](ZeroCostOptions options) {
    return throws<ConfigError>([&] { ZeroCostEvaluator(context, options); });
  };
  EXPECT_EQ(message({.proxies = {"params", "synflw"}}),
            "/proxies/1: unknown proxy \"synflw\"; did you mean \"synflow\"?");
  EXPECT_EQ(message({.proxies = {"macs", "macs"}}),
            "/proxies/1: the proxy \"macs\" is named twice");
  EXPECT_EQ(message({.proxies = {"naswot"}, .batch_size = 161}),
            "/batch_size: 161 images, but the training split has 160");
  context.data = nullptr;
  EXPECT_THAT(message({.proxies = {"naswot"}}), HasSubstr("/proxies/0: "));
}

TEST(ZeroCostEvaluator, NetworksWithoutAPathHaveTheLowestScores) {
  EvaluatorContext context = toy_context();
  context.space = make_nasbench201({.input = {1, 8, 8}, .classes = 4, .channels = 4, .cells = 1});
  ZeroCostEvaluator evaluator(context, {.proxies = {"synflow", "naswot"}, .batch_size = 8});
  const Architecture none{{0, 0, 0, 0, 0, 0}};
  EXPECT_THAT(evaluate(evaluator, *context.space, none), ElementsAre(0, 0));
  const Architecture convolutions{{3, 3, 3, 3, 3, 3}};
  EXPECT_THAT(evaluate(evaluator, *context.space, convolutions),
              ElementsAre(testing::Gt(0), testing::Gt(0)));
}

}  // namespace
}  // namespace espalier
