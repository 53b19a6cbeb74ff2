// SPDX-License-Identifier: Apache-2.0
//
// Calls as events in the ring of their thread (trace/wire.h), and looks at files.
#include <fcntl.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "trace/preload/process_state.h"
#include "trace/preload/shim.h"
#include "trace/statx_object.h"

namespace reel::trace::shim {
namespace {

uint64_t thread_cpu() {
  struct timespec t;
  kernel(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, reinterpret_cast<long>(&t));
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(t.tv_nsec);
}

// How often the thread has given its processor up, to wait for something; who only gives way or is thrown out does not
// count.
long times_blocked() {
  struct rusage usage;
  return kernel(SYS_getrusage, RUSAGE_THREAD, reinterpret_cast<long>(&usage)) == 0 ? usage.ru_nvcsw : -1;
}

uint64_t in_ns(uint64_t ticks) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(ticks) * process().control->ns_per_tick_24 >> 24);
}

void note_exit(uint64_t enter, uint64_t exit) {
  thread.last_exit = exit;
  if (exit - enter < process().control->gap_ticks) return;
  thread.cpu = thread_cpu();
  thread.cpu_at = exit;
  thread.blocked = times_blocked();
}

// The descriptors that were seen to be opened; of those above it is not asked.
constexpr int kSeenFds = 1024;
uint64_t seen_fds[kSeenFds / 64];

bool is_seen(int fd) {
  return fd < 0 || fd >= kSeenFds || (__atomic_load_n(&seen_fds[fd / 64], __ATOMIC_RELAXED) >> (fd % 64) & 1) != 0;
}

void see(int fd, bool open) {
  if (fd < 0 || fd >= kSeenFds) return;
  uint64_t bit = 1ull << (fd % 64);
  if (open)
    __atomic_or_fetch(&seen_fds[fd / 64], bit, __ATOMIC_RELAXED);
  else
    __atomic_and_fetch(&seen_fds[fd / 64], ~bit, __ATOMIC_RELAXED);
}

void note_descriptors(uint16_t op, long result, int fd, int fd2) {
  if (op > static_cast<uint16_t>(Op::other_fd)) return;
  switch (static_cast<Op>(op)) {
    case Op::close:
      see(fd, false);
      return;
    case Op::fcntl:
    case Op::connect:
      return;
    case Op::pipe:
    case Op::socketpair:
      see(fd, true);
      see(fd2, true);
      return;
    default:
      if (result >= 0) see(fd2, true);
  }
}

// Within a call of MPI that has calls on files in it: those that are about its messages. Descriptors of files were
// seen to be opened, those of its sockets and queues never.
bool is_of_messages(uint16_t op, int fd) {
  switch (static_cast<Op>(op)) {
    case Op::pipe:
    case Op::socket:
    case Op::socketpair:
    case Op::accept:
    case Op::bind:
    case Op::other_fd:
    case Op::poll:
    case Op::wait:
      return true;
    default:
      return !is_seen(fd);
  }
}

// There, too: its plugins, and what it keeps in the directory of its session.
bool is_of_library(const char* path) {
  static const char* session = getenv("PMIX_SERVER_TMPDIR");
  if (!path) return false;
  size_t size = strnlen(path, wire::kMaxPath);
  if (size > 3 && strcmp(path + size - 3, ".so") == 0) return true;
  size_t session_size = session ? strlen(session) : 0;
  return session_size > 1 && strncmp(path, session, session_size) == 0 && path[session_size] == '/';
}

uint32_t text_size(const char* text) {
  return text ? static_cast<uint32_t>(strnlen(text, wire::kMaxPath)) : 0;
}

// Puts an event together; room for it all was taken.
class Filling {
 public:
  explicit Filling(wire::Event* event) : at_(reinterpret_cast<char*>(event + 1)) {}
  template <class T>
  void put(bool present, const T& value) {
    static_assert(sizeof(T) % 8 == 0);
    if (!present) return;
    memcpy(at_, &value, sizeof value);
    at_ += sizeof value;
  }
  void put_text(const char* text, uint32_t bytes) {
    if (bytes == 0) return;
    put(true, wire::Text{bytes, 0});
    memcpy(at_, text, bytes);
    at_ += (bytes + 7) & ~7u;
  }

 private:
  char* at_;
};

