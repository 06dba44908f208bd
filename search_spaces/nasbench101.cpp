#include "search_spaces/nasbench101.hpp"

#include <algorithm>
#include <array>
#include <string>

#include <fmt/format.h>

#include "core/error.hpp"
#include "search_spaces/cell_blocks.hpp"

namespace espalier {

const OptionTable<Nasbench101Options>& nasbench101_options() {
  static const auto table =
      OptionTable<Nasbench101Options>("NAS-Bench-101: cells of 7 vertices and at most 9 edges")
          .add("input", &Nasbench101Options::input, "channels, height and width of the images",
               at_least(1), Items{3, 3})
          .add("classes", &Nasbench101Options::classes, "of the task", at_least(2))
          // Five vertices may share the channels.
          .add("channels", &Nasbench101Options::channels,
               "of the stem and the first of three stacks", between(5, 4096))
          .add("cells", &Nasbench101Options::cells, "in each stack", between(1, 100));
  return table;
}

namespace {

const std::vector<std::string> operators{"conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"};
constexpr std::size_t most_vertices = 7;
constexpr std::size_t most_edges = 9;
constexpr std::size_t edge_decisions = most_vertices * (most_vertices - 1) / 2;

/// A cell of `size` vertices; the last is the output.
struct Cell {
  std::size_t size = most_vertices;
  std::array<std::array<bool, most_vertices>, most_vertices> edge{};  // [from][to], from < to
  std::array<std::uint32_t, most_vertices> op{};                      // of vertices 1 to size - 2

