#pragma once

#include <string>
#include <vector>

#include "hw_models/device.hpp"
#include "hw_models/hardware_model.hpp"

namespace espalier {

/// Latency and energy from a device's peak rates: a kernel (fuse_kernels) takes the longer of
/// computing and moving its data, and an overhead.
///
/// Computing: multiply-accumulates at the rate of the unit for the wider of weights and
/// activations, times the operator's efficiency; other operators only move data. Data: weights at
/// their weight_bits with a 4-byte scale per output channel, one bias per output channel where
/// there is a bias or a folded batch norm, and each tensor read or written once at the widest of
/// its readers' activation_bits; whatever is not quantized has the device's float_bits. Energy is
/// per multiply-accumulate and per byte.
/// Source: Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for
/// multicore architectures", CACM 2009.
/// Test: Roofline.MemoryBoundOperatorsAndOverhead.
class Roofline : public HardwareModel {
 public:
  /// `name` defaults to the device's.
  explicit Roofline(Device device, std::string name = "");

  const Device& device() const { return device_; }
  std::vector<HardwareMetric> metrics() const override;
  HardwareCost estimate(const Graph& graph, int batch_size) const override;
  /// One part per kernel, named by its main operator.
  std::vector<ScopeCost> breakdown(const Graph& graph, int batch_size) const override;

 private:
  Device device_;
};

}  // namespace espalier
