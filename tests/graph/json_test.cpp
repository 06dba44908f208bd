#include "graph/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "core/json.hpp"
#include "graph/builder.hpp"
#include "graph/cost.hpp"
#include "graph/dot.hpp"
#include "graph/fingerprint.hpp"
#include "graph/nets.hpp"
#include "tests/graph/test_graphs.hpp"

namespace espalier {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Property;
using testing::Throws;
using testing::ThrowsMessage;

Graph small_graph() {
  GraphBuilder b;
  auto x = b.input(3, 8, 8);
  {
    const auto stem = b.scope("stem", "conv_bn_act", {{"kernel", 3}, {"stride", 2}});
    const auto part = b.scope("inner");
    x = b.append(op::Conv2d{.out_channels = 4, .kernel = {3, 5}, .stride = 2, .padding = {1, 2}},
                 std::array{x}, "conv", {Quantization{4, 8}});
    x = b.batch_norm(x, {.eps = 1e-3f, .momentum = 0.01f});
  }
  b.output(b.add(x, b.activation(x, ActivationKind::hard_swish)));
  return b.build();
}

constexpr const char* small_text = R"({
  "format": 1,
  "nodes": [
    {"name": "input", "op": "input",
     "attributes": {"channels": 3, "height": 8, "width": 8},
     "inputs": [], "shape": [3, 8, 8]},
    {"name": "stem.inner.conv", "op": "conv2d",
     "attributes": {"out_channels": 4, "kernel": [3, 5], "stride": [2, 2], "padding": [1, 2],
                    "dilation": [1, 1], "group_width": 0, "bias": false},
     "inputs": ["input"], "shape": [4, 4, 4], "scope": "stem.inner",
     "quantization": {"weight_bits": 4, "activation_bits": 8}},
    {"name": "stem.inner.bn", "op": "batch_norm2d",
     "attributes": {"eps": 0.001, "momentum": 0.01, "affine": true},
     "inputs": ["stem.inner.conv"], "shape": [4, 4, 4], "scope": "stem.inner"},
    {"name": "act", "op": "activation", "attributes": {"kind": "hard_swish"},
     "inputs": ["stem.inner.bn"], "shape": [4, 4, 4]},
    {"name": "add", "op": "add", "inputs": ["stem.inner.bn", "act"], "shape": [4, 4, 4]},
    {"name": "output", "op": "output", "inputs": ["add"], "shape": [4, 4, 4]}
  ],
  "scopes": [
    {"name": "stem", "kind": "conv_bn_act", "attributes": {"kernel": 3, "stride": 2}},
    {"name": "stem.inner", "kind": "", "parent": "stem"}
  ]
})";

TEST(GraphJson, Golden) {
  EXPECT_EQ(to_json(small_graph()).dump(1), parse_json(small_text, "text").dump(1));
  EXPECT_TRUE(same(graph_from_json(parse_json(small_text, "text")), small_graph()));
}

TEST(GraphJson, RoundTripIsExact) {
  for (const std::string& name : net_names()) {
    const Graph graph = build_net(name);
    const Json json = to_json(graph);
    const Graph back = graph_from_json(parse_json(json.dump(), name));
    EXPECT_TRUE(same(graph, back)) << name;
    EXPECT_EQ(to_json(back).dump(), json.dump()) << name;
  }
  const Rng rng(1);
  for (std::uint64_t round = 0; round < 300; ++round) {
    Rng r = rng.fork(round);
    const Graph graph = random_graph(r, 2 + r.below(20), all_operators(), true);
    const Json json = to_json(graph);
    const Graph back = graph_from_json(json);
    EXPECT_TRUE(same(graph, back));
    EXPECT_EQ(to_json(back).dump(), json.dump());
  }
}

