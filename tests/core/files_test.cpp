#include "core/files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "core/error.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

TEST(MakeDirectories, MakesThoseItIsInAndLeavesWhatIsThere) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "a" / "b";
  make_directories(path);
  std::ofstream(path / "file") << "kept";
  make_directories(path);
  EXPECT_TRUE(std::filesystem::exists(path / "file"));
}

TEST(MakeDirectories, NamesThePathThatCannotBeMade) {
  const TemporaryDirectory directory;
  std::ofstream(directory.path() / "file") << "";
  EXPECT_THAT(throws<IoError>([&] { make_directories(directory.path() / "file" / "a"); }),
              testing::HasSubstr("file/a: cannot be created: "));
}

}  // namespace
}  // namespace espalier
