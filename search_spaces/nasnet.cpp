#include "search_spaces/nasnet.hpp"

#include <algorithm>
#include <array>
#include <string>

#include <fmt/format.h>

#include "core/error.hpp"
#include "graph/blocks.hpp"
#include "search_spaces/block_cells.hpp"
#include "search_spaces/cell_blocks.hpp"
#include "search_spaces/genotype.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

const OptionTable<NasnetOptions>& nasnet_options() {
  static const auto table =
      OptionTable<NasnetOptions>("NASNet: normal and reduction cells of 5 blocks, 13 operators")
          .add("input", &NasnetOptions::input,
               "channels, height and width of the images, the last two multiples of 4", at_least(1),
               Items{3, 3})
          .add("classes", &NasnetOptions::classes, "of the task", at_least(2))
          .add("channels", &NasnetOptions::channels, "of the first of three stages",
               between(1, 4096))
          .add("cells", &NasnetOptions::cells, "normal cells in each stage", between(1, 100))
          .add("normal_also_joins", &NasnetOptions::normal_also_joins,
               "states that a normal cell joins although a block reads them",
               between(0, cell_blocks + 1))
          .add("reduce_also_joins", &NasnetOptions::reduce_also_joins,
               "states that a reduction cell joins although a block reads them",
               between(0, cell_blocks + 1))
          .check([](const NasnetOptions& o) {
            check_multiples(o.input, 4);
            check_distinct("/normal_also_joins", o.normal_also_joins);
            check_distinct("/reduce_also_joins", o.reduce_also_joins);
          });
  return table;
}

namespace {

const std::vector<std::string> operators{
    "skip_connect", "conv_1x3_3x1", "conv_1x7_7x1", "dil_conv_3x3", "avg_pool_3x3",
    "max_pool_3x3", "max_pool_5x5", "max_pool_7x7", "conv_1x1",     "conv_3x3",
    "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7"};

/// ReLU, a 1xk and a kx1 convolution, batch norm; the first has the stride along the width, the
/// second along the height.
NodeId factorized_conv(GraphBuilder& builder, NodeId x, int kernel, std::int64_t stride,
                       std::string_view name) {
  const Dim channels = builder.channels(x);
  const auto scope = builder.scope(
      name, "factorized_conv",
      block_attributes(builder, x, channels, {{"kernel", kernel}, {"stride", stride}}));
  x = builder.activation(x, ActivationKind::relu);
  x = builder.conv(x, channels, {.kernel = {1, kernel}, .stride = {1, stride}});
  x = builder.conv(x, channels, {.kernel = {kernel, 1}, .stride = {stride, 1}});
  return builder.batch_norm(x);
}

NodeId dilated_conv(GraphBuilder& builder, NodeId x, std::int64_t stride, std::string_view name) {
  const Dim channels = builder.channels(x);
  const auto scope =
      builder.scope(name, "dilated_conv",
                    block_attributes(builder, x, channels, {{"kernel", 3}, {"stride", stride}}));
  x = builder.activation(x, ActivationKind::relu);
  return builder.batch_norm(
      builder.conv(x, channels, {.kernel = 3, .stride = stride, .dilation = 2}));
}

NodeId apply(GraphBuilder& builder, NodeId x, std::size_t op, std::int64_t stride) {
  const std::string& name = operators[op];
  const Dim channels = builder.channels(x);
  const auto max_pool = [&](int kernel) {
    return builder.max_pool(x, {.kernel = kernel, .stride = stride}, name);
  };
  switch (op) {
    case 0:
      return stride == 1 ? x : relu_conv_bn(builder, x, channels, 1, stride, name);
    case 1:
      return factorized_conv(builder, x, 3, stride, name);
    case 2:
      return factorized_conv(builder, x, 7, stride, name);
    case 3:
      return dilated_conv(builder, x, stride, name);
    case 4:
      return builder.avg_pool(x, {.kernel = 3, .stride = stride}, name);
    case 5:
      return max_pool(3);
    case 6:
      return max_pool(5);
    case 7:
      return max_pool(7);
    case 8:
      return relu_conv_bn(builder, x, channels, 1, stride, name);
    case 9:
      return relu_conv_bn(builder, x, channels, 3, stride, name);
    case 10:
      return sep_conv(builder, x, 3, stride, name);
    case 11:
      return sep_conv(builder, x, 5, stride, name);
    default:
      return sep_conv(builder, x, 7, stride, name);
  }
}

class NasnetSpace : public BlockCellSpace {
 public:
  using BlockCellSpace::BlockCellSpace;

