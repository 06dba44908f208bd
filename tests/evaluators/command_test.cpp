#include "evaluators/command.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "core/error.hpp"
#include "core/json.hpp"
#include "core/parallel.hpp"
#include "tests/core/full_disk.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/toy_space.hpp"

namespace espalier {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const auto space = toy_space();
const Architecture architecture{std::vector<std::uint32_t>(space->decisions().size(), 0)};

CommandEvaluator shell(const std::string& script, double timeout = 60,
                       std::vector<std::string> metrics = {"accuracy"}) {
  return CommandEvaluator(
      space, {.argv = {"sh", "-c", script}, .metrics = std::move(metrics), .timeout = timeout});
}
std::vector<double> run(CommandEvaluator evaluator, std::uint64_t trial_id = 0) {
  return evaluate(evaluator, *space, architecture, trial_id, 0.5);
}
template <class Failure = Error>
std::string failure(CommandEvaluator evaluator) {
  return throws<Failure>([&] { run(std::move(evaluator)); });
}

TEST(CommandEvaluator, ReadsMetricsByName) {
  EXPECT_THAT(run(shell("echo '{\"b\": 2, \"more\": null, \"a\": -1.5e3}'", 60, {"a", "b"})),
              ElementsAre(-1500, 2));
}

TEST(CommandEvaluator, WritesTheCandidateToStdin) {
  const TemporaryDirectory directory;
  const auto file = directory.path() / "input.json";
  auto evaluator = shell("cat > " + file.string() + "; echo '{\"accuracy\": 1}'");
  evaluate(evaluator, *space, architecture, 7, 0.5);
  const Json input = read_json_file(file);
  EXPECT_EQ(input.at("trial"), 7);
  EXPECT_EQ(input.at("fidelity"), 0.5);
  EXPECT_EQ(architecture_from_json(*space, input.at("architecture")), architecture);
  EXPECT_EQ(space->parse(input.at("arch").get<std::string>()), architecture);
  EXPECT_EQ(input.at("seed"), Rng(5).fork(std::uint64_t{7}).below(std::uint64_t{1} << 31));
  EXPECT_EQ(input.size(), 5u);
}

TEST(CommandEvaluator, DeclaresItsMetrics) {
  const CommandEvaluator evaluator(
      space,
      {.argv = {"true"}, .metrics = {"accuracy", "latency_ms@phone"}, .report = {"test_accuracy"}});
  EXPECT_THAT(evaluator.metrics(),
              ElementsAre(MetricInfo{"accuracy", "%", Direction::maximize},
                          MetricInfo{"latency_ms@phone", "ms", Direction::minimize},
                          MetricInfo{"test_accuracy", "%", Direction::maximize, true}));
  EXPECT_THAT(throws<ConfigError>([] {
                CommandEvaluator(space, {.argv = {"true"}, .metrics = {"a"}, .report = {"b", "a"}});
              }),
              HasSubstr("/report/1: "));
  EXPECT_THAT(throws<ConfigError>([] {
                CommandEvaluator(space, {.argv = {"true"}, .metrics = {"a", "a"}, .report = {}});
              }),
              HasSubstr("/metrics/1: "));
}

TEST(CommandEvaluator, AFailureCarriesTheEndOfStderr) {
  EXPECT_THAT(failure(shell("echo out of memory >&2; exit 3")),
              AllOf(HasSubstr("sh: exit code 3"), HasSubstr("out of memory")));
  EXPECT_THAT(failure(shell("exit 1")), HasSubstr("it wrote nothing to stderr"));
  EXPECT_THAT(failure(shell("kill -SEGV $$")), HasSubstr("exit code 139"));
  const std::string message =
      failure(shell("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done >&2; exit 1"));
  EXPECT_THAT(message, AllOf(HasSubstr("line 2999"), Not(HasSubstr("line 1000\n"))));
  EXPECT_LT(message.size(), 2200u);
  // Whole characters.
  const std::string accents = failure(shell(
      "i=0; while [ $i -lt 1500 ]; do printf '\\303\\251'; i=$((i+1)); done >&2; printf x >&2; "
      "exit 1"));
  EXPECT_GT(accents.size(), 1900u);
  EXPECT_NO_THROW(Json(accents).dump());
}

TEST(CommandEvaluator, RefusesOutputThatIsNotMetrics) {
  EXPECT_THAT(failure(shell("echo done")), HasSubstr("its stdout"));
  EXPECT_THAT(failure(shell("true")), HasSubstr("its stdout"));
  EXPECT_THAT(failure(shell("echo '[1]'")), HasSubstr("array"));
  EXPECT_THAT(failure(shell("echo '{\"acuracy\": 1}'")),
              HasSubstr("\"accuracy\" is not in its output; did you mean \"acuracy\"?"));
  EXPECT_THAT(failure(shell("echo '{\"accuracy\": \"high\"}'")), HasSubstr("string"));
  EXPECT_THAT(failure(shell("echo '{\"accuracy\": NaN}'")), HasSubstr("its stdout"));
  EXPECT_THAT(failure(shell("yes")), HasSubstr("more than 1048576 bytes"));
}

TEST(CommandEvaluator, KnowsNoForeignArchitecture) {
  auto evaluator = shell("echo '{\"accuracy\": 1}'");
  EXPECT_THAT(throws<InvalidArchitecture>([&] { evaluate(evaluator, *space, Architecture{}); }),
              HasSubstr("only given architectures of the search space"));
}

TEST(CommandEvaluator, AProgramThatDoesNotExistIsAFailure) {
  EXPECT_THAT(failure<IoError>(CommandEvaluator(
                  space, {.argv = {"espalier-no-such-program"}, .metrics = {"accuracy"}})),
              HasSubstr("espalier-no-such-program: cannot start it: No such file"));
}

TEST(CommandEvaluator, InputThatIsNotReadDoesNoHarm) {
  EXPECT_THAT(run(shell("exec <&-; echo '{\"accuracy\": 4}'")), ElementsAre(4));
}

TEST(CommandEvaluator, StreamsMayCloseBeforeTheEnd) {
  EXPECT_THAT(run(shell("echo '{\"accuracy\": 4}'; exec >&- 2>&-; cat > /dev/null")),
              ElementsAre(4));
}

// While it lives, this process cannot open a descriptor of this number or above.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(int limit) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit now{static_cast<rlim_t>(limit), before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &now);
  }
  ~DescriptorLimit() { setrlimit(RLIMIT_NOFILE, &before_); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit before_{};
};

