// The JSON type, and reading and writing of files.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/json_fwd.hpp"

namespace espalier {

/// Parses a JSON text without comments. `name` stands for the text in messages, for example its
/// path. Throws ConfigError naming the line, the column and what was expected; a key that occurs
/// twice in one object is an error too.
Json parse_json(std::string_view text, const std::string& name);

/// Parses a JSON file. Throws IoError when it cannot be read, else as parse_json.
Json read_json_file(const std::filesystem::path& path);

/// The whole of a file. Throws IoError.
std::string read_file(const std::filesystem::path& path);

/// The file that a rename may replace to write `path`: itself, or where its symbolic links lead to,
/// whether it exists or not. Throws IoError for what is not a regular file, such as a device or a
/// pipe (a directory is left to the rename, which fails), and for links that lead nowhere.
std::filesystem::path replaceable_file(const std::filesystem::path& path);

/// Replaces a file as a whole: a reader, or a machine that loses power, sees the old text or the
/// new one, never a part. What is replaced is replaceable_file(path). Throws IoError and leaves the
/// old file, and nothing else, behind.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// A JSON pointer extended by one step (RFC 6901: "~" and "/" in a key are escaped).
std::string pointer_to(const std::string& pointer, std::string_view key);
std::string pointer_to(const std::string& pointer, std::size_t index);

/// "null", "boolean", "integer", "number", "string", "array" or "object": the names that JSON
/// Schema and the messages use.
std::string type_name(const Json& json);

}  // namespace espalier
