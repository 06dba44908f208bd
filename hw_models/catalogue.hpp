#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "core/registry.hpp"
#include "hw_models/device.hpp"
#include "hw_models/hardware_model.hpp"

namespace espalier {

/// Makes hardware models from configs such as {"name": "phone", "type": "roofline", "device":
/// "cortex_a76"}. Every type has the option "name".
using HardwareRegistry = Registry<std::unique_ptr<HardwareModel>()>;

/// The types lookup_table and roofline. `devices` are those that a config may name.
HardwareRegistry hardware_registry(const std::vector<Device>& devices = example_devices());

/// The config of what a user names on the command line: a table (*.csv, *.csv.gz), a device's file
/// (*.json), else a device's name.
Json hardware_config(std::string_view text);

}  // namespace espalier
