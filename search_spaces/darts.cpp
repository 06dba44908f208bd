#include "search_spaces/darts.hpp"

#include <algorithm>
#include <array>
#include <string>

#include <fmt/format.h>

#include "core/error.hpp"
#include "search_spaces/cell_blocks.hpp"
#include "search_spaces/genotype.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

const OptionTable<DartsOptions>& darts_options() {
  static const auto table =
      OptionTable<DartsOptions>("DARTS: normal and reduction cells of 4 nodes with 7 operators")
          .add("input", &DartsOptions::input,
               "channels, height and width of the images, the last two multiples of 4, or of 32 "
               "for the imagenet stem",
               at_least(1), Items{3, 3})
          .add("classes", &DartsOptions::classes, "of the task", at_least(2))
          .add("stem", &DartsOptions::stem,
               "what comes before the cells: one convolution, or three of stride 2",
               named<DartsStem>({{"cifar", DartsStem::cifar}, {"imagenet", DartsStem::imagenet}}))
          .add("channels", &DartsOptions::channels,
               "of the nodes of the first cells; even for the imagenet stem", between(1, 4096))
          .add("layers", &DartsOptions::layers, "cells, two of them reduction cells",
               between(3, 100))
          .add("compression", &DartsOptions::compression, "what else is searched",
               compression_options())
          .check([](const DartsOptions& o) {
            check_multiples(o.input, o.stem == DartsStem::cifar ? 4 : 32);
            if (o.stem == DartsStem::imagenet && o.channels % 2 != 0) {
              throw ConfigError("/channels",
                                fmt::format("must be even for the imagenet stem, got {}; write {}",
                                            o.channels, o.channels + 1));
            }
          });
  return table;
}

namespace {

const std::vector<std::string> operators{"max_pool_3x3", "avg_pool_3x3", "skip_connect",
                                         "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3",
                                         "dil_conv_5x5"};
constexpr int first_node = 2, last_node = 5;  // states 0 and 1 are the cell's inputs

/// The decisions of one kind of cell, in their order.
struct CellDecisions {
  std::array<DecisionId, last_node + 1> inputs{};  // of nodes 3 to 5
  std::array<std::array<DecisionId, last_node + 1>, last_node> edge{};
};
constexpr std::size_t decisions_per_cell = 3 + 14;

CellDecisions decide_cell(SupergraphBuilder& builder, const std::string& cell) {
  CellDecisions result;
  for (int to = first_node; to <= last_node; ++to) {
    const auto t = static_cast<std::size_t>(to);
    if (to > first_node) {
      Decision inputs{.name = fmt::format("{}.node{}.inputs", cell, to), .options = {}, .pick = 2};
      for (int from = 0; from < to; ++from) inputs.options.push_back(std::to_string(from));
      result.inputs[t] = builder.decide(inputs);
    }
    for (std::size_t from = 0; from < t; ++from) {
      result.edge[from][t] = builder.decide(
          {.name = fmt::format("{}.edge{}_{}", cell, from, to), .options = operators});
    }
  }
  return result;
}

NodeId edge(SupergraphBuilder& builder, NodeId x, DecisionId decision, std::int64_t stride) {
  const PoolOptions pool{.kernel = 3, .stride = stride};
  const std::array<NodeId, 7> options{
      builder.max_pool(x, pool, "max_pool_3x3"),
      builder.avg_pool(x, pool, "avg_pool_3x3"),
      stride == 1 ? x
                  : factorized_reduce(builder, builder.activation(x, ActivationKind::relu),
                                      builder.channels(x).value(), "skip_connect"),
      sep_conv(builder, x, 3, stride, "sep_conv_3x3"),
      sep_conv(builder, x, 5, stride, "sep_conv_5x5"),
      dil_conv(builder, x, 3, stride, "dil_conv_3x3"),
      dil_conv(builder, x, 5, stride, "dil_conv_5x5"),
  };
  return builder.choice(decision, options);
}

struct CellShape {
  std::int64_t channels;
  bool reduction;  // halves height and width
};

NodeId cell(SupergraphBuilder& builder, NodeId before, NodeId last, const CellDecisions& decisions,
            const CellShape& shape, const std::string& name) {
  const auto scope = builder.scope(name, "cell");
  std::vector<NodeId> states{earlier_input(builder, before, last, shape.channels)};
  states.push_back(relu_conv_bn(builder, last, shape.channels, 1, 1, "input1"));
  for (std::size_t to = first_node; to <= last_node; ++to) {
    std::vector<NodeId> terms;
    for (std::size_t from = 0; from < to; ++from) {
      const auto part = builder.scope(fmt::format("edge{}_{}", from, to));
      terms.push_back(edge(builder, states[from], decisions.edge[from][to],
                           shape.reduction && from < first_node ? 2 : 1));
    }
    const std::string node = "node" + std::to_string(to);
    states.push_back(to == first_node ? builder.add(terms, node)
                                      : builder.choice(decisions.inputs[to], terms, node));
  }
  return builder.concat(std::span(states).subspan(first_node));
}

class DartsSpace : public SupergraphSpace {
 public:
  using SupergraphSpace::SupergraphSpace;

  std::string to_string(const Architecture& a) const override {
    std::string text = espalier::to_string(
        Genotype{.normal = genotype_cell(a, 0), .reduce = genotype_cell(a, decisions_per_cell)});
    for (std::size_t d = 2 * decisions_per_cell; d < decisions().size(); ++d) {
      text += "," + decisions()[d].name + "=" + choice_label(decisions()[d], a.choices.at(d));
    }
    return text;
  }

