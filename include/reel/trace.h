// SPDX-License-Identifier: Apache-2.0
//
// A trace: what the threads of a program did to files, call by call. On disk it is a log of one
// stream, "trace" (docs/trace-format.md); here are its parts as types, a Writer for recorders and
// importers, and a Reader for replay and report. Errors are values; no type here is shared by threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "reel/record.h"
#include "reel/result.h"
#include "reel/trace_op.h"

namespace reel {
class Env;
struct LogKey;  // reel/log_key.h
}  // namespace reel

namespace reel::trace {

inline constexpr const char* kStream = "trace";
inline constexpr int32_t kAtCwd = -100;  // Descriptor::number: relative to the working directory

// Number of a string of the trace; 0: none. Paths are absolute, as the process named them: the name
// of the directory they were relative to put before, "." and double slashes left out, ".." and
// symlinks not resolved.
using StringId = uint32_t;

// A number in a process's table of descriptors, and how often that number had been given out in it
// when the call was made. Generation 0: it was open before the recording knew the process. A forked
// child has its parent's table, generations too, and goes on from there.
struct Descriptor {
  int32_t number = -1;
  uint32_t generation = 0;
  friend bool operator==(const Descriptor&, const Descriptor&) = default;
};

// One call of one thread. Which fields mean what for an op: the table in docs/trace-format.md.
struct Event {
  uint64_t index = 0;  // of its record
  Op op = Op::none;
  uint32_t thread = 0;       // number of a Thread
  uint64_t enter_ns = 0;     // nanoseconds since 1970 by the trace's clock, which never steps
  uint64_t duration_ns = 0;  // until the call returned
  int64_t result = 0;        // what the call returned, or -errno
  Fid object, object2;       // the files it was about, zero when there is none or it is not known
  Descriptor fd, fd2;
  StringId path = 0, path2 = 0;
  uint32_t relative = 0, relative2 = 0;  // how many bytes at the end of the path the call named itself;
                                         // 0: the path was absolute
  uint64_t offset = 0, length = 0;       // bytes; length is what was asked for, result what came
  uint64_t flags = 0, mode = 0, arg = 0, arg2 = 0;

  uint64_t exit_ns() const { return enter_ns + duration_ns; }
  bool failed() const { return result < 0 && result >= -4095; }
};

// Event::flags of reads and writes that have no flags of their own.
inline constexpr uint64_t kOffsetUnknown = 1ull << 32;  // the position of the descriptor was not known

// A thread that was recorded. `process` is the number of the Thread that is the process's first.
struct Thread {
  uint32_t number = 0;  // from 1
  uint32_t process = 0;
  uint32_t parent = 0;  // the thread that made it; 0: it was the first
  int32_t pid = 0, tid = 0;
  uint32_t uid = 0, gid = 0;  // ~0: not known
  uint64_t start_ns = 0;
  StringId name = 0;  // what ran when it was first seen
};

enum class FileKind : uint8_t { absent, file, directory, symlink, fifo, socket, block, character };
// How the recorder knows. before: looked at before the first use. after: looked at behind it (size
// and mode may be the use's doing). inferred: only what the results of calls say.
enum class Known : uint8_t { inferred, after, before };
enum class Content : uint8_t { unknown, zeros, text, binary, random };  // how far it can be packed

// A name that the program used, as it was before the program used it. Never from contents.
struct FileState {
  StringId path = 0;
  StringId link_text = 0;  // of symlinks
  Fid object;
  FileKind kind = FileKind::absent;
  Known known = Known::inferred;
  Content content = Content::unknown;
  uint32_t mode = 0, uid = 0, gid = 0;  // mode: permission bits only; ids ~0: not known
  uint64_t size = 0, allocated = 0;     // bytes
  uint32_t nlink = 1;
  uint64_t rdev = 0;
};

// Calls that happened and are not in the trace.
struct Loss {
  uint64_t time_ns = 0;  // when it was noticed
  uint32_t thread = 0;   // 0: it is not known whose
  uint64_t events = 0;   // 0: it is not known how many
  std::string reason;
};

// Calls that are in no other record: of counters-only mode, and those that a sample left out. What one process did
// with one file by one operation; several of the same add up.
struct Count {
  uint32_t thread = 0;  // the process's first
  Op op = Op::none;
  StringId path = 0;     // of the file; 0: it has none, or it is not known
  StringId program = 0;  // what the process ran
  uint64_t calls = 0, failed = 0, bytes = 0, time_ns = 0;
  uint64_t small = 0;                  // data calls that moved something, but less than 4 KiB
  std::map<uint64_t, uint64_t> sizes;  // data calls that moved something: size_class -> calls
};

enum class StringKind : uint8_t { path, link_text, xattr_name, arguments, thread_name, other };

// "pread", "copy_range"; nullptr for numbers that have no name here.
const char* op_name(Op op);
// The op of this name; none when there is none.
Op op_of_name(std::string_view name);
// The record type (for masks) of an op.
RecordType type_of(Op op);
// Whether a result above 0 is bytes that were read, written or copied.
bool moves_data(Op op);
// The power of two that so many bytes (at least 1) reach: 1, 2, 4, 4, 8 ...
uint64_t size_class(uint64_t bytes);

struct Trace;

// Writes a trace. Nothing may refer to a string before string() gave its number.
class Writer {
 public:
  virtual ~Writer() = default;
  // Opens or makes the log `dir`; one that exists is continued: strings keep their numbers.
  // `key`: it is, or becomes, encrypted with this; copied. Errors: invalid (it holds a changelog; or a key, and it is
  // not encrypted), busy, io, no_space, permission (also: encrypted with another key, or one that is not given).
  static Result<std::unique_ptr<Writer>> open(Env& env, const std::string& dir, const LogKey* key = nullptr);

