#include "nets/compute.hpp"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <torch/version.h>

namespace espalier {
namespace {

bool enabled(Autocast::Place place) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  return at::autocast::is_autocast_enabled(place == Autocast::Place::cpu ? at::kCPU : at::kCUDA);
#else
  return place == Autocast::Place::cpu ? at::autocast::is_cpu_enabled()
                                       : at::autocast::is_enabled();
#endif
}

void enable(Autocast::Place place, bool on) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  const at::DeviceType type = place == Autocast::Place::cpu ? at::kCPU : at::kCUDA;
  at::autocast::set_autocast_dtype(type, at::kBFloat16);
  at::autocast::set_autocast_enabled(type, on);
#else
  if (place == Autocast::Place::cpu) {
    at::autocast::set_autocast_cpu_dtype(at::kBFloat16);
    at::autocast::set_cpu_enabled(on);
  } else {
    at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
    at::autocast::set_enabled(on);
  }
#endif
}

}  // namespace

bool has_bfloat16(const std::string& device) {
  if (device != "cpu") return at::globalContext().hasCUDA();
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

bool Autocast::active(Place place) { return enabled(place); }

Autocast::Autocast(Precision precision, Place place) : place_(place), before_(enabled(place)) {
  const bool on = precision == Precision::bfloat16;
  if (on != before_) enable(place_, on);
}

Autocast::~Autocast() {
  const bool on = enabled(place_);
  if (on != before_) enable(place_, before_);
  if (on) at::autocast::clear_cache();  // of converted weights, which the next step changes
}

}  // namespace espalier