  Architecture parse(std::string_view text) const override {
    std::string_view rest = text;
    const Genotype genotype = parse_genotype(rest);
    Architecture a{std::vector<std::uint32_t>(decisions().size(), 0)};
    read_cell(genotype.normal, "normal", 0, a);
    read_cell(genotype.reduce, "reduce", decisions_per_cell, a);
    if (decisions().size() == 2 * decisions_per_cell) {
      if (!rest.empty()) {
        throw InvalidArchitecture("'" + std::string(rest) +
                                  "' follows the genotype; this space has no other decisions");
      }
      return a;
    }
    // The rest is in the default form; the default parser wants every decision, so the genotype's
    // choices are put in front of it.
    std::string labels;
    for (std::size_t d = 0; d < 2 * decisions_per_cell; ++d) {
      labels += (d > 0 ? "," : "") + decisions()[d].name + "=" +
                choice_label(decisions()[d], a.choices[d]);
    }
    return SearchSpace::parse(labels + std::string(rest));
  }

 private:
  static GenotypeCell genotype_cell(const Architecture& a, std::size_t decision) {
    GenotypeCell result;
    for (std::uint32_t node = first_node; node <= last_node; ++node) {
      const auto inputs = node == first_node ? std::vector<std::uint32_t>{0, 1}
                                             : unrank_subset(a.choices.at(decision++), node, 2);
      for (std::uint32_t from : inputs) {
        result.edges.emplace_back(operators.at(a.choices.at(decision + from)),
                                  static_cast<int>(from));
      }
      decision += node;
      result.concat.push_back(static_cast<int>(node));
    }
    return result;
  }

  static void read_cell(const GenotypeCell& genotype, const std::string& name, std::size_t decision,
                        Architecture& a) {
    const auto wrong = [&](const std::string& what) {
      return InvalidArchitecture("the " + name + " cell of a DARTS genotype " + what);
    };
    if (genotype.edges.size() != 8) {
      throw wrong(fmt::format("has 8 pairs, not {}", genotype.edges.size()));
    }
    if (genotype.concat != std::vector<int>{2, 3, 4, 5}) throw wrong("joins range(2, 6)");
    for (std::uint32_t node = first_node; node <= last_node; ++node) {
      std::array<std::uint32_t, 2> inputs{};
      const std::size_t edges = decision + (node > first_node ? 1 : 0);
      for (std::size_t i = 0; i < 2; ++i) {
        const auto& [op, state] = genotype.edges[2 * (node - first_node) + i];
        inputs[i] = static_cast<std::uint32_t>(state);
        if (inputs[i] >= node) {
          throw wrong(
              fmt::format("has node {} read state {}; it may read 0 to {}", node, state, node - 1));
        }
        const auto found = std::ranges::find(operators, op);
        if (found == operators.end()) {
          throw InvalidArchitecture("unknown operator '" + op + "'" + suggestion(op, operators));
        }
        a.choices[edges + inputs[i]] = static_cast<std::uint32_t>(found - operators.begin());
      }
      if (inputs[0] == inputs[1]) {
        throw wrong(fmt::format("has node {} read state {} twice; its two predecessors differ",
                                node, inputs[0]));
      }
      std::ranges::sort(inputs);
      if (node > first_node) a.choices[decision] = rank_subset(inputs);
      decision = edges + node;
    }
  }
};

}  // namespace

std::unique_ptr<SupergraphSpace> make_darts(const DartsOptions& options) {
  darts_options().validate(options);
  SupergraphBuilder builder;
  const CellDecisions normal = decide_cell(builder, "normal");
  const CellDecisions reduce = decide_cell(builder, "reduce");
  std::int64_t channels = options.channels;
  const bool imagenet = options.stem == DartsStem::imagenet;
  NodeId last = builder.input(options.input[0], options.input[1], options.input[2]);
  NodeId before = last;
  {
    const auto scope = builder.scope("stem");
    const auto conv_bn = [&](NodeId x, std::int64_t width, int stride) {
      return builder.batch_norm(builder.conv(x, width, {.kernel = 3, .stride = stride}));
    };
    const auto relu = [&](NodeId x) { return builder.activation(x, ActivationKind::relu); };
    if (imagenet) {
      before = conv_bn(relu(conv_bn(last, channels / 2, 2)), channels, 2);
      last = conv_bn(relu(before), channels, 2);
    } else {
      before = last = conv_bn(last, 3 * channels, 1);
    }
  }
  for (int layer = 0; layer < options.layers; ++layer) {
    const bool reduction = layer == options.layers / 3 || layer == 2 * options.layers / 3;
    if (reduction) channels *= 2;
    const NodeId next =
        cell(builder, before, last, reduction ? reduce : normal,
             {.channels = channels, .reduction = reduction}, "cell" + std::to_string(layer));
    before = last;
    last = next;
  }
  {
    const auto scope = builder.scope("head");
    last = builder.linear(builder.flatten(builder.global_avg_pool(last)), options.classes);
  }
  builder.output(last);
  Supergraph supergraph = open_compression(builder.finish(), options.compression);
  return std::make_unique<DartsSpace>(std::move(supergraph));
}

}  // namespace espalier
