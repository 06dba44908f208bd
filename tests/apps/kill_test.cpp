// Runs that are killed, stopped, and continued, in processes of their own.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "study/store.hpp"
#include "tests/apps/run_espalier.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/study/small_run.hpp"

namespace espalier {
namespace {

class Killed : public testing::Test {
 protected:
  Killed() : config_((directory_.path() / "run.json").string()) {}

  // A run of short trainings: long enough to be killed in the middle.
  void write_config(std::uint64_t trials) {
    Json config = small_run();
    config["strategy"] = {{"type", "regularized_evolution"}, {"population", 6}, {"sample", 3}};
    config["compute"] = {{"batch", 3}};
    config["budget"]["trials"] = trials;
    config["final"] = Json::object();
    write_file_atomically(config_, config.dump());
  }
  std::string path(const std::string& name) const { return (directory_.path() / name).string(); }

  static std::uint64_t told(const std::string& out) {
    if (!RunStore::exists(out)) return 0;
    return RunStore::open(out, RunStore::Access::read).told().size();
  }

  // Waits until the run has recorded so many trials, or is over.
  static void wait_for_trials(const EspalierProcess& process, const std::string& out,
                              std::uint64_t count) {
    while (told(out) < count && !process.ended()) std::this_thread::yield();
  }

  TemporaryDirectory directory_;
  std::string config_;
};

// A command that the last trial of a run waits in, until it is opened: whoever is late to kill the
// run is not too late.
class Gate {
 public:
  Gate(const std::filesystem::path& directory, std::uint64_t last_trial)
      : open_(directory / "open"), pipe_((directory / "pipe").string()), last_trial_(last_trial) {
    // Both ends are held here, so that reading blocks.
    if (::mkfifo(pipe_.c_str(), 0600) == 0) end_ = ::open(pipe_.c_str(), O_RDWR | O_CLOEXEC);
    if (end_ < 0) throw IoError(pipe_, "cannot be made");
  }
  ~Gate() { ::close(end_); }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  void open() const { std::ofstream(open_) << ""; }
  void close() const { std::filesystem::remove(open_); }

  /// Of an evaluator.
  Json config() const {
    const std::string script =
        "read -r input; id=${input#*:}; id=${id%%,*}\n"  // {"trial":7,...
        "[ $id -lt \"$1\" ] || [ -e \"$2\" ] || read -r line < \"$3\"\n"
        "echo '{\"gate\": 0}'";
    return {
        {"type", "command"},
        {"argv", {"sh", "-c", script, "gate", std::to_string(last_trial_), open_.string(), pipe_}},
        {"metrics", {"gate"}}};
  }

 private:
  std::filesystem::path open_;
  std::string pipe_;
  std::uint64_t last_trial_;
  int end_ = -1;
};

TEST_F(Killed, AKilledRunEndsAsOneThatWasNot) {
  constexpr std::uint64_t trials = 40;
  write_config(trials);
  const Gate gate(directory_.path(), trials - 1);
  Json config = read_json_file(config_);
  config["evaluator"] = {{"type", "composite"}, {"members", {config["evaluator"], gate.config()}}};
  write_file_atomically(config_, config.dump());
  gate.open();
  ASSERT_EQ(espalier({"search", config_, "--out", path("whole")}).code, 0);
  const Json whole = espalier({"trials", path("whole"), "--json"}).json();
  for (const std::string workers : {"1", "2"}) {
    const std::string out = path("killed" + workers);
    const std::vector<std::string> arguments{
        "-q", "search", config_, "--out", out, "--resume", "--set", "/compute/workers=" + workers};
    gate.close();
    for (const std::uint64_t count : {1u, 9u, 23u}) {
      EspalierProcess process(arguments);
      wait_for_trials(process, out, count);
      process.send(SIGKILL);
      EXPECT_EQ(process.wait(), 128 + SIGKILL);
      EXPECT_LT(told(out), trials);
    }
    gate.open();
    EXPECT_EQ(EspalierProcess(arguments).wait(), 0);
    EXPECT_EQ(read_file(out + "/pareto.json"), read_file(path("whole/pareto.json")));
    EXPECT_EQ(read_file(out + "/pareto.csv"), read_file(path("whole/pareto.csv")));
    EXPECT_EQ(espalier({"trials", out, "--json"}).json(), whole);
  }
}

TEST_F(Killed, CtrlCEndsWithACompleteStore) {
  write_config(1000000);
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string out = path("stopped" + std::to_string(signal));
    EspalierProcess process({"-q", "search", config_, "--out", out, "--threads", "2"});
    wait_for_trials(process, out, 5);
    process.send(signal);
    EXPECT_EQ(process.wait(), 130);
    EXPECT_GE(told(out), 5u);
    EXPECT_FALSE(std::filesystem::exists(out + "/run.db-wal"));  // it was closed
    EXPECT_TRUE(std::filesystem::exists(out + "/pareto.json"));
    EXPECT_TRUE(std::filesystem::exists(out + "/report.html"));
    EXPECT_FALSE(std::filesystem::exists(out + "/best"));  // nothing is final yet
  }
}

TEST_F(Killed, ASecondCtrlCEndsAtOnce) {
  Json config = small_run();
  const std::string pipe = path("held"), begun = path("begun");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const int end = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  config["evaluator"] = {
      {"type", "command"},
      {"argv",
       {"sh", "-c", "exec 3>" + pipe + "; touch " + begun + "; sleep 100000 & sleep 100000"}},
      {"metrics", {"accuracy"}}};
  config.erase("final");
  write_file_atomically(config_, config.dump());
  const std::string out = path("run");
  EspalierProcess process({"-q", "search", config_, "--out", out});
  while (!std::filesystem::exists(begun) && !process.ended()) std::this_thread::yield();
  process.send(SIGINT);
  // The first one waits for the trial; signals of one kind are not counted while one is pending.
  while (!process.ended()) {
    process.send(SIGINT);
    std::this_thread::yield();
  }
  EXPECT_EQ(process.wait(), 130);
  // So do the trial's programs: once none has the pipe open, it is at its end.
  ::fcntl(end, F_SETFL, 0);
  char byte;
  EXPECT_EQ(::read(end, &byte, 1), 0);
  ::close(end);
  // The candidate is on record, and nothing was told.
  EXPECT_EQ(RunStore::open(out, RunStore::Access::read).asked().size(), 1u);
  EXPECT_EQ(told(out), 0u);
  const Outcome front = espalier({"pareto", out, "--json"});
  EXPECT_EQ(front.code, 0);
  EXPECT_TRUE(front.json()["trials"].empty());
  EXPECT_THAT(front.err, testing::HasSubstr("no trial is complete yet"));
  for (const char* verb : {"pareto", "trials"}) EXPECT_EQ(espalier({verb, out}).code, 0) << verb;
}

TEST_F(Killed, TwoProcessesDoNotWriteOneRun) {
  write_config(1000000);
  const std::string out = path("run");
  EspalierProcess process({"-q", "search", config_, "--out", out});
  wait_for_trials(process, out, 2);
  const Outcome second = espalier({"search", config_, "--out", out, "--resume"});
  EXPECT_EQ(second.code, 3);
  EXPECT_THAT(second.err, testing::HasSubstr("another process is writing this run"));
  EXPECT_EQ(espalier({"trials", out, "--json"}).code, 0);  // but others may read it
  process.send(SIGKILL);
  EXPECT_EQ(process.wait(), 128 + SIGKILL);
}

}  // namespace
}  // namespace espalier
