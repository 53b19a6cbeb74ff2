// SPDX-License-Identifier: Apache-2.0
//
// The simulated world of one mirror: a source that changes (also between any two looks of the
// reader), its log, a target, a store; and what can go wrong.
//
// Fault model. At every call of the target and at every write of the store the process may die
// (Crash is thrown): what was done stays. Or the machine dies: the target falls back to its last
// sync() plus a prefix of what came after, of which contents may be missing; the store to its last
// durable write plus a prefix of the later ones; the log loses an end and begins again with a GAP; of the
// source's files some that were written lately lose contents, and no time tells. The same when the source alone is
// unmounted by force. Where ctime is coarse, a change whose event is lost may have no ctime of its own.
// Calls of source and target may fail with EIO, EACCES, ENOSPC, ESTALE. The event queue may
// overflow (GAP), and merges equal events while they are unread.
#pragma once

#include <deque>
#include <random>

#include "mirror/engine.h"
#include "sim/sim_fs.h"

namespace reel::sim {

struct Crash {};  // thrown through the engine

struct OwnedRecord {
  Record record;
  std::string name, source_name;
};

struct Faults {
  double source_error = 0, target_error = 0, crash = 0, move_under_feet = 0;
  double torn = 0;  // a step that fails at its beginning, a target that was torn away
};

class World {
 public:
  explicit World(uint64_t seed);

  double chance() { return std::uniform_real_distribution<double>(0, 1)(random); }
  uint64_t pick(uint64_t below) { return std::uniform_int_distribution<uint64_t>(0, below - 1)(random); }

  void random_change();  // one operation of a user on the source's file system
  void drain();          // queue → log
  void commit_log();
  log::Position log_end() const;
  void split_log(size_t streams);  // before anything is in it
  void gap(const char* why, uint16_t flags = 0);
  void process_died();  // perhaps with the holder
  void holder_died();   // what was queued is lost; perhaps because the source was torn away
  void machine_died();
  void write_back_failed();  // of the target: of what was not synced any part may be gone
  void maybe_crash();
  void pick_filter();  // another one, or none
  void tamper();       // one operation of somebody who writes to the target

  std::mt19937_64 random;
  Faults faults;
  bool filters = false;       // a restart may come with another filter
  mirror::ExcludeFn exclude;  // the mirror's filter; its text says whether it is another one
  std::string filter_text;

  SimFs fs;  // holds the source's directory and one beside it
  uint64_t source_root = 0;
  std::deque<OwnedRecord> queue;
  // One stream, or several: then each record lands in any of them, as with several MDTs.
  struct Stream {
    std::string name;
    std::vector<OwnedRecord> log;  // index = position + 1
    size_t durable = 0;            // records that a crash of the machine leaves
  };
  std::vector<Stream> streams{{"local", {}, 0}};
  static constexpr int64_t kWrittenBackSeconds = 20;
  static constexpr int64_t kReadSeconds = 5;
  int64_t now_s = 1000000;
  std::string boot = "boot-1";
  int target_mount = 1;
  int source_mount = 1;
  bool fine_ctime = true;

  SimFs target, target_durable;
  std::vector<std::function<void(SimFs&, bool lose_contents)>> since_sync;

  std::map<std::string, std::string> rows, rows_durable;
  std::vector<mirror::StoreBatch> since_durable;

  std::function<void()> after_read;  // called when contents were read and not yet written; may be empty

  bool canary_drop_record = false;  // a bug on purpose: the simulation must find it
  bool canary_forget_intents = false;
  bool canary_same_mounting = false;
  bool canary_fine_ctime = false;
  bool canary_all_intact = false;

 private:
  void lose_writes();
  void lose_events();
  void emit(RecordType type, uint64_t object, uint64_t dir, const std::string& name);
  void emit_rename(uint64_t object, uint64_t from, const std::string& from_name, uint64_t to,
                   const std::string& to_name);
  void push(OwnedRecord record);
  uint64_t random_dir();
  uint64_t random_node(FileType type);
  std::string random_name() { return std::string(1, static_cast<char>('a' + pick(6))); }
  void create_something();
  void remove_something();
  void move_something();
  void change_something();
  std::vector<uint64_t> all(FileType type) const;
};

// What a source that sim_target() copies from must be, too.
class Readable {
 public:
  virtual ~Readable() = default;
  virtual Result<std::string> read(mirror::File& file) = 0;
};

std::unique_ptr<mirror::SourceTree> sim_source(World& world);
std::unique_ptr<mirror::TargetTree> sim_target(World& world);
std::unique_ptr<mirror::Store> sim_store(World& world);
std::unique_ptr<mirror::Feed> sim_feed(World& world);

}  // namespace reel::sim
