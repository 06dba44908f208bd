// Shared weights that cost nothing, for the tests of strategies.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "core/files.hpp"
#include "core/json.hpp"
#include "tests/strategies/toy_search.hpp"
#include "training/shared_training.hpp"

namespace espalier {

/// Draws three steps' architectures in each epoch and remembers them. What an architecture scores
/// on a batch is up to `accuracy`.
class FakeTraining : public SharedTraining {
 public:
  explicit FakeTraining(int epochs) : epochs_(epochs) {}

  void begin(const Rng& rng) override {
    rng_ = rng;
    ++begins_;
    trained_ = 0;
  }
  int begins() const override { return begins_; }
  int epochs() const override { return epochs_; }
  int trained_epochs() const override { return trained_; }
  bool train(int epochs, const StepArchitectures& draw, const TrainRun& run) override {
    for (int i = 0; i < epochs && trained_ < epochs_; ++i, ++trained_) {
      for (std::uint64_t step = 0; step < 3; ++step) {
        if (run.stop_requested && run.stop_requested()) return false;
        learned.push_back(draw(rng_.fork(static_cast<std::uint64_t>(trained_)).fork(step)));
      }
    }
    return true;
  }
  double batch_accuracy(const Architecture& a, Rng) override {
    asked.push_back(a);
    return accuracy(a, trained_);
  }
  void save(const std::filesystem::path& path) const override {
    write_file_atomically(path, Json(trained_).dump());
  }
  void load(const std::filesystem::path& path) override {
    trained_ = read_json_file(path.string()).get<int>();
  }

  std::function<double(const Architecture&, int epochs)> accuracy = [](const Architecture&, int) {
    return 50.0;
  };
  std::vector<std::vector<Architecture>> learned;  // by step
  std::vector<Architecture> asked;                 // on batches

 private:
  int epochs_, trained_ = 0, begins_ = 0;
  Rng rng_{0};
};

/// The metrics "accuracy" and "size", which is the sum of the choices and known without an
/// evaluation.
inline std::shared_ptr<const MetricTable> accuracy_metrics() {
  static const auto table = std::make_shared<const MetricTable>(
      std::vector<MetricInfo>{{"accuracy", "%", Direction::maximize}, {"size"}});
  return table;
}
inline Goals accuracy_goal() {
  return Goals(*accuracy_metrics(), {{"accuracy", Direction::maximize}});
}
inline Goals accuracy_and_size() {
  return Goals(*accuracy_metrics(),
               {{"size", Direction::minimize}, {"accuracy", Direction::maximize}});
}

inline double size_of(const Architecture& a) {
  double size = 0;
  for (const std::uint32_t choice : a.choices) size += choice;
  return size;
}

inline RunContext sharing_context(std::shared_ptr<const SearchSpace> space,
                                  std::shared_ptr<SharedTraining> training,
                                  Goals goals = accuracy_goal(), std::uint64_t seed = 1) {
  RunContext context = test_context(std::move(space), seed, std::move(goals));
  context.known_metrics = [](const Architecture& a) {
    Metrics metrics(accuracy_metrics());
    metrics.set("size", size_of(a));
    return metrics;
  };
  context.shared_training = std::move(training);
  return context;
}

/// A trial with this accuracy.
inline Trial accuracy_trial(const Candidate& candidate, double accuracy) {
  return {.candidate = candidate,
          .metrics = Metrics(accuracy_metrics(), {accuracy, size_of(candidate.architecture)})};
}

}  // namespace espalier
