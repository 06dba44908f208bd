#include "core/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

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

TEST(JsonTest, ASymbolicLinkStaysAndItsTargetIsReplaced) {
  const TemporaryDirectory directory;
  const auto link = directory.path() / "link", file = directory.path() / "file";
  std::filesystem::create_symlink("second", link);  // beside the link
  std::filesystem::create_symlink(file, directory.path() / "second");
  for (const char* text : {"new", "newer"}) {  // where nothing is yet, and over the old file
    write_file_atomically(link, text);
    EXPECT_TRUE(std::filesystem::is_symlink(link));
    EXPECT_TRUE(std::filesystem::is_regular_file(std::filesystem::symlink_status(file)));
    EXPECT_EQ(read_file(file), text);
  }
  EXPECT_EQ(directory.names(), (std::vector<std::string>{"file", "link", "second"}));
  const auto circle = directory.path() / "circle";
  std::filesystem::create_symlink("circle", circle);
  EXPECT_THAT(throws<IoError>([&] { write_file_atomically(circle, "new"); }),
              HasSubstr("circle: is a symbolic link that leads nowhere"));
}

TEST(JsonTest, WhatIsNoFileIsNotReplaced) {
  const TemporaryDirectory directory;
  const auto pipe = directory.path() / "pipe", link = directory.path() / "link";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::filesystem::create_symlink(pipe, link);
  for (const auto& path : {pipe, link}) {
    EXPECT_THAT(throws<IoError>([&] { write_file_atomically(path, "new"); }),
                HasSubstr("is not a regular file"));
  }
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(directory.names(), (std::vector<std::string>{"link", "pipe"}));
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