TEST(GraphJson, FloatsAreShortAndExact) {
  Rng rng(2);
  for (int i = 0; i < 2000; ++i) {
    const auto eps = static_cast<float>(std::exp(60 * rng.uniform() - 40));
    const auto momentum = static_cast<float>(rng.uniform());
    GraphBuilder b;
    b.output(b.batch_norm(b.input(1, 1, 1), {.eps = eps, .momentum = momentum}));
    const std::string text = to_json(b.build()).dump();
    EXPECT_EQ(graph_from_json(parse_json(text, "text")).node(1).op,
              Op(op::BatchNorm2d{.eps = eps, .momentum = momentum}));
  }
  GraphBuilder b;
  b.output(b.batch_norm(b.input(1, 1, 1)));
  EXPECT_THAT(to_json(b.build()).dump(), HasSubstr("\"eps\":1e-05,\"momentum\":0.1"));
}

TEST(GraphJson, ScopesOfAClosedSupergraph) {
  Graph open;
  const Dim width = Dim::select(0, std::array{Dim(4), Dim(6)});
  const ScopeId unused = open.add_scope("unused", "", no_scope);
  EXPECT_EQ(unused, 1u);
  const ScopeId scope = open.add_scope("block", "mbconv", no_scope, {{"width", width}});
  open.add(op::Input{3, 4, 4}, {}, "input");
  open.add(op::Activation{}, std::array{NodeId{0}}, "act", scope);
  Graph graph = Graph::like(open, std::array{1u});
  graph.add_trusted(open.node(0).op, {}, open.node(0).name, no_scope, {}, open.node(0).shape);
  graph.add_trusted(open.node(1).op, std::array{NodeId{0}}, open.node(1).name, scope, {},
                    open.node(1).shape);
  graph.add(op::Output{}, std::array{NodeId{1}}, "output");
  EXPECT_EQ(to_json(graph)["scopes"].dump(),
            R"([{"name":"block","kind":"mbconv","attributes":{"width":6}}])");
  EXPECT_TRUE(same(graph_from_json(to_json(graph)), graph));
}

TEST(GraphJson, OpenGraphsAreRefused) {
  GraphBuilder b;
  b.output(b.conv(b.input(3, 4, 4), Dim::select(0, std::array{Dim(4), Dim(8)})));
  EXPECT_THAT([&] { to_json(b.graph()); },
              ThrowsMessage<UnsupportedError>(HasSubstr("close it with an architecture")));
}

TEST(GraphJson, ShapesMayBeLeftOut) {
  Json json = parse_json(small_text, "text");
  for (Json& node : json["nodes"]) node.erase("shape");
  EXPECT_TRUE(same(graph_from_json(json), small_graph()));
}

