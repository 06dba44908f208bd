#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.hpp"
#include "graph/builder.hpp"

namespace espalier {

/// Reads the integers of a user's own space, each of which may be open.
class IntegerReader {
 public:
  virtual ~IntegerReader() = default;
  /// `key` is what a decision that is opened here is named after. Throws ConfigError.
  virtual Dim integer(const Json& json, const std::string& pointer, const std::string& key) = 0;
};

/// One step of a user's own space, ready to be appended.
struct StepCall {
  GraphBuilder& builder;
  IntegerReader& integers;
  std::span<const NodeId> inputs;
  std::string name;  ///< of the node or the scope
  const Json& step;  ///< an object: its options, beside the keys that every step has
  const std::string& pointer;
};

/// An operator or a block that a step can name: "conv2d", "mbconv".
struct StepType {
  std::string name;       ///< of the operator, or of the block's scope kind
  std::string node_name;  ///< what a step without a name is called
  std::vector<std::string> options;
  std::size_t min_inputs = 1;
  std::size_t max_inputs = 1;
  /// Appends the step and returns its result. Options are read in the order of the document.
  /// Throws ConfigError, and the builder's ShapeError and UnsupportedError.
  std::function<NodeId(const StepCall&)> append = {};
};

/// Every operator of graph/op.hpp but input, choice and output, and every block of
/// graph/blocks.hpp, with the names and defaults that their options have there.
const std::vector<StepType>& step_types();

/// The keys that every step may have: "type", "name", "from" and "values".
std::span<const std::string> common_step_keys();

}  // namespace espalier
