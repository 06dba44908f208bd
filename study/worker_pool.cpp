#include "study/worker_pool.hpp"

#include <chrono>

#include "training/threads.hpp"

namespace espalier::detail {

WorkerPool::WorkerPool(std::size_t workers, int threads_per_trial,
                       std::function<void(Flight&)> evaluate)
    : threads_per_trial_(threads_per_trial), evaluate_(std::move(evaluate)) {
  try {
    for (std::size_t i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  } catch (...) {  // no more threads: those that there are would be waited for
    close();
    throw;
  }
}

WorkerPool::~WorkerPool() { close(); }

void WorkerPool::close() {
  const std::lock_guard lock(mutex_);
  queue_.clear();
  closed_ = true;
  submitted_.notify_all();
}

void WorkerPool::submit(Flight& flight) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(&flight);
  submitted_.notify_one();
}

void WorkerPool::wait(const Flight& flight, const std::function<bool()>& stop) {
  std::unique_lock lock(mutex_);
  while (flight.state != Flight::State::done) {
    if (stop && stop()) {
      queue_.clear();
      if (flight.state == Flight::State::waiting) return;
    }
    finished_.wait_for(lock, std::chrono::milliseconds(100));
  }
}

void WorkerPool::drain() {
  std::unique_lock lock(mutex_);
  queue_.clear();
  finished_.wait(lock, [this] { return running_ == 0; });
}

void WorkerPool::work() {
  const TorchThreads threads(threads_per_trial_);
  std::unique_lock lock(mutex_);
  while (true) {
    submitted_.wait(lock, [this] { return closed_ || !queue_.empty(); });
    if (closed_) return;
    Flight& flight = *queue_.front();
    queue_.pop_front();
    flight.state = Flight::State::running;
    ++running_;
    lock.unlock();
    evaluate_(flight);
    lock.lock();
    flight.state = Flight::State::done;
    --running_;
    finished_.notify_all();
  }
}

}  // namespace espalier::detail
