#include "study/store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "core/json.hpp"

namespace espalier {
namespace {

constexpr int application_id = 0x45535031;  // "ESP1" in the file's header
constexpr int schema_version = 1;

// Trials are whole rows of numbers: texts are smaller than JSON, and read and written faster.
constexpr const char* schema = R"sql(
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE asked(
  trial_id INTEGER PRIMARY KEY,
  tells_before INTEGER NOT NULL,
  max_count INTEGER NOT NULL,
  choices TEXT NOT NULL,
  fidelity REAL NOT NULL,
  parent INTEGER);
CREATE TABLE told(
  trial_id INTEGER PRIMARY KEY,
  state TEXT NOT NULL,
  metrics TEXT NOT NULL,
  error TEXT NOT NULL,
  seconds REAL NOT NULL,
  elapsed REAL NOT NULL);
CREATE TABLE snapshots(
  tells INTEGER PRIMARY KEY,
  asks INTEGER NOT NULL,
  name TEXT NOT NULL);
)sql";

// Of few runs only, so it is made when the first candidate has notes.
constexpr const char* notes_schema =
    "CREATE TABLE IF NOT EXISTS notes(trial_id INTEGER PRIMARY KEY, notes TEXT NOT NULL);";

std::string errno_text() { return std::strerror(errno); }

// A connection, with errors as exceptions.
class Database {
 public:
  Database(const std::filesystem::path& path, int flags) : path_(path.string()) {
    open(path_, flags);
  }

