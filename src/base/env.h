// SPDX-License-Identifier: Apache-2.0
//
// Env is the only road from the log to the operating system: files, directories, locks, clocks.
// Production uses Env::posix(); a test derives from Env to inject errors or to forget what was not
// synced. Paths are raw bytes; an error names the call and the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "reel/result.h"

namespace reel {

// An open file. One thread at a time.
class File {
 public:
  virtual ~File() = default;

  // Up to `size` bytes from `offset`; fewer only at the end of the file.
  virtual Result<size_t> pread(void* to, size_t size, uint64_t offset) = 0;
  // Adds to the end. After an error any part of `data` may have been written.
  virtual Status append(const void* data, size_t size) = 0;
  virtual Result<uint64_t> size() = 0;
  virtual Status truncate(uint64_t size) = 0;
  virtual Status datasync() = 0;  // contents and size are on disk
  virtual Status sync() = 0;      // and every attribute
};

// An advisory lock; destroying it releases it. The kernel releases it when the process dies.
class Lock {
 public:
  virtual ~Lock() = default;
};

enum class OpenMode {
  read,    // must exist
  append,  // read and append; must exist
  create,  // read and append; must not exist
};

class Env {
 public:
  virtual ~Env() = default;

  static Env& posix();

  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status unlink(const std::string& path) = 0;
  // The names in a directory, sorted, without "." and "..".
  virtual Result<std::vector<std::string>> list_dir(const std::string& path) = 0;
  // Makes one directory; false when it is there already.
  virtual Result<bool> mkdir(const std::string& path) = 0;
  // Entries made, renamed or removed in the directory are on disk.
  virtual Status sync_dir(const std::string& path) = 0;
  // Creates the file if needed and locks it exclusively. wait = false: `busy` when somebody has it.
  virtual Result<std::unique_ptr<Lock>> lock(const std::string& path, bool wait) = 0;

  virtual uint64_t realtime_ns() = 0;
  virtual uint64_t monotonic_ns() = 0;
};

// Everything that follows is made of the calls above.

// mkdir -p; what was made is on disk.
Status make_dirs(Env& env, const std::string& path);
// The whole file; `limit` guards against absurd sizes (error corrupt).
Result<std::string> read_file(Env& env, const std::string& path, size_t limit = 64u << 20);
// Writes path.tmp, syncs it, renames it over path and syncs `dir`, the directory of path: after a
// crash either the old or the new content is there.
Status replace_file(Env& env, const std::string& dir, const std::string& path, const std::string& content);

}  // namespace reel
