#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "search_spaces/supergraph.hpp"

namespace espalier {

/// `block(x, i)` for i = 1, 2, ... up to the largest depth, and a choice "NAME.depth" over the taps
/// after each of `depths` blocks (ascending; a single depth opens no decision).
NodeId elastic_depth(SupergraphBuilder& builder, NodeId x, const std::string& name,
                     const std::vector<std::int64_t>& depths,
                     const std::function<NodeId(NodeId, std::int64_t)>& block);

/// The alternatives of a searched block, each with its option's label.
using Candidates = std::vector<std::pair<std::string, NodeId>>;

/// Stages of searched blocks, each with a scope "stageS" and in it "blockB": a choice
/// "stageS.blockB" among `candidates(x, stage, stride)`; a single candidate opens no decision. The
/// first block of a stage has its stride, the others 1. Stage has `stride` and `blocks`.
template <class Stage, class F>
NodeId searched_stages(SupergraphBuilder& builder, NodeId x, const std::vector<Stage>& stages,
                       F&& candidates) {
  for (std::size_t s = 0; s < stages.size(); ++s) {
    const std::string stage_name = "stage" + std::to_string(s + 1);
    const auto stage_scope = builder.scope(stage_name, "stage");
    for (int b = 1; b <= stages[s].blocks; ++b) {
      const std::string block_name = "block" + std::to_string(b);
      const auto block_scope = builder.scope(block_name);
      Decision decision{.name = stage_name + "." + block_name, .options = {}};
      std::vector<NodeId> results;
      for (auto& [label, result] : candidates(x, stages[s], b == 1 ? stages[s].stride : 1)) {
        decision.options.push_back(std::move(label));
        results.push_back(result);
      }
      x = results.size() == 1 ? results[0] : builder.choice(builder.decide(decision), results);
    }
  }
  return x;
}

/// Checks of option lists. Throw ConfigError at `pointer`.
template <class T>
void check_distinct(const std::string& pointer, std::vector<T> values) {
  std::ranges::sort(values);
  const auto twice = std::ranges::adjacent_find(values);
  if (twice != values.end()) {
    throw ConfigError(pointer, fmt::format("lists {} twice; write each value once", *twice));
  }
}
void check_ascending(const std::string& pointer, const std::vector<std::int64_t>& values);
void check_odd_distinct(const std::string& pointer, const std::vector<std::int64_t>& values);
/// That the height and width of `input`, {C, H, W}, are multiples of `divisor`: else the halves of
/// a factorized reduction disagree. The pointer is "/input".
void check_multiples(const std::vector<std::int64_t>& input, std::int64_t divisor);

}  // namespace espalier
