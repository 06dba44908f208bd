#include "core/parallel.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace espalier {

// std::thread and not OpenMP: worker threads run LibTorch, whose own OpenMP teams would be nested,
// and ThreadSanitizer knows these.
void parallel_for(std::size_t n, std::size_t threads,
                  const std::function<void(std::size_t)>& body) {
  assert(threads >= 1);
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> failed = false;
  std::mutex mutex;
  std::size_t failed_index = n;
  std::exception_ptr exception;
  // Indices are taken in rising order, so when one fails, all lower ones are taken already and are
  // finished: the lowest failure is found whatever the timing.
  const auto work = [&] {
    while (!failed) {
      const std::size_t i = next++;
      if (i >= n) return;
      try {
        body(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        failed = true;
        if (i < failed_index) {
          failed_index = i;
          exception = std::current_exception();
        }
      }
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (std::size_t i = 1; i < std::min(threads, n); ++i) helpers.emplace_back(work);
    work();
  }
  if (exception) std::rethrow_exception(exception);
}

std::size_t hardware_threads() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) {
    return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
  }
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace espalier
