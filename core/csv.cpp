#include "core/csv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>
#include <set>

#include "core/error.hpp"
#include "core/gzip.hpp"

namespace espalier {
namespace {

// Walks over a CSV text, field by field. Quoted fields are unescaped in place.
class Reader {
 public:
  Reader(std::string& text, const std::string& name) : text_(text), name_(name) {
    constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    if (text.starts_with(byte_order_mark)) position_ = byte_order_mark.size();
  }

  bool at_end() const { return position_ == text_.size(); }
  std::size_t line() const { return line_; }

  // Appends the fields of one row.
  void read_row(std::vector<std::string_view>& fields) {
    while (true) {
      fields.push_back(read_field());
      if (at_end()) return;
      const char separator = text_[position_++];
      if (separator == ',') continue;
      if (separator == '\r' && !at_end() && text_[position_] == '\n') ++position_;
      ++line_;
      return;
    }
  }

 private:
  std::string_view read_field() {
    if (at_end() || text_[position_] != '"') {
      const std::size_t begin = position_;
      // The end of a field is near: a plain loop beats find_first_of.
      while (position_ < text_.size() && text_[position_] != ',' && text_[position_] != '\n' &&
             text_[position_] != '\r') {
        ++position_;
      }
      return std::string_view(text_).substr(begin, position_ - begin);
    }
    const std::size_t first_line = line_;
    const std::size_t begin = ++position_;
    std::size_t end = begin;
    while (true) {
      if (at_end())
        throw IoError(name_, fmt::format("line {}: a quote is never closed", first_line));
      const char c = text_[position_++];
      if (c == '"') {
        if (at_end() || text_[position_] != '"') break;
        ++position_;
      }
      if (c == '\n') ++line_;
      text_[end++] = c;
    }
    if (!at_end() && text_[position_] != ',' && text_[position_] != '\n' &&
        text_[position_] != '\r') {
      throw IoError(name_, fmt::format("line {}: text follows a closing quote", line_));
    }
    return std::string_view(text_).substr(begin, end - begin);
  }

  std::string& text_;
  const std::string& name_;
  std::size_t position_ = 0;
  std::size_t line_ = 1;
};

}  // namespace

CsvTable CsvTable::read(const std::filesystem::path& path) {
  return parse(read_file_maybe_gzip(path), path.string());
}

CsvTable CsvTable::parse(std::string text, const std::string& name) {
  const auto shared = std::make_shared<std::string>(std::move(text));
  CsvTable table;
  table.name_ = name;
  table.text_ = shared;
  Reader reader(*shared, name);
  if (reader.at_end()) throw IoError(name, "the table is empty; expected a line of column names");
  std::vector<std::string_view> header;
  reader.read_row(header);
  for (const std::string_view column : header) {
    if (std::ranges::find(table.columns_, column) != table.columns_.end()) {
      throw IoError(name, fmt::format("line 1: the column \"{}\" occurs twice", column));
    }
    table.columns_.emplace_back(column);
  }
  while (!reader.at_end()) {
    const std::size_t line = reader.line();
    const std::size_t before = table.fields_.size();
    reader.read_row(table.fields_);
    const std::size_t count = table.fields_.size() - before;
    if (count == 1 && table.columns_.size() > 1 && table.fields_.back().empty()) {
      table.fields_.pop_back();  // an empty line
      continue;
    }
    if (count != table.columns_.size()) {
      throw IoError(name, fmt::format("line {}: {} fields, but the header has {} columns", line,
                                      count, table.columns_.size()));
    }
    table.lines_.push_back(line);
  }
  return table;
}

bool CsvTable::has_column(std::string_view column) const {
  return std::ranges::find(columns_, column) != columns_.end();
}

std::size_t CsvTable::column(std::string_view column) const {
  const auto found = std::ranges::find(columns_, column);
  if (found == columns_.end()) {
    throw IoError(name_, fmt::format("no column \"{}\"{}", column, suggestion(column, columns_)));
  }
  return static_cast<std::size_t>(found - columns_.begin());
}

std::vector<std::string_view> CsvTable::texts(std::string_view name) const {
  const std::size_t index = column(name);
  std::vector<std::string_view> texts(row_count());
  for (std::size_t row = 0; row < texts.size(); ++row) texts[row] = text(row, index);
  return texts;
}

std::vector<double> CsvTable::numbers(std::string_view name) const {
  const std::size_t index = column(name);
  std::vector<double> numbers(row_count());
  for (std::size_t row = 0; row < numbers.size(); ++row) {
    std::string_view field = text(row, index);
    if (field.empty()) {
      numbers[row] = std::numeric_limits<double>::quiet_NaN();
      continue;
    }
    const std::string_view written = field;
    if (field.starts_with('+')) field.remove_prefix(1);
    const auto [end, error] =
        std::from_chars(field.data(), field.data() + field.size(), numbers[row]);
    if (error != std::errc() || end != field.data() + field.size()) {
      throw IoError(name_, fmt::format("line {}, column \"{}\": \"{}\" is not a number", line(row),
                                       name, written));
    }
  }
  return numbers;
}

std::string csv_row(std::span<const std::string> fields) {
  std::string row;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) row += ',';
    // The only field of a row is quoted when it is empty, or the row would be an empty line.
    if (fields[i].find_first_of("\",\r\n") == std::string::npos &&
        !(fields.size() == 1 && fields[i].empty())) {
      row += fields[i];
      continue;
    }
    row += '"';
    for (const char c : fields[i]) {
      if (c == '"') row += '"';
      row += c;
    }
    row += '"';
  }
  return row + '\n';
}

}  // namespace espalier
