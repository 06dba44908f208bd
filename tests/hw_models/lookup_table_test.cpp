#include "hw_models/lookup_table.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <functional>

#include "core/error.hpp"
#include "graph/blocks.hpp"
#include "graph/cost.hpp"
#include "graph/nets.hpp"
#include "hw_models/fused_kernels.hpp"
#include "search_spaces/nasbench201.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using ::testing::HasSubstr;

LookupTable table_of(const std::string& text, std::unique_ptr<const Roofline> fallback = nullptr) {
  return {"pixel", CsvTable::parse(text, "pixel.csv"), std::move(fallback)};
}

std::string load_error(const std::string& text) {
  return throws<IoError>([&] { table_of(text); });
}

// conv 3x3 to 8 channels, ReLU, global pool, linear to 10.
Graph small_net(std::int64_t channels = 8, Compression compression = {}) {
  GraphBuilder b;
  NodeId x = b.input(3, 32, 32);
  x = b.append(op::Conv2d{.out_channels = channels, .kernel = 3, .stride = 2, .padding = 1},
               std::array{x}, "conv", compression);
  x = b.activation(x, ActivationKind::relu);
  x = b.flatten(b.global_avg_pool(x));
  b.output(b.linear(x, 10));
  return b.build();
}

const char* const small_table =
    "op,in_channels,in_height,in_width,out_channels,kernel,stride,activation,in_features,"
    "out_features,latency_ms\n"
    "conv2d,3,32,32,8,3,2,relu,,,1.5\n"
    "conv2d,3,32,32,16,3,2,relu,,,2.5\n"
    "global_avg_pool,*,*,*,,,,,,,0.25\n"
    "linear,,,,,,,,8,10,0.125\n"
    "linear,,,,,,,,16,10,0.0625\n";

TEST(LookupTable, SumsTheRowsOfAnOperatorTable) {
  const LookupTable table = table_of(small_table);
  EXPECT_EQ(table.name(), "pixel");
  ASSERT_EQ(table.metrics().size(), 1u);
  EXPECT_EQ(table.metrics()[0].name, "latency_ms");
  EXPECT_EQ(table.estimate(small_net(8), 1), (HardwareCost{1.875, {}}));
  EXPECT_EQ(table.estimate(small_net(16), 1), (HardwareCost{2.8125, {}}));
  const auto parts = table.breakdown(small_net(8), 1);
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].cost.latency_ms, 1.5);
  EXPECT_EQ(parts[1].cost.latency_ms, 0.25);
  EXPECT_EQ(parts[2].cost.latency_ms, 0.125);
}

TEST(LookupTable, SumsEnergyWhereItWasMeasured) {
  const LookupTable table = table_of(
      "op,in_channels,in_height,in_width,latency_ms,energy_mj\nglobal_avg_pool,3,4,4,1,2\n");
  GraphBuilder b;
  b.output(b.global_avg_pool(b.input(3, 4, 4)));
  EXPECT_EQ(table.metrics().size(), 2u);
  EXPECT_EQ(table.estimate(b.build(), 1), (HardwareCost{1.0, 2.0}));
}

// Rows of the table that ProxylessNAS published for a Pixel 1, in this format. Its operators Conv,
// Conv_1 and Logits are the stem, the last convolution and the classifier with the pool.
TEST(LookupTable, ExpressesAPublishedTableOfBlocks) {
  const LookupTable table = table_of(
      "scope,op,in_channels,in_height,in_width,out_channels,expanded_channels,kernel,stride,se,"
      "padding,activation,in_features,out_features,latency_ms\n"
      ",conv2d,3,224,224,32,,3,2,,*,*,,,4.3970379\n"
      ",conv2d,320,7,7,1280,,1,1,,*,*,,,6.2849958\n"
      ",linear,,,,,,,,,,,1280,1000,0.93482613\n"
      ",global_avg_pool,*,*,*,,,,,,,,,,0\n"
      "mbconv,,16,112,112,24,48,3,2,0,,,,,5.6088205\n"
      "mbconv,,24,56,56,320,144,3,8,0,,,,,2\n");
  GraphBuilder b;
  NodeId x = b.input(3, 224, 224);
  x = conv_bn_act(b, x, 32, {.conv = {.kernel = 3, .stride = 2}});
  b.output(x);
  EXPECT_DOUBLE_EQ(*table.estimate(b.build(), 1).latency_ms, 4.3970379);

  x = b.input(16, 112, 112);
  x = mbconv(b, x, 24, {.expanded_channels = 48, .stride = 2}, "block1");
  x = mbconv(b, x, 320, {.expanded_channels = 144, .stride = 8}, "block2");
  x = conv_bn_act(b, x, 1280, {.activation = ActivationKind::relu6});
  x = b.flatten(b.global_avg_pool(x));
  b.output(b.linear(x, 1000));
  const Graph net = b.build();
  const auto parts = table.breakdown(net, 1);
  ASSERT_EQ(parts.size(), 5u);
  EXPECT_EQ(net.scope(parts[0].scope).name, "block1");
  EXPECT_FALSE(parts[0].node);
  EXPECT_TRUE(parts[2].node);
  EXPECT_DOUBLE_EQ(*table.estimate(net, 1).latency_ms, 5.6088205 + 2 + 6.2849958 + 0 + 0.93482613);
}

