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

// A score of a batch of images.
Proxy data_proxy(std::string doc, std::vector<ProxyPass> passes,
                 double (*score)(const ProxyInput&)) {
  return {.doc = std::move(doc), .needs_data = true, .passes = std::move(passes), .score = score};
}

}  // namespace

ProxyCatalogue proxy_catalogue() {
  return {
      {"params", cost_proxy("number of parameters", &Cost::params)},
      {"macs", cost_proxy("number of multiply-accumulates", &Cost::macs)},
      {"l2_norm", {.doc = "norms of the layers' weights", .score = l2_norm}},
      {"plain", data_proxy("weights times their gradients", {ProxyPass::loss_gradients}, plain)},
      {"grad_norm",
       data_proxy("norms of the layers' gradients", {ProxyPass::loss_gradients}, grad_norm)},
      {"snip",
       data_proxy("absolute weights times their gradients", {ProxyPass::loss_gradients}, snip)},
      {"grasp", data_proxy("how far a step keeps the gradients' flow: Hessian times gradient",
                           {ProxyPass::hessian_gradient_products}, grasp)},
      {"fisher", data_proxy("squared channels times their gradients",
                            {ProxyPass::channel_saliencies}, fisher)},
      {"jacob_cov", data_proxy("how little the gradients at the images correlate",
                               {ProxyPass::input_gradients}, jacob_cov)},
      {"synflow",
       {.doc = "synaptic flow: weights times their gradients, for an input of ones",
        .passes = {ProxyPass::synaptic_flow},
        .score = synflow}},
      {"log_synflow",
       {.doc = "synaptic flow with the logarithms of the gradients",
        .passes = {ProxyPass::synaptic_flow},
        .score = log_synflow}},
      {"naswot", data_proxy("log determinant of how the rectifiers tell images apart",
                            {ProxyPass::agreements}, naswot)},
  };
}

}  // namespace espalier
