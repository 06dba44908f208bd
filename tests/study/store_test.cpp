#include "study/store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include "core/error.hpp"
#include "core/json.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

const std::shared_ptr<const MetricTable>& table() {
  static const auto metrics =
      std::make_shared<const MetricTable>(std::vector<MetricInfo>{{"accuracy"}, {"latency_ms"}});
  return metrics;
}

Candidate candidate(std::uint64_t id) {
  return {.trial_id = id,
          .architecture = {{static_cast<std::uint32_t>(id), 0, 4294967295u}},
          .fidelity = id % 2 == 0 ? 1.0 : 1.0 / 3,
          .parent = id > 0 ? std::optional(id - 1) : std::nullopt};
}

Trial complete(std::uint64_t id) {
  return {.candidate = candidate(id),
          .metrics = Metrics(table(), {0.1 * static_cast<double>(id), -1e300})};
}

Trial failed(std::uint64_t id) {
  return {.candidate = candidate(id),
          .state = TrialState::failed,
          .metrics = Metrics(table()),
          .error = "it broke\nin two lines"};
}

// Runs SQL on a run's file, as somebody else might.
void execute(const std::filesystem::path& file, const std::string& sql) {
  sqlite3* connection = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &connection), SQLITE_OK);
  char* error = nullptr;
  EXPECT_EQ(sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK) << error;
  sqlite3_close(connection);
}