uint32_t text_room(uint32_t bytes) {
  return bytes == 0 ? 0 : static_cast<uint32_t>(sizeof(wire::Text)) + ((bytes + 7) & ~7u);
}

// Without the texts.
uint32_t size_of(uint16_t has) {
  constexpr uint32_t kParts[] = {8, 8, 8, 8, 8, 8, 16, 16, sizeof(wire::Object), sizeof(wire::Object)};  // by bit
  uint32_t size = sizeof(wire::Event);
  for (uint32_t bit = 0; bit < sizeof kParts / sizeof kParts[0]; ++bit)
    if ((has >> bit & 1) != 0) size += kParts[bit];
  return size;
}

// One call with a look in eight, by chance: the counter's lower bits are that.
bool is_sampled(uint64_t ticks) {
  return (ticks >> 4 & 7) == 0;
}

// How long we took, beside the call: before `enter`, and from `exit` until now.
void note_own_time(uint16_t op, uint64_t before, uint64_t exit) {
  if (op >= wire::kOwnTimeOps || !is_sampled(exit)) return;
  wire::OwnTime& own = process().control->own[op];
  __atomic_fetch_add(&own.before, before, __ATOMIC_RELAXED);
  __atomic_fetch_add(&own.after, now() - exit, __ATOMIC_RELAXED);
  __atomic_fetch_add(&own.calls, 1, __ATOMIC_RELAXED);
}

// What only happens now and then: the first call of a thread, a long gap, a long call.
bool is_short(uint64_t enter, uint64_t exit) {
  uint64_t gap = process().control->gap_ticks;
  return thread.last_exit != 0 && enter - thread.last_exit < gap && exit - enter < gap;
}

// Who was off the processors for so long and never waited for anything was ready to run all the time.
uint64_t measure_queued(uint64_t off) {
  if (off < wire::kGap_ns) return wire::kNotKnown;
  long before = thread.blocked;
  thread.blocked = times_blocked();
  return before >= 0 && thread.blocked == before ? off : wire::kNotKnown;
}

// Of a gap between two times, with the CPU time at both.
Gap part_of_gap(uint64_t begin, uint64_t end, uint64_t begin_cpu, uint64_t end_cpu, bool queued) {
  uint64_t wall = in_ns(end - begin), cpu = end_cpu > begin_cpu ? end_cpu - begin_cpu : 0;
  if (cpu > wall) cpu = wall;
  return {true, cpu, queued ? wall - cpu : wire::kNotKnown};
}

// While the thread spins: it asked a moment ago.
uint64_t cpu_at(uint64_t time) {
  return thread.spin.asked_cpu + in_ns(time - thread.spin.asked);
}

// Tells what came before the spinning, and it; returns what came behind.
Gap tell_spun(const Gap& whole, uint64_t begin_cpu, uint64_t enter, uint64_t enter_cpu) {
  const Spin& spin = thread.spin;
  bool queued = whole.queued != wire::kNotKnown;
  uint64_t end = spin.at, end_cpu = cpu_at(end);
  Gap spun = part_of_gap(spin.from, end, spin.from_cpu, end_cpu, queued);
  Call call(Op::none, spin.from, part_of_gap(thread.last_exit, spin.from, begin_cpu, spin.from_cpu, queued));
  call.set_op(wire::kOpSpun);
  call.args(spun.cpu, spun.queued);
  call.finish(0, end);
  return part_of_gap(end, enter, end_cpu, enter_cpu, queued);
}

}  // namespace

// Measured only for gaps that are worth the question. What lies between two measurements otherwise are short calls and
// short gaps: the thread was running.
Gap measure_gap(uint64_t enter) {
  if (thread.last_exit == 0 || enter - thread.last_exit < process().control->gap_ticks) return {};
  uint64_t measured = thread_cpu();
  uint64_t begin = thread.last_exit, begin_cpu = thread.cpu + in_ns(begin - thread.cpu_at);
  Gap whole = part_of_gap(begin, enter, begin_cpu, measured, true);
  // Who has used up its slice is thrown out where it asks: the call begins behind that, so it is of the gap.
  uint64_t asked = now(), end = asked - enter < process().control->gap_ticks ? enter : asked;
  whole.queued = measure_queued(in_ns(end - begin) - whole.cpu);
  const Spin& spin = thread.spin;
  bool spun_long = spin.at > begin && spin.at - spin.from >= process().control->gap_ticks;
  Gap rest = spun_long ? tell_spun(whole, begin_cpu, enter, measured) : whole;
  thread.cpu = measured;  // behind what is told here, which is an event, too
  thread.cpu_at = enter;
  return rest;
}

