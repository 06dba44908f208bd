#include "hw_models/catalogue.hpp"

#include <filesystem>
#include <string>

#include "core/csv.hpp"
#include "core/error.hpp"
#include "hw_models/lookup_table.hpp"
#include "hw_models/roofline.hpp"

namespace espalier {

namespace {

struct RooflineOptions {
  std::string name;
  std::string device = "cortex_a76";
};

enum class OnMiss { error, roofline };

struct LookupTableOptions {
  std::string name;
  std::string file = "table.csv";
  OnMiss on_miss = OnMiss::error;
  std::optional<std::string> device;
};

/// find_device with the pointer of the option.
Device device_option(const std::string& text, const std::vector<Device>& devices) {
  try {
    return find_device(text, devices);
  } catch (const ConfigError& error) {
    throw ConfigError("/device", error.what());
  }
}

std::string stem(const std::string& file) {
  std::filesystem::path path(file);
  if (path.extension() == ".gz") path = path.stem();
  return path.stem().string();
}

}  // namespace

HardwareRegistry hardware_registry(const std::vector<Device>& devices) {
  const std::string name_doc = "the name in \"latency_ms@name\"; default: the ";
  HardwareRegistry registry("hardware");
  registry.add(
      "lookup_table",
      OptionTable<LookupTableOptions>("sum of measured operators or blocks, from a CSV table")
          .add("name", &LookupTableOptions::name, name_doc + "file's name without its extension")
          .add("file", &LookupTableOptions::file, "the table (.csv or .csv.gz)", required())
          .add("on_miss", &LookupTableOptions::on_miss,
               "what to do about a part that the table lacks: fail, or estimate it on a device",
               named<OnMiss>({{"error", OnMiss::error}, {"roofline", OnMiss::roofline}}))
          .add("device", &LookupTableOptions::device,
               "for on_miss roofline: a known device or a device's .json file")
          .check([](const LookupTableOptions& options) {
            if ((options.on_miss == OnMiss::roofline) != options.device.has_value()) {
              throw ConfigError("/device", options.device
                                               ? "is used with \"on_miss\": \"roofline\" only"
                                               : "is needed with \"on_miss\": \"roofline\"");
            }
          }),
      [devices](const LookupTableOptions& options) -> std::unique_ptr<HardwareModel> {
        std::unique_ptr<const Roofline> fallback;
        if (options.device) {
          fallback = std::make_unique<Roofline>(device_option(*options.device, devices));
        }
        return std::make_unique<LookupTable>(
            options.name.empty() ? stem(options.file) : options.name, CsvTable::read(options.file),
            std::move(fallback));
      });
  registry.add(
      "roofline",
      OptionTable<RooflineOptions>("latency and energy from a device's peak rates")
          .add("name", &RooflineOptions::name, name_doc + "device's")
          .add("device", &RooflineOptions::device, "a known device or a device's .json file"),
      [devices](const RooflineOptions& options) -> std::unique_ptr<HardwareModel> {
        return std::make_unique<Roofline>(device_option(options.device, devices), options.name);
      });
  return registry;
}

Json hardware_config(std::string_view text) {
  if (text.ends_with(".csv") || text.ends_with(".csv.gz")) {
    return {{"type", "lookup_table"}, {"file", text}};
  }
  return {{"type", "roofline"}, {"device", text}};
}

}  // namespace espalier
