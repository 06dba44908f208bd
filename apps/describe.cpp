#include <fmt/format.h>

#include <memory>
#include <string>

#include "apps/verbs.hpp"
#include "core/error.hpp"
#include "graph/cost.hpp"
#include "graph/json.hpp"
#include "search_spaces/sampling.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {
namespace {

struct Arguments {
  NetworkArguments networks;
  bool json = false;
};

Json describe_space(const SearchSpace& space) {
  const SpaceSize size = space_size(space);
  Json decisions = Json::array();
  for (const Decision& decision : space.decisions()) {
    Json json = {{"name", decision.name}, {"options", decision.options}};
    if (decision.pick != 1) json["pick"] = decision.pick;
    decisions.push_back(std::move(json));
  }
  Json json = {{"space_size", size.decimal}, {"decisions", std::move(decisions)}};
  if (size.estimate) json["space_size_is_estimate"] = true;
  return json;
}

Json describe_samples(const SearchSpace& space) {
  constexpr int count = 1000;
  Rng rng(1);
  const SampledCosts costs = sample_costs(space, count, rng);
  Json active = Json::array();
  for (DecisionId d = 0; d < space.decisions().size(); ++d) {
    if (space.active(costs.example, d)) active.push_back(space.decisions()[d].name);
  }
  return {{"example", architecture_to_json(space, costs.example)},
          {"active", std::move(active)},
          {"samples",
           {{"count", count},
            {"params", {costs.least_params, costs.most_params}},
            {"macs", {costs.least_macs, costs.most_macs}}}}};
}

Json describe_network(const Graph& graph) {
  const Cost costs = cost(graph);
  Json nodes = to_json(graph)["nodes"];
  for (NodeId id = 0; id < graph.size(); ++id) {
    nodes[id]["params"] = node_params(graph, id);
    nodes[id]["macs"] = node_macs(graph, id);
  }
  return {{"params", costs.params},
          {"macs", costs.macs},
          {"storage_bytes", costs.storage_bytes},
          {"peak_memory_bytes", costs.peak_memory_bytes},
          {"nodes", std::move(nodes)}};
}

std::string space_text(const Json& json) {
  std::string text = fmt::format("architectures  {}{}\n", json["space_size"].get<std::string>(),
                                 json.contains("space_size_is_estimate") ? " (estimate)" : "");
  for (const Json& decision : json["decisions"]) {
    text += fmt::format("  {}:", decision["name"].get<std::string>());
    for (const Json& option : decision["options"]) text += " " + option.get<std::string>();
    if (decision.contains("pick")) text += fmt::format("  (picks {})", decision["pick"].dump());
    text += "\n";
  }
  for (const char* key : {"params", "macs"}) {
    const Json& range = json["samples"][key];
    text += fmt::format("{:<13}  {} to {} in {} samples\n", key, range[0].get<std::int64_t>(),
                        range[1].get<std::int64_t>(), json["samples"]["count"].get<int>());
  }
  text += fmt::format("example, with the {} of {} decisions that are active in it\n",
                      json["active"].size(), json["decisions"].size());
  for (const Json& name : json["active"]) {
    const std::string& decision = name.get_ref<const std::string&>();
    text += fmt::format("  {}: {}\n", decision, json["example"][decision].get<std::string>());
  }
  return text;
}

std::string shape_text(const Json& shape) {
  std::string text;
  for (const Json& size : shape) text += (text.empty() ? "" : "x") + size.dump();
  return text;
}

std::string network_text(const Json& json) {
  std::string text;
  for (const char* key : {"params", "macs", "storage_bytes", "peak_memory_bytes"}) {
    text += fmt::format("{:<18} {:>12}\n", key, json[key].get<std::int64_t>());
  }
  text += "\n";
  std::size_t width = 4;
  for (const Json& node : json["nodes"]) {
    width = std::max(width, node["name"].get<std::string>().size());
  }
  for (const Json& node : json["nodes"]) {
    text += fmt::format("{:<{}}  {:<18} {:>14} {:>10} {:>12}\n", node["name"].get<std::string>(),
                        width, node["op"].get<std::string>(), shape_text(node["shape"]),
                        node["params"].get<std::int64_t>(), node["macs"].get<std::int64_t>());
  }
  return text;
}

int describe(const Arguments& arguments, const Catalogue& catalogue) {
  const Networks networks = read_networks(arguments.networks, catalogue);
  if (networks.architectures.size() > 1) throw ConfigError("", "give one architecture");
  Json json = Json::object();
  std::string text;
  if (!networks.architectures.empty()) {
    json.update(describe_network(networks.space->build(networks.architectures[0])));
    text += network_text(json);
  }
  json.update(describe_space(*networks.space));
  if (networks.architectures.empty()) {
    json.update(describe_samples(*networks.space));
    text += space_text(json);
  }
  arguments.json ? print_json(json) : print(text);
  return exit_ok;
}

}  // namespace

Verb add_describe(CLI::App& app, const Catalogue& catalogue) {
  CLI::App& verb = *app.add_subcommand("describe", "a search space, or the costs of a network");
  const auto arguments = std::make_shared<Arguments>();
  arguments->networks.add_to(verb);
  verb.add_flag("--json", arguments->json, "prints JSON");
  return [arguments, &catalogue] { return describe(*arguments, catalogue); };
}

}  // namespace espalier
