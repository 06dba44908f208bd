#include "strategies/snapshot_file.hpp"

#include <string>
#include <utility>

#include "core/error.hpp"
#include "core/files.hpp"

namespace espalier {
namespace {

constexpr const char* file_name = "search.json";
constexpr int format = 1;

}  // namespace

void write_snapshot(const std::filesystem::path& directory, Json snapshot) {
  snapshot["format"] = format;
  write_file_atomically(directory / file_name, snapshot.dump());
}

void read_snapshot(const std::filesystem::path& directory,
                   const std::function<void(const Json&)>& load) {
  const std::string path = (directory / file_name).string();
  const auto refuse = [&](const std::exception& error) {
    throw IoError(path, std::string("is no snapshot of a search: ") + error.what());
  };
  try {
    const Json snapshot = parse_json(read_file(path), file_name);
    if (snapshot.at("format") != format) throw IoError(path, "is a snapshot of another version");
    load(snapshot);
  } catch (const IoError&) {
    throw;
  } catch (const Error& error) {
    refuse(error);
  } catch (const Json::exception& error) {
    refuse(error);
  }
}

}  // namespace espalier
