#include "hw_models/device.hpp"

#include <set>

#include "core/error.hpp"
#include "core/json.hpp"

namespace espalier {

namespace {

// Energies of one multiplication plus one addition, and of memory, in 45 nm at 0.9 V.
// Source: M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014,
// figure 1.1.9. Newer processes need less of all of them; the ratios are what matters.
constexpr double pj_mac_float32 = 3.7 + 0.9;
constexpr double pj_mac_float16 = 1.1 + 0.4;
constexpr double pj_mac_int8 = 0.2 + 0.1;         // the sum has 32 bits
constexpr double pj_mac_int4 = 0.05 + 0.1;        // not in the source: a quarter of the product
constexpr double pj_byte_dram = 1300.0 / 8;       // of 1.3 nJ for 64 bits, its lower figure
constexpr double pj_byte_large_sram = 100.0 / 8;  // 100 pJ for 64 bits of 1 MB

std::vector<Device> make_devices() {
  return {
      {
          .name = "cortex_m7",
          .doc = "microcontroller: Arm Cortex-M7 at 480 MHz (as STM32H743) with weights and "
                 "activations in on-chip SRAM. One float32 multiply-add (VFMA) or two 16-bit ones "
                 "(SMLAD, to which CMSIS-NN widens 8-bit values) a cycle; a 64-bit AXI bus at 240 "
                 "MHz. Efficiencies and overhead are assumed.",
          .mac_units = {{8, 0.96, pj_mac_int8}, {32, 0.48, pj_mac_float32}},
          .gigabytes_per_second = 1.92,
          .picojoules_per_byte = pj_byte_large_sram,
          .overhead_us = 10,
          .efficiency =
              {.conv2d = 0.5, .grouped_conv2d = 0.4, .depthwise_conv2d = 0.25, .linear = 0.5},
      },
      {
          .name = "cortex_a76",
          .doc = "phone CPU: one Arm Cortex-A76 core at 2.84 GHz (as Snapdragon 855). Two 128-bit "
                 "pipes: 8 float32, 16 float16 or 32 8-bit (SDOT) multiply-accumulates a cycle "
                 "(Arm Cortex-A76 Software Optimization Guide); half of the 34.1 GB/s of its "
                 "64-bit LPDDR4X-4266 for one core. Efficiencies and overhead are assumed.",
          .mac_units = {{8, 90.88, pj_mac_int8},
                        {16, 45.44, pj_mac_float16},
                        {32, 22.72, pj_mac_float32}},
          .gigabytes_per_second = 17,
          .picojoules_per_byte = pj_byte_dram,
          .overhead_us = 5,
          .efficiency =
              {.conv2d = 0.7, .grouped_conv2d = 0.4, .depthwise_conv2d = 0.25, .linear = 0.6},
      },
      {
          .name = "avx2_core",
          .doc = "desktop or server CPU: one x86-64 core at 3 GHz with AVX2 and FMA but without "
                 "VNNI. Two 256-bit ports: 16 float32 multiply-adds a cycle, or 32 8-bit ones by "
                 "VPMADDUBSW and VPMADDWD (Intel 64 and IA-32 Optimization Reference Manual); half "
                 "of the 25.6 GB/s of 64-bit DDR4-3200 for one core. Efficiencies and overhead are "
                 "assumed.",
          .mac_units = {{8, 96, pj_mac_int8}, {32, 48, pj_mac_float32}},
          .gigabytes_per_second = 12.8,
          .picojoules_per_byte = pj_byte_dram,
          .overhead_us = 3,
          .efficiency =
              {.conv2d = 0.7, .grouped_conv2d = 0.4, .depthwise_conv2d = 0.25, .linear = 0.6},
      },
      {
          .name = "rk3588_npu",
          .doc = "edge accelerator: one of the three NPU cores of a Rockchip RK3588 at 1 GHz. 2048 "
                 "4-bit, 1024 8-bit or 512 float16 multiply-accumulates a cycle (Rockchip RK3588 "
                 "data sheet: 6 TOPS of 8 bits with three cores); half of the 33.8 GB/s of its "
                 "LPDDR4X-4224. What is not quantized is float16. Efficiencies and overhead are "
                 "assumed.",
          .mac_units = {{4, 2048, pj_mac_int4}, {8, 1024, pj_mac_int8}, {16, 512, pj_mac_float16}},
          .float_bits = 16,
          .gigabytes_per_second = 16.9,
          .picojoules_per_byte = pj_byte_dram,
          .overhead_us = 20,
          .efficiency =
              {.conv2d = 0.5, .grouped_conv2d = 0.2, .depthwise_conv2d = 0.05, .linear = 0.5},
      },
  };
}

OptionTable<Device> make_options() {
  const auto unit_table =
      OptionTable<MacUnit>("how a device multiplies and accumulates operands of one width")
          .add("bits", &MacUnit::bits, "width of an operand", between(1, 32), required())
          .add("gmacs_per_second", &MacUnit::gmacs_per_second,
               "peak, 10^9 multiply-accumulates per second", greater_than(0), required())
          .add("picojoules_per_mac", &MacUnit::picojoules_per_mac, "energy of one", at_least(0),
               unit("pJ"));
  const Range fraction{.low = 0, .high = 1, .low_open = true};
  const auto efficiency_table =
      OptionTable<MacEfficiency>("the fractions of the peak that operators reach")
          .add("conv2d", &MacEfficiency::conv2d, "of dense convolutions", fraction)
          .add("grouped_conv2d", &MacEfficiency::grouped_conv2d, "of grouped ones", fraction)
          .add("depthwise_conv2d", &MacEfficiency::depthwise_conv2d, "of depthwise ones", fraction)
          .add("linear", &MacEfficiency::linear, "of linear layers", fraction);
  return OptionTable<Device>("a processor as the roofline model sees it")
      .add("name", &Device::name, "its name", required())
      .add("doc", &Device::doc, "what it is, and where its numbers come from")
      .add("mac_units", &Device::mac_units, "one for each width of operands", non_empty(),
           required(), unit_table)
      .add("float_bits", &Device::float_bits, "width of a stored value that is not quantized",
           between(8, 32))
      .add("gigabytes_per_second", &Device::gigabytes_per_second,
           "bandwidth of the memory that holds weights and activations", greater_than(0),
           required(), unit("GB/s"))
      .add("picojoules_per_byte", &Device::picojoules_per_byte, "energy of a transfer", at_least(0),
           unit("pJ"))
      .add("overhead_us", &Device::overhead_us, "time to start a kernel", at_least(0), unit("us"))
      .add("efficiency", &Device::efficiency, "the fractions of the peak that operators reach",
           efficiency_table)
      .check([](const Device& device) {
        std::set<int> seen;
        for (const MacUnit& unit : device.mac_units) {
          if (!seen.insert(unit.bits).second) {
            throw ConfigError("/mac_units",
                              "two units of " + std::to_string(unit.bits) + " bits; keep one");
          }
        }
      });
}

}  // namespace

const MacUnit& Device::mac_unit(int bits) const {
  const MacUnit* best = nullptr;
  std::string known;
  for (const MacUnit& unit : mac_units) {
    known += (known.empty() ? "" : ", ") + std::to_string(unit.bits);
    if (unit.bits >= bits && (best == nullptr || unit.bits < best->bits)) best = &unit;
  }
  if (best == nullptr) {
    throw UnsupportedError("device " + name + " has no unit for operands of " +
                           std::to_string(bits) + " bits; it has units of " + known +
                           ": quantize the operator, or give the device smaller float_bits");
  }
  return *best;
}

const OptionTable<Device>& device_options() {
  static const OptionTable<Device> table = make_options();
  return table;
}

Device read_device(const std::filesystem::path& path) {
  return device_options().read(read_json_file(path), "");
}

const std::vector<Device>& example_devices() {
  static const std::vector<Device> devices = make_devices();
  return devices;
}

Device find_device(std::string_view text, std::span<const Device> devices) {
  if (text.ends_with(".json")) return read_device(text);
  std::vector<std::string> names;
  for (const Device& device : devices) {
    if (device.name == text) return device;
    names.push_back(device.name);
  }
  throw ConfigError("", "unknown device \"" + std::string(text) + "\"" + suggestion(text, names) +
                            "; or give a device's .json file");
}

}  // namespace espalier
