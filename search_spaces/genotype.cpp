#include "search_spaces/genotype.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/error.hpp"

namespace espalier {

namespace {

std::string to_string(const GenotypeCell& cell, std::string_view name) {
  std::string edges, states;
  for (const auto& [op, state] : cell.edges) {
    edges += fmt::format("{}('{}', {})", edges.empty() ? "" : ", ", op, state);
  }
  for (int state : cell.concat) states += fmt::format("{}{}", states.empty() ? "" : ", ", state);
  const bool range = cell.concat.size() > 1 &&
                     std::ranges::adjacent_find(
                         cell.concat, [](int a, int b) { return b != a + 1; }) == cell.concat.end();
  return fmt::format("{0}=[{1}], {0}_concat={2}", name, edges,
                     range ? fmt::format("range({}, {})", cell.concat[0], cell.concat.back() + 1)
                           : "[" + states + "]");
}

/// Reads a text token by token; white space between tokens does not count.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text), rest_(text) {}

  bool accept(std::string_view token) {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size()));
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }
  void expect(std::string_view token) {
    if (!accept(token)) throw unexpected("'" + std::string(token) + "'");
  }
  int state() {
    accept("");
    if (rest_.empty() || rest_[0] < '0' || rest_[0] > '9')
      throw unexpected("the number of a state");
    int value = 0;
    while (!rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9') {
      value = std::min(1000, value * 10 + (rest_[0] - '0'));  // no cell has so many states
      rest_.remove_prefix(1);
    }
    return value;
  }
  std::string quoted() {
    const char quote = accept("'") ? '\'' : accept("\"") ? '"' : '\0';
    const std::size_t end = quote == '\0' ? std::string_view::npos : rest_.find(quote);
    if (end == std::string_view::npos) throw unexpected("an operator in quotes");
    std::string result(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return result;
  }
  std::string_view rest() const { return rest_; }

 private:
  InvalidArchitecture unexpected(const std::string& expected) const {
    return InvalidArchitecture(fmt::format(
        "not a genotype: expected {} at position {}, got '{}'; a genotype looks like "
        "Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], "
        "reduce_concat=[4, 5, 6])",
        expected, text_.size() - rest_.size(), rest_.substr(0, 20)));
  }

  std::string_view text_, rest_;
};

GenotypeCell read_cell(Reader& reader, std::string_view name) {
  GenotypeCell cell;
  reader.expect(name);
  reader.expect("=");
  reader.expect("[");
  while (!reader.accept("]")) {
    if (!cell.edges.empty()) reader.expect(",");
    if (!cell.edges.empty() && reader.accept("]")) break;  // a comma may end a list
    reader.expect("(");
    std::string op = reader.quoted();
    reader.expect(",");
    cell.edges.emplace_back(std::move(op), reader.state());
    reader.expect(")");
  }
  reader.expect(",");
  reader.expect(name);
  reader.expect("_concat");
  reader.expect("=");
  if (reader.accept("range")) {
    reader.expect("(");
    const int begin = reader.state();
    reader.expect(",");
    const int end = reader.state();
    reader.expect(")");
    for (int state = begin; state < end; ++state) cell.concat.push_back(state);
    return cell;
  }
  reader.expect("[");
  while (!reader.accept("]")) {
    if (!cell.concat.empty()) reader.expect(",");
    cell.concat.push_back(reader.state());
  }
  return cell;
}

}  // namespace

std::string to_string(const Genotype& genotype) {
  return "Genotype(" + to_string(genotype.normal, "normal") + ", " +
         to_string(genotype.reduce, "reduce") + ")";
}

Genotype parse_genotype(std::string_view& text) {
  Reader reader(text);
  Genotype genotype;
  reader.expect("Genotype");
  reader.expect("(");
  genotype.normal = read_cell(reader, "normal");
  reader.expect(",");
  genotype.reduce = read_cell(reader, "reduce");
  reader.accept(",");
  reader.expect(")");
  reader.accept("");
  text = reader.rest();
  return genotype;
}

}  // namespace espalier
