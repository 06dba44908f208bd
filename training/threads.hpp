// LibTorch's threads. No LibTorch here.
#pragma once

namespace espalier {

/// Gives LibTorch's operators, called from this thread, a number of threads until the end of the
/// scope. Every worker thread holds one: LibTorch's count is a property of the calling thread, and
/// its default is not to be relied on.
class TorchThreads {
 public:
  /// threads >= 1.
  explicit TorchThreads(int threads);
  ~TorchThreads();
  TorchThreads(const TorchThreads&) = delete;
  TorchThreads& operator=(const TorchThreads&) = delete;

 private:
  int before_;
};

}  // namespace espalier
