// Files that may be compressed.
#pragma once

#include <filesystem>
#include <string>

namespace espalier {

/// The content of a file; of one compressed with gzip, whatever its name, the uncompressed content.
/// Throws IoError when it cannot be read, or is a truncated or corrupt gzip file.
std::string read_file_maybe_gzip(const std::filesystem::path& path);

}  // namespace espalier
