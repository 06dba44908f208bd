#include "search_spaces/catalogue.hpp"

#include "search_spaces/chain.hpp"
#include "search_spaces/custom.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "search_spaces/nasbench201.hpp"

namespace espalier {

SpaceRegistry space_registry() {
  SpaceRegistry spaces("space");
  spaces.add("nasbench201", nasbench201_options(), make_nasbench201);
  spaces.add("chain", chain_options(), make_chain);
  spaces.add("mobilenet_v3", mobilenet_v3_options(), make_mobilenet_v3);
  spaces.add("custom", custom_options(), make_custom);
  return spaces;
}

}  // namespace espalier
