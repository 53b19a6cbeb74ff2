// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the local source share: scratch file systems, a writer that keeps records in
// memory, and children to do the work (a source leaves out what its own process does).
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "log/log.h"
#include "source/source.h"
#include "support/files.h"

namespace reel::source {

using test::TempDir;

// A new file system of its own ("ext4", "xfs", "btrfs": on a loop device; "tmpfs"), unmounted at the end.
class ScratchFs {
 public:
  explicit ScratchFs(const std::string& type, const std::string& options = "");
  ~ScratchFs();
  const std::string& path() const { return mount_; }
  // Why there is none; empty when it is mounted.
  const std::string& why_not() const { return why_not_; }
  bool unmount();
  bool mount_again();  // not tmpfs

 private:
  TempDir dir_;
  std::string mount_, why_not_, mount_command_;
  bool mounted_ = false;
};

// Makes `fs` or leaves the test as skipped.
#define REEL_SCRATCH_FS(fs, ...)             \
  ::reel::source::ScratchFs fs(__VA_ARGS__); \
  if (!fs.why_not().empty()) GTEST_SKIP() << fs.why_not()

// Runs a shell command; true when it succeeded.
bool shell(const std::string& command);

// A record that owns its bytes.
struct Kept {
  uint64_t index = 0;
  RecordType type = RecordType::mark;
  Fid target, parent, source, source_parent;
  std::string name, source_name;
};
std::string to_text(const Kept& record);
std::string to_text(const std::vector<Kept>& records);

class MemoryWriter final : public log::Writer {
 public:
  Result<uint64_t> append(const Record& record) override;
  Status commit() override;
  Status flush() override;
  uint64_t last_index() const override;
  uint64_t durable_index() const override;
  Status purge() override { return ok(); }

  // The records above `index`, as far as they were flushed.
  std::vector<Kept> after(uint64_t index) const;
  // The reasons of all GAPs above `index`.
  std::vector<std::string> gaps(uint64_t index = 0) const;
  void fail_from_now(const std::string& why);
  // Called for each record that is appended, by the source's thread: a consumer that is never late.
  void on_append(std::function<void(const Record&)> call);
  // While held, append() does not return: the source cannot read on.
  void hold(bool on);

 private:
  mutable std::mutex mutex_;
  std::condition_variable released_;
  bool held_ = false;
  std::vector<Kept> records_;
  uint64_t flushed_ = 0, durable_ = 0;
  std::string failure_;
  std::function<void(const Record&)> on_append_;
};

// Runs `work` in a child; true when it returned true. The child may use what is safe after fork.
bool in_child(const std::function<bool()>& work);

// The FID of a path, by the kernel's handle.
Fid fid_of(const std::string& path);

// Seed of this run: REEL_SEED, or new; printed.
uint64_t test_seed();

// Calls `done` until it is true or `seconds` have passed.
bool eventually(double seconds, const std::function<bool()>& done);

}  // namespace reel::source
