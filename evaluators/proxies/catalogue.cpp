#include "evaluators/proxies/activation_proxies.hpp"
#include "evaluators/proxies/az_nas.hpp"
#include "evaluators/proxies/gradient_proxies.hpp"
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
  Proxy complexity = cost_proxy("AZ-NAS: number of multiply-accumulates", &Cost::macs);
  complexity.direction = Direction::maximize;
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
      {"epe_nas",
       {.doc = "EPE-NAS: how the gradients at the images of one class correlate",
        .needs_data = true,
        .score = epe_nas}},
      {"zen",
       {.doc = "Zen score: how far noise moves the last feature map, batch norms compensated",
        .score = zen}},
      {"entropy",
       {.doc = "MAE-DET: entropy of the last feature map of the network's linear part",
        .score = entropy_score}},
      {"ntk",
       {.doc = "condition number of the neural tangent kernel",
        .direction = Direction::minimize,
        .needs_data = true,
        .score = ntk}},
      {"linear_regions",
       {.doc = "linear regions that small images fall into, in a thin network",
        .needs_data = true,
        .score = linear_regions}},
      {"zico",
       {.doc = "ZiCo: mean gradients of two batches over their deviation",
        .needs_data = true,
        .score = zico}},
      {"gradsign",
       {.doc = "GradSign: how far images agree on the signs of gradients",
        .needs_data = true,
        .score = gradsign}},
      {"meco",
       {.doc = "MeCo: smallest eigenvalues of the correlations of channels", .score = meco}},
      {"swap",
       {.doc = "SWAP: number of different activation patterns over the images",
        .needs_data = true,
        .score = swap_score}},
      {"az_expressivity",
       {.doc = "AZ-NAS: entropy of the principal components of the blocks' outputs",
        .score = az_expressivity}},
      {"az_progressivity",
       {.doc = "AZ-NAS: smallest step of the expressivity from block to block",
        .score = az_progressivity}},
      {"az_trainability",
       {.doc = "AZ-NAS: how evenly blocks pass gradients on", .score = az_trainability}},
      {"az_complexity", complexity},
  };
}

}  // namespace espalier