  friend bool operator==(const Cell&, const Cell&) = default;
  std::size_t edges() const {
    std::size_t count = 0;
    for (const auto& row : edge) count += static_cast<std::size_t>(std::ranges::count(row, true));
    return count;
  }
};

std::size_t edge_decision(std::size_t from, std::size_t to) { return to * (to - 1) / 2 + from; }
std::size_t op_decision(std::size_t vertex) { return edge_decisions + vertex - 1; }

Cell decode(const Architecture& a) {
  Cell cell;
  for (std::size_t to = 1; to < most_vertices; ++to) {
    for (std::size_t from = 0; from < to; ++from) {
      cell.edge[from][to] = (a.choices.at(edge_decision(from, to)) == 0) == (from == 0);
    }
  }
  for (std::size_t v = 1; v + 1 < most_vertices; ++v) cell.op[v] = a.choices.at(op_decision(v));
  return cell;
}

Architecture encode(const Cell& cell) {
  Architecture a{std::vector<std::uint32_t>(edge_decisions + most_vertices - 2, 0)};
  const auto place = [&](std::size_t v) { return v + 1 == cell.size ? most_vertices - 1 : v; };
  for (std::size_t to = 1; to < cell.size; ++to) {
    for (std::size_t from = 0; from < to; ++from) {
      a.choices[edge_decision(place(from), place(to))] = cell.edge[from][to] == (from != 0);
    }
  }
  for (std::size_t v = 1; v + 1 < cell.size; ++v) a.choices[op_decision(v)] = cell.op[v];
  return a;
}

/// The vertices and edges on paths from the input to the output; without such a path, two vertices
/// and no edge.
Cell prune(const Cell& cell) {
  std::array<bool, most_vertices> from_input{true}, to_output{};
  to_output[cell.size - 1] = true;
  for (std::size_t to = 1; to < cell.size; ++to) {
    for (std::size_t from = 0; from < to; ++from) {
      if (cell.edge[from][to] && from_input[from]) from_input[to] = true;
    }
  }
  for (std::size_t from = cell.size - 1; from-- > 0;) {
    for (std::size_t to = from + 1; to < cell.size; ++to) {
      if (cell.edge[from][to] && to_output[to]) to_output[from] = true;
    }
  }
  if (!to_output[0]) return {.size = 2};
  std::vector<std::size_t> kept;
  for (std::size_t v = 0; v < cell.size; ++v) {
    if (from_input[v] && to_output[v]) kept.push_back(v);
  }
  Cell result{.size = kept.size()};
  for (std::size_t to = 0; to < kept.size(); ++to) {
    result.op[to] = cell.op[kept[to]];
    for (std::size_t from = 0; from < to; ++from) {
      result.edge[from][to] = cell.edge[kept[from]][kept[to]];
    }
  }
  return result;
}

/// The channels of each vertex of a pruned cell whose output has `channels`.
std::vector<std::int64_t> vertex_channels(const Cell& cell, std::int64_t channels) {
  const std::size_t output = cell.size - 1;
  std::vector<std::int64_t> result(cell.size, 0);
  std::vector<std::size_t> joined;
  for (std::size_t v = 1; v < output; ++v) {
    if (cell.edge[v][output]) joined.push_back(v);
  }
  const auto parts = static_cast<std::int64_t>(joined.size());
  for (std::size_t i = 0; i < joined.size(); ++i) {
    result[joined[i]] = channels / parts + (static_cast<std::int64_t>(i) < channels % parts);
  }
  for (std::size_t v = output; v-- > 1;) {
    if (cell.edge[v][output]) continue;
    for (std::size_t to = v + 1; to < output; ++to) {
      if (cell.edge[v][to]) result[v] = std::max(result[v], result[to]);
    }
  }
  return result;
}

NodeId build_cell(GraphBuilder& builder, NodeId x, const Cell& cell, std::int64_t channels,
                  const std::string& name) {
  const auto scope = builder.scope(name, "cell");
  const std::vector<std::int64_t> widths = vertex_channels(cell, channels);
  const std::size_t output = cell.size - 1;
  std::vector<NodeId> vertices{x};
  for (std::size_t v = 1; v < output; ++v) {
    const auto part = builder.scope("vertex" + std::to_string(v));
    std::vector<NodeId> terms;
    for (std::size_t from = 1; from < v; ++from) {
      if (!cell.edge[from][v]) continue;
      terms.push_back(widths[from] == widths[v]
                          ? vertices[from]
                          : builder.slice(vertices[from], {.axis = 0, .end = widths[v]}));
    }
    if (cell.edge[0][v]) terms.push_back(conv_bn_relu(builder, x, widths[v], 1, 1, "projection"));
    const NodeId in = terms.size() == 1 ? terms[0] : builder.add(terms);
    vertices.push_back(
        cell.op[v] == 2 ? builder.max_pool(in, {.kernel = 3, .stride = 1})
                        : conv_bn_relu(builder, in, widths[v], cell.op[v] == 0 ? 3 : 1, 1, "conv"));
  }
  std::vector<NodeId> joined;
  for (std::size_t v = 1; v < output; ++v) {
    if (cell.edge[v][output]) joined.push_back(vertices[v]);
  }
  std::vector<NodeId> terms;
  if (!joined.empty()) terms.push_back(joined.size() == 1 ? joined[0] : builder.concat(joined));
  if (cell.edge[0][output]) terms.push_back(conv_bn_relu(builder, x, channels, 1, 1, "projection"));
  return terms.size() == 1 ? terms[0] : builder.add(terms);
}

std::vector<Decision> cell_decisions() {
  std::vector<Decision> decisions;
  for (std::size_t to = 1; to < most_vertices; ++to) {
    for (std::size_t from = 0; from < to; ++from) {
      decisions.push_back({.name = fmt::format("edge{}_{}", from, to),
                           .options = from == 0 ? std::vector<std::string>{"yes", "no"}
                                                : std::vector<std::string>{"no", "yes"}});
    }
  }
  for (std::size_t v = 1; v + 1 < most_vertices; ++v) {
    decisions.push_back({.name = fmt::format("op{}", v), .options = operators});
  }
  return decisions;
}

class Nasbench101Space : public SearchSpace {
 public:
  explicit Nasbench101Space(const Nasbench101Options& options)
      : SearchSpace(cell_decisions()), options_(options) {}

  bool valid(const Architecture& a) const override {
    if (!SearchSpace::valid(a)) return false;
    const std::size_t edges = prune(decode(a)).edges();
    return edges >= 1 && edges <= most_edges;
  }

  Architecture canonical(const Architecture& a) const override { return encode(prune(decode(a))); }