  std::string to_string(const Architecture& a) const override {
    Genotype genotype;
    std::size_t d = 0;
    for (GenotypeCell* cell : {&genotype.normal, &genotype.reduce}) {
      for (std::size_t i = 0; i < 2 * cell_blocks; ++i, d += 2) {
        cell->edges.emplace_back(operators.at(a.choices.at(d + 1)),
                                 static_cast<int>(a.choices.at(d)));
      }
      const std::vector<std::int64_t> states = joined(a, cell == &genotype.reduce);
      cell->concat.assign(states.begin(), states.end());
    }
    return espalier::to_string(genotype);
  }

  Architecture parse(std::string_view text) const override {
    std::string_view rest = text;
    const Genotype genotype = parse_genotype(rest);
    if (!rest.empty()) {
      throw InvalidArchitecture("'" + std::string(rest) +
                                "' follows the genotype; this space has no other decisions");
    }
    Architecture a;
    for (const GenotypeCell* cell : {&genotype.normal, &genotype.reduce}) {
      const auto wrong = [&](const std::string& what) {
        return InvalidArchitecture(fmt::format("the {} cell of a NASNet genotype {}",
                                               cell == &genotype.normal ? "normal" : "reduce",
                                               what));
      };
      if (cell->edges.size() != 2 * cell_blocks) {
        throw wrong(fmt::format("has 10 pairs, not {}", cell->edges.size()));
      }
      for (std::size_t i = 0; i < cell->edges.size(); ++i) {
        const auto& [op, state] = cell->edges[i];
        const int states = static_cast<int>(2 + i / 2);
        if (state >= states) {
          throw wrong(fmt::format("has block {} read state {}; it may read 0 to {}", states - 1,
                                  state, states - 1));
        }
        const auto found = std::ranges::find(operators, op);
        if (found == operators.end()) {
          throw InvalidArchitecture("unknown operator '" + op + "'" + suggestion(op, operators));
        }
        a.choices.push_back(static_cast<std::uint32_t>(state));
        a.choices.push_back(static_cast<std::uint32_t>(found - operators.begin()));
      }
    }
    for (const GenotypeCell* cell : {&genotype.normal, &genotype.reduce}) {
      const bool reduce = cell == &genotype.reduce;
      const std::vector<std::int64_t> states = joined(a, reduce);
      if (!std::ranges::equal(cell->concat, states)) {
        throw InvalidArchitecture(fmt::format(
            "the {0} cell joins the states {1}, which no block reads or {0}_also_joins names, not "
            "{2}",
            reduce ? "reduce" : "normal", fmt::join(states, ", "), fmt::join(cell->concat, ", ")));
      }
    }
    return a;
  }
};

}  // namespace

std::unique_ptr<SearchSpace> make_nasnet(const NasnetOptions& options) {
  nasnet_options().validate(options);
  return std::make_unique<NasnetSpace>(
      BlockCellOptions{.operators = operators,
                       .apply = apply,
                       .also_joined = {options.normal_also_joins, options.reduce_also_joins},
                       .input = {options.input[0], options.input[1], options.input[2]},
                       .classes = options.classes,
                       .channels = options.channels,
                       .cells = options.cells});
}

}  // namespace espalier