TEST(LookupTable, AMissNamesTheNearestRow) {
  const LookupTable table = table_of(small_table);
  const std::string message = throws<UnsupportedError>([&] { table.estimate(small_net(14), 1); });
  EXPECT_THAT(message, HasSubstr("table pixel.csv has no row for conv2d in_channels=3"));
  EXPECT_THAT(message, HasSubstr("node 'conv'"));
  EXPECT_THAT(message, HasSubstr("the nearest, line 3, has out_channels 16 instead of 14"));
  EXPECT_THAT(message, HasSubstr("\"on_miss\" to \"roofline\""));
}

TEST(LookupTable, AKindWithoutRowsIsAMiss) {
  const LookupTable table = table_of(small_table);
  GraphBuilder b;
  b.output(b.max_pool(b.input(3, 8, 8), {}));
  EXPECT_THAT(throws<UnsupportedError>([&] { table.estimate(b.build(), 1); }),
              HasSubstr("no row for pool2d in_channels=3 in_height=8 in_width=8 pool=max kernel=2 "
                        "stride=2, nor for any other pool2d"));
}

TEST(LookupTable, BitsCountOnlyWhereTheTableHasThem) {
  const Compression four{.quantization = Quantization{4, 8}};
  const LookupTable floats = table_of(small_table);
  EXPECT_THAT(throws<UnsupportedError>([&] { floats.estimate(small_net(8, four), 1); }),
              HasSubstr("does not say for which weight_bits its rows of conv2d hold, and that of "
                        "node 'conv' is 4"));
  const std::string header =
      "op,in_channels,in_height,in_width,out_channels,kernel,stride,activation,weight_bits,"
      "activation_bits,in_features,out_features,latency_ms\n";
  const std::string rest = "global_avg_pool,*,*,*,,,,,,,,,0\nlinear,,,,,,,,,,8,10,0\n";
  const LookupTable with_bits = table_of(header + "conv2d,3,32,32,8,3,2,relu,32,32,,,4\n" +
                                         "conv2d,3,32,32,8,3,2,relu,4,8,,,1\n" + rest);
  EXPECT_EQ(with_bits.estimate(small_net(8), 1).latency_ms, 4);
  EXPECT_EQ(with_bits.estimate(small_net(8, four), 1).latency_ms, 1);
  const LookupTable ignoring = table_of(header + "conv2d,3,32,32,8,3,2,relu,*,*,,,3\n" + rest);
  EXPECT_EQ(ignoring.estimate(small_net(8, four), 1).latency_ms, 3);
}

TEST(LookupTable, RefusesFeaturesThatItDoesNotKnow) {
  // The folded activation is not the default "none".
  const LookupTable table = table_of(
      "op,in_channels,in_height,in_width,out_channels,kernel,stride,latency_ms\n"
      "conv2d,3,32,32,8,3,2,1\n");
  EXPECT_THAT(throws<UnsupportedError>([&] { table.estimate(small_net(8), 1); }),
              HasSubstr("does not say for which activation"));
  // A batch of 2 either.
  EXPECT_THAT(throws<UnsupportedError>([&] { table_of(small_table).estimate(small_net(), 2); }),
              HasSubstr("does not say for which batch_size"));
  EXPECT_THROW(table.estimate(small_net(), 0), ConfigError);
}

