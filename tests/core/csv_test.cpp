#include "core/csv.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.hpp"
#include "core/json.hpp"
#include "core/rng.hpp"
#include "tests/core/gzip.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string error_of(const std::string& text) {
  return throws<IoError>([&] { CsvTable::parse(text, "t.csv"); });
}

TEST(CsvTest, ReadsTextsAndNumbers) {
  const CsvTable table = CsvTable::parse("arch,acc,note\na,91.5,x\nb,,\nc,-1e3,+y\n", "t.csv");
  EXPECT_EQ(table.row_count(), 3u);
  EXPECT_THAT(table.columns(), ElementsAre("arch", "acc", "note"));
  EXPECT_THAT(table.texts("arch"), ElementsAre("a", "b", "c"));
  const std::vector<double> numbers = table.numbers("acc");
  EXPECT_EQ(numbers[0], 91.5);
  EXPECT_TRUE(std::isnan(numbers[1]));
  EXPECT_EQ(numbers[2], -1000);
  EXPECT_EQ(table.text(2, table.column("note")), "+y");
  EXPECT_EQ(table.line(2), 4u);
  EXPECT_TRUE(table.has_column("acc"));
  EXPECT_FALSE(table.has_column("Acc"));
}

TEST(CsvTest, LastLineMayLackItsEnd) {
  EXPECT_EQ(CsvTable::parse("a,b\n1,2", "t").row_count(), 1u);
  EXPECT_EQ(CsvTable::parse("a,b\n1,", "t").row_count(), 1u);
  EXPECT_EQ(CsvTable::parse("a,b", "t").row_count(), 0u);
}

TEST(CsvTest, LinesMayEndInCarriageReturnAndEmptyLinesAreSkipped) {
  const CsvTable table = CsvTable::parse(
      "\xef\xbb\xbf"
      "a,b\r\n1,2\r\n\r\n3,4\r\n",
      "t");
  EXPECT_THAT(table.columns(), ElementsAre("a", "b"));
  EXPECT_THAT(table.texts("b"), ElementsAre("2", "4"));
  EXPECT_EQ(table.line(1), 4u);
}

TEST(CsvTest, QuotedFieldsHoldSeparatorsQuotesAndLines) {
  const CsvTable table = CsvTable::parse("a,b\n\"x,\"\"y\"\"\",\"two\nlines\"\n\"\",z\n", "t");
  EXPECT_THAT(table.texts("a"), ElementsAre("x,\"y\"", ""));
  EXPECT_THAT(table.texts("b"), ElementsAre("two\nlines", "z"));
  EXPECT_EQ(table.line(1), 4u);
}

TEST(CsvTest, CopiesShareTheText) {
  const auto copy = [] {
    const CsvTable table = CsvTable::parse("a\nx\n", "t");
    return CsvTable(table);
  }();
  EXPECT_EQ(copy.text(0, 0), "x");
}

