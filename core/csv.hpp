// Tables with named columns, as CSV files.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace espalier {

/// A table of texts whose first row names the columns. Immutable; copies share their text.
class CsvTable {
 public:
  /// Reads a CSV file, or one compressed with gzip, whatever its name. Fields may be quoted as in
  /// RFC 4180; lines end in \n or \r\n. Throws IoError, naming the line, for a row with more or
  /// fewer fields than the header, an unclosed quote, a column named twice, an empty or a truncated
  /// file.
  static CsvTable read(const std::filesystem::path& path);

  /// The same from a text; `name` stands for it in messages.
  static CsvTable parse(std::string text, const std::string& name);

  std::size_t row_count() const { return columns_.empty() ? 0 : fields_.size() / columns_.size(); }
  const std::vector<std::string>& columns() const { return columns_; }
  bool has_column(std::string_view column) const;

  /// The position of a column. Throws IoError naming the nearest column.
  std::size_t column(std::string_view column) const;

  /// One field; it lives as long as a copy of the table.
  std::string_view text(std::size_t row, std::size_t column) const {
    return fields_[row * columns_.size() + column];
  }

  /// A whole column. Throws IoError as `column` does.
  std::vector<std::string_view> texts(std::string_view column) const;

  /// A whole column as numbers; an empty field is NaN. Throws IoError naming line and column when a
  /// field is not a number.
  std::vector<double> numbers(std::string_view column) const;

  /// The line of the file on which a row begins, for messages; the first line is 1.
  std::size_t line(std::size_t row) const { return lines_[row]; }

  /// The path or name that it was read from.
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::shared_ptr<const std::string> text_;  // what fields_ points into
  std::vector<std::string> columns_;
  std::vector<std::string_view> fields_;  // row by row
  std::vector<std::size_t> lines_;
};

/// One row of a CSV file with its "\n"; fields are quoted where they must be.
std::string csv_row(std::span<const std::string> fields);

}  // namespace espalier
