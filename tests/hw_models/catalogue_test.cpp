#include "hw_models/catalogue.hpp"

#include <gmock/gmock.h>

#include "core/error.hpp"
#include "core/json.hpp"
#include "graph/builder.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class HardwareCatalogue : public testing::Test {
 protected:
  void SetUp() override {
    write_file_atomically(
        table_, "op,in_channels,in_height,in_width,latency_ms\nglobal_avg_pool,3,4,4,7\n");
  }

  std::unique_ptr<HardwareModel> make(const Json& json) const {
    return registry_.create(json, "/hardware/0");
  }
  std::string error(const Json& json) const {
    return throws<ConfigError>([&] { make(json); });
  }

  static Graph pool(std::int64_t channels) {
    GraphBuilder b;
    b.output(b.global_avg_pool(b.input(channels, 4, 4)));
    return b.build();
  }

  const HardwareRegistry registry_ = hardware_registry();
  const TemporaryDirectory directory_;
  const std::string table_ = (directory_.path() / "my_pixel.csv").string();
};

TEST_F(HardwareCatalogue, MakesBothTypes) {
  EXPECT_THAT(registry_.names(), ElementsAre("lookup_table", "roofline"));
  const auto phone = make({{"name", "phone"}, {"type", "roofline"}, {"device", "cortex_a76"}});
  EXPECT_EQ(phone->name(), "phone");
  EXPECT_GT(*phone->estimate(pool(3), 1).latency_ms, 0);
  const auto pixel = make({{"name", "pixel1"}, {"type", "lookup_table"}, {"file", table_}});
  EXPECT_EQ(pixel->name(), "pixel1");
  EXPECT_EQ(pixel->estimate(pool(3), 1).latency_ms, 7);
  EXPECT_THROW(pixel->estimate(pool(4), 1), UnsupportedError);
}

TEST_F(HardwareCatalogue, NamesDefaultToDeviceOrFile) {
  EXPECT_EQ(make({{"type", "roofline"}, {"device", "avx2_core"}})->name(), "avx2_core");
  EXPECT_EQ(make({{"type", "lookup_table"}, {"file", table_}})->name(), "my_pixel");
}

TEST_F(HardwareCatalogue, FallsBackOnADevice) {
  const auto model = make({{"type", "lookup_table"},
                           {"file", table_},
                           {"on_miss", "roofline"},
                           {"device", "avx2_core"}});
  const auto roofline = make({{"type", "roofline"}, {"device", "avx2_core"}});
  EXPECT_EQ(model->estimate(pool(4), 1).latency_ms, roofline->estimate(pool(4), 1).latency_ms);
}

TEST_F(HardwareCatalogue, KnowsTheDevicesOfItsUser) {
  const HardwareRegistry own = hardware_registry(
      {{.name = "slow_board", .mac_units = {{32, 1, 1}}, .gigabytes_per_second = 1e-3}});
  const auto model = own.create({{"type", "roofline"}, {"device", "slow_board"}}, "");
  EXPECT_DOUBLE_EQ(*model->estimate(pool(4), 1).latency_ms, 4 * (64 + 4) * 1e-3);
  EXPECT_THROW(own.create({{"type", "roofline"}}, ""), ConfigError);
}

TEST_F(HardwareCatalogue, ErrorsNameThePlace) {
  EXPECT_THAT(error({{"type", "roofline"}, {"device", "cortex_a75"}}),
              HasSubstr("/hardware/0/device: unknown device \"cortex_a75\""));
  EXPECT_THAT(error({{"type", "roofline"}, {"name", "a b"}}), HasSubstr("/hardware/0/name: "));
  EXPECT_THAT(error({{"type", "lookup_table"}}), HasSubstr("/hardware/0"));
  EXPECT_THAT(error({{"type", "lookup_table"}, {"file", table_}, {"on_miss", "roofline"}}),
              HasSubstr("/hardware/0/device: is needed"));
  EXPECT_THAT(error({{"type", "lookup_table"}, {"file", table_}, {"device", "avx2_core"}}),
              HasSubstr("/hardware/0/device: is used with"));
  EXPECT_THAT(error({{"type", "lookup_table"}, {"file", table_}, {"on_miss", "guess"}}),
              HasSubstr("/hardware/0/on_miss"));
  EXPECT_THROW(make({{"type", "lookup_table"}, {"file", "no/such.csv"}}), IoError);
}

TEST_F(HardwareCatalogue, ReadsWhatAUserNames) {
  EXPECT_EQ(hardware_config("cortex_m7"), Json({{"type", "roofline"}, {"device", "cortex_m7"}}));
  EXPECT_EQ(hardware_config("dir/board.json"),
            Json({{"type", "roofline"}, {"device", "dir/board.json"}}));
  EXPECT_EQ(hardware_config("a.csv"), Json({{"type", "lookup_table"}, {"file", "a.csv"}}));
  EXPECT_EQ(hardware_config("a.csv.gz"), Json({{"type", "lookup_table"}, {"file", "a.csv.gz"}}));
  EXPECT_EQ(make(hardware_config(table_))->name(), "my_pixel");
}

}  // namespace
}  // namespace espalier
