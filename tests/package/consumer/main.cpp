// A search of a user's own: the cell with the fewest MACs that still has at least 0.5 M parameters.
#include <cstdio>
#include <memory>

#include "search_spaces/nasbench201.hpp"
#include "strategies/random.hpp"
#include "study/study.hpp"

namespace {

class CountedMacs : public espalier::Evaluator {
 public:
  const std::vector<espalier::MetricInfo>& metrics() const override { return metrics_; }
  std::vector<double> evaluate(const espalier::Candidate&, const espalier::Network& network,
                               espalier::Rng&) override {
    return {static_cast<double>(network.cost().macs) / 1e6};
  }

 private:
  std::vector<espalier::MetricInfo> metrics_ = {{"mmacs", "M", espalier::Direction::minimize}};
};

}  // namespace

int main() {
  espalier::StudyOptions options;
  options.budget.trials = 100;
  espalier::Study study(
      espalier::make_nasbench201(),
      [](const espalier::RunContext& context) {
        return std::make_unique<espalier::RandomSearch>(context, espalier::RandomOptions{});
      },
      std::make_shared<CountedMacs>(), {{"mmacs"}}, {{.metric = "params", .lower = 0.5e6}},
      options);
  std::size_t feasible = 0;
  for (const espalier::Trial& trial : study.run()) feasible += study.goals().feasible(trial);
  std::printf("%zu of 100 trials keep the constraint\n", feasible);
  return feasible > 0 && feasible < 100 ? 0 : 1;
}