TEST(LookupTable, RefusesColumnsThatAPartDoesNotHave) {
  const LookupTable table =
      table_of("op,in_channels,in_height,in_width,kernels,latency_ms\nglobal_avg_pool,3,4,4,3,1\n");
  GraphBuilder b;
  b.output(b.global_avg_pool(b.input(3, 4, 4)));
  EXPECT_THAT(throws<UnsupportedError>([&] { table.estimate(b.build(), 1); }),
              HasSubstr("tells rows of global_avg_pool apart by kernels, which node 'pool' does "
                        "not have"));
}

TEST(LookupTable, FallsBackOnADevice) {
  const Device device = find_device("cortex_a76", example_devices());
  const Roofline roofline(device);
  const LookupTable table = table_of(small_table, std::make_unique<Roofline>(device));
  const Graph known = small_net(8), unknown = small_net(14);
  EXPECT_EQ(table.estimate(known, 1).latency_ms, 1.875);
  const auto estimated = roofline.breakdown(unknown, 1);
  const auto parts = table.breakdown(unknown, 1);
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].cost.latency_ms, estimated[0].cost.latency_ms);
  EXPECT_EQ(parts[1].cost.latency_ms, 0.25);
  EXPECT_EQ(parts[2].cost.latency_ms, estimated[2].cost.latency_ms);
  EXPECT_FALSE(parts[0].cost.energy_mj);
  // Other bits and kinds without rows are misses too.
  const Compression four{.quantization = Quantization{4, 8}};
  EXPECT_EQ(table.breakdown(small_net(8, four), 1)[0].cost.latency_ms,
            roofline.breakdown(small_net(8, four), 1)[0].cost.latency_ms);
  GraphBuilder b;
  b.output(b.max_pool(b.input(3, 8, 8), {}));
  const Graph pool = b.build();
  EXPECT_EQ(table.estimate(pool, 1).latency_ms, roofline.estimate(pool, 1).latency_ms);
}

TEST(LookupTable, FallsBackOnTheKernelsOfAScope) {
  const Device device = find_device("cortex_a76", example_devices());
  const LookupTable table = table_of(
      "scope,in_channels,in_height,in_width,out_channels,expanded_channels,kernel,stride,se,"
      "latency_ms\nmbconv,16,8,8,16,32,5,1,0,1\n",
      std::make_unique<Roofline>(device));
  GraphBuilder b;
  b.output(mbconv(b, b.input(16, 8, 8), 16, {.expanded_channels = 32}, "block"));
  const Graph net = b.build();
  const auto parts = table.breakdown(net, 1);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_DOUBLE_EQ(*parts[0].cost.latency_ms, *Roofline(device).estimate(net, 1).latency_ms);
}

TEST(LookupTable, MacsTellBlocksApartWhereTheColumnIsThere) {
  GraphBuilder b;
  b.output(mbconv(b, b.input(16, 8, 8), 16, {.expanded_channels = 32}, "block"));
  const Graph net = b.build();
  const std::string head =
      "scope,in_channels,in_height,in_width,out_channels,expanded_channels,kernel,stride,se,macs,"
      "latency_ms\nmbconv,16,8,8,16,32,3,1,0,";
  // 64 (16 * 32 + 9 * 32 + 32 * 16)
  EXPECT_EQ(table_of(head + "83968,1\n").estimate(net, 1).latency_ms, 1);
  EXPECT_THROW(table_of(head + "83967,1\n").estimate(net, 1), UnsupportedError);
  EXPECT_EQ(table_of(head + "*,1\n").estimate(net, 1).latency_ms, 1);
}

