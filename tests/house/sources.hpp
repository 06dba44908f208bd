// The project's own files, read by the tests of this directory.
#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

namespace espalier {

inline const std::filesystem::path source_root = ESPALIER_SOURCE_DIR;

inline std::string read_text(const std::filesystem::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// Files by their path from the root, each with its text.
using Sources = std::map<std::string, std::string>;

/// Adds the C++ files of a directory of the root, with all below it.
inline void add_sources(const std::string& directory, Sources& sources) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(source_root / directory)) {
    const std::string extension = entry.path().extension().string();
    if (extension != ".hpp" && extension != ".cpp") continue;
    sources[std::filesystem::relative(entry.path(), source_root).string()] =
        read_text(entry.path());
  }
}

}  // namespace espalier
