#include "strategies/snapshot_file.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/rng.hpp"
#include "tests/core/temporary_directory.hpp"

namespace espalier {
namespace {

int number_in(const std::filesystem::path& directory) {
  int number = 0;
  read_snapshot(directory, [&](const Json& json) { json.at("number").get_to(number); });
  return number;
}

TEST(SnapshotFile, ReadsWhatWasWritten) {
  const TemporaryDirectory directory;
  write_snapshot(directory.path(), {{"number", 3}});
  EXPECT_EQ(number_in(directory.path()), 3);
}

TEST(SnapshotFile, WhatCannotBeLoadedIsAnErrorWithItsPath) {
  const TemporaryDirectory directory;
  write_snapshot(directory.path(), {{"rng", "none"}});
  const auto load = [](const Json& json) { Rng::from_string(json.at("rng").get<std::string>()); };
  EXPECT_THROW(load({{"rng", "none"}}), Error);
  try {
    read_snapshot(directory.path(), load);
    ADD_FAILURE();
  } catch (const IoError& error) {
    EXPECT_NE(std::string(error.what()).find("search.json: is no snapshot"), std::string::npos)
        << error.what();
  }
}

TEST(SnapshotFile, OthersAreErrorsWithTheirPath) {
  const TemporaryDirectory directory;
  const std::string path = (directory.path() / "search.json").string();
  const auto expect_error = [&](const std::string& part) {
    try {
      number_in(directory.path());
      ADD_FAILURE() << "read: " << part;
    } catch (const IoError& error) {
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  expect_error("");  // there is none
  for (const auto& [text, part] : {std::pair("{\"format\":1,\"number\":3", "no snapshot"),
                                   {"{\"format\":2,\"number\":3}", "another version"},
                                   {"{\"number\":3}", "no snapshot"},
                                   {"[]", "no snapshot"},
                                   {"{\"format\":1,\"number\":\"three\"}", "no snapshot"}}) {
    write_file_atomically(path, text);
    expect_error(part);
  }
}

}  // namespace
}  // namespace espalier
