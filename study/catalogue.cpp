#include "study/catalogue.hpp"

#include <utility>

namespace espalier {

void Catalogue::add_device(Device device) {
  std::erase_if(devices, [&](const Device& known) { return known.name == device.name; });
  devices.push_back(std::move(device));
  hardware = hardware_registry(devices);
}

}  // namespace espalier
