// The record of a run: every ask and every tell, in their order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_fwd.hpp"
#include "objectives/candidate.hpp"
#include "objectives/trial.hpp"

namespace espalier {

/// A candidate and where it was asked for: after `tells_before` trials had been told, by a call
/// ask(max_count). Rows that are equal in both were the answer to one call.
struct AskRecord {
  Candidate candidate;
  std::uint64_t tells_before = 0;
  std::uint64_t max_count = 0;
};

/// How long a trial took.
struct TrialTiming {
  double seconds = 0;  ///< of the evaluation
  double elapsed = 0;  ///< of the run until the trial was told, in seconds, pauses left out
};

/// What was told of a trial.
struct TellRecord {
  std::uint64_t trial_id = 0;
  TrialState state = TrialState::complete;
  std::vector<double> metrics;  ///< none of a failed trial
  std::string error;
  TrialTiming timing;
};

/// "complete" or "failed".
std::string_view trial_state_name(TrialState state);

/// The trials that were told, from both kinds of row; `metrics` are those of the run, `file` stands
/// in messages. Throws IoError where one was not asked for, or has another number of metrics.
std::vector<Trial> recorded_trials(std::span<const AskRecord> asked, std::vector<TellRecord> told,
                                   const std::shared_ptr<const MetricTable>& metrics,
                                   const std::filesystem::path& file);

/// A snapshot of the strategy: what it was after `tells` trials were told and `asks` candidates
/// asked for.
struct SnapshotRecord {
  std::uint64_t asks = 0;
  std::uint64_t tells = 0;
  std::string name;  ///< of its directory, in `checkpoints/`
};

/// The file `run.db` of a run directory: an SQLite database (write-ahead log, synchronous=FULL).
///
/// Rows are only ever added, ids are 0, 1, 2, ... without gaps, and what commit() has returned from
/// survives a kill and a loss of power. Every function throws IoError when the disk is full, the
/// file cannot be written, or does not hold what it should. Not thread-safe.
class RunStore {
 public:
  enum class Access { read, write };

  /// Makes the file, which must not exist, in an existing directory. `meta` is kept as it is. A
  /// directory is written by one process at a time: a second one gets an IoError.
  static RunStore create(const std::filesystem::path& directory, const Json& meta);

  /// Opens an existing file. Throws IoError when it is missing, was not made by this program, has a
  /// newer version, is damaged, or, for writing, when another process writes it.
  static RunStore open(const std::filesystem::path& directory, Access access);

  /// Whether a directory holds a run.
  static bool exists(const std::filesystem::path& directory);

  RunStore(RunStore&&) noexcept;
  RunStore& operator=(RunStore&&) noexcept;
  /// Commits nothing: what was added since the last commit() is lost.
  ~RunStore();

  /// What was given to create(), or set since.
  Json meta() const;
  void set_meta(const Json& meta);

  /// Adds a row to the transaction in progress.
  void add_asked(const Candidate& candidate, std::uint64_t tells_before, std::uint64_t max_count);
  void add_told(const Trial& trial, const TrialTiming& timing);
  void add_snapshot(const SnapshotRecord& snapshot);
  /// Writes what was added to the disk.
  void commit();

  /// All rows, in the order of their ids. Throws IoError for a gap in the ids and for texts that
  /// are not lists of numbers.
  std::vector<AskRecord> asked() const;
  std::vector<TellRecord> told() const;
  /// The latest snapshot.
  std::optional<SnapshotRecord> snapshot() const;

 private:
  struct Implementation;
  void add_notes(const Candidate& candidate);
  std::map<std::uint64_t, Notes> read_notes() const;
  explicit RunStore(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace espalier
