// Tensors by name in a file.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

#include "core/json.hpp"

namespace espalier {

/// What a file of tensors holds.
struct TensorFile {
  std::map<std::string, at::Tensor> tensors;  ///< dense, on the CPU
  Json info;                                  ///< what goes with them; null where nothing does
};

/// Writes a file in the safetensors format, which other programs read too, atomically; `info` and a
/// checksum are part of its metadata. Throws IoError, and UnsupportedError for a tensor whose type
/// is not bool, a real float or an integer. Source: Hugging Face: Safetensors, format
/// specification.
void write_tensors(const std::filesystem::path& path, const TensorFile& file);

/// Reads a file that write_tensors, or another program, wrote in that format. Throws IoError when
/// it is missing, truncated or corrupt. Where write_tensors was given `info`, no change of a byte
/// changes what is read: it is found.
TensorFile read_tensors(const std::filesystem::path& path);

}  // namespace espalier
