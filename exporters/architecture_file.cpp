#include "exporters/architecture_file.hpp"

#include "core/error.hpp"
#include "core/options.hpp"
#include "graph/json.hpp"
#include "graph/onnx_import.hpp"

namespace espalier {

namespace {

constexpr std::int64_t format_version = 1;

struct Fields {
  std::int64_t format = format_version;
  std::optional<Json> space;
  std::optional<Json> architecture;
  Json graph;
};

const OptionTable<Fields>& table() {
  static const auto fields =
      OptionTable<Fields>("a network that was found")
          .add("format", &Fields::format, "version of the format", required())
          .add("space", &Fields::space, "the config of its search space")
          .add("architecture", &Fields::architecture, "the label of each decision")
          .add("graph", &Fields::graph, "the network", required());
  return fields;
}

}  // namespace

Json to_json(const ArchitectureFile& file) {
  return table().write({format_version, file.space, file.architecture, to_json(file.graph)});
}

ArchitectureFile architecture_file_from_json(const Json& json, const std::string& pointer) {
  Fields fields = table().read(json, pointer);
  if (fields.format != format_version) {
    throw ConfigError(pointer_to(pointer, "format"), "this version reads format " +
                                                         std::to_string(format_version) + ", got " +
                                                         std::to_string(fields.format));
  }
  for (const auto& [key, member] :
       {std::pair{"space", &fields.space}, std::pair{"architecture", &fields.architecture}}) {
    if (*member && !(*member)->is_object()) {
      detail::throw_type_error("object", **member, pointer_to(pointer, key));
    }
  }
  return {std::move(fields.space), std::move(fields.architecture),
          graph_from_json(fields.graph, pointer_to(pointer, "graph"))};
}

ArchitectureFile read_architecture_file(const std::filesystem::path& path) {
  if (path.extension() == ".onnx") return {.graph = import_onnx(path).graph};
  return architecture_file_from_json(read_json_file(path));
}

}  // namespace espalier
