#include "core/json.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.hpp"

namespace espalier {
namespace {

std::string errno_text() { return std::strerror(errno); }

// "line 3, column 7" of an offset into a text.
std::string place_of(std::string_view text, std::size_t offset) {
  std::size_t line = 1, column = 1;
  for (std::size_t i = 0; i < std::min(offset, text.size()); ++i) {
    ++column;
    if (text[i] == '\n') {
      ++line;
      column = 1;
    }
  }
  return fmt::format("line {}, column {}", line, column);
}

// Closes a file descriptor at the end of a scope.
class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(); }

  int get() const { return descriptor_; }
  bool close() {
    const int descriptor = std::exchange(descriptor_, -1);
    return descriptor < 0 || ::close(descriptor) == 0;
  }

 private:
  int descriptor_;
};

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& name) {
  // nlohmann/json keeps the last of two equal keys; here they are an error.
  std::vector<std::set<std::string>> keys;
  const auto callback = [&keys, &name](int, Json::parse_event_t event, Json& parsed) {
    switch (event) {
      case Json::parse_event_t::object_start:
        keys.emplace_back();
        break;
      case Json::parse_event_t::object_end:
        keys.pop_back();
        break;
      case Json::parse_event_t::key:
        if (!keys.back().insert(parsed.get<std::string>()).second) {
          throw ConfigError(
              "", fmt::format("{}: the key {} occurs twice in one object", name, parsed.dump()));
        }
        break;
      default:
        break;
    }
    return true;
  };
  try {
    return Json::parse(text, callback);
  } catch (const Json::parse_error& error) {
    std::string message = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..."
    const std::size_t reason = message.find(": ");
    if (reason != std::string::npos) message = message.substr(reason + 2);
    throw ConfigError("",
                      fmt::format("{}: not valid JSON at {}: {}", name,
                                  place_of(text, error.byte == 0 ? 0 : error.byte - 1), message));
  } catch (const Json::exception& error) {
    throw ConfigError("", fmt::format("{}: not valid JSON: {}", name, error.what()));
  }
}

Json read_json_file(const std::filesystem::path& path) {
  return parse_json(read_file(path), path.string());
}

std::string read_file(const std::filesystem::path& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) throw IoError(path.string(), "cannot open: " + errno_text());
  std::string text;
  std::size_t size = 0;
  while (true) {
    if (size == text.size()) text.resize(text.size() + (std::size_t{1} << 16) + text.size() / 2);
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw IoError(path.string(), "cannot read: " + errno_text());
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  text.resize(size);
  return text;
}

std::filesystem::path replaceable_file(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status) &&
      !std::filesystem::is_directory(status)) {
    throw IoError(path.string(), "is not a regular file; write to another one");
  }
  std::filesystem::path target = path;
  for (int links = 0; std::filesystem::is_symlink(target, error); ++links) {
    if (links == 40)
      throw IoError(path.string(), "is a symbolic link that leads nowhere; write to another file");
    target = target.parent_path() / std::filesystem::read_symlink(target, error);
  }
  return target;
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  static std::atomic<unsigned> count = 0;  // two threads may write the same file
  const std::filesystem::path target = replaceable_file(path);
  const std::string temporary = fmt::format("{}.{}-{}.tmp", target.string(), ::getpid(), count++);
  Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.get() < 0) throw IoError(path.string(), "cannot create: " + errno_text());
  const auto fail = [&](const std::string& what) {
    const std::string reason = errno_text();
    ::unlink(temporary.c_str());
    throw IoError(path.string(), fmt::format("{}: {}", what, reason));
  };
  if (!write_all(file.get(), text)) fail("cannot write");
  if (::fsync(file.get()) != 0) fail("cannot write to the disk");
  if (!file.close()) fail("cannot write");
  if (::rename(temporary.c_str(), target.c_str()) != 0) fail("cannot replace");
  // The rename itself reaches the disk with the directory.
  const std::filesystem::path parent = target.has_parent_path() ? target.parent_path() : ".";
  const Descriptor directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());
}

std::string pointer_to(const std::string& pointer, std::string_view key) {
  std::string extended = pointer + "/";
  for (const char c : key) {
    if (c == '~') {
      extended += "~0";
    } else if (c == '/') {
      extended += "~1";
    } else {
      extended += c;
    }
  }
  return extended;
}

std::string pointer_to(const std::string& pointer, std::size_t index) {
  return pointer + "/" + std::to_string(index);
}

std::string type_name(const Json& json) {
  return json.is_number_float()     ? "number"
         : json.is_number_integer() ? "integer"
                                    : json.type_name();
}

}  // namespace espalier
