// A search space, a strategy, a proxy and a device of your own, in a program with all verbs of
// `espalier`:
//   example_own_space describe --space two_paths
//   example_own_space search examples/own_space.json --out runs/own
#include "apps/program.hpp"
#include "search_spaces/sampling.hpp"
#include "search_spaces/supergraph.hpp"

using namespace espalier;

namespace {

struct TwoPathsOptions {
  int channels = 16;
};

/// A convolution or a pooling of 16x16 images, with a kernel that is searched.
std::unique_ptr<SearchSpace> make_two_paths(const TwoPathsOptions& options) {
  SupergraphBuilder builder;
  const NodeId x = builder.input(1, 16, 16);
  const std::array<std::int64_t, 3> kernels{3, 5, 7};
  const NodeId left =
      builder.conv(x, options.channels, {.kernel = builder.number("kernel", kernels)});
  const NodeId right =
      builder.conv(builder.max_pool(x, {.kernel = 3, .stride = 1}), options.channels);
  const DecisionId path = builder.decide({.name = "path", .options = {"convolution", "pooling"}});
  const NodeId y = builder.choice(path, std::array{left, right});
  builder.output(builder.linear(builder.flatten(builder.global_avg_pool(y)), 10));
  return std::make_unique<SupergraphSpace>(builder.finish());
}

struct FirstFoundOptions {};

/// Asks for the architectures in the order of their choices.
class FirstFound : public Strategy {
 public:
  explicit FirstFound(const RunContext& context) {
    enumerate(*context.space, [&](const Architecture& a) { return all_.push_back(a), true; });
  }
  std::vector<Candidate> ask(std::size_t max_count) override {
    std::vector<Candidate> candidates;
    while (candidates.size() < max_count && next_ < all_.size()) {
      candidates.push_back({.trial_id = next_, .architecture = all_[next_]});
      ++next_;
    }
    return candidates;
  }
  void tell(const Trial&) override {}
  bool finished() const override { return next_ == all_.size(); }

 private:
  std::vector<Architecture> all_;
  std::size_t next_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  Catalogue catalogue = Catalogue::standard();
  catalogue.spaces.add("two_paths",
                       OptionTable<TwoPathsOptions>("a convolution or a pooling")
                           .add("channels", &TwoPathsOptions::channels, "of both", at_least(1)),
                       make_two_paths);
  catalogue.strategies.add("first_found",
                           OptionTable<FirstFoundOptions>("all architectures in their order"),
                           [](const FirstFoundOptions&, const RunContext& context) {
                             return std::make_unique<FirstFound>(context);
                           });
  catalogue.proxies["capacity"] = {.doc = "networks of many parameters first",
                                   .score = [](const ProxyInput& input) {
                                     return static_cast<double>(input.network.cost().params);
                                   }};
  catalogue.add_device({.name = "my_board",
                        .doc = "a made-up microcontroller",
                        .mac_units = {{.bits = 32, .gmacs_per_second = 0.1}},
                        .gigabytes_per_second = 0.2});
  return run_program(argc, argv, catalogue);
}
