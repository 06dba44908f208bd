#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/options.hpp"

namespace espalier {

/// How a device multiplies and accumulates operands of one width.
struct MacUnit {
  int bits = 32;                  ///< of an operand, 1 to 32
  double gmacs_per_second = 1;    ///< peak, 10^9 multiply-accumulates per second, > 0
  double picojoules_per_mac = 0;  ///< >= 0
};

/// The fractions of the peak that operators reach, in (0, 1].
struct MacEfficiency {
  double conv2d = 1;
  double grouped_conv2d = 1;
  double depthwise_conv2d = 1;
  double linear = 1;
};

/// A processor as the roofline model sees it.
struct Device {
  std::string name = {};
  std::string doc = {};  ///< what it is, and where its numbers come from
  std::vector<MacUnit> mac_units{MacUnit{}};
  int float_bits = 32;              ///< of a stored value that is not quantized, 8 to 32
  double gigabytes_per_second = 1;  ///< of the memory that holds weights and activations, > 0
  double picojoules_per_byte = 0;   ///< of a transfer from or to that memory, >= 0
  double overhead_us = 0;           ///< to start a kernel, >= 0
  MacEfficiency efficiency = {};

  /// The narrowest unit whose operands have at least `bits`. Throws UnsupportedError.
  const MacUnit& mac_unit(int bits) const;
};

/// Reads and describes a device. It refuses two units of one width.
const OptionTable<Device>& device_options();

/// Reads a device's JSON file. Throws IoError, ConfigError.
Device read_device(const std::filesystem::path& path);

/// The devices that come with the project: a microcontroller (cortex_m7), one core of a phone
/// (cortex_a76), one core of a desktop processor (avx2_core) and an accelerator (rk3588_npu). Peak
/// rates follow from data sheets; efficiencies and overheads are assumed round numbers. Use them to
/// compare networks; a measured look-up table says what a network takes on a device that you have.
const std::vector<Device>& example_devices();

/// The device of that name, or, where `text` ends in ".json", the one in that file. Throws
/// ConfigError naming the nearest device, and as read_device.
Device find_device(std::string_view text, std::span<const Device> devices);

}  // namespace espalier
