// SPDX-License-Identifier: Apache-2.0
//
// What the assembler knows of the recorded processes while it goes through their calls: tables of
// descriptors, open files with their positions, directories, mappings. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "reel/trace.h"

namespace reel::trace {

// What a descriptor leads to; shared by its copies.
struct OpenFile {
  std::string path;  // empty: it has none (a pipe), or it is not known
  Fid object;
  uint64_t position = 0;
  bool seekable = false;  // a regular file whose position is known
  bool append = false;
};

struct Slot {
  std::shared_ptr<OpenFile> file;
  uint32_t generation = 0;
  bool close_on_exec = false;
};

class FdTable {
 public:
  // A number is given out again: the next generation.
  uint32_t give(int32_t number, std::shared_ptr<OpenFile> file, bool close_on_exec);
  // As it was when the recording began: generation 0.
  void inherit(int32_t number, std::shared_ptr<OpenFile> file);
  void close(int32_t number) { slots_.erase(number); }
  void close_range(int32_t first, int32_t last) { slots_.erase(slots_.lower_bound(first), slots_.upper_bound(last)); }
  void exec();
  void set_close_on_exec(int32_t number, bool on);
  const Slot* find(int32_t number) const;
  Descriptor descriptor(int32_t number) const;
  OpenFile* file(int32_t number) const;

 private:
  std::map<int32_t, Slot> slots_;
  std::unordered_map<int32_t, uint32_t> generations_;
};

struct Mapping {
  uint64_t length = 0, offset = 0;
  Fid object;
};

struct Process {
  uint32_t number = 0;  // of its first thread
  int32_t pid = 0;
  FdTable table;
  std::string cwd;
  std::map<uint64_t, Mapping> mappings;   // by address
  std::map<uint64_t, Mapping> born_with;  // those of its makers, when it was forked: what is in them is shared
  bool exec_pending = false;              // an exec was tried and nothing is heard since
  Event exec;                             // that one
  bool ended = false;
  std::optional<Event> exit;  // what it said of its end
  uint32_t exit_thread = 0;
  uint64_t last_ns = 0;  // of its last event
};

// "BASE/path", or `path` when it is absolute; without "." and doubled slashes.
std::string join_path(const std::string& base, std::string_view path);

}  // namespace reel::trace
