#include "core/memory.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ESPALIER_TEST_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ESPALIER_TEST_SANITIZER
#endif
#endif

namespace espalier {
namespace {

// Pages of a block that the system has to map when each of them is written once.
long mapped_by_a_block(std::size_t size) {
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  auto* const block = static_cast<volatile char*>(std::malloc(size));
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  for (std::size_t i = 0; i < size; i += page) block[i] = 1;
  std::free(const_cast<char*>(block));
  getrusage(RUSAGE_SELF, &after);
  return after.ru_minflt - before.ru_minflt;
}

TEST(KeepFreedMemory, ABlockIsNotMappedAgain) {
#if !defined(__GLIBC__) || defined(ESPALIER_TEST_SANITIZER)
  GTEST_SKIP() << "not with this allocator";
#endif
  constexpr std::size_t size = std::size_t{16} << 20;
  keep_freed_memory();
  mapped_by_a_block(size);
  EXPECT_LT(mapped_by_a_block(size), 4);
}

}  // namespace
}  // namespace espalier
