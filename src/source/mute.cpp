// SPDX-License-Identifier: Apache-2.0
#include "source/mute.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>

#include "base/handle.h"
#include "source/fanotify_group.h"

namespace reel::source {
namespace {

constexpr size_t kTrackedMax = 4096;  // files of one batch; more are written too seldom each to matter

}  // namespace

void Mute::saw(const Event& event) {
  if (!event.is_open_write() || muted_.contains(*event.object)) return;
  if (modified_.size() < kTrackedMax) modified_.insert(*event.object);
  if (modified_before_.erase(*event.object) != 0) mute(event);
}

void Mute::end_batch() {
  modified_before_.swap(modified_);
  modified_.clear();
  mount_.reset();
}

void Mute::mute(const Event& event) {
  FileHandle handle;
  if (event.handle_size > sizeof handle.storage) return;
  std::memcpy(handle.storage, event.handle, event.handle_size);
  if (!mount_) mount_ = Fd(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK));
  if (!mount_) return;
  Fd file(::open_by_handle_at(mount_.get(), handle.raw(), O_PATH | O_CLOEXEC));
  struct stat st;
  if (!file || ::fstat(file.get(), &st) != 0 || !S_ISREG(st.st_mode)) return;
  if (!session_.add_muted(*event.object)) return;  // before the mark: a successor must know of it
  muted_.insert(*event.object);
  // Refused: then it is a name on the list too many, worth one WRITE.
  (void)ignore_modify(group_, file.get());
}

bool Mute::lift(uint64_t time, std::vector<Record>& records) {
  if (!flush_ignores(group_)) return false;
  muted_.clear();
  for (const Fid& fid : session_.muted()) {
    Record record;
    record.time = time;
    record.type = RecordType::write;
    record.target = fid;
    record.io = IoExtension{};
    records.push_back(record);
  }
  return true;
}

}  // namespace reel::source
