#define ESPALIER_KERNELS_LANES 16
#include "nets/kernels/loops.hpp"

namespace espalier::kernels {

extern const Kernels avx512_kernels;
const Kernels avx512_kernels = loops_named("avx512");

}  // namespace espalier::kernels