TEST(GraphJson, MistakesAreNamedWithTheirPointer) {
  struct Case {
    std::string path;     // what is replaced (or, with text "", removed)
    std::string value;    // by what
    std::string pointer;  // where the error is
    std::string text;     // and what it says
  };
  const Case cases[] = {
      {"/format", "2", "/format", "this version reads format 1, got 2"},
      {"/format", "\"1\"", "/format", "expected an integer, got string"},
      {"/format", "", "", "the key \"format\""},
      {"/nodes", "", "", "the key \"nodes\""},
      {"/nodes", "{}", "/nodes", "expected an array, got object"},
      {"/nodes", "[]", "/nodes", "no input node"},
      {"/nodez", "[]", "/nodez", "did you mean \"nodes\"?"},
      {"/nodes/1", "7", "/nodes/1", "expected an object, got integer"},
      {"/nodes/1/name", "", "/nodes/1", "the key \"name\""},
      {"/nodes/1/name", "null", "/nodes/1/name", "expected a string, got null"},
      {"/nodes/1/name", "\"input\"", "/nodes/1/name", "\"input\" is used already, at /nodes/0"},
      {"/nodes/1/op", "\"conv\"", "/nodes/1/op", "did you mean \"conv2d\"?"},
      {"/nodes/1/op", "\"choice\"", "/nodes/1/op", "unknown value \"choice\""},
      {"/nodes/1/input", "[]", "/nodes/1/input", "did you mean \"inputs\"?"},
      {"/nodes/1/inputs", "", "/nodes/1", "the key \"inputs\""},
      {"/nodes/1/inputs", "[1]", "/nodes/1/inputs/0", "expected a string"},
      {"/nodes/1/inputs", "[\"inputt\"]", "/nodes/1/inputs/0",
       "there is no node \"inputt\"; did you mean \"input\"?"},
      {"/nodes/1/inputs", "[\"zzzzzzzzzzzzzzz\"]", "/nodes/1/inputs/0",
       "there is no node \"zzzzzzzzzzzzzzz\""},
      {"/nodes/1/inputs", "[\"act\"]", "/nodes/1/inputs/0",
       "\"act\" does not come before \"stem.inner.conv\""},
      {"/nodes/1/inputs", "[\"stem.inner.conv\"]", "/nodes/1/inputs/0", "without cycles"},
      {"/nodes/1/inputs", "[]", "/nodes/1", "takes 1 inputs, got 0"},
      {"/nodes/1/shape", "[4, 4]", "/nodes/1/shape", "expected {4, 4, 4}, got [4,4]"},
      {"/nodes/1/shape", "[4, 4, 5]", "/nodes/1/shape", "expected {4, 4, 4}, got [4,4,5]"},
      {"/nodes/1/shape", "[4, 4, 4.5]", "/nodes/1/shape/2", "expected an integer"},
      {"/nodes/1/scope", "\"stem.iner\"", "/nodes/1/scope",
       "there is no scope \"stem.iner\"; did you mean \"stem.inner\"?"},
      {"/nodes/1/attributes", "", "/nodes/1/attributes",
       "the attribute \"out_channels\" of conv2d is missing"},
      {"/nodes/1/attributes", "[]", "/nodes/1/attributes", "expected an object, got array"},
      {"/nodes/1/attributes/bias", "", "/nodes/1/attributes", "the attribute \"bias\" of conv2d"},
      {"/nodes/1/attributes/biass", "true", "/nodes/1/attributes/biass",
       "conv2d has no attribute \"biass\"; did you mean \"bias\"?"},
      {"/nodes/1/attributes/bias", "1", "/nodes/1/attributes/bias", "expected a boolean"},
      {"/nodes/1/attributes/out_channels", "-1", "/nodes/1/attributes/out_channels",
       "expected a value 0 to 1048576, got -1"},
      {"/nodes/1/attributes/out_channels", "0", "/nodes/1", "out_channels must be at least 1"},
      {"/nodes/1/attributes/out_channels", "1048577", "/nodes/1/attributes/out_channels",
       "expected a value 0 to 1048576, got 1048577"},
      {"/nodes/1/attributes/out_channels", "18446744073709551615",
       "/nodes/1/attributes/out_channels", "got 18446744073709551615"},
      {"/nodes/1/attributes/out_channels", "1e300", "/nodes/1/attributes/out_channels",
       "expected an integer"},
      {"/nodes/1/attributes/out_channels", "4.5", "/nodes/1/attributes/out_channels",
       "expected an integer"},
      {"/nodes/1/attributes/kernel", "3", "/nodes/1/attributes/kernel", "expected an array"},
      {"/nodes/1/attributes/kernel", "[3]", "/nodes/1/attributes/kernel",
       "expected [height, width], got 1 values"},
      {"/nodes/1/attributes/kernel/1", "\"3\"", "/nodes/1/attributes/kernel/1",
       "expected an integer, got string"},
      {"/nodes/1/attributes/kernel/0", "9999", "/nodes/1", "does not fit into the input"},
      {"/nodes/0/attributes", "{\"channels\": 8192, \"height\": 8192, \"width\": 8192}", "/nodes/0",
       "more than 2147483648 values"},
      {"/nodes/1/quantization", "{\"weight_bits\": 8}", "/nodes/1/quantization",
       "the key \"activation_bits\""},
      {"/nodes/1/quantization/weight_bits", "1", "/nodes/1/quantization/weight_bits", "2 to 32"},
      {"/nodes/1/quantization/weight_bits", "16", "/nodes/1", "bits must be 2 to 8"},
      {"/nodes/3/quantization", "{\"weight_bits\": 8, \"activation_bits\": 8}", "/nodes/3",
       "only conv2d and linear"},
      {"/nodes/2/attributes/eps", "\"x\"", "/nodes/2/attributes/eps", "expected a number"},
      {"/nodes/2/attributes/eps", "1e39", "/nodes/2/attributes/eps", "finite 32-bit number"},
      {"/nodes/2/attributes/eps", "-1e-5", "/nodes/2", "eps must be positive"},
      {"/nodes/2/attributes/eps", "1e-60", "/nodes/2", "eps must be positive"},
      {"/nodes/2/attributes/momentum", "2", "/nodes/2", "momentum must be 0 to 1"},
      {"/nodes/3/attributes/kind", "\"hardswish\"", "/nodes/3/attributes/kind",
       "did you mean \"hard_swish\"?"},
      {"/nodes/3/attributes/kind", "5", "/nodes/3/attributes/kind", "expected a string"},
      {"/nodes/5", "", "/nodes", "a graph has one output, its last node"},
      {"/nodes/3", "{\"name\": \"act\", \"op\": \"output\", \"inputs\": [\"input\"]}", "/nodes/4",
       "needs inputs of equal shape"},
      {"/nodes/3", "{\"name\": \"act\", \"op\": \"output\", \"inputs\": [\"stem.inner.bn\"]}",
       "/nodes", "one output, its last node"},
      {"/nodes/3",
       "{\"name\": \"p\", \"op\": \"pool2d\", \"inputs\": [\"input\"], \"attributes\": {\"kind\": "
       "\"min\", \"kernel\": [1, 1], \"stride\": [1, 1], \"padding\": [0, 0], \"ceil_mode\": "
       "false, "
       "\"count_include_pad\": false}}",
       "/nodes/3/attributes/kind", "unknown pooling \"min\""},
      {"/scopes/0/name", "\"\"", "/scopes/0/name", "the scope \"\" is there already"},
      {"/scopes/1", "{\"name\": \"stem\", \"kind\": \"\"}", "/scopes/1/name",
       "the scope \"stem\" is there already"},
      {"/scopes/1/parent", "\"sten\"", "/scopes/1/parent", "did you mean \"stem\"?"},
      {"/scopes/1/name", "\"inner\"", "/scopes/1/name", "starts with the parent's, \"stem.\""},
      {"/scopes/1/kind", "", "/scopes/1", "the key \"kind\""},
      {"/scopes/1/kinds", "1", "/scopes/1/kinds", "did you mean \"kind\"?"},
      {"/scopes/0/attributes", "3", "/scopes/0/attributes", "expected an object"},
      {"/scopes/0/attributes/kernel", "3.5", "/scopes/0/attributes/kernel", "expected an integer"},
      {"/scopes/0/attributes/kernel", "18446744073709551615", "/scopes/0/attributes/kernel",
       "got 18446744073709551615"},
  };
  for (const Case& c : cases) {
    Json json = parse_json(small_text, "text");
    const Json::json_pointer path(c.path);
    if (c.value.empty()) {
      Json& parent = json[path.parent_pointer()];
      if (parent.is_array()) {
        parent.erase(static_cast<std::size_t>(std::stoi(path.back())));
      } else {
        parent.erase(path.back());
      }
    } else {
      json[path] = parse_json(c.value, "value");
    }
    EXPECT_THAT([&] { graph_from_json(json); },
                Throws<ConfigError>(AllOf(Property(&ConfigError::pointer, c.pointer),
                                          Property(&ConfigError::message, HasSubstr(c.text)))))
        << c.path << " = " << c.value;
    EXPECT_THAT([&] { graph_from_json(json, "/net"); },
                Throws<ConfigError>(Property(&ConfigError::pointer, "/net" + c.pointer)));
  }
}

