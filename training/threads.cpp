#include "training/threads.hpp"

#include <ATen/Parallel.h>

namespace espalier {

TorchThreads::TorchThreads(int threads) : before_(at::get_num_threads()) {
  at::set_num_threads(threads);
}
TorchThreads::~TorchThreads() { at::set_num_threads(before_); }

}  // namespace espalier
