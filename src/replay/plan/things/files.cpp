// SPDX-License-Identifier: Apache-2.0
//
// See files.h.
#include "replay/plan/things/files.h"

#include <algorithm>

namespace reel::replay {

void Files::set_size(const Fid& object, uint64_t size) {
  if (!object.is_zero()) files_[object].size = size;
}

const uint64_t* Files::size_of(const Fid& object) const {
  auto file = files_.find(object);
  return file == files_.end() || !file->second.size ? nullptr : &*file->second.size;
}

void Files::truncate(At& at, const Fid& object, uint64_t size) {
  if (object.is_zero()) return;
  File& file = files_[object];
  file.extent.shrink(at.me, walk_.needs.because(Why::size));
  file.size = size;
  file.is_written = true;
}

void Files::read(At& at, const Fid& object, uint32_t initial, uint64_t offset, uint64_t length, uint64_t got) {
  if (object.is_zero()) return;
  File& file = files_[object];
  bool causal = walk_.options.causal;
  bool known = causal && file.data.covers(offset, offset + got);
  if (got < length)
    file.extent.read_to_end(at.me, file.size.value_or(0), walk_.needs.because(Why::size));
  else if (known)
    file.extent.read_written(at.me, walk_.needs.because(Why::size));
  else
    file.extent.read(at.me, walk_.needs.because(Why::size));
  if (causal) file.data.read(offset, offset + got, walk_.needs.because(Why::data));
  touch(at, object);
  // It was at least so long, if nothing was written yet.
  if (initial == 0 || file.is_written || got == 0) return;
  Initial& state = walk_.plan.initial[initial - 1];
  if (state.known != trace::Known::before) state.size = std::max(state.size, offset + got);
}

void Files::write(At& at, const Fid& object, bool append, uint64_t offset, uint64_t written) {
  if (object.is_zero() || written == 0) return;
  File& file = files_[object];
  uint64_t end = offset + written, size = file.size.value_or(0);
  if (append)
    file.extent.append(at.me, size, walk_.needs.because(Why::size));
  else
    file.extent.write(at.me, end, size, walk_.needs.because(Why::size));
  if (file.size) file.size = std::max(size, end);
  file.is_written = true;
  if (walk_.options.causal) file.data.write(offset, end, at.me);
  touch(at, object);
}

// ARTC's rule for files, when asked for.
void Files::touch(At& at, const Fid& object) {
  if (walk_.options.strict && !object.is_zero()) files_[object].strict.next(at.me, walk_.needs.because(Why::order));
}

void Files::lock(At& at, const Fid& object) {
  if (object.is_zero()) return;
  File& file = files_[object];
  file.is_locked = true;
  file.locks.next(at.me, walk_.needs.because(Why::lock));
}

void Files::closed(At& at, const Fid& object) {
  auto file = files_.find(object);
  if (file != files_.end() && file->second.is_locked) file->second.locks.next(at.me, walk_.needs.because(Why::lock));
}

}  // namespace reel::replay