// While it spins a thread asks for its CPU time now and then, and after each pause: it might have computed in it, and
// then that was no spinning.
void begin_yield() {
  if (!thread.ring || thread.inside != 0) return;
  Spin& spin = thread.spin;
  uint64_t time = now(), pause = process().control->gap_ticks;
  bool goes_on = spin.at > thread.last_exit;
  if (goes_on && time - spin.at < pause) return;
  uint64_t cpu = thread_cpu();
  if (!goes_on || cpu > cpu_at(spin.at) + in_ns(pause)) {
    spin.from = time;
    spin.from_cpu = cpu;
  }
  spin.asked = time;
  spin.asked_cpu = cpu;
}

void end_yield() {
  if (!thread.ring || thread.inside != 0) return;
  Spin& spin = thread.spin;
  spin.at = now();
  if (spin.at - spin.asked < process().control->gap_ticks) return;
  spin.asked = spin.at;
  spin.asked_cpu = thread_cpu();
}

bool recording() {
  if (thread.inside != 0 && !thread.files_inside) return false;
  if (process().is_here && *process().is_here == 0) came_by_unseen_fork();
  if (thread.ring) return !process().control->stopped;
  if (thread.starting || thread.resting || !start_process()) return false;
  if (thread.sequence == 0) {
    watch_thread_end();
    thread.cpu = thread_cpu();
    thread.cpu_at = now();
    thread.blocked = times_blocked();
  }
  return true;
}

bool begin_call(uint64_t& enter, Gap& gap) {
  if (!recording()) return false;
  if (thread.ring && __atomic_load_n(&process().control->hold_tid, __ATOMIC_ACQUIRE) == thread.ring->tid) hold();
  enter = now();
  if (enter - thread.last_exit < process().control->gap_ticks) return true;
  gap = measure_gap(enter);
  enter = now();
  return true;
}

void Call::finish(long result, uint64_t exit) {
  if (thread.inside != 0 && (is_of_messages(op_, fd) || is_of_library(path_))) return;
  int error = errno;
  bool bad_pointer = result == -EFAULT;
  uint32_t path_size = bad_pointer ? 0 : text_size(path_);
  uint32_t path2_size = bad_pointer ? 0 : text_size(path2_);
  uint64_t duration = exit - enter_;
  uint16_t has = 0;
  auto add = [&has](bool present, wire::Part part) {
    if (present) has = static_cast<uint16_t>(has | part);
  };
  add(length != 0, wire::kLength);
  add(static_cast<uint64_t>(result) != length, wire::kResult);
  add(offset != 0, wire::kOffset);
  add(duration >> 32 != 0, wire::kDuration);
  add(fd2 != -1, wire::kFd2);
  add((flags | mode) != 0, wire::kFlags);
  add(has_args_, wire::kArgs);
  add(gap_.measured, wire::kCpu);
  add(object != nullptr, wire::kObject);
  add(before != nullptr, wire::kBefore);
  add(path_size > 0, wire::kPath);
  add(path2_size > 0, wire::kPath2);
  add(data_size_ > 0, wire::kData);
  uint32_t size = size_of(has) + text_room(path_size) + text_room(path2_size) + text_room(data_size_);
  if (wire::Event* event = take_room(size)) {
    event->op = op_;
    event->has = has;
    event->enter = enter_;
    event->duration = static_cast<uint32_t>(duration);
    event->fd = fd;
    Filling filling(event);
    filling.put((has & wire::kLength) != 0, length);
    filling.put((has & wire::kResult) != 0, result);
    filling.put((has & wire::kOffset) != 0, offset);
    filling.put((has & wire::kDuration) != 0, duration);
    filling.put((has & wire::kFd2) != 0, uint64_t{static_cast<uint32_t>(fd2)});
    filling.put((has & wire::kFlags) != 0, uint64_t{mode} << 32 | flags);
    filling.put((has & wire::kArgs) != 0, arg_);
    filling.put((has & wire::kArgs) != 0, arg2_);
    filling.put(gap_.measured, gap_.cpu);
    filling.put(gap_.measured, gap_.queued);
    if (object) filling.put(true, *object);
    if (before) filling.put(true, *before);
    filling.put_text(path_, path_size);
    filling.put_text(path2_, path2_size);
    filling.put_text(data_, data_size_);
    is_filled(event, size);
  }
  note_exit(enter_, exit);
  note_descriptors(op_, result, fd, fd2);
  if (object || before) note_own_time(op_, own_before_, exit);
  errno = error;
}

