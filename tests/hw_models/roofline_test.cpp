#include "hw_models/roofline.hpp"

#include <gmock/gmock.h>

#include <array>

#include "core/error.hpp"
#include "graph/builder.hpp"
#include "graph/nets.hpp"

namespace espalier {
namespace {

// 1 GMAC/s, 1 GB/s: 10^6 multiply-accumulates or bytes take a millisecond.
Device unit_device() {
  return {.name = "unit",
          .mac_units = {{32, 1, 4}, {8, 4, 0.5}},
          .gigabytes_per_second = 1,
          .picojoules_per_byte = 100};
}

Compression bits(std::int64_t weights, std::int64_t activations) {
  return {.quantization = Quantization{weights, activations}};
}

Graph one_conv(std::int64_t in, std::int64_t out, std::int64_t size, std::int64_t kernel,
               Compression compression = {}) {
  GraphBuilder b;
  const op::Conv2d conv{.out_channels = out, .kernel = kernel, .padding = (kernel - 1) / 2};
  b.output(b.append(conv, std::array{b.input(in, size, size)}, "conv", compression));
  return b.build();
}

TEST(Roofline, ComputeBoundConvolution) {
  const Graph graph = one_conv(16, 32, 10, 3);
  const double macs = 16 * 32 * 9 * 100;                           // 460,800
  const double bytes = 4.0 * (16 * 32 * 9 + 16 * 100 + 32 * 100);  // 37,632
  const HardwareCost cost = Roofline(unit_device()).estimate(graph, 1);
  EXPECT_DOUBLE_EQ(*cost.latency_ms, macs * 1e-6);
  EXPECT_DOUBLE_EQ(*cost.energy_mj, (macs * 4 + bytes * 100) * 1e-9);
}

TEST(Roofline, MemoryBoundOperatorsAndOverhead) {
  Device device = unit_device();
  device.overhead_us = 250;
  GraphBuilder b;
  const NodeId x = b.input(8, 10, 10);
  b.output(b.add(x, b.max_pool(x, {.kernel = 3, .stride = 1})));
  // Pool: one tensor in, one out. Add: two in, one out. 3200 bytes each.
  const HardwareCost cost = Roofline(device).estimate(b.build(), 1);
  EXPECT_DOUBLE_EQ(*cost.latency_ms, 5 * 3200 * 1e-6 + 2 * 0.25);
  EXPECT_DOUBLE_EQ(*cost.energy_mj, 5 * 3200 * 100e-9);
}

TEST(Roofline, TheBatchReadsWeightsOnce) {
  Device device = unit_device();
  device.mac_units = {{32, 1e6, 0}};  // memory-bound
  const HardwareCost cost = Roofline(device).estimate(one_conv(16, 32, 10, 3), 5);
  EXPECT_DOUBLE_EQ(*cost.latency_ms, 4e-6 * (16 * 32 * 9 + 5 * (16 * 100 + 32 * 100)));
}

TEST(Roofline, FoldedBatchNormIsABias) {
  Device device = unit_device();
  device.mac_units = {{32, 1e6, 0}};
  GraphBuilder b;
  const NodeId x = b.input(16, 10, 10);
  b.output(b.activation(b.batch_norm(b.conv(x, 32)), ActivationKind::relu));
  EXPECT_DOUBLE_EQ(*Roofline(device).estimate(b.build(), 1).latency_ms,
                   4e-6 * (16 * 32 + 32 + 16 * 100 + 32 * 100));
  const NodeId y = b.input(16, 10, 10);
  b.output(b.batch_norm(y));
  EXPECT_DOUBLE_EQ(*Roofline(device).estimate(b.build(), 1).latency_ms,
                   4e-6 * (2 * 16 + 2 * 16 * 100));
}

TEST(Roofline, BitsShrinkBytesAndTakeTheFasterUnit) {
  Device memory_bound = unit_device();
  memory_bound.mac_units = {{32, 1e6, 0}};
  const double weights = 16 * 32 * 9, in = 16 * 100, out = 32 * 100, scales = 32;
  const Roofline memory(memory_bound);
  // What comes out is read by nobody: it stays float.
  EXPECT_DOUBLE_EQ(*memory.estimate(one_conv(16, 32, 10, 3, bits(8, 8)), 1).latency_ms,
                   1e-6 * (weights + 4 * scales + in + 4 * out));
  EXPECT_DOUBLE_EQ(*memory.estimate(one_conv(16, 32, 10, 3, bits(4, 8)), 1).latency_ms,
                   1e-6 * (weights / 2 + 4 * scales + in + 4 * out));
  EXPECT_DOUBLE_EQ(*memory.estimate(one_conv(16, 32, 10, 3, bits(4, 32)), 1).latency_ms,
                   1e-6 * (weights / 2 + 4 * scales + 4 * in + 4 * out));
  EXPECT_DOUBLE_EQ(*memory.estimate(one_conv(16, 32, 10, 3, bits(32, 8)), 1).latency_ms,
                   1e-6 * (4 * weights + in + 4 * out));
  const Roofline compute(unit_device());
  const double macs = weights * 100;
  EXPECT_DOUBLE_EQ(*compute.estimate(one_conv(16, 32, 10, 3, bits(8, 8)), 1).latency_ms,
                   macs * 1e-6 / 4);
  EXPECT_DOUBLE_EQ(*compute.estimate(one_conv(16, 32, 10, 3, bits(4, 32)), 1).latency_ms,
                   macs * 1e-6);  // the wider operand decides
  EXPECT_LT(*compute.estimate(one_conv(16, 32, 10, 3, bits(8, 8)), 1).energy_mj,
            *compute.estimate(one_conv(16, 32, 10, 3), 1).energy_mj);
}

TEST(Roofline, ATensorIsStoredForItsMostDemandingReader) {
  Device device = unit_device();
  device.mac_units = {{32, 1e6, 0}};
  const auto latency = [&](std::int64_t first, std::int64_t second, bool pooled) {
    GraphBuilder b;
    const NodeId x = b.activation(b.input(16, 10, 10), ActivationKind::relu);
    const op::Conv2d conv{.out_channels = 16};
    NodeId y = b.add(b.append(conv, std::array{x}, "a", bits(32, first)),
                     b.append(conv, std::array{x}, "b", bits(32, second)));
    if (pooled) y = b.add(y, b.zero(x));
    b.output(y);
    return *Roofline(device).estimate(b.build(), 1).latency_ms;
  };
  const double tensor = 1600e-6;  // at 8 bits
  // x is written once and read twice.
  EXPECT_NEAR(latency(4, 4, false) + 3 * tensor / 2, latency(4, 8, false), 1e-12);
  EXPECT_NEAR(latency(4, 8, false), latency(8, 8, false), 1e-12);
  // Zero writes a float tensor that an addition reads, and does not look at x; the first sum
  // is read once more.
  EXPECT_NEAR(latency(8, 8, true), latency(8, 8, false) + 4 * 4 * tensor, 1e-12);
}

TEST(Roofline, FloatBitsAreTheDevicesOwn) {
  Device device = unit_device();
  device.mac_units = {{16, 1e6, 0}};
  device.float_bits = 16;
  EXPECT_DOUBLE_EQ(*Roofline(device).estimate(one_conv(16, 32, 10, 3), 1).latency_ms,
                   2e-6 * (16 * 32 * 9 + 16 * 100 + 32 * 100));
}

TEST(Roofline, EfficiencyIsByOperator) {
  Device device = unit_device();
  device.gigabytes_per_second = 1e6;
  device.efficiency = {
      .conv2d = 0.5, .grouped_conv2d = 0.25, .depthwise_conv2d = 0.125, .linear = 0.0625};
  GraphBuilder b;
  NodeId x = b.conv(b.input(4, 5, 5), 8);             // 800 macs
  x = b.conv(x, 8, {.group_width = 4});               // 800
  x = b.depthwise(x, {.kernel = 3});                  // 1800
  x = b.linear(b.flatten(b.global_avg_pool(x)), 10);  // 80
  b.output(x);
  const auto parts = Roofline(device).breakdown(b.build(), 1);
  ASSERT_EQ(parts.size(), 5u);
  EXPECT_DOUBLE_EQ(*parts[0].cost.latency_ms, 800e-6 / 0.5);
  EXPECT_DOUBLE_EQ(*parts[1].cost.latency_ms, 800e-6 / 0.25);
  EXPECT_DOUBLE_EQ(*parts[2].cost.latency_ms, 1800e-6 / 0.125);
  EXPECT_DOUBLE_EQ(*parts[4].cost.latency_ms, 80e-6 / 0.0625);
}

TEST(Roofline, PartsSumToTheEstimate) {
  const Graph graph = mobilenet_v3_small();
  for (const Device& device : example_devices()) {
    const Roofline model(device);
    const auto parts = model.breakdown(graph, 3);
    double latency = 0, energy = 0;
    NodeId last = 0;
    for (const ScopeCost& part : parts) {
      EXPECT_GT(*part.cost.latency_ms, 0);
      EXPECT_GT(*part.node, last);
      EXPECT_EQ(part.scope, graph.node(*part.node).scope);
      last = *part.node;
      latency += *part.cost.latency_ms;
      energy += *part.cost.energy_mj;
    }
    EXPECT_DOUBLE_EQ(*model.estimate(graph, 3).latency_ms, latency);
    EXPECT_DOUBLE_EQ(*model.estimate(graph, 3).energy_mj, energy);
  }
}

TEST(Roofline, MoreWorkNeverCostsLess) {
  const Roofline model(find_device("cortex_a76", example_devices()));
  double before = 0;
  for (std::int64_t channels : {4, 8, 16, 32, 64}) {
    const double now = *model.estimate(one_conv(16, channels, 14, 3), 1).latency_ms;
    EXPECT_GT(now, before);
    before = now;
  }
  for (const Device& device : example_devices()) {
    const Roofline each(device);
    EXPECT_LT(*each.estimate(mobilenet_v3_small(), 1).latency_ms,
              *each.estimate(mobilenet_v3_large(), 1).latency_ms);
    EXPECT_LT(*each.estimate(mobilenet_v3_large(), 1).latency_ms,
              *each.estimate(mobilenet_v3_large(), 2).latency_ms);
    EXPECT_GT(*each.estimate(mobilenet_v3_large(), 1).latency_ms * 2,
              *each.estimate(mobilenet_v3_large(), 2).latency_ms);
  }
}

TEST(Roofline, IsNamedAfterItsDevice) {
  EXPECT_EQ(Roofline(unit_device()).name(), "unit");
  EXPECT_EQ(Roofline(unit_device(), "phone").name(), "phone");
  EXPECT_THROW(Roofline(unit_device(), "my phone"), ConfigError);
  EXPECT_THROW(Roofline(unit_device(), "a@b"), ConfigError);
  EXPECT_THROW(Roofline(Device{}), ConfigError);  // no name at all
}

TEST(Roofline, RefusesWhatItCannotEstimate) {
  const Roofline model(unit_device());
  EXPECT_THROW(model.estimate(one_conv(1, 1, 1, 1), 0), ConfigError);
  GraphBuilder b;
  const Dim open = Dim::select(0, std::array{Dim(4), Dim(8)});
  b.output(b.conv(b.input(3, 8, 8), open));
  const Graph supergraph = b.build();
  EXPECT_THROW(model.estimate(supergraph, 1), InvalidArchitecture);
  EXPECT_THROW(model.breakdown(supergraph, 1), InvalidArchitecture);
  Device npu = unit_device();
  npu.mac_units = {{8, 1, 1}};
  EXPECT_THROW(Roofline(npu).estimate(one_conv(1, 1, 1, 1), 1), UnsupportedError);
  EXPECT_NO_THROW(Roofline(npu).estimate(one_conv(1, 1, 1, 1, bits(4, 8)), 1));
}

// A model that says nothing of its parts.
class Opaque : public HardwareModel {
 public:
  Opaque() : HardwareModel("opaque") {}
  std::vector<HardwareMetric> metrics() const override { return {hardware_metrics[0]}; }
  HardwareCost estimate(const Graph&, int) const override { return {.latency_ms = 1}; }
};

TEST(HardwareModel, ABreakdownIsEmptyUnlessGiven) {
  EXPECT_TRUE(Opaque().breakdown(Graph(), 1).empty());
}

TEST(HardwareModel, SumsTheMembersOfItsMetrics) {
  const std::vector<ScopeCost> parts{{.cost = {1.0, 2.0}}, {.cost = {3.0, 4.0}}};
  EXPECT_EQ(sum(parts, {hardware_metrics[0]}), (HardwareCost{4.0, {}}));
  EXPECT_EQ(sum(parts, {hardware_metrics[0], hardware_metrics[1]}), (HardwareCost{4.0, 6.0}));
  EXPECT_EQ(sum({}, {hardware_metrics[0]}), (HardwareCost{0.0, {}}));
}

}  // namespace
}  // namespace espalier
