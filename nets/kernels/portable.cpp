#define ESPALIER_KERNELS_LANES 4
#include "nets/kernels/loops.hpp"

namespace espalier::kernels {

extern const Kernels portable_kernels;
const Kernels portable_kernels = loops_named("portable");

}  // namespace espalier::kernels
