// Ctrl-C during long work.
#pragma once

#include <csignal>

namespace espalier {

/// Until the end of the scope, the first SIGINT or SIGTERM asks the work to stop, and a second one
/// ends the program at once. One at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// Whether a signal came.
  bool stopped() const;

 private:
  struct sigaction interrupt_ = {}, terminate_ = {};  // as they were before
};

}  // namespace espalier