  // A database that nobody writes, in a directory that cannot be written either, can only be read
  // as an unchanging file.
  static Database unchanging(const std::filesystem::path& path) {
    Database database(path.string());
    std::string uri = "file:";
    for (const char c : path.string()) {
      if (c == '?' || c == '#' || c == '%') {
        uri += fmt::format("%{:02x}", static_cast<unsigned char>(c));
      } else {
        uri += c;
      }
    }
    database.open(uri + "?immutable=1", SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
    return database;
  }

  Database(Database&& other) noexcept
      : path_(std::move(other.path_)), connection_(std::exchange(other.connection_, nullptr)) {}
  Database& operator=(Database&&) = delete;
  ~Database() { sqlite3_close_v2(connection_); }

  sqlite3* get() const { return connection_; }
  const std::string& path() const { return path_; }

  void execute(const std::string& sql) {
    if (sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail();
  }

  [[noreturn]] void fail() const {
    switch (sqlite3_errcode(connection_)) {
      case SQLITE_FULL:
        throw IoError(path_,
                      "the disk is full; what was recorded before is kept: free some space "
                      "and resume the run");
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
        throw IoError(path_, fmt::format("is damaged, or not the record of a run: {}",
                                         sqlite3_errmsg(connection_)));
      case SQLITE_CANTOPEN:
      case SQLITE_READONLY:
      case SQLITE_PERM:
        throw IoError(path_, fmt::format("cannot be written: {}", sqlite3_errmsg(connection_)));
      default:
        throw IoError(path_, fmt::format("{}{}", sqlite3_errmsg(connection_), system_error()));
    }
  }

 private:
  explicit Database(std::string path) : path_(std::move(path)) {}

  void open(const std::string& name, int flags) {
    if (sqlite3_open_v2(name.c_str(), &connection_, flags, nullptr) == SQLITE_OK) {
      // Readers wait for the short moments in which a writer holds the file.
      sqlite3_busy_timeout(connection_, 10000);
      return;
    }
    const std::string message =
        fmt::format("cannot be opened: {}{}", sqlite3_errmsg(connection_), system_error());
    sqlite3_close_v2(std::exchange(connection_, nullptr));
    throw IoError(path_, message);
  }

  std::string system_error() const {
    const int number = sqlite3_system_errno(connection_);
    return number == 0 ? "" : fmt::format(" ({})", std::strerror(number));
  }

  std::string path_;
  sqlite3* connection_ = nullptr;
};

// A prepared statement.
class Statement {
 public:
  Statement(const Database& database, std::string_view sql) : database_(&database) {
    if (sqlite3_prepare_v3(database.get(), sql.data(), static_cast<int>(sql.size()),
                           SQLITE_PREPARE_PERSISTENT, &statement_, nullptr) != SQLITE_OK) {
      database.fail();
    }
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }

  // Parameters are numbered from 1. A text must live until the statement has run.
  Statement& bind(int index, std::uint64_t value) {
    sqlite3_bind_int64(statement_, index, static_cast<sqlite3_int64>(value));
    return *this;
  }
  Statement& bind(int index, double value) {
    sqlite3_bind_double(statement_, index, value);
    return *this;
  }
  Statement& bind(int index, std::string_view value) {
    // A null pointer would be NULL, not an empty text.
    sqlite3_bind_text(statement_, index, value.data() == nullptr ? "" : value.data(),
                      static_cast<int>(value.size()), SQLITE_STATIC);
    return *this;
  }
  Statement& bind_null(int index) {
    sqlite3_bind_null(statement_, index);
    return *this;
  }

  // Runs a statement that returns no rows.
  void run() {
    const int result = sqlite3_step(statement_);
    sqlite3_reset(statement_);
    if (result != SQLITE_DONE) database_->fail();
  }

  // Moves to the next row; false after the last one.
  bool next() {
    const int result = sqlite3_step(statement_);
    if (result != SQLITE_ROW && result != SQLITE_DONE) database_->fail();
    return result == SQLITE_ROW;
  }

  // Columns are numbered from 0.
  std::uint64_t integer(int column) const {
    return static_cast<std::uint64_t>(sqlite3_column_int64(statement_, column));
  }
  double number(int column) const { return sqlite3_column_double(statement_, column); }
  std::string_view text(int column) const {
    const auto* bytes = sqlite3_column_text(statement_, column);
    return {reinterpret_cast<const char*>(bytes),
            static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
  }
  bool is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

 private:
  const Database* database_;
  sqlite3_stmt* statement_ = nullptr;
};

// Numbers separated by spaces, in the shortest form that is read back exactly.
template <class T>
void write_numbers(std::span<const T> numbers, std::string& text) {
  char buffer[32];
  text.clear();
  for (const T number : numbers) {
    if (!text.empty()) text += ' ';
    text.append(buffer, std::to_chars(buffer, buffer + sizeof(buffer), number).ptr);
  }
}

template <class T>
bool read_numbers(std::string_view text, std::vector<T>& numbers) {
  const char* begin = text.data();
  const char* const end = begin + text.size();
  while (begin != end) {
    T number{};
    const auto [after, error] = std::from_chars(begin, end, number);
    if (error != std::errc() || (after != end && *after != ' ')) return false;
    numbers.push_back(number);
    begin = after == end ? end : after + 1;
  }
  return true;
}

[[noreturn]] void throw_wrong_row(const Database& database, std::string_view table,
                                  std::size_t trial) {
  throw IoError(database.path(),
                fmt::format("is damaged: the table {} has a wrong row for trial {}", table, trial));
}

// The right to write a directory, held until the process ends or lets go of it.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::filesystem::path& directory) {
    descriptor_ = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor_ < 0) throw IoError(directory.string(), "cannot be opened: " + errno_text());
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const std::string reason = errno == EWOULDBLOCK ? "another process is writing this run"
                                                      : "cannot be locked: " + errno_text();
      ::close(descriptor_);
      throw IoError(directory.string(), reason);
    }
  }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  ~DirectoryLock() { ::close(descriptor_); }

  void sync() const { ::fsync(descriptor_); }

 private:
  int descriptor_;
};

std::filesystem::path file_of(const std::filesystem::path& directory) {
  return directory / "run.db";
}

std::uint64_t read_pragma(const Database& database, const std::string& name) {
  Statement statement(database, "PRAGMA " + name);
  return statement.next() ? statement.integer(0) : 0;
}

// Throws IoError unless the file is a record that this program can read.
void check_format(const Database& database) {
  const std::uint64_t id = read_pragma(database, "application_id");
  if (id != application_id) throw IoError(database.path(), "is not the record of a run");
  const std::uint64_t version = read_pragma(database, "user_version");
  if (version > schema_version) {
    throw IoError(database.path(),
                  fmt::format("has format {}, but this program reads formats up to {}; use a newer "
                              "one",
                              version, schema_version));
  }
}

