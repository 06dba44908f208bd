#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/json.hpp"
#include "core/options.hpp"
#include "search_spaces/compression.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

/// The network of the default space: a small convolutional one.
Json default_custom_network();

/// The parts of a user's own space, as they stand in its JSON document (docs/own_space.md).
struct CustomOptions {
  Json input = {3, 32, 32};  ///< {C, H, W}, each a number as in a step
  int classes = 10;
  Json values = Json::object();             ///< numbers by name, for the whole document
  Json cells = Json::object();              ///< sub-networks by name
  Json network = default_custom_network();  ///< the steps, in order
  Json constraints = Json::array();
  std::optional<CompressionOptions> compression = {};
};
const OptionTable<CustomOptions>& custom_options();

/// A search space that is written in JSON: a network of operators, blocks, choices, repeats, stages
/// and cells, with decisions in place of integers, and constraints on architectures, which valid()
/// keeps. Throws ConfigError with the JSON pointer of the place; where only some architectures do
/// not fit, the message names one.
std::unique_ptr<SupergraphSpace> make_custom(const CustomOptions& options = {});

}  // namespace espalier
