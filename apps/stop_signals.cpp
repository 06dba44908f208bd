#include "apps/stop_signals.hpp"

#include <unistd.h>

#include <atomic>

#include "apps/verbs.hpp"

namespace espalier {
namespace {

std::atomic<bool> stop = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may set it");

extern "C" void on_stop_signal(int) {
  if (stop.exchange(true)) _exit(exit_interrupted);
}

}  // namespace

StopSignals::StopSignals() {
  stop = false;
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &interrupt_);
  sigaction(SIGTERM, &action, &terminate_);
}

StopSignals::~StopSignals() {
  sigaction(SIGINT, &interrupt_, nullptr);
  sigaction(SIGTERM, &terminate_, nullptr);
}

bool StopSignals::stopped() const { return stop.load(); }

}  // namespace espalier