int lowest_free_descriptor() {
  const int descriptor = ::dup(STDIN_FILENO);
  ::close(descriptor);
  return descriptor;
}

TEST(CommandEvaluator, WithoutDescriptorsItFailsAndLeavesNone) {
  const int first = lowest_free_descriptor();
  const auto error_with = [&](int available) -> std::string {
    try {
      const DescriptorLimit limit(first + available);
      EXPECT_THAT(run(shell("echo '{\"accuracy\": 4}'")), ElementsAre(4));
    } catch (const IoError& error) {
      return error.what();
    }
    return "";
  };
  int available = 0;
  for (std::string error; !(error = error_with(available)).empty(); ++available) {
    ASSERT_EQ(error, "sh: cannot start it: Too many open files") << available;
    ASSERT_EQ(lowest_free_descriptor(), first) << available;
  }
  EXPECT_GE(available, 7);  // its input, and the ends of its pipes
  EXPECT_EQ(lowest_free_descriptor(), first);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST(CommandEvaluator, InputThatCannotBeStoredIsAFailure) {
  const FullDisk disk(16);
  EXPECT_THAT(failure<IoError>(shell("echo '{\"accuracy\": 4}'")),
              HasSubstr("sh: cannot start it: File too large"));
}

// Opens a pipe's reading end and tells, when asked, whether all writers are gone: it waits for
// them, and the test's time limit ends a wait for one that lives on.
class Witness {
 public:
  Witness() : path_(directory_.path() / "pipe") {
    EXPECT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    end_ = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  }
  ~Witness() { ::close(end_); }
  std::string path() const { return path_.string(); }
  void wait_for_a_byte() const {
    pollfd watched{end_, POLLIN, 0};
    ::poll(&watched, 1, -1);
  }
  void wait_for_the_last_writer() const {
    ::fcntl(end_, F_SETFL, 0);
    char byte;
    while (::read(end_, &byte, 1) > 0) {
    }
  }

 private:
  TemporaryDirectory directory_;
  std::filesystem::path path_;
  int end_;
};

TEST(CommandEvaluator, TheTimeLimitEndsTheWholeGroup) {
  const Witness witness;
  EXPECT_THAT(failure(shell("exec 3>" + witness.path() + "; sleep 100000 & sleep 100000", 0.3)),
              HasSubstr("killed after its 0.3 s"));
  witness.wait_for_the_last_writer();
}

TEST(CommandEvaluator, WhatAProgramLeavesBehindIsEnded) {
  const Witness witness;
  EXPECT_THAT(run(shell("exec 3>" + witness.path() + "; sleep 100000 & echo '{\"accuracy\": 4}'")),
              ElementsAre(4));
  witness.wait_for_the_last_writer();
}

TEST(CommandEvaluator, WhenThisProcessIsKilledTheWholeGroupEnds) {
  const Witness witness;
  const pid_t parent = ::fork();
  if (parent == 0) {
    try {
      run(shell("exec 3>" + witness.path() + "; sleep 100000 & echo >&3; sleep 100000", 1e6));
    } catch (...) {
    }
    ::_exit(0);
  }
  witness.wait_for_a_byte();
  ::kill(parent, SIGKILL);
  int status = 0;
  ::waitpid(parent, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  witness.wait_for_the_last_writer();
}

TEST(CommandEvaluator, ManyAtOnceAndNoZombies) {
  auto evaluator = shell("read line; echo '{\"accuracy\": 1}'");
  std::vector<double> values(60);
  parallel_for(values.size(), 8,
               [&](std::size_t i) { values[i] = evaluate(evaluator, *space, architecture, i)[0]; });
  EXPECT_EQ(values, std::vector<double>(60, 1));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(CommandOptionTable, ReadsAndChecks) {
  const auto table = command_option_table();
  const CommandOptions options =
      table.read({{"argv", {"python3", "train.py"}}, {"metrics", {"loss"}}, {"timeout", 5}}, "");
  EXPECT_THAT(options.argv, ElementsAre("python3", "train.py"));
  EXPECT_EQ(options.timeout, 5);
  throws<ConfigError>([&] { table.read({{"argv", Json::array()}, {"metrics", {"loss"}}}, ""); });
  throws<ConfigError>([&] { table.read({{"argv", {"a"}}, {"metrics", Json::array()}}, ""); });
  throws<ConfigError>([&] {
    table.read({{"argv", {"a"}}, {"metrics", {"loss"}}, {"timeout", 0}}, "");
  });
}

}  // namespace
}  // namespace espalier
