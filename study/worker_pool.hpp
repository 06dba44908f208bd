// Threads that evaluate trials.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "objectives/candidate.hpp"
#include "study/store.hpp"

namespace espalier::detail {

/// A candidate in flight and what its evaluation came to.
struct Flight {
  enum class State { waiting, running, done };

  Candidate candidate;
  State state = State::waiting;
  std::vector<double> values = {};
  std::string error = {};         ///< of a failed trial
  std::exception_ptr fatal = {};  ///< what ends the run
  double seconds = 0;
};

/// Evaluates flights on several threads, in the order of submission. A flight must stay where it is
/// until it is done or cancelled.
class WorkerPool {
 public:
  /// `evaluate` sets all members but state, and does not throw.
  WorkerPool(std::size_t workers, int threads_per_trial, std::function<void(Flight&)> evaluate);
  /// Cancels what has not begun and waits for what has.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  void submit(Flight& flight);
  /// Returns when the flight is done, or, with `stop` coming true, when it is known that it will
  /// not be: then what has not begun is cancelled. `stop` is polled a few times a second.
  void wait(const Flight& flight, const std::function<bool()>& stop);
  /// Waits for the flights that are running.
  void drain();

 private:
  void work();
  void close();

  int threads_per_trial_;
  std::function<void(Flight&)> evaluate_;
  std::mutex mutex_;
  std::condition_variable submitted_, finished_;
  std::deque<Flight*> queue_;
  std::size_t running_ = 0;
  bool closed_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace espalier::detail
