#include "core/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "core/error.hpp"
#include "tests/core/full_disk.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

TEST(JsonTest, KeepsTheOrderOfKeys) {
  EXPECT_EQ(parse_json(R"({"b":1,"a":{"d":null,"c":[true,2.5]}})", "x").dump(),
            R"({"b":1,"a":{"d":null,"c":[true,2.5]}})");
}

TEST(JsonTest, SyntaxErrorsNameLineAndColumn) {
  const std::string text = throws<ConfigError>([] { parse_json("{\n  \"a\": 1,\n}", "f.json"); });
  EXPECT_THAT(text, HasSubstr("f.json: not valid JSON at line 3, column 1"));
  EXPECT_THAT(throws<ConfigError>([] { parse_json("", "f"); }), HasSubstr("line 1, column 1"));
  throws<ConfigError>([] { parse_json("[1] 2", "f"); });
  throws<ConfigError>([] { parse_json("\"\xff\"", "f"); });
}

TEST(JsonTest, NumbersOutOfRangeAreErrors) {
  EXPECT_THAT(throws<ConfigError>([] { parse_json("[1e999]", "f"); }), HasSubstr("not valid JSON"));
}

TEST(JsonTest, AKeyMayOccurOnceInEachObject) {
  EXPECT_THAT(throws<ConfigError>([] { parse_json(R"({"a":1,"b":{"c":1,"c":2}})", "f"); }),
              HasSubstr("f: the key \"c\" occurs twice"));
  EXPECT_NO_THROW(parse_json(R"([{"a":{"a":1}},{"a":2}])", "f"));
}

TEST(JsonTest, DeepNestingNeitherCrashesNorPasses) {
  throws<ConfigError>([] { parse_json(std::string(100000, '['), "f"); });
}

TEST(JsonTest, AMissingFileIsAnIoError) {
  EXPECT_THAT(throws<IoError>([] { read_json_file("no/such/file.json"); }),
              HasSubstr("no/such/file.json: cannot open: No such file"));
  EXPECT_THAT(throws<IoError>([] { read_file("/"); }), HasSubstr("cannot read: Is a directory"));
}

TEST(JsonTest, WritesAndReadsBack) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "a.json";
  write_file_atomically(path, "{\"a\": 1}\n");
  EXPECT_EQ(read_file(path), "{\"a\": 1}\n");
  write_file_atomically(path, "{}");
  EXPECT_EQ(read_json_file(path), Json::object());
  EXPECT_EQ(directory.names(), std::vector<std::string>{"a.json"});
  const std::string large(300000, 'x');
  write_file_atomically(path, large);
  EXPECT_EQ(read_file(path), large);
}

TEST(JsonTest, AFailedWriteLeavesTheOldFileAndNothingElse) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "a.json";
  write_file_atomically(path, "old");
  const std::string text = throws<IoError>([&] {
    const FullDisk full(4096);
    write_file_atomically(path, std::string(100000, 'x'));
  });
  EXPECT_THAT(text, HasSubstr("a.json: cannot write: File too large"));
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(directory.names(), std::vector<std::string>{"a.json"});
}

TEST(JsonTest, AWriteIntoNoDirectoryOrOverADirectoryFails) {
  const TemporaryDirectory directory;
  EXPECT_THAT(throws<IoError>([&] { write_file_atomically(directory.path() / "no" / "a", ""); }),
              HasSubstr("cannot create: No such file"));
  const auto taken = directory.path() / "taken";
  std::filesystem::create_directory(taken);
  EXPECT_THAT(throws<IoError>([&] { write_file_atomically(taken, ""); }),
              HasSubstr("cannot replace"));
  EXPECT_EQ(directory.names(), std::vector<std::string>{"taken"});
}

TEST(JsonTest, PointersEscapeTheirKeys) {
  const std::string pointer = pointer_to(pointer_to(pointer_to("", "a/b"), 2), "c~");
  EXPECT_EQ(pointer, "/a~1b/2/c~0");
  const Json json = {{"a/b", {0, 1, {{"c~", 7}}}}};
  EXPECT_EQ(json.at(Json::json_pointer(pointer)), 7);
}

TEST(JsonTest, TypeNamesAreThoseOfJsonSchema) {
  EXPECT_EQ(type_name(nullptr), "null");
  EXPECT_EQ(type_name(true), "boolean");
  EXPECT_EQ(type_name(-1), "integer");
  EXPECT_EQ(type_name(1u), "integer");
  EXPECT_EQ(type_name(1.5), "number");
  EXPECT_EQ(type_name("a"), "string");
  EXPECT_EQ(type_name(Json::array()), "array");
  EXPECT_EQ(type_name(Json::object()), "object");
}

}  // namespace
}  // namespace espalier
