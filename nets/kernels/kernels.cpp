#include "nets/kernels/kernels.hpp"

#include <vector>

namespace espalier::kernels {

extern const Kernels portable_kernels;
#ifdef ESPALIER_X86_KERNELS
extern const Kernels avx2_kernels, avx512_kernels;
#endif

bool depthwise_fits(const Window& window) {
  const auto alike = [](const Axis& a, const Axis& b) {
    return a.kernel == b.kernel && a.stride == b.stride && a.dilation == b.dilation;
  };
  const Axis& w = window.w;
  return alike(window.h, w) && (w.kernel == 3 || w.kernel == 5 || w.kernel == 7) &&
         (w.stride == 1 || w.stride == 2) && (w.dilation == 1 || w.dilation == 2);
}

std::span<const Kernels* const> available_kernels() {
  static const std::vector<const Kernels*> available = [] {
    std::vector<const Kernels*> result;
#ifdef ESPALIER_X86_KERNELS
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) {
      result.push_back(&avx512_kernels);
    }
    if (avx2) result.push_back(&avx2_kernels);
#endif
    result.push_back(&portable_kernels);
    return result;
  }();
  return available;
}

}  // namespace espalier::kernels