  // Facts about the recording: docs/trace-format.md lists the keys. A later one of the same key holds.
  virtual Status fact(std::string_view key, std::string_view value) = 0;
  // The number of a string; the same bytes and kind have one number.
  virtual Result<StringId> string(StringKind kind, std::string_view bytes) = 0;
  virtual Status thread(const Thread& thread) = 0;
  virtual Status file(const FileState& state) = 0;
  virtual Status event(const Event& event) = 0;  // `index` is given by the log
  virtual Status loss(const Loss& loss) = 0;
  virtual Status count(const Count& count) = 0;
  virtual Status flush() = 0;   // readable, and safe from the death of the process
  virtual Status commit() = 0;  // on disk
  virtual uint64_t events() const = 0;
  virtual uint64_t last_index() const = 0;  // of the last record that was written or is about to be; 0: none
  // The facts, losses and counts of the log so far, and nothing else of it; valid until the next call.
  virtual const Trace& told() const = 0;
};

// A trace in memory.
struct Trace {
  std::map<std::string, std::string> facts;
  std::vector<std::string> strings{""};  // by StringId
  std::vector<StringKind> string_kinds{StringKind::other};
  std::vector<Thread> threads;   // by number - 1
  std::vector<FileState> files;  // the initial state, in the order of first use
  std::vector<Event> events;     // as in the log: each thread's in its order
  std::vector<Loss> losses;
  std::vector<Count> counts;
  bool damaged = false;  // part of the log could not be read; `losses` says which

  const std::string& string(StringId id) const { return strings[id < strings.size() ? id : 0]; }
  // What the recorder could not see, by its own word, or was lost; empty: it saw all.
  std::vector<std::string> incomplete() const;
  // Indexes into `events`, by time of entry (of equal ones: as in the log).
  std::vector<uint32_t> by_entry() const;
  // Indexes into `events` of each thread, by Thread::number - 1.
  std::vector<std::vector<uint32_t>> by_thread() const;
};

// What one record says; exactly one of the pointers is set, and it is valid until the next call.
struct Item {
  const Event* event = nullptr;
  const Thread* thread = nullptr;
  const FileState* file = nullptr;
  const Loss* loss = nullptr;
  const Count* count = nullptr;
};

// Reads a trace record by record; facts and strings are gathered in trace() as they pass.
class Reader {
 public:
  virtual ~Reader() = default;
  // `key` of an encrypted one; copied. not_found: no such log, or no trace in it; permission: encrypted with another
  // key (with none given, next() says so); invalid: a key, and it is not encrypted.
  static Result<std::unique_ptr<Reader>> open(Env& env, const std::string& dir, const LogKey* key = nullptr);
  // False at the end of what is there now. Damage becomes a Loss, and reading goes on behind it.
  virtual Result<bool> next(Item& item) = 0;
  // Facts, strings and whether there was damage, so far. events, files and the rest stay empty.
  virtual const Trace& trace() const = 0;
};

// True when `dir` holds a trace (a log with the stream "trace").
bool is_trace(Env& env, const std::string& dir);
// All of it in memory: about 150 bytes an event.
Result<Trace> load(Env& env, const std::string& dir, const LogKey* key = nullptr);

}  // namespace reel::trace
