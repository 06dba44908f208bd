// How networks compute while they are trained. No LibTorch here.
#pragma once

#include <string>

namespace espalier {

/// bfloat16: convolutions and matrix products take and give numbers of 16 bits (LibTorch's
/// autocast); weights, gradients and losses stay what they are.
enum class Precision { float32, bfloat16 };

/// What a backward pass reads of the forward pass: kept since, or computed once more (Program).
enum class Activations { kept, recomputed };

/// Whether a device, "cpu" or "cuda:0", multiplies bfloat16 in hardware: a CPU with AVX-512 BF16,
/// any GPU that LibTorch runs on.
bool has_bfloat16(const std::string& device);

/// LibTorch's autocast on the calling thread until the end of the scope; off for float32.
class Autocast {
 public:
  /// Where tensors live.
  enum class Place { cpu, cuda };
  Autocast(Precision precision, Place place);
  ~Autocast();
  /// Whether it is on for the calling thread.
  static bool active(Place place);
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  Place place_;
  bool before_;
};

}  // namespace espalier
