#include "study/worker_pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>

namespace espalier::detail {
namespace {

TEST(WorkerPool, EvaluatesEverythingOnce) {
  std::deque<Flight> flights;
  WorkerPool pool(3, 1, [](Flight& flight) {
    flight.values.push_back(static_cast<double>(flight.candidate.trial_id));
  });
  for (std::uint64_t id = 0; id < 1000; ++id) {
    flights.push_back({.candidate = {.trial_id = id, .architecture = {}}});
    pool.submit(flights.back());
  }
  for (Flight& flight : flights) {
    pool.wait(flight, {});
    EXPECT_EQ(flight.state, Flight::State::done);
    EXPECT_EQ(flight.values, std::vector<double>{static_cast<double>(flight.candidate.trial_id)});
  }
}

TEST(WorkerPool, AStopCancelsWhatHasNotBegun) {
  std::atomic<bool> release = false;
  std::deque<Flight> flights(3);
  WorkerPool pool(1, 1, [&](Flight& flight) {
    while (!release) std::this_thread::yield();
    flight.values = {1};
  });
  for (Flight& flight : flights) pool.submit(flight);
  // The last one cannot have begun while the first one is held.
  pool.wait(flights[2], [] { return true; });
  EXPECT_EQ(flights[2].state, Flight::State::waiting);
  release = true;
  pool.drain();
  EXPECT_TRUE(flights[1].values.empty());
  EXPECT_TRUE(flights[2].values.empty());
}

TEST(WorkerPool, ItsEndWaitsForWhatIsRunning) {
  std::atomic<int> begun = 0, ended = 0;
  std::deque<Flight> flights(50);
  {
    WorkerPool pool(2, 1, [&](Flight&) {
      ++begun;
      ++ended;
    });
    for (Flight& flight : flights) pool.submit(flight);
  }
  EXPECT_EQ(begun, ended);
}

}  // namespace
}  // namespace espalier::detail
