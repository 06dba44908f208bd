#include "evaluators/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/error.hpp"

extern char** environ;

namespace espalier::detail {
namespace {

constexpr std::size_t max_tail = 2000;

// A file descriptor that is closed at the end of its scope.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    close();
    value_ = std::exchange(other.value_, -1);
    return *this;
  }
  int get() const { return value_; }
  bool open() const { return value_ >= 0; }
  void close() {
    if (value_ >= 0) ::close(std::exchange(value_, -1));
  }

 private:
  int value_ = -1;
};

[[noreturn]] void throw_cannot_start(const std::string& program, int error) {
  throw IoError(program, std::string("cannot start it: ") + std::strerror(error));
}

struct Pipe {
  Descriptor read, write;
};
Pipe make_pipe(const std::string& program) {
  std::array<int, 2> ends;
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_cannot_start(program, errno);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

// A file in memory rather than a pipe: a program that does not read its input cannot block us, nor
// end us with SIGPIPE.
Descriptor file_with(std::string_view text, const std::string& program) {
  Descriptor file(::memfd_create("input", MFD_CLOEXEC));
  if (!file.open()) throw_cannot_start(program, errno);
  while (!text.empty()) {
    const ssize_t written = ::write(file.get(), text.data(), text.size());
    if (written < 0 && errno != EINTR) throw_cannot_start(program, errno);
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

// Starts a program in a process group, or in a new one (0), with default signal handling.
pid_t spawn(const std::vector<std::string>& argv, pid_t group, int input, int output, int error) {
  std::vector<char*> arguments;
  for (const std::string& argument : argv) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, error, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, group);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  for (const int signal : {SIGINT, SIGTERM, SIGQUIT, SIGPIPE}) sigaddset(&signals, signal);
  posix_spawnattr_setsigdefault(&attributes, &signals);

  pid_t child = -1;
  const int failure =
      ::posix_spawnp(&child, argv[0].c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) throw_cannot_start(argv[0], failure);
  return child;
}

void wait_for(pid_t child, int* status) {
  while (::waitpid(child, status, 0) < 0 && errno == EINTR) {
  }
}

// A process group whose leader kills all of it when this process ends, even by SIGKILL: it waits
// for the end of a pipe whose other end is only here. While the leader is there, or a zombie, its
// id is not taken by another group.
class GuardedGroup {
 public:
  explicit GuardedGroup(const std::string& program) : life_(make_pipe(program)) {
    const int end = life_.read.get();  // it writes nothing
    leader_ = spawn({"/bin/sh", "-c", "read -r line; kill -s KILL 0"}, 0, end, end, end);
    life_.read.close();
  }
  ~GuardedGroup() {
    kill();
    wait_for(leader_, nullptr);
  }
  GuardedGroup(const GuardedGroup&) = delete;
  GuardedGroup& operator=(const GuardedGroup&) = delete;

  pid_t id() const { return leader_; }
  void kill() const { ::kill(-leader_, SIGKILL); }

 private:
  Pipe life_;
  pid_t leader_;
};

// Reads what is there. False at the end of the stream.
template <class Take>
bool read_some(int descriptor, Take take) {
  std::array<char, 65536> buffer;
  const ssize_t count = ::read(descriptor, buffer.data(), buffer.size());
  if (count < 0) return errno == EINTR || errno == EAGAIN;
  if (count > 0) take(std::string_view(buffer.data(), static_cast<std::size_t>(count)));
  return count > 0;
}

}  // namespace

ProcessResult run_process(const std::vector<std::string>& argv, std::string_view input,
                          double timeout_seconds) {
  using Clock = std::chrono::steady_clock;
  Descriptor input_file = file_with(input, argv[0]);
  Pipe output = make_pipe(argv[0]);
  Pipe error = make_pipe(argv[0]);
  const GuardedGroup group(argv[0]);
  const pid_t child =
      spawn(argv, group.id(), input_file.get(), output.write.get(), error.write.get());
  input_file.close();
  output.write.close();
  error.write.close();
  for (int end : {output.read.get(), error.read.get()}) ::fcntl(end, F_SETFL, O_NONBLOCK);

  ProcessResult result;
  const auto read_output = [&] {
    return read_some(output.read.get(), [&](std::string_view text) { result.output += text; });
  };
  const auto read_error = [&] {
    return read_some(error.read.get(), [&](std::string_view text) {
      result.error_tail += text;
      if (result.error_tail.size() > max_tail) {
        std::size_t cut = result.error_tail.size() - max_tail;
        const auto within_character = [&] { return (result.error_tail[cut] & 0xC0) == 0x80; };
        while (cut + 1 < result.error_tail.size() && within_character()) ++cut;
        result.error_tail.erase(0, cut);
      }
    });
  };

  const auto start = Clock::now();
  int status = 0;
  while (true) {
    const double left =
        timeout_seconds - std::chrono::duration<double>(Clock::now() - start).count();
    siginfo_t ended{};
    if (::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        ended.si_pid == child) {
      break;
    }
    if (left <= 0) {
      result.timed_out = true;
      break;
    }
    if (result.output.size() > max_output) {
      result.too_much_output = true;
      break;
    }
    // The end of the child wakes the poll by closing the pipes; the short limit is for a child that
    // has closed them itself or has handed them to a program that outlives it.
    const bool streams = output.read.open() || error.read.open();
    std::array<pollfd, 2> watched{{{output.read.get(), POLLIN, 0}, {error.read.get(), POLLIN, 0}}};
    const int milliseconds =
        static_cast<int>(std::min(streams ? 50.0 : 2.0, std::ceil(left * 1000)));
    if (::poll(watched.data(), watched.size(), milliseconds) <= 0) continue;
    if (watched[0].revents != 0 && !read_output()) output.read.close();
    if (watched[1].revents != 0 && !read_error()) error.read.close();
  }
  group.kill();
  wait_for(child, &status);
  // What it wrote just before its end. The pipes hold no more than this many reads.
  for (int i = 0; i < 64 && output.read.open() && read_output(); ++i) {
  }
  for (int i = 0; i < 64 && error.read.open() && read_error(); ++i) {
  }
  result.too_much_output = result.too_much_output || result.output.size() > max_output;
  result.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

}  // namespace espalier::detail