// Throws IoError where the file's pages do not hang together.
void check_pages(const Database& database) {
  Statement statement(database, "PRAGMA quick_check(1)");
  if (!statement.next() || statement.text(0) != "ok") {
    throw IoError(database.path(), fmt::format("is damaged: {}", statement.text(0)));
  }
}

void insert_meta(const Database& database, const Json& meta) {
  Statement insert(database, "INSERT OR REPLACE INTO meta VALUES(?, ?)");
  for (const auto& [key, value] : meta.items()) {
    const std::string text = value.dump();
    insert.bind(1, std::string_view(key)).bind(2, std::string_view(text)).run();
  }
}

Database open_for_reading(const std::filesystem::path& path) {
  try {
    // A connection that may write takes the log's files away when it is the last one.
    Database database(path, SQLITE_OPEN_READWRITE);
    database.execute("PRAGMA query_only=1");
    read_pragma(database, "user_version");  // the first access opens the log
    return database;
  } catch (const IoError&) {
    if (std::filesystem::exists(path.string() + "-wal")) throw;
    return Database::unchanging(path);
  }
}

}  // namespace

std::string_view trial_state_name(TrialState state) {
  return state == TrialState::complete ? "complete" : "failed";
}

std::vector<Trial> recorded_trials(std::span<const AskRecord> asked, std::vector<TellRecord> told,
                                   const std::shared_ptr<const MetricTable>& metrics,
                                   const std::filesystem::path& file) {
  if (told.size() > asked.size()) {
    throw IoError(file.string(), "is damaged: it tells of trials that were not asked for");
  }
  std::vector<Trial> trials;
  for (std::size_t i = 0; i < told.size(); ++i) {
    const bool failed = told[i].state == TrialState::failed;
    if (told[i].metrics.size() != (failed ? 0 : metrics->size())) {
      throw IoError(file.string(), fmt::format("is damaged: trial {} does not fit the run", i));
    }
    trials.push_back(
        {.candidate = asked[i].candidate,
         .state = told[i].state,
         .metrics = failed ? Metrics(metrics) : Metrics(metrics, std::move(told[i].metrics)),
         .error = std::move(told[i].error)});
  }
  return trials;
}

struct RunStore::Implementation {
  Implementation(std::unique_ptr<DirectoryLock> held, Database opened)
      : lock(std::move(held)), database(std::move(opened)) {}

  static std::unique_ptr<Implementation> open_for_writing(const std::filesystem::path& path,
                                                          std::unique_ptr<DirectoryLock> lock) {
    Database database(path, SQLITE_OPEN_READWRITE);
    check_format(database);
    database.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;");
    check_pages(database);
    return std::make_unique<Implementation>(std::move(lock), std::move(database));
  }

  // Statements are prepared when they are first needed: a reader needs none.
  Statement& prepared(std::unique_ptr<Statement>& statement, std::string_view sql) {
    if (!in_transaction) {
      database.execute("BEGIN IMMEDIATE");
      in_transaction = true;
    }
    if (!statement) statement = std::make_unique<Statement>(database, sql);
    return *statement;
  }

  // Runs an action of the transaction in progress. When it fails, the transaction goes as a whole:
  // an ask is recorded with all of its candidates or not at all.
  template <class Action>
  void in_progress(Action action) {
    try {
      action();
    } catch (...) {
      in_transaction = false;
      if (sqlite3_get_autocommit(database.get()) == 0) {
        sqlite3_exec(database.get(), "ROLLBACK", nullptr, nullptr, nullptr);
      }
      throw;
    }
  }

  std::unique_ptr<DirectoryLock> lock;
  Database database;
  std::unique_ptr<Statement> add_asked, add_told, add_notes;
  bool in_transaction = false;
  std::string numbers;  // a buffer
};

