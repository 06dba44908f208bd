#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "apps/verbs.hpp"
#include "core/error.hpp"
#include "study/chart.hpp"
#include "study/network_metrics.hpp"

namespace espalier {
namespace {

struct Arguments {
  NetworkArguments networks;
  std::vector<std::string> hardware;
  bool json = false;
};

int estimate(const Arguments& arguments, const Catalogue& catalogue) {
  const Networks networks = read_networks(arguments.networks, catalogue);
  if (networks.architectures.empty()) throw ConfigError("", "give --arch or --arch-file");
  std::vector<NetworkMetric> metrics;
  for (const std::string& text : arguments.hardware) {
    const Json config =
        text.starts_with('{') ? parse_json(text, "--hardware") : hardware_config(text);
    for (NetworkMetric& metric : hardware_network_metrics(catalogue.hardware.create(config, ""))) {
      metrics.push_back(std::move(metric));
    }
  }
  for (NetworkMetric& metric : cost_network_metrics()) metrics.push_back(std::move(metric));
  Json json = Json::array();
  std::string text;
  for (std::size_t i = 0; i < networks.architectures.size(); ++i) {
    const Network network(*networks.space, networks.architectures[i]);
    Json values = {{"arch", networks.names[i]}};
    text += networks.names[i] + "\n";
    for (const NetworkMetric& metric : metrics) {
      const double value = metric.value(network);
      values[metric.info.name] = value;
      text += fmt::format("  {:<32} {}\n", metric.info.name, short_number(value));
    }
    json.push_back(std::move(values));
  }
  arguments.json ? print_json(json) : print(text);
  return exit_ok;
}

}  // namespace

Verb add_estimate(CLI::App& app, const Catalogue& catalogue) {
  CLI::App& verb = *app.add_subcommand("estimate", "latency and energy of networks on devices");
  const auto arguments = std::make_shared<Arguments>();
  arguments->networks.add_to(verb);
  verb.add_option(
          "--hardware", arguments->hardware,
          "each a device's name or .json file, a look-up table (.csv, .csv.gz), or a JSON object")
      ->required();
  verb.add_flag("--json", arguments->json, "prints JSON");
  return [arguments, &catalogue] { return estimate(*arguments, catalogue); };
}

}  // namespace espalier
