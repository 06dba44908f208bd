#pragma once

#include <filesystem>
#include <functional>

#include "core/json.hpp"

namespace espalier {

/// Writes the snapshot of a search, an object, into a directory.
/// Throws IoError.
void write_snapshot(const std::filesystem::path& directory, Json snapshot);

/// Reads what write_snapshot() wrote. Throws IoError where it is missing, damaged or of another
/// version, and where `load` throws Json::exception or Error.
void read_snapshot(const std::filesystem::path& directory,
                   const std::function<void(const Json&)>& load);

}  // namespace espalier
