// SPDX-License-Identifier: Apache-2.0
//
// The changelog of one model MDT: records, users, masks, clear, purge, garbage collection, and what a
// crash does to all of it. Behaves as Lustre 2.17 was seen to (shared fixtures, FINDINGS.md) and as its
// source says (mdd_device.c); what it does not model is in docs of tests/model_mdt/README.md.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reel/record.h"
#include "source/lustre/changelog_device.h"

namespace reel::model {

// One clock for a whole model: every look moves it, so that no two records have the same time.
struct ModelClock {
  uint64_t ns = 1'790'000'000'000'000'000;
  uint64_t tick() { return ns += 10; }
  void sleep_ms(uint64_t ms) { ns += ms * 1'000'000; }
};

struct Entry {
  uint64_t index = 0;
  std::string raw;      // as the device gives it with NID_BE
  bool written = true;  // false: its place is taken, its bytes are still to come
  bool lost = false;    // the write failed: never to come
};
using EntryPtr = std::shared_ptr<const Entry>;

struct LogUser {
  uint32_t id = 0;
  std::string name;
  std::optional<uint64_t> mask;
  uint64_t endrec = 0;
  uint64_t last_clear_ns = 0;
};

class ModelLog {
 public:
  ModelLog(std::string name, ModelClock& clock) : name_(std::move(name)), clock_(clock) {}

  // --- what the admin does, on the MDS ---
  LogUser register_user(const std::string& name, std::optional<uint64_t> mask);
  bool deregister(uint32_t id);
  void set_server_mask(uint64_t mask) { state_.server_mask = mask; }
  // Drops users that have not cleared for this long; how many.
  size_t collect_garbage(uint64_t idle_ns);
  // The log files are removed, and all users.
  void wipe();
  // What a restart can do to the effective mask, until it is set anew (study, B.1).
  void forget_types(uint64_t mask) { forgotten_ = mask; }
  void set_audit(bool on) { audit_ = on; }

  // --- what a consumer does: 0 or an errno ---
  int clear(uint32_t id, uint64_t index);

  // --- what operations do ---
  uint64_t effective_mask() const;
  bool logs(RecordType type) const;
  // Objects whose last record is older than this get their next time record.
  uint64_t epoch() const { return state_.epoch; }
  // Index and time are given here. The next `hold` entries stay unwritten, `lose` are lost.
  void append(Record record);
  void hold_next() { hold_ = true; }
  void lose_next() { lose_ = true; }
  void write_held();  // what was held is there now

  // --- the disk ---
  void commit() {
    committed_ = state_;
    committed_.epoch = 0;
  }
  // Back to what was committed; the operations since then that clients repeat are appended anew by them.
  // Returns the records that are gone.
  // `undo`: because a client did not come back.
  std::vector<EntryPtr> crash(bool undo);
  uint64_t evicted() const { return evicted_; }  // at the last recovery
  uint64_t incarnation() const { return incarnation_; }

  const std::string& name() const { return name_; }
  uint64_t current_index() const { return state_.index; }
  const std::deque<EntryPtr>& entries() const { return state_.entries; }
  const std::vector<LogUser>& users() const { return state_.users; }
  bool audit() const { return audit_; }
  // Every record that ever was and was not undone, purged or not; also those whose write failed.
  const std::deque<EntryPtr>& history() const { return state_.history; }

 private:
  struct State {
    std::deque<EntryPtr> entries, history;
    std::vector<LogUser> users;
    uint64_t index = 0;
    uint64_t server_mask = 1;  // MARK
    uint32_t last_id = 0;
    uint64_t epoch = 0;
  };
  void purge(uint64_t to);

  const std::string name_;
  ModelClock& clock_;
  State state_, committed_;
  uint64_t incarnation_ = 1, evicted_ = 0, forgotten_ = 0;
  bool audit_ = true, hold_ = false, lose_ = false;
};

}  // namespace reel::model
