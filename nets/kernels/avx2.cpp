#define ESPALIER_KERNELS_LANES 8
#include "nets/kernels/loops.hpp"

namespace espalier::kernels {

extern const Kernels avx2_kernels;
const Kernels avx2_kernels = loops_named("avx2");

}  // namespace espalier::kernels
