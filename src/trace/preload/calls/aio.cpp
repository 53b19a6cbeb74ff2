// SPDX-License-Identifier: Apache-2.0
//
// The kernel's asynchronous I/O: libaio's functions, and the same calls made by number. What they have in memory goes
// with them; the collector makes calls of the requests (trace/collect/assemble/aio.h).
#include "trace/preload/calls/aio.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

using namespace reel::trace;  // NOLINT: the whole file is about them

namespace reel::trace::shim {
namespace {

uint32_t pack_requests(const void* const* list, long count, wire::AioRequest* to) {
  uint32_t packed = 0;
  for (; packed < count && packed < wire::kMaxAio; ++packed) {
    if (!copy_if_readable(&to[packed].address, list + packed, 8)) break;
    if (!copy_if_readable(to[packed].block, reinterpret_cast<void*>(to[packed].address), sizeof to[packed].block))
      break;
  }
  return packed * static_cast<uint32_t>(sizeof *to);
}

// Results and failures are the kernel's here: -errno.
void submitted(Call& call, unsigned long context, long count, const void* const* list, long result) {
  if (!call.on()) return;
  uint64_t exit = now();
  wire::AioRequest requests[wire::kMaxAio];
  call.args(context);
  call.length = static_cast<uint64_t>(count);
  if (result > 0) call.data(reinterpret_cast<const char*>(requests), pack_requests(list, result, requests));
  call.finish(result, exit);
}

void taken(Call& call, unsigned long context, long least, long most, const void* events, long result) {
  if (!call.on()) return;
  uint64_t exit = now();
  constexpr long kSome = 256;
  char copied[kSome * wire::kIoEventBytes];
  size_t size = static_cast<size_t>(result < 0 ? 0 : result < kSome ? result : kSome) * wire::kIoEventBytes;
  call.args(context, static_cast<uint64_t>(least));
  call.length = static_cast<uint64_t>(most);
  if (size > 0 && copy_if_readable(copied, events, size)) call.data(copied, static_cast<uint32_t>(size));
  call.finish(result, exit);
}

void set_up(Call& call, Op op, uint64_t first, uint64_t second, long result) {
  call.set_op(static_cast<uint16_t>(op));
  call.args(first, second);
  call.done(result);
}

// Others may have functions of these names; what theirs mean nobody knows.
bool is_libaio(void* function) {
  Dl_info info;
  return function && dladdr(function, &info) && info.dli_fname && strstr(info.dli_fname, "libaio");
}

}  // namespace

bool is_aio(long number) {
  return number == SYS_io_setup || number == SYS_io_destroy || number == SYS_io_submit || number == SYS_io_getevents ||
         number == SYS_io_pgetevents;
}

long record_aio_syscall(SyscallFn real, long number, long a, long b, long c, long d, long e, long f) {
  Call call(number == SYS_io_submit ? Op::io_submit : Op::io_getevents);
  long result = real(number, a, b, c, d, e, f), kernels = result < 0 ? -errno : result;
  int error = errno;
  if (number == SYS_io_submit) {
    submitted(call, static_cast<unsigned long>(a), b, reinterpret_cast<const void* const*>(c), kernels);
  } else if (number == SYS_io_setup) {
    uint64_t context = 0;
    copy_if_readable(&context, reinterpret_cast<void*>(b), sizeof context);
    set_up(call, Op::io_setup, static_cast<uint64_t>(a), context, kernels);
  } else if (number == SYS_io_destroy) {
    set_up(call, Op::io_destroy, static_cast<uint64_t>(a), 0, kernels);
  } else {
    taken(call, static_cast<unsigned long>(a), b, c, reinterpret_cast<void*>(d), kernels);
  }
  errno = error;
  return result;
}

}  // namespace reel::trace::shim

using namespace reel::trace::shim;  // NOLINT

REEL_EXPORT int io_setup(int depth, unsigned long* context) noexcept {
  REEL_REAL(int (*)(int, unsigned long*), io_setup);
  static const bool known = is_libaio(real_slot);
  if (!known) return real(depth, context);
  Call call(Op::io_setup);
  int result = real(depth, context);
  set_up(call, Op::io_setup, static_cast<uint64_t>(depth), result == 0 ? *context : 0, result);
  return result;
}
REEL_EXPORT int io_destroy(unsigned long context) noexcept {
  REEL_REAL(int (*)(unsigned long), io_destroy);
  static const bool known = is_libaio(real_slot);
  if (!known) return real(context);
  Call call(Op::io_destroy);
  int result = real(context);
  set_up(call, Op::io_destroy, context, 0, result);
  return result;
}
REEL_EXPORT int io_submit(unsigned long context, long count, void** list) noexcept {
  REEL_REAL(int (*)(unsigned long, long, void**), io_submit);
  static const bool known = is_libaio(real_slot);
  if (!known) return real(context, count, list);
  Call call(Op::io_submit);
  int result = real(context, count, list);
  submitted(call, context, count, list, result);
  return result;
}
REEL_EXPORT int io_getevents(unsigned long context, long least, long most, void* events, void* timeout) noexcept {
  REEL_REAL(int (*)(unsigned long, long, long, void*, void*), io_getevents);
  static const bool known = is_libaio(real_slot);
  if (!known) return real(context, least, most, events, timeout);
  Call call(Op::io_getevents);
  int result = real(context, least, most, events, timeout);
  taken(call, context, least, most, events, result);
  return result;
}
REEL_EXPORT int io_pgetevents(unsigned long context, long least, long most, void* events, void* timeout,
                              void* mask) noexcept {
  REEL_REAL(int (*)(unsigned long, long, long, void*, void*, void*), io_pgetevents);
  static const bool known = is_libaio(real_slot);
  if (!known) return real(context, least, most, events, timeout, mask);
  Call call(Op::io_getevents);
  int result = real(context, least, most, events, timeout, mask);
  taken(call, context, least, most, events, result);
  return result;
}
