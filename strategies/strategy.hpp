#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

#include "objectives/candidate.hpp"
#include "objectives/trial.hpp"

namespace espalier {

/// A search algorithm, ask/tell: it proposes candidates and learns from trials.
///
/// A strategy is a function of its seed and of the sequence of ask() and tell() calls only: that is
/// what makes resuming by replay exact. It numbers its candidates 0, 1, 2, ... in the order asked.
/// Every told trial was asked for by ask(), and trials are told in the order of their ids, failed
/// ones too.
class Strategy {
 public:
  virtual ~Strategy() = default;

  /// At most `max_count` new candidates, valid and canonical. Fewer, or none, when it must first be
  /// told of candidates in flight or is finished(); an empty answer leaves its state unchanged.
  virtual std::vector<Candidate> ask(std::size_t max_count) = 0;
  virtual void tell(const Trial& trial) = 0;
  /// True when it will never propose again (an exhausted space).
  virtual bool finished() const { return false; }
  /// Writes a snapshot into the directory and returns true when what ask() does takes too long to
  /// be done again, training above all; the others are replayed and return false.
  virtual bool save(const std::filesystem::path&) const { return false; }
  virtual void load(const std::filesystem::path&) {}
};

}  // namespace espalier
