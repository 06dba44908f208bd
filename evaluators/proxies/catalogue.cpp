#include "evaluators/proxies/proxy.hpp"

namespace espalier {
namespace {

// What a network costs, as a score: the baseline that every proxy has to beat.
Proxy cost_proxy(std::string doc, std::int64_t Cost::*member) {
  return {
      .doc = std::move(doc), .direction = std::nullopt, .score = [member](const ProxyInput& input) {
        const Network& network = input.network;
        return static_cast<double>(network.space().quick_cost(network.architecture()).*member);
      }};
}

}  // namespace

ProxyCatalogue proxy_catalogue() {
  return {
      {"params", cost_proxy("number of parameters", &Cost::params)},
      {"macs", cost_proxy("number of multiply-accumulates", &Cost::macs)},
      {"synflow",
       {.doc = "synaptic flow: weights times their gradients, for an input of ones",
        .score = synflow}},
      {"naswot",
       {.doc = "log determinant of how the rectifiers tell images apart",
        .needs_data = true,
        .score = naswot}},
  };
}

}  // namespace espalier
