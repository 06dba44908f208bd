// The data sets that a config and the command line can name.
#pragma once

#include <memory>
#include <string_view>

#include "core/json_fwd.hpp"
#include "core/registry.hpp"
#include "training/dataset.hpp"

namespace espalier {

/// Makes a data set from a config such as {"type": "cifar10", "dir": "/data/cifar10"}. Creating it
/// reads the training images: IoError.
using DatasetRegistry = Registry<std::shared_ptr<const Dataset>()>;

/// fashion_mnist, mnist, cifar10, cifar100, synthetic. A user's program adds its own.
DatasetRegistry dataset_registry();

/// The config of a data set as the command line names it: TYPE or TYPE:DIR. Throws ConfigError for
/// an empty TYPE or DIR.
Json dataset_config(std::string_view specification);

}  // namespace espalier