void write_text(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

TEST(RunStore, KeepsWhatWasCommitted) {
  TemporaryDirectory directory;
  const Json meta = {{"config", {{"seed", 3}}}, {"environment", nullptr}};
  {
    RunStore store = RunStore::create(directory.path(), meta);
    store.add_asked(candidate(0), 0, 2);
    store.add_asked(candidate(1), 0, 2);
    store.add_told(complete(0), {.seconds = 0.5, .elapsed = 1.5});
    store.add_asked(candidate(2), 1, 1);
    store.add_told(failed(1), {.seconds = 0.25, .elapsed = 2});
    store.add_snapshot({.asks = 2, .tells = 1, .name = "strategy-1"});
    store.add_snapshot({.asks = 3, .tells = 2, .name = "strategy-2"});
    store.commit();
  }
  for (const auto access : {RunStore::Access::read, RunStore::Access::write}) {
    const RunStore store = RunStore::open(directory.path(), access);
    EXPECT_EQ(store.meta(), meta);
    const std::vector<AskRecord> asked = store.asked();
    ASSERT_EQ(asked.size(), 3u);
    for (std::uint64_t id = 0; id < 3; ++id) EXPECT_EQ(asked[id].candidate, candidate(id));
    EXPECT_EQ(asked[1].tells_before, 0u);
    EXPECT_EQ(asked[1].max_count, 2u);
    EXPECT_EQ(asked[2].tells_before, 1u);
    EXPECT_EQ(asked[2].max_count, 1u);
    const std::vector<TellRecord> told = store.told();
    ASSERT_EQ(told.size(), 2u);
    EXPECT_EQ(told[0].state, TrialState::complete);
    EXPECT_EQ(told[0].metrics, (std::vector<double>{0, -1e300}));
    EXPECT_EQ(told[0].timing.seconds, 0.5);
    EXPECT_EQ(told[0].timing.elapsed, 1.5);
    EXPECT_EQ(told[1].state, TrialState::failed);
    EXPECT_EQ(told[1].metrics, std::vector<double>());
    EXPECT_EQ(told[1].error, "it broke\nin two lines");
    ASSERT_TRUE(store.snapshot());
    EXPECT_EQ(store.snapshot()->name, "strategy-2");
    EXPECT_EQ(store.snapshot()->asks, 3u);
    EXPECT_EQ(store.snapshot()->tells, 2u);
  }
  // Nothing is left behind beside the file.
  EXPECT_EQ(directory.names(), std::vector<std::string>{"run.db"});
}

TEST(RunStore, NumbersAreReadBackExactly) {
  TemporaryDirectory directory;
  const std::vector<double> values = {0.1, std::numeric_limits<double>::denorm_min(),
                                      std::numeric_limits<double>::max(), 1.0 / 3};
  const auto metrics = std::make_shared<const MetricTable>(
      std::vector<MetricInfo>{{"a"}, {"b"}, {"c"}, {"d"}, {"missing"}});
  RunStore store = RunStore::create(directory.path(), Json::object());
  store.add_asked(candidate(0), 0, 1);
  store.add_told({.candidate = candidate(0), .metrics = Metrics(metrics, values)}, {});
  store.commit();
  const std::vector<double> read = store.told()[0].metrics;
  ASSERT_EQ(read.size(), 5u);
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(read[i], values[i]);
  EXPECT_TRUE(std::isnan(read[4]));  // a metric for reports may be missing
}

TEST(RunStore, KeepsNotesOfTheCandidatesThatHaveThem) {
  TemporaryDirectory directory;
  Candidate noted = candidate(1);
  noted.notes = {.numbers = {{"eigenvalue", 0.1}, {"entropy", 1.0 / 3}}, .warning = "collapsed"};
  {
    RunStore store = RunStore::create(directory.path(), {});
    store.add_asked(candidate(0), 0, 1);
    store.add_asked(noted, 0, 1);
    store.add_asked(candidate(2), 0, 1);
    store.commit();
  }
  {
    const std::vector<AskRecord> asked =
        RunStore::open(directory.path(), RunStore::Access::read).asked();
    ASSERT_EQ(asked.size(), 3U);
    EXPECT_EQ(asked[0].candidate, candidate(0));
    EXPECT_EQ(asked[1].candidate, noted);
    EXPECT_EQ(asked[2].candidate, candidate(2));
  }
  execute(directory.path() / "run.db", "UPDATE notes SET notes = '[' WHERE trial_id = 1");
  EXPECT_THAT(
      throws<IoError>([&] { RunStore::open(directory.path(), RunStore::Access::read).asked(); }),
      HasSubstr("notes"));
}

TEST(RunStore, WhatWasNotCommittedIsLost) {
  TemporaryDirectory directory;
  {
    RunStore store = RunStore::create(directory.path(), Json::object());
    store.add_asked(candidate(0), 0, 1);
    store.commit();
    store.add_told(complete(0), {});
  }
  const RunStore store = RunStore::open(directory.path(), RunStore::Access::read);
  EXPECT_EQ(store.asked().size(), 1u);
  EXPECT_TRUE(store.told().empty());
}

TEST(RunStore, IsReadWhileItIsWritten) {
  TemporaryDirectory directory;
  RunStore writer = RunStore::create(directory.path(), Json::object());
  writer.add_asked(candidate(0), 0, 1);
  writer.commit();
  writer.add_told(complete(0), {});
  const RunStore reader = RunStore::open(directory.path(), RunStore::Access::read);
  EXPECT_EQ(reader.asked().size(), 1u);
  EXPECT_TRUE(reader.told().empty());
  writer.commit();
  EXPECT_EQ(reader.told().size(), 1u);
}

TEST(RunStore, HasOneWriter) {
  TemporaryDirectory directory;
  const RunStore writer = RunStore::create(directory.path(), Json::object());
  EXPECT_THAT(throws<IoError>([&] { RunStore::open(directory.path(), RunStore::Access::write); }),
              HasSubstr("another process is writing this run"));
  EXPECT_THAT(throws<IoError>([&] { RunStore::create(directory.path(), Json::object()); }),
              HasSubstr("another process is writing this run"));
}

TEST(RunStore, MetaCanBeReplaced) {
  TemporaryDirectory directory;
  RunStore store = RunStore::create(directory.path(), {{"a", 1}, {"b", 2}});
  store.set_meta({{"a", "new"}});
  EXPECT_EQ(store.meta(), (Json{{"a", "new"}}));
}

TEST(RunStore, RefusesWhatIsNotARun) {
  TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "run.db";
  const auto open = [&] { RunStore::open(directory.path(), RunStore::Access::write); };
  const auto read = [&] { RunStore::open(directory.path(), RunStore::Access::read); };
  EXPECT_FALSE(RunStore::exists(directory.path()));
  EXPECT_THAT(throws<IoError>(open), HasSubstr("run.db: does not exist"));
  EXPECT_THAT(throws<IoError>([] { RunStore::create("/nowhere/at/all", Json::object()); }),
              HasSubstr("cannot be opened: No such file or directory"));

  write_text(file,
             "this is a text and no database, but it is long enough to have a header, which "
             "SQLite looks at before anything else in a file");
  EXPECT_TRUE(RunStore::exists(directory.path()));
  EXPECT_THAT(throws<IoError>(open), HasSubstr("not the record of a run"));
  EXPECT_THAT(throws<IoError>(read), HasSubstr("not the record of a run"));
  EXPECT_THAT(throws<IoError>([&] { RunStore::create(directory.path(), Json::object()); }),
              HasSubstr("exists already"));

  write_text(file, "");
  EXPECT_THAT(throws<IoError>(open), HasSubstr("is not the record of a run"));
  execute(file, "CREATE TABLE asked(x)");
  EXPECT_THAT(throws<IoError>(open), HasSubstr("is not the record of a run"));
  EXPECT_THAT(throws<IoError>(read), HasSubstr("is not the record of a run"));
}

TEST(RunStore, RefusesANewerFormat) {
  TemporaryDirectory directory;
  RunStore::create(directory.path(), Json::object());
  execute(directory.path() / "run.db", "PRAGMA user_version=2");
  EXPECT_THAT(throws<IoError>([&] { RunStore::open(directory.path(), RunStore::Access::read); }),
              HasSubstr("has format 2, but this program reads formats up to 1; use a newer one"));
}

TEST(RunStore, FindsDamage) {
  TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "run.db";
  {
    RunStore store = RunStore::create(directory.path(), Json::object());
    for (std::uint64_t id = 0; id < 1000; ++id) {
      store.add_asked(candidate(id), id, 1);
      store.add_told(complete(id), {});
    }
    store.commit();
  }
  const std::string whole = read_file(file);
  std::string broken = whole;
  broken.replace(whole.size() / 2, 8192, std::string(8192, '\x5a'));
  write_text(file, broken);
  EXPECT_THAT(throws<IoError>([&] { RunStore::open(directory.path(), RunStore::Access::write); }),
              HasSubstr("is damaged"));
  write_text(file, whole.substr(0, whole.size() / 2));
  EXPECT_THAT(throws<IoError>([&] { RunStore::open(directory.path(), RunStore::Access::write); }),
              HasSubstr("is damaged"));
  EXPECT_EQ(read_file(file), whole.substr(0, whole.size() / 2));  // and leaves it as it is

  write_text(file, whole);
  execute(file, "DELETE FROM told WHERE trial_id=7");
  EXPECT_THAT(
      throws<IoError>([&] { RunStore::open(directory.path(), RunStore::Access::read).told(); }),
      HasSubstr("the table told has a wrong row for trial 7"));
  execute(file, "UPDATE asked SET choices='1 x 3' WHERE trial_id=5");
  EXPECT_THAT(
      throws<IoError>([&] { RunStore::open(directory.path(), RunStore::Access::read).asked(); }),
      HasSubstr("the table asked has a wrong row for trial 5"));
  execute(file, "INSERT INTO meta VALUES('config', '{')");
  EXPECT_THAT(
      throws<IoError>([&] { RunStore::open(directory.path(), RunStore::Access::read).meta(); }),
      HasSubstr("\"config\" of the table meta is not JSON"));
}

TEST(RunStore, AnUnfinishedCreationIsNoRun) {
  TemporaryDirectory directory;
  write_text(directory.path() / "run.db.new", "what a kill left");
  EXPECT_FALSE(RunStore::exists(directory.path()));
  RunStore::create(directory.path(), Json::object());
  EXPECT_EQ(directory.names(), std::vector<std::string>{"run.db"});
}

TEST(RunStore, AReadOnlyDirectoryIsRead) {
  if (::geteuid() == 0) GTEST_SKIP() << "root writes everywhere";
  TemporaryDirectory directory;
  {
    RunStore store = RunStore::create(directory.path(), Json::object());
    store.add_asked(candidate(0), 0, 1);
    store.commit();
  }
  using std::filesystem::perms;
  std::filesystem::permissions(directory.path(), perms::owner_read | perms::owner_exec);
  EXPECT_EQ(RunStore::open(directory.path(), RunStore::Access::read).asked().size(), 1u);
  EXPECT_THAT(throws<IoError>([&] { RunStore::open(directory.path(), RunStore::Access::write); }),
              HasSubstr("run.db"));
  std::filesystem::permissions(directory.path(), perms::owner_all);
}

// A file system of 256 kB at a directory.
class SmallDisk {
 public:
  explicit SmallDisk(const std::filesystem::path& path) : path_(path) {
    mounted_ = ::mount("tmpfs", path.c_str(), "tmpfs", 0, "size=256k") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount(path_.c_str());
  }
  bool mounted() const { return mounted_; }

 private:
  std::filesystem::path path_;
  bool mounted_;
};

TEST(RunStore, AFullDiskLosesNothingThatWasCommitted) {
  TemporaryDirectory directory;
  const SmallDisk disk(directory.path());
  if (!disk.mounted()) GTEST_SKIP() << "only root can make a small file system";
  std::uint64_t committed = 0;
  {
    RunStore store = RunStore::create(directory.path(), Json::object());
    const std::string message = throws<IoError>([&] {
      for (std::uint64_t id = 0; id < 100000; ++id) {
        store.add_asked(candidate(id), id, 1);
        store.add_told(complete(id), {});
        if (id % 10 == 9) {
          store.commit();
          committed = id + 1;
        }
      }
    });
    EXPECT_THAT(message, HasSubstr("run.db: the disk is full"));
    store.commit();  // of nothing: what failed is gone as a whole
  }
  EXPECT_GT(committed, 100u);
  const RunStore store = RunStore::open(directory.path(), RunStore::Access::read);
  EXPECT_EQ(store.asked().size(), committed);
  EXPECT_EQ(store.told().size(), committed);
}

}  // namespace
}  // namespace espalier
