// SPDX-License-Identifier: Apache-2.0
//
// The log: a directory that keeps streams of records, durably and in order, until every registered
// user has cleared them. Format: docs/log-format.md. One process writes a stream at a time; any
// number of processes read, register and clear beside it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "reel/log_key.h"
#include "reel/record.h"
#include "reel/result.h"

namespace reel::log {

struct WriterOptions {
  uint64_t segment_bytes = 64u << 20;  // a segment is closed when it has grown past this
  uint32_t block_bytes = 64u << 10;    // uncompressed size at which a block is closed
  bool compress = true;                // zstd
  std::optional<LogKey> key;           // blocks are encrypted with it
  bool trace = false;                  // new segments are of version 2: records may have a call extension
};

// Appends to one stream. append() and commit() from one thread; the indexes may be read from any.
class Writer {
 public:
  virtual ~Writer() = default;

  // Opens or creates `dir` and the stream in it; a torn tail is cut (it was never acknowledged).
  // Errors: busy (another writer), corrupt, newer, io, no_space, permission (also: encrypted with another key, or with
  // one that is not given), invalid (a key, and the log is not encrypted).
  static Result<std::unique_ptr<Writer>> open(Env& env, const std::string& dir, const std::string& stream,
                                              const WriterOptions& options = {});

  // Buffers the record; its index is assigned when 0 (last + 1), else it must be above the last.
  virtual Result<uint64_t> append(const Record& record) = 0;
  // What was appended is on disk (fdatasync) and visible to readers when this returns. Cheap when
  // there is nothing new.
  virtual Status commit() = 0;
  // Makes what was appended readable (and survive the death of the process) without waiting for the disk.
  virtual Status flush() = 0;
  virtual uint64_t last_index() const = 0;  // 0 while the stream is empty
  virtual uint64_t durable_index() const = 0;
  // Deletes whole segments that every registered user has cleared. Without users: none is deleted.
  // Any thread, and any process: Users::clear() does the same.
  virtual Status purge() = 0;
};

// Reads one stream. One thread.
class Reader {
 public:
  virtual ~Reader() = default;

  // Positions before the first record with an index >= start. not_found: no such log or stream; permission: encrypted
  // with another key (with none given, next() says so); invalid: a key, and it is not encrypted.
  static Result<std::unique_ptr<Reader>> open(Env& env, const std::string& dir, const std::string& stream,
                                              uint64_t start = 1, const LogKey* key = nullptr);

  // True and the next record (a view into the reader, valid until the next call), or false at the end
  // of what is there now; call again to follow. After an error `corrupt` (the text says where) the
  // next call goes on behind the damage; `lost_up_to` then gives the last index that is missing.
  virtual Result<bool> next(Record& record) = 0;
  // After `corrupt`: no record up to this index and above the last one delivered will come any more.
  // 0 when it is not known how far the loss goes (the damage reaches the end of the stream).
  virtual uint64_t lost_up_to() const = 0;
  // Positions before the first record with a time >= `time`. Only forward.
  virtual Status seek_time(uint64_t time) = 0;
};

struct User {
  uint32_t id = 0;
  std::string name;               // without "clN-"; empty when registered without
  uint64_t mask = 0;              // 0: the default
  uint64_t cleared = 0;           // last index this user is done with
  uint64_t last_clear_s = 0;      // realtime seconds
  std::string full_name() const;  // "cl3" or "cl3-backup"
};

// The registered users of a stream; kept in the log directory, changed under a lock, so that several
// processes can. Semantics of Lustre's changelog users (register starts at the current index, ids are
// never reused, clear of index 0 is refused here, clear backwards is not_found, beyond the end invalid).
class Users {
 public:
  virtual ~Users() = default;
  static Result<std::unique_ptr<Users>> open(Env& env, const std::string& dir, const std::string& stream);

  virtual Result<User> register_user(const std::string& name, uint64_t mask) = 0;
  virtual Status deregister(const std::string& user) = 0;  // "cl3", "cl3-backup", "3" or "backup"
  virtual Result<User> find(const std::string& user) = 0;
  virtual Status clear(const std::string& user, uint64_t index) = 0;
  virtual Result<std::vector<User>> list() = 0;
};

// The index of the last record that readers can see; 0 when there is none yet.
Result<uint64_t> current_index(Env& env, const std::string& dir, const std::string& stream);

Result<std::vector<std::string>> streams(Env& env, const std::string& dir);

}  // namespace reel::log
