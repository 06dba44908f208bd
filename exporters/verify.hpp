// Nothing is left on the disk that computes something else than the network.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <string>

#include "graph/graph.hpp"
#include "nets/graph_module.hpp"

namespace espalier {

/// The largest difference that an exported file may have, relative to the largest value.
inline constexpr double export_tolerance = 1e-4;

/// max |expected - actual| / max |expected|; 0 for equal tensors, infinite where the shapes differ,
/// a value is not finite, or all that is expected is 0 and something else is there.
double relative_difference(const at::Tensor& expected, const at::Tensor& actual);

/// Throws NumericalError, which says by how much they differ, above export_tolerance. `what` names
/// the part of the file.
void require_agreement(const std::string& what, const at::Tensor& expected,
                       const at::Tensor& actual);

/// Lets `write` make a file next to `path` and `verify` read it; then it takes the place of `path`.
/// When one of them throws, nothing is left of it, and what was at `path` before stays. Throws
/// IoError, and what they throw.
void write_verified(const std::filesystem::path& path,
                    const std::function<void(const std::filesystem::path&)>& write,
                    const std::function<void(const std::filesystem::path&)>& verify);

/// Random samples of standard normal values for the network's input, {count, C, H, W}, float32;
/// equal on every machine.
at::Tensor verification_batch(const Graph& graph, std::int64_t count);

/// A copy on the CPU in float32 and evaluation mode, contiguous.
GraphModule verification_copy(const GraphModule& module);

}  // namespace espalier
