#pragma once

#include <string>

#include "core/json.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

/// Where the network of a user's own space is described (see CustomOptions).
struct CustomNetwork {
  const Json& input;
  int classes;
  const Json& values;
  const Json& cells;
  const Json& network;
};

/// The network with its open decisions. Throws ConfigError with the JSON pointer of the place in
/// the document; where only some architectures do not fit, the message names one.
Supergraph read_custom_network(const CustomNetwork& document);

/// The label of an option that is a boolean ("yes", "no") or a number.
std::string option_label(const Json& option);

}  // namespace espalier
