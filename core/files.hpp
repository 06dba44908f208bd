// Directories.
#pragma once

#include <filesystem>

namespace espalier {

/// Makes a directory and those that it is in, where they are missing. Throws IoError.
void make_directories(const std::filesystem::path& path);

}  // namespace espalier