void calibrate() {
  if (__atomic_exchange_n(&process().control->calibrated, 1, __ATOMIC_RELAXED) != 0) return;
  for (int i = 0; i < wire::kCalibrationCalls; ++i) {
    Transfer transfer;
    transfer.done(Op::lseek, wire::kCalibrationFd, 0, 0, 0);
  }
  Call call(Op::lseek);
  call.fd = wire::kCalibrationFd;
  call.flags = SEEK_END;
  call.done(0);
}

void Transfer::finish(Op op, int fd, uint64_t offset, uint64_t length, long result) {
  if (thread.inside != 0 && is_of_messages(static_cast<uint16_t>(op), fd)) return;
  uint64_t exit = now_behind();
  if (result >= 0 && is_short(enter_, exit)) {
    bool whole = static_cast<uint64_t>(result) == length;
    auto has = static_cast<uint16_t>(wire::kLength | (whole ? 0 : wire::kResult) | (offset == 0 ? 0 : wire::kOffset));
    uint32_t size = sizeof(wire::Event) + 8 + (whole ? 0 : 8) + (offset == 0 ? 0 : 8);
    if (wire::Event* event = take_room(size)) {
      event->op = static_cast<uint16_t>(op);
      event->has = has;
      event->enter = enter_;
      event->duration = static_cast<uint32_t>(exit - enter_);
      event->fd = fd;
      Filling filling(event);
      filling.put(true, length);
      filling.put(!whole, result);
      filling.put(offset != 0, offset);
      is_filled(event, size);
    }
    thread.last_exit = exit;
    return;
  }
  Call call(op, enter_, gap_);
  call.fd = fd;
  call.offset = offset;
  call.length = length;
  call.finish(result < 0 ? -static_cast<long>(errno) : result, exit);
}

void tell_unseen(int fd) {
  if (is_seen(fd)) return;
  int error = errno;
  uint64_t enter = now();
  Call call(Op::none, enter, measure_gap(enter));
  if (call.on()) {
    char link[32] = "/proc/self/fd/";
    char* at = link + 14;
    if (fd >= 1000) *at++ = static_cast<char>('0' + fd / 1000);
    if (fd >= 100) *at++ = static_cast<char>('0' + fd / 100 % 10);
    if (fd >= 10) *at++ = static_cast<char>('0' + fd / 10 % 10);
    *at++ = static_cast<char>('0' + fd % 10);
    *at = '\0';
    char path[wire::kMaxPath];
    long size = kernel(SYS_readlink, reinterpret_cast<long>(link), reinterpret_cast<long>(path), sizeof path - 1);
    path[size > 0 ? size : 0] = '\0';
    wire::Object object;
    look(fd, "", AT_EMPTY_PATH, object);
    call.set_op(wire::kOpUnseen);
    call.fd = fd;
    call.path(path);
    call.object = &object;
    long flags = kernel(SYS_fcntl, fd, F_GETFL);
    call.flags = static_cast<uint32_t>(flags > 0 ? flags : 0);
    call.done(0);
    see(fd, true);
  }
  errno = error;
}

bool copy_if_readable(void* to, const void* from, size_t size) {
  struct iovec ours = {to, size}, theirs = {const_cast<void*>(from), size};
  long got = kernel(SYS_process_vm_readv, kernel(SYS_getpid), reinterpret_cast<long>(&ours), 1,
                    reinterpret_cast<long>(&theirs), 1, 0);
  return got == static_cast<long>(size);
}

void look(int dirfd, const char* path, int at_flags, wire::Object& object) {
  struct statx x;
  memset(&object, 0, sizeof object);
  long error = kernel(SYS_statx, dirfd, reinterpret_cast<long>(path), at_flags | AT_NO_AUTOMOUNT,
                      STATX_BASIC_STATS | STATX_BTIME, reinterpret_cast<long>(&x));
  if (error < 0) return;
  object = object_of(x);
}

}  // namespace reel::trace::shim
