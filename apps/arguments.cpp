#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "apps/verbs.hpp"
#include "core/error.hpp"
#include "exporters/architecture_file.hpp"
#include "graph/json.hpp"
#include "graph/nets.hpp"
#include "study/one_network.hpp"

namespace espalier {
namespace {

Graph read_network_file(const std::string& path) {
  if (path.ends_with(".onnx")) return read_architecture_file(path).graph;
  const Json json = read_json_file(path);
  try {
    if (json.is_object() && json.contains("nodes")) return graph_from_json(json);
    return architecture_file_from_json(json).graph;
  } catch (const ConfigError& error) {
    throw ConfigError(error.pointer(), fmt::format("{} (in {})", error.message(), path));
  }
}

// An architecture as text: what --arch takes, or a file written by a search.
std::string read_architecture_text(const std::string& path) {
  const std::string text = read_file(path);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) throw IoError(path, "is empty; expected an architecture");
  if (text[first] == '{') {
    const Json json = parse_json(text, path);
    if (json.contains("architecture")) return json["architecture"].dump();
  }
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw IoError("stdout", std::string("cannot be written: ") + std::strerror(errno));
  }
}

void print_json(const Json& json) {
  print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

Json read_space_config(const std::string& text, const Catalogue& catalogue,
                       const std::string& files) {
  if (text.starts_with('{')) return parse_json(text, "--space");
  if (!catalogue.spaces.contains(text)) {
    throw ConfigError(
        "", fmt::format("unknown space \"{}\"{}; a space is a name or a JSON object; {}", text,
                        suggestion(text, catalogue.spaces.names()), files));
  }
  return {{"type", text}};
}

Json read_space_file(const std::string& path) {
  Json json = read_json_file(path);
  if (!json.is_object() || json.contains("type")) return json;
  if (json.contains("space")) return json["space"];
  json["type"] = "custom";
  return json;
}

void SpaceArguments::add_to(CLI::App& verb) {
  verb.add_option("--space", space, "search space: a name, or a JSON object");
  verb.add_option("--space-file", file,
                  "the same from a file: a space of your own, a run's config, or an architecture");
}

Json SpaceArguments::config(const Catalogue& catalogue) const {
  if (given() != 1) throw ConfigError("", "give one of --space and --space-file");
  return space.empty() ? read_space_file(file)
                       : read_space_config(space, catalogue, "a file goes with --space-file");
}

void NetworkArguments::add_to(CLI::App& verb) {
  space.add_to(verb);
  verb.add_option("--arch", archs,
                  "architecture: the space's own string, or a JSON object of decision: label")
      ->allow_extra_args(false);
  verb.add_option("--arch-file", arch_file, "the same from a file, such as best/architecture.json");
  verb.add_option("--net", net, "a reference network (see espalier list nets)");
  verb.add_option("file", file, "a network's .json or .onnx file, written before the options");
}

std::vector<Architecture> read_architectures(const SearchSpace& space,
                                             std::vector<std::string> texts,
                                             std::span<const std::string> files) {
  for (const std::string& file : files) texts.push_back(read_architecture_text(file));
  std::vector<Architecture> architectures;
  for (const std::string& text : texts) {
    architectures.push_back(parse_architecture(space, text));
    if (!space.valid(architectures.back())) {
      throw InvalidArchitecture("the architecture breaks a constraint of the space: " + text);
    }
  }
  return architectures;
}

Networks read_networks(const NetworkArguments& arguments, const Catalogue& catalogue) {
  const int kinds =
      arguments.space.given() + int(!arguments.net.empty()) + int(!arguments.file.empty());
  if (kinds != 1) {
    throw ConfigError("", "give one of --space, --space-file, --net, and a network's file");
  }
  Networks networks;
  if (arguments.space.given() == 0) {
    if (!arguments.archs.empty() || !arguments.arch_file.empty()) {
      throw ConfigError("", "--arch and --arch-file go with --space or --space-file");
    }
    const bool is_net = !arguments.net.empty();
    networks.space = std::make_shared<OneNetwork>(is_net ? build_net(arguments.net)
                                                         : read_network_file(arguments.file));
    networks.architectures.emplace_back();
    networks.names.push_back(is_net ? arguments.net : arguments.file);
    return networks;
  }
  networks.space = catalogue.spaces.create(arguments.space.config(catalogue), "");
  std::vector<std::string> files;
  if (!arguments.arch_file.empty()) files.push_back(arguments.arch_file);
  for (const Architecture& a : read_architectures(*networks.space, arguments.archs, files)) {
    networks.architectures.push_back(networks.space->canonical(a));
    networks.names.push_back(networks.space->to_string(a));
  }
  return networks;
}

std::string chosen_summary(const Results& results, const std::string& directory) {
  const std::filesystem::path best = std::filesystem::path(directory) / "best";
  const std::optional<Json> summary = final_summary(results, directory);
  if (!summary) return "";
  const Json& final = *summary;
  std::string text;
  try {
    text = fmt::format("Chosen: trial {}", final.at("trial").get<std::uint64_t>());
    if (final.contains("test_accuracy")) {
      text += fmt::format(", {:.2f}% of the test images after {} epochs on all training images",
                          final.at("test_accuracy").get<double>(), final.at("epochs").get<int>());
    }
    text += "\n";
    for (const Json& file : final.at("files")) {
      text += "  " + (best / file.get<std::string>()).string() + "\n";
    }
  } catch (const Json::exception& exception) {
    throw IoError((best / "final.json").string(), std::string("is damaged: ") + exception.what());
  }
  return text;
}

}  // namespace espalier
