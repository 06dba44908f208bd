#include "hw_models/device.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <set>

#include "core/error.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const Device two_units{.name = "two", .mac_units = {{32, 10, 4}, {8, 40, 1}}};

TEST(Device, TakesTheNarrowestUnitThatFits) {
  EXPECT_EQ(two_units.mac_unit(2).bits, 8);
  EXPECT_EQ(two_units.mac_unit(8).bits, 8);
  EXPECT_EQ(two_units.mac_unit(9).bits, 32);
  EXPECT_EQ(two_units.mac_unit(32).bits, 32);
}

TEST(Device, NamesTheUnitsThatItHas) {
  const Device npu{.name = "npu", .mac_units = {{8, 1, 1}, {4, 2, 1}}};
  EXPECT_THAT(throws<UnsupportedError>([&] { npu.mac_unit(16); }),
              AllOf(HasSubstr("npu has no unit for operands of 16 bits"), HasSubstr("8, 4")));
}

TEST(Device, ExamplesAreValidAndRoundTripThroughJson) {
  std::set<std::string> names;
  for (const Device& device : example_devices()) {
    EXPECT_TRUE(names.insert(device.name).second);
    const Json json = device_options().write(device);
    EXPECT_EQ(device_options().write(device_options().read(json, "")), json) << device.name;
    EXPECT_NO_THROW(device.mac_unit(device.float_bits)) << device.name;
    EXPECT_FALSE(device.doc.empty());
  }
}

TEST(Device, IsFoundByNameOrFile) {
  EXPECT_EQ(find_device("cortex_a76", example_devices()).name, "cortex_a76");
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "board.json";
  write_file_atomically(path, R"({"name": "board", "gigabytes_per_second": 2,
      "mac_units": [{"bits": 8, "gmacs_per_second": 3}], "efficiency": {"linear": 0.5}})");
  const Device board = find_device(path.string(), {});
  EXPECT_EQ(board.name, "board");
  EXPECT_EQ(board.mac_units[0].gmacs_per_second, 3);
  EXPECT_EQ(board.efficiency.linear, 0.5);
  EXPECT_EQ(board.efficiency.conv2d, 1);
}

TEST(Device, UnknownNameSuggestsTheNearest) {
  EXPECT_THAT(throws<ConfigError>([] { find_device("cortex_a75", example_devices()); }),
              HasSubstr("did you mean \"cortex_a76\""));
}

TEST(Device, MissingFileIsAnIoError) {
  throws<IoError>([] { find_device("no/such/board.json", {}); });
}

TEST(Device, RefusesWrongValues) {
  const auto error = [](const char* text) {
    return throws<ConfigError>([&] { device_options().read(parse_json(text, "device"), ""); });
  };
  EXPECT_THAT(error(R"({"name": "x", "gigabytes_per_second": 1, "mac_units": []})"),
              StartsWith("/mac_units: "));
  EXPECT_THAT(error(R"({"name": "x", "gigabytes_per_second": 0,
                           "mac_units": [{"bits": 8, "gmacs_per_second": 1}]})"),
              StartsWith("/gigabytes_per_second: "));
  EXPECT_THAT(error(R"({"name": "x", "gigabytes_per_second": 1,
                           "mac_units": [{"bits": 8, "gmacs_per_second": 0}]})"),
              StartsWith("/mac_units/0/gmacs_per_second: "));
  EXPECT_THAT(error(R"({"name": "x", "gigabytes_per_second": 1,
                           "mac_units": [{"bits": 8, "gmacs_per_second": 1},
                                         {"bits": 8, "gmacs_per_second": 2}]})"),
              StartsWith("/mac_units: "));
  EXPECT_THAT(error(R"({"name": "x", "gigabytes_per_second": 1, "efficiency": {"linear": 0},
                           "mac_units": [{"bits": 8, "gmacs_per_second": 1}]})"),
              StartsWith("/efficiency/linear: "));
}

}  // namespace
}  // namespace espalier
