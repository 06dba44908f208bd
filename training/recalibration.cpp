#include "training/recalibration.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <span>
#include <variant>
#include <vector>

#include "nets/graph_module.hpp"
#include "training/augmentation.hpp"
#include "training/threads.hpp"
#include "training/train_loop.hpp"

namespace espalier {

OptionTable<RecalibrationOptions> recalibration_option_table() {
  using R = RecalibrationOptions;
  return OptionTable<R>("statistics of batch norms for an architecture's part of shared weights")
      .add("batches", &R::batches, "of training images, 0: all of them", between(0, 1 << 20))
      .add("batch_size", &R::batch_size, "images in a batch", between(2, 65536));
}

void recalibrate_batch_norms(GraphModule& module, const Dataset& data,
                             const RecalibrationOptions& options, const Rng& rng,
                             int threads_used) {
  const TorchThreads threads(threads_used);
  const at::NoGradGuard no_grad;
  const Graph& graph = module.graph();
  const Shape& input = graph.node(graph.input()).shape;
  require_fit(input, graph.node(graph.output()).shape, data);

  struct Sums {
    NodeId reads;
    at::Tensor mean, variance;          // the module's
    at::Tensor sum = {}, squares = {};  // over the batches, of means and mean squares
    std::int64_t values = 0;            // per channel
  };
  std::vector<Sums> sums;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const OpTensors& tensors = module.node_tensors()[id];
    if (!tensors.running_mean.defined()) continue;
    sums.push_back({graph.inputs(id)[0], tensors.running_mean, tensors.running_var});
  }
  const auto observe = [&](NodeId id, const at::Tensor& x) {
    for (Sums& s : sums) {
      if (s.reads != id) continue;
      const at::Tensor wide = x.to(at::kDouble);
      const at::Tensor mean = wide.mean({0, 2, 3}), squares = (wide * wide).mean({0, 2, 3});
      s.sum = s.sum.defined() ? s.sum + mean : mean;
      s.squares = s.squares.defined() ? s.squares + squares : squares;
      s.values += x.numel() / x.size(1);
    }
  };

  const SplitView view = data.view(Split::train);
  std::vector<std::uint32_t> order(view.indices.begin(), view.indices.end());
  Rng draw = rng.fork("images");
  draw.shuffle(order);
  const auto size = std::min(static_cast<std::size_t>(options.batch_size), order.size());
  const std::size_t all = order.size() / size;
  const std::size_t batches =
      options.batches == 0 ? all : std::min(static_cast<std::size_t>(options.batches), all);
  const ImageTransform transform(data, {input[1].value(), input[2].value()});
  module.train();
  for (std::size_t b = 0; b < batches; ++b) {
    const Batch batch =
        make_batch(transform, *view.images, std::span(order).subspan(b * size, size), draw);
    module.forward(moved(batch, module).images, observe);
  }
  module.eval();
  const auto count = static_cast<double>(batches);
  for (Sums& s : sums) {
    const at::Tensor mean = s.sum / count;
    const auto n = static_cast<double>(s.values);
    s.mean.copy_(mean);
    s.variance.copy_((s.squares / count - mean * mean).clamp_min(0) * (n / std::max(1.0, n - 1)));
  }
}

}  // namespace espalier
