#include "training/tensor_file.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/hash.hpp"

namespace espalier {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::size_t length_bytes = 8;  // of the number before the header

const std::vector<std::pair<std::string, at::ScalarType>>& types() {
  static const std::vector<std::pair<std::string, at::ScalarType>> types{
      {"BOOL", at::kBool}, {"U8", at::kByte},   {"I8", at::kChar},  {"I16", at::kShort},
      {"I32", at::kInt},   {"I64", at::kLong},  {"F16", at::kHalf}, {"BF16", at::kBFloat16},
      {"F32", at::kFloat}, {"F64", at::kDouble}};
  return types;
}

std::string type_text(const std::string& name, at::ScalarType type) {
  for (const auto& [text, known] : types()) {
    if (known == type) return text;
  }
  throw UnsupportedError(fmt::format(
      "the tensor {} has the type {}, which a tensor file cannot hold", name, c10::toString(type)));
}

// Of the header without the checksum itself, and of the data.
std::string checksum(const Json& header, std::string_view data) {
  return combine(combine(Hash128{}, std::string_view(header.dump())), data).to_string();
}

// The tensor that `entry` of the header describes, whose bytes begin at `end` and which moves it
// on. Throws Error and the exceptions of the JSON library.
at::Tensor read_tensor(const Json& entry, std::string_view data, std::size_t& end) {
  const auto type_name = entry.at("dtype").get<std::string>();
  std::optional<at::ScalarType> type;
  for (const auto& [text, known] : types()) {
    if (text == type_name) type = known;
  }
  if (!type) throw Error(fmt::format("the type \"{}\" is unknown", type_name));
  const auto shape = entry.at("shape").get<std::vector<std::int64_t>>();
  const auto offsets = entry.at("data_offsets").get<std::array<std::uint64_t, 2>>();
  if (offsets[0] != end || offsets[1] < offsets[0] || offsets[1] > data.size()) {
    throw Error(fmt::format("the bytes {} to {} do not follow byte {} of {}", offsets[0],
                            offsets[1], end, data.size()));
  }
  const std::uint64_t limit = offsets[1] - offsets[0];
  std::uint64_t bytes = std::ranges::count(shape, 0) > 0 ? 0 : c10::elementSize(*type);
  for (const std::int64_t size : shape) {
    if (size < 0) throw Error(fmt::format("the size {} of an axis is negative", size));
    // Compared before they are multiplied, so that nothing overflows.
    if (bytes > 0 && static_cast<std::uint64_t>(size) > limit / bytes) {
      throw Error(fmt::format("its shape needs more than its {} bytes", limit));
    }
    bytes *= static_cast<std::uint64_t>(size);
  }
  if (bytes != limit) {
    throw Error(fmt::format("its shape needs {} bytes, but it has {}", bytes, limit));
  }
  end = offsets[1];
  at::Tensor tensor = at::empty(shape, *type);
  if (bytes > 0) std::memcpy(tensor.data_ptr(), data.data() + offsets[0], bytes);
  return tensor;
}

}  // namespace

void write_tensors(const std::filesystem::path& path, const TensorFile& file) {
  Json header = {{"__metadata__", Json::object()}};
  Json& metadata = header["__metadata__"];
  if (!file.info.is_null()) metadata["espalier"] = file.info.dump();
  std::string data;
  for (const auto& [name, tensor] : file.tensors) {
    const at::Tensor plain = tensor.detach().cpu().contiguous();
    const std::size_t begin = data.size(), bytes = plain.nbytes();
    header[name] = {{"dtype", type_text(name, plain.scalar_type())},
                    {"shape", plain.sizes().vec()},
                    {"data_offsets", {begin, begin + bytes}}};
    data.append(static_cast<const char*>(plain.data_ptr()), bytes);
  }
  const std::string sum = checksum(header, data);
  header["__metadata__"]["checksum"] = sum;
  std::string text = header.dump();
  text.append((length_bytes - text.size() % length_bytes) % length_bytes, ' ');
  const std::uint64_t length = text.size();
  std::string content(length_bytes, '\0');
  std::memcpy(content.data(), &length, length_bytes);
  write_file_atomically(path, content + text + data);
}

TensorFile read_tensors(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  std::uint64_t length = 0;
  if (content.size() >= length_bytes) std::memcpy(&length, content.data(), length_bytes);
  if (content.size() < length_bytes || length > content.size() - length_bytes) {
    throw IoError(path.string(), fmt::format("{} bytes are too few for a tensor file with a header "
                                             "of {}; it is truncated or none",
                                             content.size(), length));
  }
  const std::string_view all = content;
  const std::string_view data = all.substr(length_bytes + length);
  TensorFile file;
  std::string place = "the header";
  try {
    Json header = parse_json(all.substr(length_bytes, length), "header");
    if (!header.is_object()) throw Error("it is not an object");
    std::optional<std::string> sum;
    if (const auto found = header.find("__metadata__"); found != header.end()) {
      place = "the metadata";
      if (found->contains("checksum")) {
        sum = found->at("checksum").get<std::string>();
        found->erase("checksum");
      }
      if (found->contains("espalier")) {
        if (!sum) throw Error("it has no checksum");
        file.info = parse_json(found->at("espalier").get<std::string>(), "espalier");
      }
    }
    std::size_t end = 0;
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") continue;
      place = "the tensor " + name;
      file.tensors.emplace(name, read_tensor(entry, data, end));
    }
    place = "the data";
    if (end != data.size()) {
      throw Error(fmt::format("{} bytes, but the tensors have {}", data.size(), end));
    }
    if (sum && *sum != checksum(header, data)) throw Error("the checksum differs");
  } catch (const Error& error) {
    throw IoError(path.string(), fmt::format("corrupt tensor file: {}: {}", place, error.what()));
  } catch (const Json::exception& error) {
    throw IoError(path.string(), fmt::format("corrupt tensor file: {}: {}", place, error.what()));
  }
  return file;
}

}  // namespace espalier