  bool active(const Architecture& a, DecisionId d) const override {
    Architecture changed = a;
    changed.choices.at(d) = (a.choices[d] + 1) % choice_counts()[d];
    return prune(decode(changed)) != prune(decode(a));
  }

  Graph build(const Architecture& a) const override {
    require_valid(a);
    const Cell cell = prune(decode(a));
    GraphBuilder builder;
    NodeId x = builder.input(options_.input[0], options_.input[1], options_.input[2]);
    x = conv_bn_relu(builder, x, options_.channels, 3, 1, "stem");
    std::int64_t channels = options_.channels;
    for (int stack = 1; stack <= 3; ++stack) {
      const std::string prefix = "stack" + std::to_string(stack);
      if (stack > 1) {
        channels *= 2;
        x = builder.max_pool(x, {.kernel = 2, .stride = 2, .ceil_mode = true}, prefix + "_pool");
      }
      for (int c = 1; c <= options_.cells; ++c) {
        x = build_cell(builder, x, cell, channels, prefix + "_cell" + std::to_string(c));
      }
    }
    const auto scope = builder.scope("head");
    x = builder.linear(builder.flatten(builder.global_avg_pool(x)), options_.classes);
    builder.output(x);
    return builder.build();
  }

  std::string to_string(const Architecture& a) const override {
    const Cell cell = prune(decode(a));
    std::string text;
    for (std::size_t from = 0; from < cell.size; ++from) {
      if (from > 0) text += '/';
      for (std::size_t to = 0; to < cell.size; ++to) text += cell.edge[from][to] ? '1' : '0';
    }
    text += " input";
    for (std::size_t v = 1; v + 1 < cell.size; ++v) text += "," + operators.at(cell.op[v]);
    return text + ",output";
  }

  Architecture parse(std::string_view text) const override {
    const auto malformed = [&](const std::string& why) {
      return InvalidArchitecture("'" + std::string(text) + "' is not a NAS-Bench-101 cell: " + why +
                                 "; write for example "
                                 "011/001/000 input,conv3x3-bn-relu,output");
    };
    constexpr std::string_view separators = " \t\r\n/,;[]()'\"";
    const std::size_t names = std::min(text.find("input"), text.size());
    std::string digits;
    for (char c : text.substr(0, names)) {
      if (separators.find(c) != std::string_view::npos) continue;
      if (c != '0' && c != '1') throw malformed("the matrix holds 0 and 1 only");
      digits += c;
    }
    std::vector<std::string> vertices;
    for (std::size_t begin = names; begin < text.size();) {
      const std::size_t end = std::min(text.find_first_of(separators, begin), text.size());
      if (end > begin) vertices.emplace_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
    const std::size_t size = vertices.size();
    if (size < 2 || size > most_vertices || vertices.front() != "input" ||
        vertices.back() != "output") {
      throw malformed("its operators are input, at most five others, and output");
    }
    if (digits.size() != size * size) {
      throw malformed(fmt::format("{} operators need a matrix of {} entries, not {}", size,
                                  size * size, digits.size()));
    }
    Cell cell{.size = size};
    for (std::size_t from = 0; from < size; ++from) {
      for (std::size_t to = 0; to < size; ++to) {
        if (digits[from * size + to] == '0') continue;
        if (from >= to) throw malformed("an edge leads to the same or an earlier vertex");
        cell.edge[from][to] = true;
      }
    }
    for (std::size_t v = 1; v + 1 < size; ++v) {
      const auto found = std::ranges::find(operators, vertices[v]);
      if (found == operators.end()) {
        throw InvalidArchitecture("unknown operator '" + vertices[v] + "'" +
                                  suggestion(vertices[v], operators));
      }
      cell.op[v] = static_cast<std::uint32_t>(found - operators.begin());
    }
    return encode(prune(cell));
  }

 private:
  Nasbench101Options options_;
};

}  // namespace

std::unique_ptr<SearchSpace> make_nasbench101(const Nasbench101Options& options) {
  nasbench101_options().validate(options);
  return std::make_unique<Nasbench101Space>(options);
}

}  // namespace espalier
