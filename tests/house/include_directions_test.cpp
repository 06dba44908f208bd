// Dependencies between the directories go one way, and LibTorch and Boost.Graph stay where they
// belong. The table is the one of CONTRIBUTING.md.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/house/sources.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// What the files of a directory may include: whole directories, with all that those may include,
// and single headers.
const std::map<std::string, std::vector<std::string>> may_use = {
    {"core", {}},
    {"graph", {"core"}},
    {"search_spaces", {"graph"}},
    {"objectives", {"core", "search_spaces/architecture.hpp"}},
    {"predictors", {"graph", "search_spaces"}},
    {"hw_models", {"graph", "predictors/predictor.hpp"}},
    {"nets", {"graph", "search_spaces"}},
    {"compression", {"nets"}},
    {"training", {"nets", "compression"}},
    {"evaluators", {"nets", "training", "predictors", "hw_models", "objectives"}},
    {"strategies",
     {"search_spaces", "objectives", "predictors", "nets", "compression", "training", "hw_models"}},
    {"exporters", {"nets", "compression"}},
    {"study", {"evaluators", "strategies", "exporters"}},
    {"apps", {"study"}},
};

const std::set<std::string> without_torch = {"core", "graph", "search_spaces", "objectives",
                                             "hw_models"};

std::string directory_of(const std::string& file) { return file.substr(0, file.find('/')); }

std::vector<std::string> includes(const std::string& text, const std::string& pattern) {
  std::vector<std::string> found;
  const std::regex line(R"(^[ \t]*#[ \t]*include[ \t]*)" + pattern, std::regex::multiline);
  for (std::sregex_iterator i(text.begin(), text.end(), line), end; i != end; ++i) {
    found.push_back((*i)[1]);
  }
  return found;
}
std::vector<std::string> own_includes(const std::string& text) {
  return includes(text, "\"([^\"]+)\"");
}
std::vector<std::string> foreign_includes(const std::string& text) {
  return includes(text, "<([^>]+)>");
}

// Everything that a directory may include.
std::set<std::string> allowed(const std::string& directory) {
  std::set<std::string> all = {directory};
  for (const std::string& entry : may_use.at(directory)) {
    if (entry.find('/') == std::string::npos) {
      all.merge(allowed(entry));
    } else {
      all.insert(entry);
    }
  }
  return all;
}

// The first include, through any number of files, that begins with `prefixes`; "" without one.
std::string reached(const Sources& sources, const std::string& file,
                    const std::vector<std::string>& prefixes, std::set<std::string>& seen) {
  const auto found = sources.find(file);
  if (found == sources.end() || !seen.insert(file).second) return "";
  for (const std::string& header : foreign_includes(found->second)) {
    for (const std::string& prefix : prefixes) {
      if (header.starts_with(prefix)) return file + " includes <" + header + ">";
    }
  }
  for (const std::string& header : own_includes(found->second)) {
    const std::string through = reached(sources, header, prefixes, seen);
    if (!through.empty()) return through;
  }
  return "";
}

// One line for each file that includes all of LibTorch.
std::vector<std::string> whole_torch(const Sources& sources) {
  std::vector<std::string> lines;
  for (const auto& [file, text] : sources) {
    for (const std::string& header : foreign_includes(text)) {
      if (header == "torch/torch.h") {
        lines.push_back(file +
                        ": <torch/torch.h> is slow to compile; include what is used of it, "
                        "such as <ATen/ATen.h> or <torch/autograd.h>");
      }
    }
  }
  return lines;
}

// One line for each include that should not be.
std::vector<std::string> violations(const Sources& sources) {
  std::vector<std::string> lines;
  for (const auto& [file, text] : sources) {
    const std::string directory = directory_of(file);
    const std::set<std::string> headers = allowed(directory);
    for (const std::string& header : own_includes(text)) {
      if (!sources.contains(header)) {
        lines.push_back(file + ": no file \"" + header + "\" from the root");
      } else if (!headers.contains(header) && !headers.contains(directory_of(header))) {
        lines.push_back(file + ": " + directory + " may not use \"" + header + "\"");
      }
    }
    for (const std::string& header : foreign_includes(text)) {
      if (header == "torch/torch.h") {
        lines.push_back(file +
                        ": <torch/torch.h> is slow to compile; include what is used of it, "
                        "such as <ATen/ATen.h> or <torch/autograd.h>");
      }
    }
    const bool header = file.ends_with(".hpp");
    std::set<std::string> seen;
    if (without_torch.contains(directory) || (header && directory == "study") ||
        file == "strategies/strategy.hpp" || file == "evaluators/evaluator.hpp" ||
        file == "predictors/predictor.hpp") {
      const std::string torch = reached(sources, file, {"torch/", "ATen/", "c10/"}, seen);
      if (!torch.empty()) lines.push_back(file + ": LibTorch stays out, but " + torch);
    }
    seen.clear();
    if (header && file != "graph/boost.hpp") {
      const std::string boost = reached(sources, file, {"boost/graph/"}, seen);
      if (!boost.empty()) lines.push_back(file + ": Boost.Graph stays out, but " + boost);
    }
  }
  return lines;
}

