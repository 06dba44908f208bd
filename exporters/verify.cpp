#include "exporters/verify.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <limits>
#include <system_error>

#include "core/error.hpp"
#include "core/json.hpp"
#include "core/rng.hpp"

namespace espalier {

double relative_difference(const at::Tensor& expected, const at::Tensor& actual) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (expected.sizes() != actual.sizes()) return infinity;
  const at::Tensor wanted = expected.detach().to(at::kCPU, at::kDouble);
  const at::Tensor got = actual.detach().to(at::kCPU, at::kDouble);
  if (!at::isfinite(wanted).all().item<bool>() || !at::isfinite(got).all().item<bool>()) {
    return infinity;
  }
  const double difference = (wanted - got).abs().max().item<double>();
  return difference == 0 ? 0 : difference / wanted.abs().max().item<double>();
}

void require_agreement(const std::string& what, const at::Tensor& expected,
                       const at::Tensor& actual) {
  const double difference = relative_difference(expected, actual);
  if (difference <= export_tolerance) return;
  throw NumericalError(fmt::format(
      "the exported file disagrees with the network: {} differs by {:.3g} of its largest value, "
      "where {:.3g} is allowed; the file was removed",
      what, difference, export_tolerance));
}

void write_verified(const std::filesystem::path& path,
                    const std::function<void(const std::filesystem::path&)>& write,
                    const std::function<void(const std::filesystem::path&)>& verify) {
  const std::filesystem::path target = replaceable_file(path);
  std::filesystem::path temporary = target;
  temporary += ".unverified";
  try {
    write(temporary);
    verify(temporary);
    std::error_code error;
    std::filesystem::rename(temporary, target, error);
    if (error) throw IoError(path.string(), "cannot be written: " + error.message());
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw;
  }
}

at::Tensor verification_batch(const Graph& graph, std::int64_t count) {
  const Shape& shape = graph.node(graph.input()).shape;
  at::Tensor batch =
      at::empty({count, shape[0].value(), shape[1].value(), shape[2].value()}, at::kFloat);
  Rng rng = Rng(0).fork("export");
  float* values = batch.data_ptr<float>();
  for (std::int64_t i = 0; i < batch.numel(); ++i) values[i] = static_cast<float>(rng.normal());
  return batch;
}

GraphModule verification_copy(const GraphModule& module) {
  GraphModule copy(module.graph(), {.memory_format = at::MemoryFormat::Contiguous});
  copy.load_state(module.state());
  copy.eval();
  return copy;
}

}  // namespace espalier