RunStore::RunStore(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
RunStore::RunStore(RunStore&&) noexcept = default;
RunStore& RunStore::operator=(RunStore&&) noexcept = default;
RunStore::~RunStore() = default;

bool RunStore::exists(const std::filesystem::path& directory) {
  return std::filesystem::exists(file_of(directory));
}

RunStore RunStore::create(const std::filesystem::path& directory, const Json& meta) {
  auto lock = std::make_unique<DirectoryLock>(directory);
  const std::filesystem::path path = file_of(directory);
  if (exists(directory)) throw IoError(path.string(), "exists already");
  // The file gets its name when it is whole, so that a kill leaves a run or none.
  const std::filesystem::path unfinished = path.string() + ".new";
  std::filesystem::remove(unfinished);
  std::filesystem::remove(unfinished.string() + "-journal");
  {
    Database database(unfinished, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    database.execute("PRAGMA synchronous=FULL");
    database.execute("BEGIN IMMEDIATE");
    database.execute(fmt::format("PRAGMA application_id={}; PRAGMA user_version={};",
                                 application_id, schema_version));
    database.execute(schema);
    insert_meta(database, meta);
    database.execute("COMMIT");
  }
  std::error_code error;
  std::filesystem::rename(unfinished, path, error);
  if (error) throw IoError(path.string(), "cannot be created: " + error.message());
  lock->sync();
  return RunStore(Implementation::open_for_writing(path, std::move(lock)));
}

RunStore RunStore::open(const std::filesystem::path& directory, Access access) {
  const std::filesystem::path path = file_of(directory);
  if (!exists(directory)) throw IoError(path.string(), "does not exist; is this a run directory?");
  if (access == Access::read) {
    Database database = open_for_reading(path);
    check_format(database);
    return RunStore(std::make_unique<Implementation>(nullptr, std::move(database)));
  }
  return RunStore(
      Implementation::open_for_writing(path, std::make_unique<DirectoryLock>(directory)));
}

Json RunStore::meta() const {
  const Database& database = implementation_->database;
  Statement statement(database, "SELECT key, value FROM meta ORDER BY key");
  Json meta = Json::object();
  while (statement.next()) {
    Json value = Json::parse(statement.text(1), nullptr, /*allow_exceptions=*/false);
    if (value.is_discarded()) {
      throw IoError(database.path(), fmt::format("is damaged: \"{}\" of the table meta is not JSON",
                                                 statement.text(0)));
    }
    meta[std::string(statement.text(0))] = std::move(value);
  }
  return meta;
}

void RunStore::set_meta(const Json& meta) {
  commit();
  Implementation& store = *implementation_;
  store.database.execute("BEGIN IMMEDIATE");
  store.in_transaction = true;
  store.in_progress([&] {
    store.database.execute("DELETE FROM meta");
    insert_meta(store.database, meta);
  });
  commit();
}

void RunStore::add_asked(const Candidate& candidate, std::uint64_t tells_before,
                         std::uint64_t max_count) {
  Implementation& store = *implementation_;
  write_numbers<std::uint32_t>(candidate.architecture.choices, store.numbers);
  Statement& add = store.prepared(store.add_asked, "INSERT INTO asked VALUES(?, ?, ?, ?, ?, ?)");
  add.bind(1, candidate.trial_id)
      .bind(2, tells_before)
      .bind(3, max_count)
      .bind(4, std::string_view(store.numbers))
      .bind(5, candidate.fidelity);
  if (candidate.parent) {
    add.bind(6, *candidate.parent);
  } else {
    add.bind_null(6);
  }
  store.in_progress([&] { add.run(); });
  if (!candidate.notes.empty()) add_notes(candidate);
}

void RunStore::add_notes(const Candidate& candidate) {
  Implementation& store = *implementation_;
  if (!store.add_notes) store.in_progress([&] { store.database.execute(notes_schema); });
  Statement& add = store.prepared(store.add_notes, "INSERT INTO notes VALUES(?, ?)");
  const std::string text = to_json(candidate.notes).dump();
  add.bind(1, candidate.trial_id).bind(2, std::string_view(text));
  store.in_progress([&] { add.run(); });
}

void RunStore::add_told(const Trial& trial, const TrialTiming& timing) {
  Implementation& store = *implementation_;
  store.numbers.clear();
  if (trial.state == TrialState::complete) {
    write_numbers<double>(trial.metrics.values(), store.numbers);
  }
  Statement& add = store.prepared(store.add_told, "INSERT INTO told VALUES(?, ?, ?, ?, ?, ?)");
  add.bind(1, trial.candidate.trial_id)
      .bind(2, trial_state_name(trial.state))
      .bind(3, std::string_view(store.numbers))
      .bind(4, std::string_view(trial.error))
      .bind(5, timing.seconds)
      .bind(6, timing.elapsed);
  store.in_progress([&] { add.run(); });
}

void RunStore::add_snapshot(const SnapshotRecord& snapshot) {
  std::unique_ptr<Statement> statement;
  Statement& add =
      implementation_->prepared(statement, "INSERT OR REPLACE INTO snapshots VALUES(?, ?, ?)");
  add.bind(1, snapshot.tells).bind(2, snapshot.asks).bind(3, std::string_view(snapshot.name));
  implementation_->in_progress([&] { add.run(); });
}

void RunStore::commit() {
  Implementation& store = *implementation_;
  if (!store.in_transaction) return;
  store.in_progress([&] { store.database.execute("COMMIT"); });
  store.in_transaction = false;
}

std::vector<AskRecord> RunStore::asked() const {
  const Database& database = implementation_->database;
  // First, since a writer may come between: a trial that has notes is asked for.
  std::map<std::uint64_t, Notes> notes = read_notes();
  Statement statement(database,
                      "SELECT trial_id, tells_before, max_count, choices, fidelity, parent "
                      "FROM asked ORDER BY trial_id");
  std::vector<AskRecord> records;
  while (statement.next()) {
    AskRecord record;
    record.candidate.trial_id = statement.integer(0);
    record.tells_before = statement.integer(1);
    record.max_count = statement.integer(2);
    record.candidate.fidelity = statement.number(4);
    if (!statement.is_null(5)) record.candidate.parent = statement.integer(5);
    if (record.candidate.trial_id != records.size() ||
        record.tells_before > record.candidate.trial_id ||
        !read_numbers(statement.text(3), record.candidate.architecture.choices)) {
      throw_wrong_row(database, "asked", records.size());
    }
    if (const auto own = notes.extract(record.candidate.trial_id)) {
      record.candidate.notes = std::move(own.mapped());
    }
    records.push_back(std::move(record));
  }
  if (!notes.empty()) throw_wrong_row(database, "notes", notes.begin()->first);
  return records;
}

std::map<std::uint64_t, Notes> RunStore::read_notes() const {
  const Database& database = implementation_->database;
  Statement there(database, "SELECT 1 FROM sqlite_master WHERE type='table' AND name='notes'");
  std::map<std::uint64_t, Notes> notes;
  if (!there.next()) return notes;
  Statement statement(database, "SELECT trial_id, notes FROM notes ORDER BY trial_id");
  while (statement.next()) {
    const std::uint64_t id = statement.integer(0);
    try {
      notes[id] = notes_from_json(Json::parse(statement.text(1)));
    } catch (const std::exception&) {
      throw_wrong_row(database, "notes", id);
    }
  }
  return notes;
}

std::vector<TellRecord> RunStore::told() const {
  const Database& database = implementation_->database;
  Statement statement(database,
                      "SELECT trial_id, state, metrics, error, seconds, elapsed FROM told "
                      "ORDER BY trial_id");
  std::vector<TellRecord> records;
  while (statement.next()) {
    TellRecord record;
    record.trial_id = statement.integer(0);
    record.state = statement.text(1) == trial_state_name(TrialState::failed) ? TrialState::failed
                                                                             : TrialState::complete;
    record.error = statement.text(3);
    record.timing = {.seconds = statement.number(4), .elapsed = statement.number(5)};
    if (record.trial_id != records.size() || statement.text(1) != trial_state_name(record.state) ||
        !read_numbers(statement.text(2), record.metrics)) {
      throw_wrong_row(database, "told", records.size());
    }
    records.push_back(std::move(record));
  }
  return records;
}

std::optional<SnapshotRecord> RunStore::snapshot() const {
  Statement statement(implementation_->database,
                      "SELECT asks, tells, name FROM snapshots ORDER BY tells DESC LIMIT 1");
  if (!statement.next()) return std::nullopt;
  return SnapshotRecord{.asks = statement.integer(0),
                        .tells = statement.integer(1),
                        .name = std::string(statement.text(2))};
}

}  // namespace espalier
