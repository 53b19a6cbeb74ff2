// SPDX-License-Identifier: Apache-2.0
//
// See failures.h.
#include "replay/plan/steps/failures.h"

#include <errno.h>

#include "trace/ops.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Family;
using trace::Op;

bool depends_on_moment(int64_t result) {
  return result == -EINTR || result == -EAGAIN || (result <= -512 && result >= -530);  // the kernel's to restart a call
}

// An argument that the trace does not have (flags, times) may be the wrong one.
bool may_be_others(const Event& event) {
  RecordType type = trace::type_of(event.op);
  switch (trace::family_of(event.op)) {
    case Family::question:
      return type == RecordType::sattr || type == RecordType::xattr;
    case Family::open:
    case Family::make:
    case Family::remove:
    case Family::truncate:
    case Family::copy:
    case Family::mapping:
    case Family::transfer:
      return true;
    default:
      return false;
  }
}

// It changed nothing, and might where it is played: rights, room, limits, devices, and file systems are others there.
bool is_refused(const Event& event) {
  if (event.op == Op::close || event.op == Op::close_range) return false;  // the descriptor is gone all the same
  switch (-event.result) {
    case EACCES:
    case EPERM:
    case EROFS:
    case EXDEV:
    case EBUSY:
    case ETXTBSY:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EOVERFLOW:
    case EMLINK:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOLCK:
    case EFAULT:
    case EIO:
    case ENODEV:
    case ENOSYS:
    case EOPNOTSUPP:
    case ECANCELED:
      return true;
    case EINVAL:
      return may_be_others(event);
    default:
      return false;
  }
}

}  // namespace

Skip skip_of_failure(const Event& event) {
  if (depends_on_moment(event.result)) return Skip::timing;
  return is_refused(event) ? Skip::refused : Skip::none;
}

}  // namespace reel::replay