TEST(CsvTest, WhatIsWrittenIsReadBack) {
  Rng rng(1);
  const std::string alphabet = "ab,\"\n\r ";
  std::vector<std::vector<std::string>> rows;
  const std::vector<std::string> header = {"one", "two"};
  std::string text = csv_row(header);
  for (int i = 0; i < 500; ++i) {
    std::vector<std::string> row(2);
    for (std::string& field : row) {
      for (std::uint64_t j = rng.below(5); j > 0; --j) {
        field += alphabet[rng.below(alphabet.size())];
      }
    }
    text += csv_row(row);
    rows.push_back(row);
  }
  const CsvTable table = CsvTable::parse(text, "t");
  ASSERT_EQ(table.row_count(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(table.text(i, 0), rows[i][0]);
    EXPECT_EQ(table.text(i, 1), rows[i][1]);
  }
}

TEST(CsvTest, OneColumnOfEmptyTextsIsReadBack) {
  const std::vector<std::string> empty = {""}, header = {"a"};
  const CsvTable table = CsvTable::parse(csv_row(header) + csv_row(empty), "t");
  EXPECT_EQ(table.row_count(), 1u);
}

TEST(CsvTest, FieldsAreQuotedOnlyWhereTheyMustBe) {
  const std::vector<std::string> fields = {"a b", "1.5", "", "x,y", "\""};
  EXPECT_EQ(csv_row(fields), "a b,1.5,,\"x,y\",\"\"\"\"\n");
}

TEST(CsvTest, ReadsPlainAndCompressedFiles) {
  const TemporaryDirectory directory;
  std::string text = "a,b\n";
  for (int i = 0; i < 20000; ++i) text += std::to_string(i) + ",value\n";
  write_file_atomically(directory.path() / "t.csv", text);
  write_file_atomically(directory.path() / "t.csv.gz", gzip(text));
  write_file_atomically(directory.path() / "two.csv.gz", gzip("a,b\n1,") + gzip("2\n"));
  EXPECT_EQ(CsvTable::read(directory.path() / "t.csv").row_count(), 20000u);
  const CsvTable table = CsvTable::read(directory.path() / "t.csv.gz");
  EXPECT_EQ(table.row_count(), 20000u);
  EXPECT_EQ(table.numbers("a").back(), 19999);
  EXPECT_THAT(CsvTable::read(directory.path() / "two.csv.gz").texts("b"), ElementsAre("2"));
}

TEST(CsvTest, EveryTruncationOfACompressedFileIsAnError) {
  const TemporaryDirectory directory;
  const std::string compressed = gzip("a,b\n1,2\n3,4\n");
  const auto path = directory.path() / "t.csv.gz";
  for (std::size_t size = 2; size < compressed.size(); ++size) {
    write_file_atomically(path, compressed.substr(0, size));
    EXPECT_THAT(throws<IoError>([&] { CsvTable::read(path); }),
                HasSubstr("t.csv.gz: the gzip file is truncated"))
        << size;
  }
}

TEST(CsvTest, ACorruptCompressedFileIsAnError) {
  const TemporaryDirectory directory;
  std::string compressed = gzip("a,b\n" + std::string(1000, 'x') + ",1\n");
  compressed[compressed.size() - 6] ^= 1;  // its checksum
  const auto path = directory.path() / "t.csv.gz";
  write_file_atomically(path, compressed);
  EXPECT_THAT(throws<IoError>([&] { CsvTable::read(path); }),
              HasSubstr("the gzip file is corrupt: incorrect data check"));
}

TEST(CsvTest, ErrorsNameTheLine) {
  EXPECT_THAT(error_of(""), HasSubstr("t.csv: the table is empty"));
  EXPECT_THAT(error_of("a,a\n"), HasSubstr("the column \"a\" occurs twice"));
  EXPECT_THAT(error_of("a,b\n1,2\n3\n"), HasSubstr("line 3: 1 fields, but the header has 2"));
  EXPECT_THAT(error_of("a,b\n1,2,3\n"), HasSubstr("line 2: 3 fields"));
  EXPECT_THAT(error_of("a\n\"x\ny\n"), HasSubstr("line 2: a quote is never closed"));
  EXPECT_THAT(error_of("a\n\"x\"y\n"), HasSubstr("line 2: text follows a closing quote"));
  throws<IoError>([] { CsvTable::read("no/such/table.csv"); });
}

TEST(CsvTest, AnUnknownColumnNamesTheNearest) {
  const CsvTable table = CsvTable::parse("arch,accuracy\n", "t.csv");
  EXPECT_THAT(throws<IoError>([&] { table.column("acuracy"); }),
              HasSubstr("t.csv: no column \"acuracy\"; did you mean \"accuracy\"?"));
  throws<IoError>([&] { table.texts("x"); });
  throws<IoError>([&] { table.numbers("x"); });
}

TEST(CsvTest, AFieldThatIsNotANumberNamesItsPlace) {
  for (const char* field : {"x", "1.5x", "1,5", "--1", " 1", "0x10"}) {
    const std::vector<std::string> row = {field};
    const CsvTable table = CsvTable::parse("acc\n1\n" + csv_row(row), "t.csv");
    EXPECT_THAT(throws<IoError>([&] { table.numbers("acc"); }),
                HasSubstr("line 3, column \"acc\": \"" + row[0] + "\" is not a number"));
  }
}

}  // namespace
}  // namespace espalier
