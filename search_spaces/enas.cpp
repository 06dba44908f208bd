#include "search_spaces/enas.hpp"

#include <algorithm>
#include <charconv>
#include <string>

#include <fmt/format.h>

#include "core/error.hpp"
#include "search_spaces/block_cells.hpp"
#include "search_spaces/cell_blocks.hpp"
#include "search_spaces/stages.hpp"

namespace espalier {

const OptionTable<EnasOptions>& enas_options() {
  static const auto table =
      OptionTable<EnasOptions>("ENAS micro: normal and reduction cells of 5 blocks, 5 operators")
          .add("input", &EnasOptions::input,
               "channels, height and width of the images, the last two multiples of 4", at_least(1),
               Items{3, 3})
          .add("classes", &EnasOptions::classes, "of the task", at_least(2))
          .add("channels", &EnasOptions::channels, "of the first of three stages", between(1, 4096))
          .add("cells", &EnasOptions::cells, "normal cells in each stage", between(1, 100))
          .check([](const EnasOptions& o) { check_multiples(o.input, 4); });
  return table;
}

namespace {

const std::vector<std::string> operators{"sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3",
                                         "max_pool_3x3", "skip_connect"};

NodeId apply(GraphBuilder& builder, NodeId x, std::size_t op, std::int64_t stride) {
  const std::string& name = operators[op];
  switch (op) {
    case 0:
      return sep_conv(builder, x, 3, stride, name);
    case 1:
      return sep_conv(builder, x, 5, stride, name);
    case 2:
      return builder.avg_pool(x, {.kernel = 3, .stride = stride}, name);
    case 3:
      return builder.max_pool(x, {.kernel = 3, .stride = stride}, name);
    default:
      return stride == 1 ? x : factorized_reduce(builder, x, builder.channels(x).value(), name);
  }
}

class EnasSpace : public BlockCellSpace {
 public:
  using BlockCellSpace::BlockCellSpace;

  std::string to_string(const Architecture& a) const override {
    return fmt::format("{}", fmt::join(a.choices, " "));
  }

  Architecture parse(std::string_view text) const override {
    const auto malformed = [&](const std::string& why) {
      return InvalidArchitecture(
          fmt::format("'{}' is not a pair of ENAS cells: {}; write 40 numbers, for each block of "
                      "the normal and "
                      "then of the reduction cell: input, operator, input, operator",
                      text, why));
    };
    constexpr std::string_view blanks = " \t\r\n";
    Architecture a;
    for (std::size_t begin = text.find_first_not_of(blanks); begin < text.size();) {
      const std::size_t end = std::min(text.find_first_of(blanks, begin), text.size());
      const std::string_view part = text.substr(begin, end - begin);
      std::uint32_t choice = 0;
      const auto [rest, error] = std::from_chars(part.data(), part.data() + part.size(), choice);
      if (error != std::errc{} || rest != part.data() + part.size()) {
        throw malformed(fmt::format("'{}' is not a number", part));
      }
      a.choices.push_back(choice);
      begin = text.find_first_not_of(blanks, end);
    }
    if (a.choices.size() != decisions().size()) {
      throw malformed(fmt::format("it has {} numbers", a.choices.size()));
    }
    for (std::size_t d = 0; d < a.choices.size(); ++d) {
      if (a.choices[d] >= choice_counts()[d]) {
        throw malformed(fmt::format("{} is 0 to {}, not {}", decisions()[d].name,
                                    choice_counts()[d] - 1, a.choices[d]));
      }
    }
    return a;
  }
};

}  // namespace

std::unique_ptr<SearchSpace> make_enas(const EnasOptions& options) {
  enas_options().validate(options);
  return std::make_unique<EnasSpace>(
      BlockCellOptions{.operators = operators,
                       .apply = apply,
                       .input_projections = 2,
                       .classifier_bias = false,
                       .input = {options.input[0], options.input[1], options.input[2]},
                       .classes = options.classes,
                       .channels = options.channels,
                       .cells = options.cells});
}

}  // namespace espalier
