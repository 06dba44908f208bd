#include <fmt/format.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/verbs.hpp"
#include "core/error.hpp"
#include "exporters/catalogue.hpp"
#include "graph/nets.hpp"

namespace espalier {
namespace {

// A family of components: [{"name", "doc", "options"}], and a sample config of one of them where
// there is such a thing.
struct Kind {
  std::string name;
  Json entries;
  std::function<Json(const std::string& name)> sample;
};

Json entry(const std::string& name, const std::string& doc) {
  return {{"name", name}, {"doc", doc}, {"options", Json::array()}};
}

std::vector<Kind> kinds_of(const Catalogue& catalogue) {
  const auto registry = [](const std::string& name, const auto& entries) {
    return Kind{name, entries.describe(),
                [&entries](const std::string& one) { return entries.sample(one); }};
  };
  Json proxies = Json::array(), devices = Json::array(), nets = Json::array(),
       formats = Json::array();
  for (const auto& [name, proxy] : catalogue.proxies) proxies.push_back(entry(name, proxy.doc));
  for (const Device& device : catalogue.devices) devices.push_back(entry(device.name, device.doc));
  for (const std::string& name : net_names()) nets.push_back(entry(name, "reference network"));
  for (const ExportFormat& format : export_formats()) {
    formats.push_back(entry(format.name, format.doc));
  }
  return {registry("spaces", catalogue.spaces),
          registry("strategies", catalogue.strategies),
          registry("predictors", catalogue.predictors),
          registry("evaluators", catalogue.evaluators),
          registry("datasets", catalogue.datasets),
          registry("hardware", catalogue.hardware),
          {"devices", devices, {}},
          {"proxies", proxies, {}},
          {"nets", nets, {}},
          {"formats", formats, {}}};
}

std::string option_text(const Json& option, const std::string& indent) {
  std::string text = fmt::format("{}{}: {}", indent, option["name"].get<std::string>(),
                                 option["type"].get<std::string>());
  if (option.contains("unit")) text += ", " + option["unit"].get<std::string>();
  if (option.contains("range")) text += ", " + option["range"].get<std::string>();
  if (option.contains("choices")) {
    std::string choices;
    for (const Json& choice : option["choices"]) {
      choices += (choices.empty() ? "" : " | ") + choice.get<std::string>();
    }
    text += ", " + choices;
  }
  if (option.contains("required")) text += ", required";
  if (option.contains("default")) text += ", default " + option["default"].dump();
  text += fmt::format("\n{}    {}\n", indent, option["doc"].get<std::string>());
  if (option.contains("options")) {
    for (const Json& nested : option["options"]) text += option_text(nested, indent + "    ");
  }
  return text;
}

const Json& find_entry(const Kind& kind, const std::string& name) {
  std::vector<std::string> known;
  for (const Json& entry : kind.entries) {
    if (entry["name"] == name) return entry;
    known.push_back(entry["name"].get<std::string>());
  }
  throw ConfigError("",
                    fmt::format("no \"{}\" among {}{}", name, kind.name, suggestion(name, known)));
}

struct Arguments {
  std::string kind, name;
  bool json = false;
};

int list(const Arguments& arguments, const Catalogue& catalogue) {
  const std::vector<Kind> kinds = kinds_of(catalogue);
  std::vector<std::string> known;
  for (const Kind& kind : kinds) known.push_back(kind.name);
  if (arguments.kind.empty()) {
    Json json = Json::object();
    std::string text;
    for (const Kind& kind : kinds) {
      json[kind.name] = kind.entries;
      text += kind.name + ":";
      for (const Json& entry : kind.entries) text += " " + entry["name"].get<std::string>();
      text += "\n";
    }
    arguments.json ? print_json(json) : print(text);
    return exit_ok;
  }
  const auto kind = std::ranges::find(kinds, arguments.kind, &Kind::name);
  if (kind == kinds.end()) {
    throw ConfigError("", fmt::format("unknown kind \"{}\"{}", arguments.kind,
                                      suggestion(arguments.kind, known)));
  }
  if (arguments.name.empty()) {
    std::string text;
    for (const Json& entry : kind->entries) {
      text += fmt::format("{}\n    {}\n", entry["name"].get<std::string>(),
                          entry["doc"].get<std::string>());
    }
    arguments.json ? print_json(kind->entries) : print(text);
    return exit_ok;
  }
  Json found = find_entry(*kind, arguments.name);
  std::string text = fmt::format("{}\n    {}\n", arguments.name, found["doc"].get<std::string>());
  for (const Json& option : found["options"]) text += option_text(option, "  ");
  if (kind->sample) {
    found["sample"] = kind->sample(arguments.name);
    text += "\n" + found["sample"].dump(2) + "\n";
  }
  arguments.json ? print_json(found) : print(text);
  return exit_ok;
}

}  // namespace

Verb add_list(CLI::App& app, const Catalogue& catalogue) {
  CLI::App& verb = *app.add_subcommand("list", "what a config can name, with all options");
  const auto arguments = std::make_shared<Arguments>();
  verb.add_option(
      "kind", arguments->kind,
      "spaces, strategies, predictors, evaluators, datasets, hardware, devices, proxies, nets, "
      "formats");
  verb.add_option("name", arguments->name, "one of them, in detail and with a sample config");
  verb.add_flag("--json", arguments->json, "prints JSON");
  return [arguments, &catalogue] { return list(*arguments, catalogue); };
}

}  // namespace espalier
