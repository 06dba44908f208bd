#include "search_spaces/block_cells.hpp"

#include <utility>

#include <fmt/format.h>

#include "search_spaces/cell_blocks.hpp"

namespace espalier {

namespace {

constexpr std::size_t decisions_per_cell = 4 * cell_blocks;

std::vector<Decision> block_decisions(const std::vector<std::string>& operators) {
  std::vector<Decision> decisions;
  for (const char* cell : {"normal", "reduce"}) {
    for (std::size_t block = 1; block <= cell_blocks; ++block) {
      std::vector<std::string> states;
      for (std::size_t s = 0; s <= block; ++s) states.push_back(std::to_string(s));
      for (int i = 1; i <= 2; ++i) {
        const std::string name = fmt::format("{}.block{}.", cell, block);
        decisions.push_back({.name = fmt::format("{}input{}", name, i), .options = states});
        decisions.push_back({.name = fmt::format("{}op{}", name, i), .options = operators});
      }
    }
  }
  return decisions;
}

}  // namespace

BlockCellSpace::BlockCellSpace(BlockCellOptions options)
    : SearchSpace(block_decisions(options.operators)), options_(std::move(options)) {}

std::vector<std::int64_t> BlockCellSpace::joined(const Architecture& a, std::size_t kind) const {
  std::array<bool, cell_blocks + 2> join;
  join.fill(true);
  for (std::size_t d = 0; d < decisions_per_cell; d += 2) {
    join[a.choices.at(kind * decisions_per_cell + d)] = false;
  }
  for (std::int64_t state : options_.also_joined[kind])
    join[static_cast<std::size_t>(state)] = true;
  std::vector<std::int64_t> states;
  for (std::size_t s = 0; s < join.size(); ++s) {
    if (join[s]) states.push_back(static_cast<std::int64_t>(s));
  }
  return states;
}

NodeId BlockCellSpace::cell(GraphBuilder& builder, NodeId before, NodeId last,
                            const Architecture& a, std::size_t kind, std::int64_t channels,
                            const std::string& name) const {
  const auto scope = builder.scope(name, "cell");
  const auto halved = [&](NodeId x, const std::string& part) {
    return factorized_reduce(builder, x, channels, part);
  };
  before = earlier_input(builder, before, last, channels);
  for (int i = 0; i < options_.input_projections; ++i) {
    last = relu_conv_bn(builder, last, channels, 1, 1, "input1");
  }
  std::vector<NodeId> states{before, last};
  std::size_t d = kind * decisions_per_cell;
  for (std::size_t block = 1; block <= cell_blocks; ++block) {
    const auto part = builder.scope("block" + std::to_string(block));
    std::array<NodeId, 2> terms{};
    for (NodeId& term : terms) {
      const std::uint32_t state = a.choices[d];
      term =
          options_.apply(builder, states[state], a.choices[d + 1], kind == 1 && state < 2 ? 2 : 1);
      d += 2;
    }
    states.push_back(builder.add(terms));
  }
  std::vector<NodeId> parts;
  for (std::int64_t s : joined(a, kind)) {
    const NodeId state = states[static_cast<std::size_t>(s)];
    parts.push_back(kind == 1 && s < 2 ? halved(state, "joined" + std::to_string(s)) : state);
  }
  return parts.size() == 1 ? parts[0] : builder.concat(parts);
}

Graph BlockCellSpace::build(const Architecture& a) const {
  require_valid(a);
  GraphBuilder builder;
  NodeId last = builder.input(options_.input[0], options_.input[1], options_.input[2]);
  {
    const auto scope = builder.scope("stem");
    last = builder.conv(last, 3 * options_.channels, {.kernel = 3});
    last = builder.batch_norm(last);
  }
  NodeId before = last;
  std::int64_t channels = options_.channels;
  const auto add_cell = [&](std::size_t kind, const std::string& name) {
    before = std::exchange(last, cell(builder, before, last, a, kind, channels, name));
  };
  for (int stage = 1; stage <= 3; ++stage) {
    const std::string prefix = "stage" + std::to_string(stage);
    if (stage > 1) {
      channels *= 2;
      add_cell(1, prefix + "_reduction");
    }
    for (int c = 1; c <= options_.cells; ++c) add_cell(0, prefix + "_cell" + std::to_string(c));
  }
  const auto scope = builder.scope("head");
  last = builder.global_avg_pool(builder.activation(last, ActivationKind::relu));
  last =
      builder.linear(builder.flatten(last), options_.classes, {.bias = options_.classifier_bias});
  builder.output(last);
  return builder.build();
}

}  // namespace espalier
