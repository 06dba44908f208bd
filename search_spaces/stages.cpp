#include "search_spaces/stages.hpp"

#include <algorithm>

namespace espalier {

NodeId elastic_depth(SupergraphBuilder& builder, NodeId x, const std::string& name,
                     const std::vector<std::int64_t>& depths,
                     const std::function<NodeId(NodeId, std::int64_t)>& block) {
  const bool open = depths.size() > 1;
  Decision depth{.name = name + ".depth", .options = {}, .ordinal = true};
  for (std::int64_t d : depths) depth.options.push_back(std::to_string(d));
  const DecisionId decision = open ? builder.decide(depth) : 0;
  std::vector<NodeId> taps;
  for (std::int64_t i = 1; i <= depths.back(); ++i) {
    x = block(x, i);
    if (std::find(depths.begin(), depths.end(), i) != depths.end()) taps.push_back(x);
  }
  return open ? builder.choice(decision, taps, "depth") : x;
}

void check_ascending(const std::string& pointer, const std::vector<std::int64_t>& values) {
  for (std::size_t i = 1; i < values.size(); ++i) {
    if (values[i] <= values[i - 1]) {
      throw ConfigError(pointer, "must be ascending, but " + std::to_string(values[i]) +
                                     " follows " + std::to_string(values[i - 1]));
    }
  }
}

void check_odd_distinct(const std::string& pointer, const std::vector<std::int64_t>& values) {
  check_distinct(pointer, values);
  for (std::int64_t v : values) {
    if (v % 2 == 0) {
      throw ConfigError(pointer, "kernel " + std::to_string(v) + " is even; write odd sizes");
    }
  }
}

void check_multiples(const std::vector<std::int64_t>& input, std::int64_t divisor) {
  if (input[1] % divisor != 0 || input[2] % divisor != 0) {
    throw ConfigError(
        "/input", fmt::format("height and width must be multiples of {}, got {} and {}", divisor,
                              input[1], input[2]));
  }
}

}  // namespace espalier
