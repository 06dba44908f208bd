// What the docstrings of methods from papers promise.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/house/sources.hpp"

namespace espalier {
namespace {

std::vector<std::string> matches(const std::filesystem::path& directory,
                                 const std::string& extension, const std::string& pattern) {
  const std::regex expression(pattern);
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(source_root / directory)) {
    if (entry.path().extension() != extension) continue;
    const std::string text = read_text(entry.path());
    for (std::sregex_iterator i(text.begin(), text.end(), expression), end; i != end; ++i) {
      found.push_back(i->size() > 2 ? i->str(1) + "." + i->str(2) : i->str(1));
    }
  }
  return found;
}

TEST(DocstringsTest, ATestThatIsNamedExists) {
  std::set<std::string> tests;
  for (const auto& entry : std::filesystem::directory_iterator(source_root / "tests")) {
    if (!entry.is_directory() || entry.path().filename() == "onnxruntime") continue;
    for (const std::string& test :
         matches(entry.path(), ".cpp", R"(\nTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\))")) {
      tests.insert(test);
    }
  }
  std::size_t named = 0;
  for (const char* directory : {"graph", "search_spaces", "objectives", "predictors", "hw_models",
                                "nets", "training", "evaluators", "strategies"}) {
    // One, or several with commas between them, on several lines.
    for (const std::string& list :
         matches(directory, ".hpp", R"(\bTest:((?:,?\s+(?:///\s*)?\w+\.\w+)+))")) {
      const std::regex one(R"(\w+\.\w+)");
      for (std::sregex_iterator i(list.begin(), list.end(), one), end; i != end; ++i) {
        EXPECT_TRUE(tests.contains(i->str())) << directory << ": " << i->str();
        ++named;
      }
    }
  }
  EXPECT_GE(named, 25u);
}

// Not so elsewhere: core and training name the sources of file formats, too.
TEST(DocstringsTest, EachSourceGoesWithATest) {
  for (const char* directory : {"graph", "search_spaces", "objectives", "predictors", "hw_models",
                                "nets", "evaluators", "strategies"}) {
    const std::size_t sources = matches(directory, ".hpp", R"(\b(Source): )").size();
    EXPECT_EQ(matches(directory, ".hpp", R"(\b(Test): )").size(), sources) << directory;
  }
}

}  // namespace
}  // namespace espalier