TEST(LookupTable, RefusesBrokenTables) {
  EXPECT_THAT(load_error("kind,latency_ms\nconv2d,1\n"),
              HasSubstr("no column \"op\" or \"scope\""));
  EXPECT_THAT(load_error("op,latency\nconv2d,1\n"), HasSubstr("latency_ms"));
  EXPECT_THAT(load_error("op,latency_ms\n"), HasSubstr("no rows"));
  EXPECT_THAT(load_error("op,latency_ms\nadd,\n"),
              HasSubstr("line 2: latency_ms must be a number of at least 0, got \"\""));
  EXPECT_THAT(load_error("op,latency_ms\nadd,-1\n"), HasSubstr("got \"-1\""));
  EXPECT_THAT(load_error("op,latency_ms\nadd,nan\n"), HasSubstr("got \"nan\""));
  EXPECT_THAT(load_error("op,latency_ms\nadd,1 ms\n"), HasSubstr("got \"1 ms\""));
  EXPECT_THAT(load_error("op,latency_ms,energy_mj\nadd,1,\n"), HasSubstr("energy_mj must be"));
  EXPECT_THAT(load_error("op,latency_ms\n\"\",1\n"), HasSubstr("it names no op and no scope"));
  EXPECT_THAT(load_error("op,scope,latency_ms\nadd,mbconv,1\n"), HasSubstr("names both"));
  EXPECT_THAT(load_error("op,in_channels,in_width,latency_ms\nadd,1,2,1\nadd,1,,1\n"),
              HasSubstr("line 3: all rows of add must fill the same columns: here in_channels, in "
                        "line 2 in_channels, in_width"));
  EXPECT_THAT(load_error("op,in_channels,latency_ms\nadd,1,1\nadd,*,1\n"),
              HasSubstr("here in_channels (*)"));
  EXPECT_THAT(load_error("op,in_channels,latency_ms\nadd,1,1\nadd,1,2\n"),
              HasSubstr("line 3: it describes the same part as line 2: add in_channels=1"));
}

TEST(MakeLookupTable, CoversTheNetworksThatItWasMadeFrom) {
  const std::vector<Graph> nets{resnet18({.input = {3, 64, 64}}),
                                mobilenet_v3_small({.input = {3, 64, 64}})};
  const Device device = find_device("cortex_a76", example_devices());
  const Roofline roofline(device);
  for (const std::vector<std::string>& kinds :
       {std::vector<std::string>{}, {"mbconv", "basic_block"}}) {
    std::size_t measured = 0;
    const auto measure = [&](const Graph& graph, const Part& part) {
      ++measured;
      HardwareCost total{0.0, 0.0};
      for (const ScopeCost& kernel : roofline.breakdown(graph, 1)) {
        if (std::ranges::find(part.nodes, *kernel.node) == part.nodes.end()) continue;
        *total.latency_ms += *kernel.cost.latency_ms;
        *total.energy_mj += *kernel.cost.energy_mj;
      }
      return total;
    };
    const std::string text = make_lookup_table(nets, {.scope_kinds = kinds}, measure);
    const CsvTable csv = CsvTable::parse(text, "table.csv");
    EXPECT_EQ(csv.row_count(), measured);
    const LookupTable table("made", csv);
    for (const Graph& net : nets) {
      const HardwareCost expected = roofline.estimate(net, 1);
      const HardwareCost looked_up = table.estimate(net, 1);
      EXPECT_NEAR(*looked_up.latency_ms, *expected.latency_ms, 1e-9);
      EXPECT_NEAR(*looked_up.energy_mj, *expected.energy_mj, 1e-9);
    }
    EXPECT_LT(measured, fuse_kernels(nets[0]).size() + fuse_kernels(nets[1]).size());
  }
}

TEST(MakeLookupTable, CoversCellsAndEdgesOfNasbench201) {
  const auto space = make_nasbench201({.input = {3, 16, 16}, .channels = 4, .cells = 2});
  const std::vector<Graph> nets{
      space->build(space->parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|"
                                "nor_conv_1x1~1|none~2|")),
      space->build(space->parse("|none~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|"
                                "none~1|nor_conv_1x1~2|"))};
  // A number that depends on the operators and shapes of a part, and on nothing else.
  const auto measure = [](const Graph& graph, const Part& part) {
    double total = 0;
    for (NodeId id : part.nodes) {
      total += static_cast<double>(3 * node_macs(graph, id) + graph.node(id).shape.elements());
    }
    return HardwareCost{.latency_ms = total};
  };
  for (const std::vector<std::string>& kinds :
       {std::vector<std::string>{}, {"cell"}, {"edge"}, {"relu_conv_bn"}}) {
    const LookupTable table(
        "made", CsvTable::parse(make_lookup_table(nets, {.scope_kinds = kinds}, measure), "t.csv"));
    for (const Graph& net : nets) {
      const std::vector<Part> parts = split_into_parts(net, kinds);
      const std::vector<ScopeCost> costs = table.breakdown(net, 1);
      ASSERT_EQ(costs.size(), parts.size());
      for (std::size_t i = 0; i < parts.size(); ++i) {
        EXPECT_EQ(costs[i].cost, measure(net, parts[i])) << part_kind(net, parts[i]) << " " << i;
      }
    }
  }
}

