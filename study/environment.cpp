#include "study/environment.hpp"

#include <c10/core/Device.h>
#include <c10/util/Exception.h>
#include <sys/utsname.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include <string>

#include "core/error.hpp"

namespace espalier {
namespace {

std::string cpu() {
  utsname system{};
  std::string text = ::uname(&system) == 0 ? system.machine : "unknown";
#if defined(__x86_64__) || defined(__i386__)
  // LibTorch and its BLAS choose their kernels by these.
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx")) text += " avx";
  if (__builtin_cpu_supports("avx2")) text += " avx2";
  if (__builtin_cpu_supports("fma")) text += " fma";
  if (__builtin_cpu_supports("avx512f")) text += " avx512f";
  if (__builtin_cpu_supports("avx512bw")) text += " avx512bw";
  if (__builtin_cpu_supports("avx512vnni")) text += " avx512vnni";
#endif
  return text;
}

}  // namespace

Json environment() {
  return {{"espalier", ESPALIER_VERSION}, {"libtorch", TORCH_VERSION}, {"cpu", cpu()}};
}

void require_device(const std::string& device) {
  const auto fail = [&](const std::string& why) {
    throw ConfigError("/compute/device", "\"" + device + "\" " + why);
  };
  try {
    const at::Device parsed(device);
    if (parsed.is_cpu()) return;
    if (!parsed.is_cuda()) fail("is not supported; use \"cpu\" or \"cuda:0\"");
    if (!torch::cuda::is_available()) fail("is not available here; use \"cpu\"");
    if (parsed.has_index() && static_cast<std::size_t>(parsed.index()) >=
                                  static_cast<std::size_t>(torch::cuda::device_count())) {
      fail("is not there; this machine has " + std::to_string(torch::cuda::device_count()));
    }
  } catch (const c10::Error&) {
    fail("is not a device; use \"cpu\" or \"cuda:0\"");
  }
}

}  // namespace espalier
