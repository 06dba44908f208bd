// All proxies on networks of several spaces.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "core/error.hpp"
#include "evaluators/proxies/degenerate.hpp"
#include "search_spaces/autoformer.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/darts.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/evaluators/proxies/scored.hpp"

namespace espalier {
namespace {

std::unique_ptr<SearchSpace> small_nasbench201() {
  return make_nasbench201({.input = {3, 16, 16}, .classes = 4, .channels = 4, .cells = 1});
}

/// The score, or nothing where the proxy says that it does not apply.
std::optional<double> score(const Proxy& proxy, const SearchSpace& space, const Architecture& a,
                            std::uint64_t seed) {
  const Network network(space, a);
  const Shape& shape = network.graph().node(network.graph().input()).shape;
  const ImageBatch images =
      proxy.needs_data ? normal_batch(6, shape[1].value(), shape[0].value(), 4) : ImageBatch{};
  const Rng rng(seed);
  try {
    return proxy.score({.network = network, .rng = rng, .images = images});
  } catch (const UnsupportedError&) {
    return std::nullopt;
  }
}

TEST(Proxies, ScoreNetworksOfAllKindsAndSayWhereTheyDoNotApply) {
  std::map<std::string, std::unique_ptr<SearchSpace>> spaces;
  spaces["nasbench201"] = small_nasbench201();
  spaces["darts"] = make_darts({.input = {3, 16, 16}, .classes = 4, .channels = 4, .layers = 3});
  spaces["mobilenet_v3"] = make_mobilenet_v3({.input = {3, 64, 64}, .classes = 4});
  spaces["chain"] = make_chain({.input = {1, 8, 8}, .classes = 4, .stem_channels = 4});
  spaces["autoformer"] = make_autoformer({.input = {3, 32, 32}, .classes = 4});
  std::map<std::string, std::set<std::string>> unsupported;
  for (const auto& [space_name, space] : spaces) {
    Rng rng(4);
    const Architecture a = sample_uniform(*space, rng);
    for (const auto& [name, proxy] : proxy_catalogue()) {
      const std::optional<double> value = score(proxy, *space, a, 1);
      if (!value) {
        unsupported[space_name].insert(name);
        continue;
      }
      EXPECT_TRUE(std::isfinite(*value)) << name << " of " << space_name;
      EXPECT_NE(*value, degenerate_score) << name << " of " << space_name;
      if (space_name == "chain" || space_name == "autoformer") {
        EXPECT_EQ(score(proxy, *space, a, 1), *value) << name;
      }
    }
  }
  using testing::ElementsAre;
  using testing::Pair;
  EXPECT_THAT(unsupported,
              ElementsAre(Pair("autoformer",
                               ElementsAre("az_expressivity", "az_progressivity", "az_trainability",
                                           "entropy", "linear_regions", "swap", "zen")),
                          // Hard sigmoids have no second derivative.
                          Pair("mobilenet_v3", ElementsAre("grasp"))));
}

TEST(Degenerate, NetworksWithoutAPathScoreAsDocumented) {
  const auto space = small_nasbench201();
  const ProxyCatalogue proxies = proxy_catalogue();
  const Architecture none{{0, 0, 0, 0, 0, 0}};
  const std::map<std::string, double> expected{{"epe_nas", degenerate_score},
                                               {"zen", degenerate_score},
                                               {"entropy", degenerate_score},
                                               {"ntk", 1e8},
                                               {"linear_regions", 1},
                                               {"zico", 0},
                                               {"gradsign", 0},
                                               {"swap", 1},
                                               {"az_expressivity", degenerate_score},
                                               {"az_progressivity", degenerate_score}};
  for (const auto& [name, value] : expected) {
    EXPECT_EQ(score(proxies.at(name), *space, none, 1), value) << name;
  }
  EXPECT_LT(*score(proxies.at("az_trainability"), *space, none, 1), -1e5);
}

}  // namespace
}  // namespace espalier