Sources read_sources() {
  Sources sources;
  for (const auto& [directory, uses] : may_use) add_sources(directory, sources);
  return sources;
}

TEST(IncludeDirectionsTest, TheTreeKeepsToTheTable) {
  const Sources sources = read_sources();
  EXPECT_TRUE(sources.contains("core/error.hpp"));
  EXPECT_THAT(violations(sources), IsEmpty());
}

TEST(IncludeDirectionsTest, NoFileIncludesAllOfLibtorch) {
  Sources sources = read_sources();
  for (const char* const directory : {"tests", "benchmarks", "examples"}) {
    add_sources(directory, sources);
  }
  EXPECT_THAT(whole_torch(sources), IsEmpty());
  EXPECT_THAT(whole_torch({{"nets/a.cpp", "#include <torch/torch.h>\n"}}),
              ElementsAre("nets/a.cpp: <torch/torch.h> is slow to compile; include what is used of "
                          "it, such as <ATen/ATen.h> or <torch/autograd.h>"));
}

TEST(IncludeDirectionsTest, EveryDirectoryWithALibraryIsInTheTable) {
  for (const auto& entry : std::filesystem::directory_iterator(ESPALIER_SOURCE_DIR)) {
    const std::string text = read_text(entry.path() / "CMakeLists.txt");
    const std::string name = entry.path().filename().string();
    if (text.find("espalier_add_library(" + name) != std::string::npos) {
      EXPECT_TRUE(may_use.contains(name)) << name;
    }
  }
}

TEST(IncludeDirectionsTest, TheTableIsTheOneOfContributing) {
  const std::string text = read_text(ESPALIER_SOURCE_DIR "/CONTRIBUTING.md");
  const std::string title = "| directory | may use | what lives there |\n";
  const std::size_t begin = text.find(title);
  ASSERT_NE(begin, std::string::npos);
  std::istringstream lines(text.substr(begin + title.size()));
  std::string line;
  std::getline(lines, line);  // the rule below the title
  std::map<std::string, std::vector<std::string>> table;
  while (std::getline(lines, line) && line.starts_with("| ")) {
    std::istringstream cells(line.substr(2));
    std::string directory, uses;
    std::getline(cells, directory, '|');
    std::getline(cells, uses, '|');
    directory.pop_back();
    std::vector<std::string>& used = table[directory];
    std::istringstream words(uses);
    for (std::string word; words >> word;) used.push_back(word.substr(0, word.find(',')));
  }
  EXPECT_EQ(table, may_use);
}

TEST(IncludeDirectionsTest, FindsEachKindOfViolation) {
  EXPECT_THAT(violations({{"core/a.hpp", "#include \"graph/b.hpp\"\n"}, {"graph/b.hpp", ""}}),
              ElementsAre("core/a.hpp: core may not use \"graph/b.hpp\""));
  EXPECT_THAT(violations({{"core/a.cpp", "#include <map>\n#include \"a.hpp\"\n"}}),
              ElementsAre("core/a.cpp: no file \"a.hpp\" from the root"));
  EXPECT_THAT(violations({{"graph/a.cpp", "#include <torch/types.h>\n"}}),
              ElementsAre("graph/a.cpp: LibTorch stays out, but graph/a.cpp includes "
                          "<torch/types.h>"));
  EXPECT_THAT(violations({{"study/a.hpp", "#pragma once\n  # include \"nets/b.hpp\"\n"},
                          {"nets/b.hpp", "#include <ATen/ATen.h>\n"}}),
              ElementsAre("study/a.hpp: LibTorch stays out, but nets/b.hpp includes "
                          "<ATen/ATen.h>"));
  EXPECT_THAT(violations({{"graph/graph.hpp", "#include \"graph/boost.hpp\"\n"},
                          {"graph/boost.hpp", "#include <boost/graph/graph_traits.hpp>\n"}}),
              ElementsAre("graph/graph.hpp: Boost.Graph stays out, but graph/boost.hpp includes "
                          "<boost/graph/graph_traits.hpp>"));
  EXPECT_THAT(violations({{"objectives/a.hpp", "#include \"search_spaces/sampling.hpp\"\n"},
                          {"search_spaces/sampling.hpp", ""}}),
              ElementsAre("objectives/a.hpp: objectives may not use "
                          "\"search_spaces/sampling.hpp\""));
  EXPECT_THAT(violations({{"strategies/a.cpp", "#include \"evaluators/b.hpp\"\n"},
                          {"evaluators/b.hpp", ""}}),
              ElementsAre("strategies/a.cpp: strategies may not use \"evaluators/b.hpp\""));
}

TEST(IncludeDirectionsTest, AcceptsWhatTheTableAllows) {
  EXPECT_THAT(violations({{"objectives/a.hpp", "#include \"search_spaces/architecture.hpp\"\n"},
                          {"search_spaces/architecture.hpp", ""},
                          {"compression/b.cpp", "#include \"core/c.hpp\"\n// #include \"x.hpp\"\n"},
                          {"core/c.hpp", ""},
                          {"study/d.cpp", "#include <torch/types.h>\n"}}),
              IsEmpty());
}

}  // namespace
}  // namespace espalier
