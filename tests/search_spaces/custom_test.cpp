#include "search_spaces/custom.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>

#include "core/error.hpp"
#include "graph/blocks.hpp"
#include "graph/fingerprint.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/custom_steps.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::filesystem::path examples =
    std::filesystem::path(ESPALIER_SOURCE_DIR) / "examples" / "spaces";

std::unique_ptr<SearchSpace> make(const Json& document) {
  return space_registry().create(document, "");
}

Json example(const std::string& name) { return read_json_file(examples / (name + ".json")); }

std::vector<std::string> decision_names(const SearchSpace& space) {
  std::vector<std::string> names;
  for (const Decision& d : space.decisions()) names.push_back(d.name);
  return names;
}

/// A document with these steps in front of a classifier.
Json document(const Json& steps, const Json& more = Json::object()) {
  Json json = {{"type", "custom"}, {"input", {3, 8, 8}}, {"classes", 4}, {"network", steps}};
  for (const char* step : {"global_avg_pool", "flatten"}) json["network"].push_back(step);
  json["network"].push_back({{"type", "linear"}, {"out_features", "classes"}});
  json.update(more);
  return json;
}

Json steps(const char* text) { return Json::parse(text); }

std::vector<std::string> node_names(const Graph& graph) {
  std::vector<std::string> names;
  for (NodeId id = 0; id < graph.size(); ++id) names.push_back(graph.name(id));
  return names;
}

void expect_same_space(const SearchSpace& written, const SearchSpace& built, bool same_names) {
  ASSERT_EQ(written.decisions(), built.decisions());
  EXPECT_EQ(space_size(written).decimal, space_size(built).decimal);
  Rng rng(7);
  for (int i = 0; i < 200; ++i) {
    const Architecture a = sample_uniform(built, rng);
    EXPECT_EQ(written.canonical(a), a);
    const Graph one = written.build(a), other = built.build(a);
    EXPECT_EQ(cost(one), cost(other));
    EXPECT_EQ(fingerprint(one), fingerprint(other));
    if (same_names) EXPECT_EQ(node_names(one), node_names(other));
  }
}

TEST(Custom, TheChainSpaceCanBeWritten) {
  expect_same_space(*make(example("chain")), *make_chain(), true);
}

TEST(Custom, TheMobileNetV3SpaceCanBeWritten) {
  expect_same_space(*make(example("mobilenet_v3")), *make_mobilenet_v3(), true);
}

TEST(Custom, NasBench201CanBeWritten) {
  expect_same_space(*make(example("nasbench201")), *make_nasbench201(), false);
}

TEST(Custom, Probe) {
  for (const char* name : {"small_camera", "two_input_cells"}) {
    const auto space = make(example(name));
    std::string text;
    for (const Decision& d : space->decisions()) text += d.name + " ";
    ADD_FAILURE() << name << " " << text << space_size(*space).decimal;
    Rng rng(1);
    for (int i = 0; i < 5; ++i) {
      const Architecture a = sample_uniform(*space, rng);
      ADD_FAILURE() << space->to_string(a) << " " << space->quick_cost(a).params << " " << space->quick_cost(a).macs;
    }
  }
}

}  // namespace
}  // namespace espalier
