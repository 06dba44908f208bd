#include "evaluators/zero_cost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/json.hpp"
#include "evaluators/proxies/passes.hpp"
#include "training/augmentation.hpp"
#include "training/dataset.hpp"
#include "training/threads.hpp"

namespace espalier {
namespace {

// The first images of the training split, in the size that the network reads.
ImageBatch first_images(const Dataset& data, const Network& network, int count) {
  const Graph& graph = network.graph();
  const Shape& input = graph.node(graph.input()).shape;
  const ImageTransform transform(data, {input[1].value(), input[2].value()});
  const SplitView view = data.view(Split::train);
  const auto indices = view.indices.first(static_cast<std::size_t>(count));
  ImageBatch batch;
  batch.shape = {count, transform.height(), transform.width(), transform.channels()};
  batch.pixels.resize(
      static_cast<std::size_t>(batch.shape[0] * batch.shape[1] * batch.shape[2] * batch.shape[3]));
  Rng unused(0);  // nothing is augmented
  transform.fill(*view.images, indices, unused, batch.pixels);
  for (std::uint32_t index : indices) batch.labels.push_back(view.images->labels[index]);
  return batch;
}

}  // namespace

OptionTable<ZeroCostOptions> zero_cost_option_table() {
  return OptionTable<ZeroCostOptions>("scores of untrained networks")
      .add("proxies", &ZeroCostOptions::proxies, "which scores", non_empty())
      .add("batch_size", &ZeroCostOptions::batch_size, "images, for the proxies that need data",
           at_least(2));
}

ZeroCostEvaluator::ZeroCostEvaluator(const EvaluatorContext& context,
                                     const ZeroCostOptions& options)
    : batch_size_(options.batch_size),
      threads_(context.threads_per_trial),
      device_(context.device) {
  std::vector<std::string> known;
  for (const auto& [name, proxy] : context.proxies) known.push_back(name);
  for (std::size_t i = 0; i < options.proxies.size(); ++i) {
    const std::string& name = options.proxies[i];
    const std::string pointer = pointer_to("/proxies", i);
    const auto found = context.proxies.find(name);
    if (found == context.proxies.end()) {
      throw ConfigError(pointer,
                        fmt::format("unknown proxy \"{}\"{}", name, suggestion(name, known)));
    }
    if (std::ranges::find(metrics_, name, &MetricInfo::name) != metrics_.end()) {
      throw ConfigError(pointer, fmt::format("the proxy \"{}\" is named twice", name));
    }
    const Proxy& proxy = found->second;
    if (proxy.needs_data && context.data == nullptr) {
      throw ConfigError(pointer, fmt::format("the proxy \"{}\" needs images: add \"data\"", name));
    }
    if (proxy.needs_data) data_ = context.data;
    proxies_.push_back(proxy);
    passes_.insert(proxy.passes.begin(), proxy.passes.end());
    metrics_.push_back({name, proxy.unit, proxy.direction});
  }
  if (data_ != nullptr && data_->view(Split::train).size() < batch_size_) {
    throw ConfigError("/batch_size", fmt::format("{} images, but the training split has {}",
                                                 batch_size_, data_->view(Split::train).size()));
  }
}

std::vector<double> ZeroCostEvaluator::evaluate(const Candidate&, const Network& network,
                                                Rng& rng) {
  const TorchThreads threads(threads_);
  const ImageBatch images =
      data_ == nullptr ? ImageBatch{} : first_images(*data_, network, batch_size_);
  ProxyInput input{network, rng, images, device_};
  ProxyPasses passes(input, passes_);
  input.passes = &passes;
  std::vector<double> values;
  for (std::size_t i = 0; i < proxies_.size(); ++i) {
    values.push_back(proxies_[i].score(input));
    if (!std::isfinite(values.back())) {
      throw NumericalError(
          fmt::format("the proxy \"{}\" is {}, not finite", metrics_[i].name, values.back()));
    }
  }
  return values;
}

}  // namespace espalier