TEST(GraphJson, WholeNumbersMayHaveAPoint) {
  Json json = parse_json(small_text, "text");
  const Graph graph = graph_from_json(json);
  json["nodes"][1]["attributes"]["out_channels"] = 4.0;
  EXPECT_TRUE(same(graph_from_json(json), graph));
}

TEST(GraphJson, NumbersThatNoTextHolds) {
  for (const double number :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    Json json = parse_json(small_text, "text");
    json["nodes"][2]["attributes"]["eps"] = number;
    EXPECT_THAT([&] { graph_from_json(json); },
                Throws<ConfigError>(Property(&ConfigError::pointer, "/nodes/2/attributes/eps")));
  }
}

TEST(GraphJson, TooManyNodes) {
  Json json = parse_json(small_text, "text");
  for (int i = 0; i < 100'001; ++i) json["nodes"].push_back(nullptr);
  EXPECT_THAT([&] { graph_from_json(json); },
              ThrowsMessage<ConfigError>(HasSubstr("at most 100000 nodes, got 100007")));
}

/// All places of a document.
void collect(Json& json, std::vector<Json*>& places) {
  places.push_back(&json);
  for (Json& child : json) {
    if (json.is_structured()) collect(child, places);
  }
}

Json junk(Rng& rng) {
  static const std::vector<std::string> texts{"null",
                                              "true",
                                              "-1",
                                              "0",
                                              "1",
                                              "7",
                                              "1048576",
                                              "2147483648",
                                              "1e308",
                                              "1e-50",
                                              "-1e9",
                                              "3.5",
                                              "\"\"",
                                              "\"input\"",
                                              "[]",
                                              "{}",
                                              "[[]]",
                                              "[3,3]",
                                              "\"conv2d\"",
                                              "\"~/\"",
                                              "[\"input\",\"input\"]",
                                              "9223372036854775807",
                                              "-9223372036854775808",
                                              "18446744073709551615",
                                              "{\"weight_bits\":8,\"activation_bits\":8}"};
  return Json::parse(texts[rng.below(texts.size())]);
}

void mutate(Json& json, Rng& rng) {
  std::vector<Json*> places;
  collect(json, places);
  Json& place = *places[rng.below(places.size())];
  const Json other = *places[rng.below(places.size())];
  switch (rng.below(6)) {
    case 0:
      place = junk(rng);
      break;
    case 1:
      place = other;
      break;
    case 2:
      if (place.is_structured() && !place.empty()) {
        auto it = place.begin();
        std::advance(it, static_cast<std::ptrdiff_t>(rng.below(place.size())));
        place.erase(it);
      }
      break;
    case 3:
      if (place.is_array()) place.push_back(rng.bernoulli(0.5) ? other : junk(rng));
      if (place.is_object()) place["attributes"] = other;
      break;
    case 4:
      if (place.is_number_integer())
        place = place.get<std::int64_t>() % 1'000'000'000 + rng.uniform_int(-2, 2);
      if (place.is_string()) {
        auto text = place.get<std::string>();
        if (!text.empty()) text[rng.below(text.size())] = static_cast<char>('a' + rng.below(26));
        place = text;
      }
      break;
    default:
      if (place.is_array() && place.size() > 1) {
        std::swap(place[rng.below(place.size())], place[rng.below(place.size())]);
      }
      break;
  }
}

TEST(GraphJson, MutatedDocumentsAreReadOrRefused) {
  const Rng rng(6);
  int read = 0, refused = 0;
  for (std::uint64_t round = 0; round < 6000; ++round) {
    Rng r = rng.fork(round);
    Json json = to_json(random_graph(r, 2 + r.below(10), all_operators(), true));
    for (std::uint64_t n = 1 + r.below(3); n > 0; --n) mutate(json, r);
    try {
      const Graph graph = graph_from_json(json);
      ++read;
      verify(graph);
      const Cost c = cost(graph);
      EXPECT_GE(c.params, 0);
      EXPECT_GE(c.macs, 0);
      (void)fingerprint(graph);
      (void)to_dot(graph);
      EXPECT_TRUE(same(graph_from_json(to_json(graph)), graph));
    } catch (const ConfigError& error) {
      ++refused;
      EXPECT_NE(std::string(error.what()), "");
    }
  }
  EXPECT_GT(read, 300);
  EXPECT_GT(refused, 3000);
}

}  // namespace
}  // namespace espalier
