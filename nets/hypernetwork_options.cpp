#include "nets/hypernetwork_options.hpp"

#include <string>

namespace espalier {

OptionTable<HyperNetworkOptions> hypernetwork_option_table() {
  using H = HyperNetworkOptions;
  OptionTable<H> table("how weights are generated");
  table.add(
      "kind", &H::kind,
      "what an operator's weights follow from: its encoding and those of its neighbours in the "
      "order of the operators (smash), or messages along the edges of the graph (ghn)",
      named<HyperNetworkKind>(
          {{"smash", HyperNetworkKind::smash}, {"ghn", HyperNetworkKind::ghn}}));
  table.add("embedding", &H::embedding, "numbers that describe an operator and where it stands",
            between(4, 1024));
  table.add("hidden", &H::hidden, "units between an embedding and the weights", between(4, 1024));
  table.add("channels", &H::channels,
            "inputs and outputs of the largest kernel that is generated; wider ones repeat it",
            between(4, 512));
  table.add("kernel", &H::kernel, "height and width of the largest kernel, odd", between(1, 15),
            unit("pixels"));
  table.check([](const H& options) {
    if (options.kernel % 2 == 0) {
      throw ConfigError("/kernel", std::to_string(options.kernel) + " is even; write an odd size");
    }
  });
  return table;
}

}  // namespace espalier
