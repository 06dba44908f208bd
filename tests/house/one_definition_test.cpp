// Each type of the libraries has a name of its own: two of one name in one namespace may not meet
// in a program, and what the compiler makes of templates with either is taken for the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/house/sources.hpp"

namespace espalier {
namespace {

// Where each type is defined that is in no function, no class and no unnamed namespace, by its
// qualified name. The layout of the sources is relied on: such definitions begin a line.
using Definitions = std::map<std::string, std::vector<std::string>>;

void add_definitions(const std::string& file, const std::string& text, Definitions& definitions) {
  static const std::regex opens("^namespace ?([A-Za-z_:]*) ?\\{");
  static const std::regex closes("^\\}  // namespace");
  static const std::regex type(
      "^(?:struct|class|enum class|enum) ([A-Za-z_0-9]+)(?: final)?(?: \\{| :|$)");
  std::istringstream lines(text);
  std::vector<std::string> spaces;
  bool special = false;
  for (std::string line; std::getline(lines, line);) {
    std::smatch found;
    if (std::regex_search(line, found, opens)) {
      spaces.push_back(found[1]);
    } else if (std::regex_search(line, closes)) {
      if (!spaces.empty()) spaces.pop_back();
    } else if (std::regex_search(line, found, type) && !special &&
               std::ranges::find(spaces, "") == spaces.end()) {
      std::string name;
      for (const std::string& space : spaces) name += space + "::";
      definitions[name + found[1].str()].push_back(file);
    }
    special = line == "template <>";
  }
  EXPECT_THAT(spaces, testing::IsEmpty()) << file << ": write the name behind the closing brace";
}

std::vector<std::string> doubles(const Definitions& definitions) {
  std::vector<std::string> found;
  for (const auto& [name, files] : definitions) {
    if (files.size() > 1) found.push_back(name + ": " + files[0] + ", " + files[1]);
  }
  return found;
}

TEST(OneDefinition, NoTwoTypesHaveOneName) {
  Sources sources;
  for (const auto& library : std::filesystem::directory_iterator(source_root)) {
    const std::string lists = read_text(library.path() / "CMakeLists.txt");
    if (lists.find("espalier_add_library(") == std::string::npos) continue;
    add_sources(library.path().filename().string(), sources);
  }
  Definitions definitions;
  for (const auto& [file, text] : sources) add_definitions(file, text, definitions);
  EXPECT_TRUE(definitions.contains("espalier::Graph"));
  EXPECT_TRUE(definitions.contains("espalier::op::Conv2d"));
  EXPECT_GT(definitions.size(), 300U);
  EXPECT_THAT(doubles(definitions), testing::IsEmpty());
}

TEST(OneDefinition, SeesTheNamespace) {
  Definitions definitions;
  add_definitions(
      "a.hpp",
      "namespace espalier {\nstruct A {\n  struct B {};\n};\nclass C;\nenum class D { x "
      "};\nnamespace op {\nstruct A {\n};\n}  // namespace op\n}  // namespace espalier\n",
      definitions);
  add_definitions("b.cpp",
                  "namespace espalier {\nnamespace {\nstruct A {\n};\n}  // namespace\nclass C : X "
                  "{\n};\nclass D {\n};\n}  // namespace espalier\n",
                  definitions);
  EXPECT_THAT(doubles(definitions), testing::ElementsAre("espalier::D: a.hpp, b.cpp"));
}

}  // namespace
}  // namespace espalier
