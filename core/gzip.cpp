#include "core/gzip.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <string_view>

#include "core/error.hpp"
#include "core/json.hpp"

namespace espalier {
namespace {

// The content of a gzip file (of all its members, one after the other).
std::string gunzip(std::string_view compressed, const std::string& name) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) throw IoError(name, "cannot start zlib");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, inflateEnd);
  std::string text(compressed.size() * 4 + 1024, '\0');
  std::size_t size = 0, position = 0;
  constexpr std::size_t largest_step = std::numeric_limits<uInt>::max();
  while (true) {
    if (size == text.size()) text.resize(text.size() * 2);
    const std::size_t input = std::min(compressed.size() - position, largest_step);
    const std::size_t room = std::min(text.size() - size, largest_step);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data() + position));
    stream.avail_in = static_cast<uInt>(input);
    stream.next_out = reinterpret_cast<Bytef*>(text.data() + size);
    stream.avail_out = static_cast<uInt>(room);
    const int status = inflate(&stream, Z_NO_FLUSH);
    position += input - stream.avail_in;
    size += room - stream.avail_out;
    if (status == Z_STREAM_END) {
      if (position == compressed.size()) break;
      if (inflateReset(&stream) != Z_OK) throw IoError(name, "cannot restart zlib");
    } else if (status == Z_BUF_ERROR ||
               (status == Z_OK && position == compressed.size() && stream.avail_out > 0)) {
      throw IoError(
          name, fmt::format("the gzip file is truncated: it ends after {} bytes of text", size));
    } else if (status != Z_OK) {
      throw IoError(name, fmt::format("the gzip file is corrupt: {} after {} bytes of text",
                                      stream.msg == nullptr ? "zlib failed" : stream.msg, size));
    }
  }
  text.resize(size);
  return text;
}

}  // namespace

std::string read_file_maybe_gzip(const std::filesystem::path& path) {
  std::string content = read_file(path);
  return content.starts_with("\x1f\x8b") ? gunzip(content, path.string()) : content;
}

}  // namespace espalier