// A network of two scopes of one kind.
Graph two_scopes(const std::function<NodeId(GraphBuilder&, NodeId)>& first,
                 const std::function<NodeId(GraphBuilder&, NodeId)>& second,
                 const ScopeAttributes& attributes = {}) {
  GraphBuilder b;
  NodeId x = b.input(8, 4, 4);
  {
    const auto scope = b.scope("a", "block");
    x = first(b, x);
  }
  {
    const auto scope = b.scope("b", "block", attributes);
    x = second(b, x);
  }
  b.output(x);
  return b.build();
}

TEST(MakeLookupTable, RefusesOneRowForTwoDifferentScopes) {
  const auto measure = [](auto&, auto&) { return HardwareCost{1.0, {}}; };
  const auto error = [&](const Graph& graph) {
    return throws<UnsupportedError>(
        [&] { make_lookup_table(std::array{graph}, {.scope_kinds = {"block"}}, measure); });
  };
  const auto zero = [](GraphBuilder& b, NodeId x) { return b.zero(x); };
  const auto pool = [](GraphBuilder& b, NodeId x) { return b.max_pool(x, {}); };
  const auto relu = [](GraphBuilder& b, NodeId x) { return b.activation(x, ActivationKind::relu); };
  const auto chain = [&](GraphBuilder& b, NodeId x) { return relu(b, relu(b, x)); };
  const auto twice = [&](GraphBuilder& b, NodeId x) { return relu(b, x), relu(b, x); };
  EXPECT_EQ(error(two_scopes(zero, relu)),
            "one row of block would stand for two different parts: give its scopes attributes that "
            "tell scope 'b' from scope 'a'");
  EXPECT_THAT(error(two_scopes(pool, pool)), HasSubstr("tell scope 'b' from"));  // other sizes
  EXPECT_THAT(error(two_scopes(chain, twice)), HasSubstr("tell scope 'b' from"));
  EXPECT_THAT(error(two_scopes(relu, chain)), HasSubstr("tell scope 'b' from"));
  EXPECT_THAT(error(two_scopes(zero, relu, {{"kernel", 3}})),
              HasSubstr("all scopes of the kind block must have attributes of the same names: "
                        "scope 'b' has activation_bits, batch_size, kernel, macs, weight_bits, and "
                        "scope 'a' has activation_bits, batch_size, macs, weight_bits"));
  EXPECT_NO_THROW(
      make_lookup_table(std::array{two_scopes(chain, chain)}, {.scope_kinds = {"block"}}, measure));
}

TEST(MakeLookupTable, MeasuresEachPartOnce) {
  GraphBuilder b;
  NodeId x = b.input(8, 4, 4);
  for (int i = 0; i < 5; ++i) x = b.conv(x, 8, {.kernel = 3});
  b.output(x);
  int calls = 0;
  const std::string text =
      make_lookup_table(std::array{b.build()}, {.batch_size = 4}, [&](const Graph&, const Part&) {
        ++calls;
        return HardwareCost{.latency_ms = 0.1};
      });
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(text,
            "scope,op,in_channels,in_height,in_width,out_channels,kernel,stride,dilation,padding,"
            "group_width,bias,activation,weight_bits,activation_bits,batch_size,latency_ms\n"
            ",conv2d,8,4,4,8,3,1,1,1,0,0,none,32,32,4,0.1\n");
}

TEST(MakeLookupTable, RefusesHalfMeasurements) {
  const std::vector<Graph> nets{small_net()};
  EXPECT_THROW(make_lookup_table(nets, {}, [](auto&, auto&) { return HardwareCost{}; }),
               UnsupportedError);
  int calls = 0;
  const auto some_energy = [&](auto&, auto&) {
    return calls++ == 0 ? HardwareCost{1.0, 1.0} : HardwareCost{.latency_ms = 1};
  };
  EXPECT_THAT(throws<UnsupportedError>([&] { make_lookup_table(nets, {}, some_energy); }),
              HasSubstr("energy was measured for some parts only; node 'pool' lacks it"));
  EXPECT_THROW(make_lookup_table(nets, {.batch_size = 0},
                                 [](auto&, auto&) {
                                   return HardwareCost{1.0, {}};
                                 }),
               ConfigError);
}

}  // namespace
}  // namespace espalier
