#include "exporters/catalogue.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "core/error.hpp"
#include "core/json.hpp"
#include "exporters/onnx.hpp"
#include "graph/dot.hpp"
#include "tests/core/throws.hpp"
#include "tests/exporters/modules.hpp"

namespace espalier {
namespace {

using ::testing::HasSubstr;

Graph small() {
  GraphBuilder b;
  b.output(b.activation(b.conv(b.input(3, 4, 4), 2), ActivationKind::relu));
  return b.build();
}

TEST(ExportCatalogue, WritesEveryFormat) {
  const GraphModule module = random_module(small());
  const ArchitectureFile network{.graph = module.graph()};
  for (const ExportFormat& format : export_formats()) {
    if (format.name == "onnx" && !has_onnx()) continue;
    const TemporaryFile file("net" + format.extension);
    export_network(format.name, network, &module, file.path());
    EXPECT_TRUE(file.exists()) << format.name;
    if (format.name == "dot") {
      EXPECT_EQ(read_file(file.path()), to_dot(module.graph()));
    }
    if (format.name == "json") {
      EXPECT_EQ(to_json(read_architecture_file(file.path())), to_json(network));
    }
  }
}

TEST(ExportCatalogue, JsonThatReadsBackDifferentlyIsRefused) {
  // JSON has no NaN: it becomes null.
  const ArchitectureFile network{.space = Json{{"width", std::nan("")}}, .graph = small()};
  const TemporaryFile file("net.json");
  EXPECT_THAT(throws<IoError>([&] { export_network("json", network, nullptr, file.path()); }),
              HasSubstr("what was written reads back differently"));
  EXPECT_FALSE(file.exists());
}

TEST(ExportCatalogue, OnlySomeFormatsNeedWeights) {
  const ArchitectureFile network{.graph = small()};
  const TemporaryFile file("net");
  export_network("json", network, nullptr, file.path());
  export_network("dot", network, nullptr, file.path());
  for (const char* format : {"onnx", "torchscript"}) {
    EXPECT_THAT(throws<ConfigError>([&] { export_network(format, network, nullptr, file.path()); }),
                HasSubstr(std::string("the format ") + format + " holds a network's weights"));
  }
}

TEST(ExportCatalogue, UnknownFormatsNameTheNearest) {
  EXPECT_THAT(throws<ConfigError>([] { find_export_format("onxx"); }),
              HasSubstr("unknown export format \"onxx\"; did you mean \"onnx\"?"));
  EXPECT_EQ(find_export_format("torchscript").extension, ".pt");
}

}  // namespace
}  // namespace espalier
