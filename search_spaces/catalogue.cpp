#include "search_spaces/catalogue.hpp"

#include "search_spaces/autoformer.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/custom.hpp"
#include "search_spaces/darts.hpp"
#include "search_spaces/enas.hpp"
#include "search_spaces/fbnet.hpp"
#include "search_spaces/hierarchical.hpp"
#include "search_spaces/mnasnet.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "search_spaces/nas_bench_macro.hpp"
#include "search_spaces/nasbench101.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/nasnet.hpp"
#include "search_spaces/nats_bench_size.hpp"
#include "search_spaces/network.hpp"
#include "search_spaces/proxylessnas.hpp"
#include "search_spaces/regnet.hpp"
#include "search_spaces/resnet.hpp"
#include "search_spaces/restriction.hpp"
#include "search_spaces/shufflenet_spos.hpp"
#include "search_spaces/transnas.hpp"

namespace espalier {

SpaceRegistry space_registry() {
  SpaceRegistry spaces("space");
  spaces.add("nasbench201", nasbench201_options(), make_nasbench201);
  spaces.add("chain", chain_options(), make_chain);
  spaces.add("mobilenet_v3", mobilenet_v3_options(), make_mobilenet_v3);
  spaces.add("nas_bench_macro", nas_bench_macro_options(), make_nas_bench_macro);
  spaces.add("nats_bench_size", nats_bench_size_options(), make_nats_bench_size);
  spaces.add("transnas_micro", transnas_micro_options(), make_transnas_micro);
  spaces.add("transnas_macro", transnas_macro_options(), make_transnas_macro);
  spaces.add("resnet", resnet_options(), make_resnet);
  spaces.add("regnet", regnet_options(), make_regnet);
  spaces.add("nasbench101", nasbench101_options(), make_nasbench101);
  spaces.add("darts", darts_options(), make_darts);
  spaces.add("nasnet", nasnet_options(), make_nasnet);
  spaces.add("enas", enas_options(), make_enas);
  spaces.add("hierarchical", hierarchical_options(), make_hierarchical);
  spaces.add("proxylessnas", proxylessnas_options(), make_proxylessnas);
  spaces.add("mnasnet", mnasnet_options(), make_mnasnet);
  spaces.add("fbnet", fbnet_options(), make_fbnet);
  spaces.add("shufflenet_spos", shufflenet_spos_options(), make_shufflenet_spos);
  spaces.add("autoformer", autoformer_options(), make_autoformer);
  spaces.add("network", network_space_options(), make_network_space);
  spaces.add("custom", custom_options(), make_custom);
  spaces.add_to_all(restriction_options(), restrict_space);
  return spaces;
}

}  // namespace espalier
