#include "core/files.hpp"

#include "core/error.hpp"

namespace espalier {

void make_directories(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw IoError(path.string(), "cannot be created: " + error.message());
}

}  // namespace espalier
