// How a hypernetwork generates weights. No LibTorch here.
#pragma once

#include "core/options.hpp"

namespace espalier {

/// What an operator's weights are generated from: see HyperNetwork.
enum class HyperNetworkKind { smash, ghn };

struct HyperNetworkOptions {
  HyperNetworkKind kind = HyperNetworkKind::ghn;
  int embedding = 32;  ///< numbers that describe an operator and where it stands, >= 4
  int hidden = 64;     ///< units between an embedding and the weights, >= 4
  int channels = 64;   ///< inputs and outputs of the largest kernel; wider ones repeat it, 4-512
  int kernel = 7;      ///< height and width of the largest kernel, odd, 1-15
};
OptionTable<HyperNetworkOptions> hypernetwork_option_table();

}  // namespace espalier
