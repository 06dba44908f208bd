// Calls the program as a user would.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <string>
#include <vector>

#include "apps/program.hpp"
#include "core/error.hpp"
#include "core/json.hpp"
#include "core/log.hpp"

extern char** environ;

namespace espalier {

struct Outcome {
  int code = 0;
  std::string out, err;

  /// stdout as JSON: one document and nothing else.
  Json json() const { return parse_json(out, "stdout"); }
};

/// Runs the program in this process: loading LibTorch would take most of each test's time.
inline Outcome espalier(std::vector<std::string> arguments,
                        const Catalogue& catalogue = Catalogue::standard()) {
  arguments.insert(arguments.begin(), "espalier");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  set_log_level(LogLevel::info);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.code = run_program(static_cast<int>(argv.size()), argv.data(), catalogue);
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  return outcome;
}

/// The installed program in a process of its own, for what cannot be done within one: signals.
class EspalierProcess {
 public:
  explicit EspalierProcess(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), ESPALIER_PROGRAM);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    if (::posix_spawn(&pid_, argv[0], nullptr, nullptr, argv.data(), environ) != 0) {
      throw IoError(argv[0], "cannot be started");
    }
  }
  ~EspalierProcess() {
    if (pid_ > 0) {
      send(SIGKILL);
      wait();
    }
  }
  EspalierProcess(const EspalierProcess&) = delete;
  EspalierProcess& operator=(const EspalierProcess&) = delete;

  void send(int signal) { ::kill(pid_, signal); }

  /// Its exit code, or 128 + the signal's number.
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  /// Whether it has ended.
  bool ended() const {
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
    return info.si_pid == pid_;
  }

 private:
  pid_t pid_ = 0;
};

}  // namespace espalier
