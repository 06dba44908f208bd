#include "search_spaces/catalogue.hpp"

#include "search_spaces/autoformer.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/fbnet.hpp"
#include "search_spaces/mnasnet.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/proxylessnas.hpp"
#include "search_spaces/shufflenet_spos.hpp"

namespace espalier {

SpaceRegistry space_registry() {
  SpaceRegistry spaces("space");
  spaces.add("nasbench201", nasbench201_options(), make_nasbench201);
  spaces.add("chain", chain_options(), make_chain);
  spaces.add("mobilenet_v3", mobilenet_v3_options(), make_mobilenet_v3);
  spaces.add("proxylessnas", proxylessnas_options(), make_proxylessnas);
  spaces.add("mnasnet", mnasnet_options(), make_mnasnet);
  spaces.add("fbnet", fbnet_options(), make_fbnet);
  spaces.add("shufflenet_spos", shufflenet_spos_options(), make_shufflenet_spos);
  spaces.add("autoformer", autoformer_options(), make_autoformer);
  return spaces;
}

}  // namespace espalier
