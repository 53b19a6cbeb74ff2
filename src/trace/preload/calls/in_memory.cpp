// SPDX-License-Identifier: Apache-2.0
//
// What processes wait for in memory that they share: libc's mutexes, read-write locks, conditions, semaphores and
// barriers. Those of one process alone are left to themselves (there are too many). Which they are is in a word of
// each, where it has been since glibc 2.25 (nptl's internal headers); whether it still is there is looked at when the
// program begins.
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trace/preload/process_state.h"
#include "trace/preload/shim.h"

using namespace reel::trace;        // NOLINT: the whole file is about them
using namespace reel::trace::shim;  // NOLINT

namespace {

constexpr int kSharedMutex = 128;                                         // in its kind
constexpr size_t kOfSemaphore = 8, kOfBarrier = 12, kCountOfBarrier = 8;  // where an int is: 0, or for processes
constexpr int kForProcesses = 128;

bool is_known = false;

int word_at(const void* object, size_t offset) {
  int word;
  memcpy(&word, static_cast<const char*>(object) + offset, sizeof word);
  return word;
}

bool is_shared(const pthread_mutex_t* mutex) {
  return (mutex->__data.__kind & kSharedMutex) != 0;
}
bool is_shared(const pthread_rwlock_t* lock) {
  return lock->__data.__shared != 0;
}
bool is_shared(const sem_t* semaphore) {
  return word_at(semaphore, kOfSemaphore) == kForProcesses;
}
bool is_shared(const pthread_barrier_t* barrier) {
  return word_at(barrier, kOfBarrier) == kForProcesses;
}

// A call on such an object while it happens. It is no place to hold a thread up: other recorders do not see it.
class Use {
 public:
  template <class T>
  explicit Use(T* object) : at_(reinterpret_cast<uint64_t>(object)) {
    if (!is_known || !is_shared(object) || !recording() || thread.inside != 0) return;
    on_ = true;
    begin();
  }
  bool on() const { return on_; }
  void begin() {
    enter_ = now();
    gap_ = measure_gap(enter_);
    enter_ = now();
  }
  void tell(Op op, int error, uint64_t arg2 = 0) {
    if (!on_) return;
    Call call(op, enter_, gap_);
    call.args(at_, arg2);
    if (call.on()) call.finish(-error, now());  // what was locked before this was
  }

 private:
  uint64_t at_;
  bool on_ = false;
  uint64_t enter_ = 0;
  Gap gap_ = {};
};

enum Which {
  kLock,
  kTry,
  kTimed,
  kClock,
  kUnlock,
  kRead,
  kReadTry,
  kReadTimed,
  kReadClock,
  kWrite,
  kWriteTry,
  kWriteTimed,
  kWriteClock,
  kLeave,
  kWait,
  kWaitTimed,
  kWaitClock,
  kSignal,
  kBroadcast,
  kTake,
  kTakeTry,
  kTakeTimed,
  kTakeClock,
  kPost,
  kMeet,
  kCount
};
constexpr const char* kNames[kCount] = {"pthread_mutex_lock",
                                        "pthread_mutex_trylock",
                                        "pthread_mutex_timedlock",
                                        "pthread_mutex_clocklock",
                                        "pthread_mutex_unlock",
                                        "pthread_rwlock_rdlock",
                                        "pthread_rwlock_tryrdlock",
                                        "pthread_rwlock_timedrdlock",
                                        "pthread_rwlock_clockrdlock",
                                        "pthread_rwlock_wrlock",
                                        "pthread_rwlock_trywrlock",
                                        "pthread_rwlock_timedwrlock",
                                        "pthread_rwlock_clockwrlock",
                                        "pthread_rwlock_unlock",
                                        "pthread_cond_wait",
                                        "pthread_cond_timedwait",
                                        "pthread_cond_clockwait",
                                        "pthread_cond_signal",
                                        "pthread_cond_broadcast",
                                        "sem_wait",
                                        "sem_trywait",
                                        "sem_timedwait",
                                        "sem_clockwait",
                                        "sem_post",
                                        "pthread_barrier_wait"};
void* found[kCount];

template <class T>
T* real(Which which) {
  void* at = __atomic_load_n(&found[which], __ATOMIC_ACQUIRE);
  return reinterpret_cast<T*>(at ? at : find_real(kNames[which], &found[which]));
}

// Its owner has died: the lock is the caller's all the same.
int as_locked(int error) {
  return error == EOWNERDEAD ? 0 : error;
}

template <class T, class... More>
int lock(Which which, bool shared, T* object, More... more) {
  Use use(object);
  int error = real<int(T*, More...)>(which)(object, more...);
  use.tell(Op::mutex_lock, as_locked(error), shared ? kHeldToRead : kHeldAlone);
  return error;
}

// The mutex is given up meanwhile. Who changes what is waited for does so under the mutex, so all there is to know
// besides is who was woken in vain. It is known here: a trace may be without some calls.
template <class... More>
int wait(Which which, pthread_cond_t* condition, pthread_mutex_t* mutex, More... more) {
  Use use(mutex);
  auto at = reinterpret_cast<uint64_t>(mutex);
  bool in_vain = thread.woken_for == at && thread.woken_at == thread.last_exit;
  use.tell(Op::mutex_unlock, 0, in_vain ? kHeldInVain : kHeldAlone);
  if (use.on()) use.begin();
  int error = real<int(pthread_cond_t*, pthread_mutex_t*, More...)>(which)(condition, mutex, more...);
  use.tell(Op::mutex_lock, error == ETIMEDOUT ? 0 : as_locked(error));
  if (use.on()) {
    thread.woken_for = at;
    thread.woken_at = thread.last_exit;
  }
  return error;
}

// Of any condition: who waits for it may do so under another mutex.
int signal(Which which, pthread_cond_t* condition) {
  thread.woken_for = 0;
  return real<int(pthread_cond_t*)>(which)(condition);
}

// What was taken without waiting is told afterwards, and that it was not to be had is not: programs try for ever.
template <class T>
int attempt(Which which, Op op, T* object, bool shared = false) {
  int result = real<int(T*)>(which)(object);
  if (as_locked(result) == 0) Use(object).tell(op, 0, shared ? kHeldToRead : kHeldAlone);
  return result;
}

template <class... More>
int take(Which which, sem_t* semaphore, More... more) {
  Use use(semaphore);
  int result = real<int(sem_t*, More...)>(which)(semaphore, more...);
  use.tell(Op::sem_wait, result == 0 ? 0 : errno);
  return result;
}

bool looks_as_expected(int shared) {
  pthread_mutexattr_t of_mutex;
  pthread_barrierattr_t of_barrier;
  pthread_mutex_t mutex;
  pthread_rwlockattr_t of_lock;
  pthread_barrier_t barrier;
  pthread_rwlock_t lock;
  sem_t semaphore;
  pthread_mutexattr_init(&of_mutex);
  pthread_mutexattr_setpshared(&of_mutex, shared);
  pthread_mutex_init(&mutex, &of_mutex);
  pthread_barrierattr_init(&of_barrier);
  pthread_barrierattr_setpshared(&of_barrier, shared);
  pthread_barrier_init(&barrier, &of_barrier, 77);
  pthread_rwlockattr_init(&of_lock);
  pthread_rwlockattr_setpshared(&of_lock, shared);
  pthread_rwlock_init(&lock, &of_lock);
  sem_init(&semaphore, shared, 1);
  bool wanted = shared == PTHREAD_PROCESS_SHARED;
  pthread_rwlock_wrlock(&lock);
  bool tells_writer = lock.__data.__cur_writer != 0;
  pthread_rwlock_unlock(&lock);
  tells_writer = tells_writer && lock.__data.__cur_writer == 0;
  return is_shared(&mutex) == wanted && is_shared(&barrier) == wanted && is_shared(&lock) == wanted && tells_writer &&
         is_shared(&semaphore) == wanted && word_at(&barrier, kOfBarrier) == (wanted ? kForProcesses : 0) &&
         word_at(&barrier, kCountOfBarrier) == 77;
}

}  // namespace

namespace reel::trace::shim {

void find_in_memory() {
  for (int i = 0; i < kCount; ++i) find_real(kNames[i], &found[i]);
  is_known = looks_as_expected(PTHREAD_PROCESS_SHARED) && looks_as_expected(PTHREAD_PROCESS_PRIVATE);
  if (is_known) return;
  Call call(Op::none);
  call.set_op(wire::kOpLoss);
  call.path("this libc keeps its locks otherwise: what processes wait for in memory is not seen");
  call.done(0);
}

}  // namespace reel::trace::shim

REEL_EXPORT int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  return lock(kLock, false, mutex);
}
REEL_EXPORT int pthread_mutex_timedlock(pthread_mutex_t* mutex, const struct timespec* until) noexcept {
  return lock(kTimed, false, mutex, until);
}
REEL_EXPORT int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock,
                                        const struct timespec* until) noexcept {
  return lock(kClock, false, mutex, clock, until);
}
REEL_EXPORT int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
  return attempt(kTry, Op::mutex_lock, mutex);
}
REEL_EXPORT int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
  Use use(mutex);
  int error = real<int(pthread_mutex_t*)>(kUnlock)(mutex);
  use.tell(Op::mutex_unlock, error);
  return error;
}

REEL_EXPORT int pthread_rwlock_rdlock(pthread_rwlock_t* object) noexcept {
  return lock(kRead, true, object);
}
REEL_EXPORT int pthread_rwlock_timedrdlock(pthread_rwlock_t* object, const struct timespec* until) noexcept {
  return lock(kReadTimed, true, object, until);
}
REEL_EXPORT int pthread_rwlock_clockrdlock(pthread_rwlock_t* object, clockid_t clock,
                                           const struct timespec* until) noexcept {
  return lock(kReadClock, true, object, clock, until);
}
REEL_EXPORT int pthread_rwlock_tryrdlock(pthread_rwlock_t* object) noexcept {
  return attempt(kReadTry, Op::mutex_lock, object, true);
}
REEL_EXPORT int pthread_rwlock_wrlock(pthread_rwlock_t* object) noexcept {
  return lock(kWrite, false, object);
}
REEL_EXPORT int pthread_rwlock_timedwrlock(pthread_rwlock_t* object, const struct timespec* until) noexcept {
  return lock(kWriteTimed, false, object, until);
}
REEL_EXPORT int pthread_rwlock_clockwrlock(pthread_rwlock_t* object, clockid_t clock,
                                           const struct timespec* until) noexcept {
  return lock(kWriteClock, false, object, clock, until);
}
REEL_EXPORT int pthread_rwlock_trywrlock(pthread_rwlock_t* object) noexcept {
  return attempt(kWriteTry, Op::mutex_lock, object);
}
// While somebody writes nobody reads: then who unlocks is the one that writes.
REEL_EXPORT int pthread_rwlock_unlock(pthread_rwlock_t* object) noexcept {
  bool shared = object->__data.__cur_writer == 0;
  Use use(object);
  int error = real<int(pthread_rwlock_t*)>(kLeave)(object);
  use.tell(Op::mutex_unlock, error, shared ? kHeldToRead : kHeldAlone);
  return error;
}

REEL_EXPORT int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
  return wait(kWait, condition, mutex);
}
REEL_EXPORT int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex,
                                       const struct timespec* until) {
  return wait(kWaitTimed, condition, mutex, until);
}
REEL_EXPORT int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock,
                                       const struct timespec* until) {
  return wait(kWaitClock, condition, mutex, clock, until);
}

REEL_EXPORT int pthread_cond_signal(pthread_cond_t* condition) noexcept {
  return signal(kSignal, condition);
}
REEL_EXPORT int pthread_cond_broadcast(pthread_cond_t* condition) noexcept {
  return signal(kBroadcast, condition);
}

REEL_EXPORT int sem_wait(sem_t* semaphore) {
  return take(kTake, semaphore);
}
REEL_EXPORT int sem_trywait(sem_t* semaphore) noexcept {
  return attempt(kTakeTry, Op::sem_wait, semaphore);
}
REEL_EXPORT int sem_timedwait(sem_t* semaphore, const struct timespec* until) {
  return take(kTakeTimed, semaphore, until);
}
REEL_EXPORT int sem_clockwait(sem_t* semaphore, clockid_t clock, const struct timespec* until) {
  return take(kTakeClock, semaphore, clock, until);
}
REEL_EXPORT int sem_post(sem_t* semaphore) noexcept {
  Use use(semaphore);
  int result = real<int(sem_t*)>(kPost)(semaphore);
  use.tell(Op::sem_post, result == 0 ? 0 : errno);
  return result;
}

REEL_EXPORT int pthread_barrier_wait(pthread_barrier_t* barrier) noexcept {
  auto parties = static_cast<unsigned>(word_at(barrier, kCountOfBarrier));
  Use use(barrier);
  int result = real<int(pthread_barrier_t*)>(kMeet)(barrier);
  use.tell(Op::barrier_wait, result == PTHREAD_BARRIER_SERIAL_THREAD ? 0 : result, parties);
  return result;
}

REEL_EXPORT int sched_yield() noexcept {
  REEL_REAL(int (*)(), sched_yield);
  begin_yield();
  int result = real();
  end_yield();
  return result;
}

// Opened within libc: said here, that its memory is known.
REEL_EXPORT int shm_open(const char* name, int flags, mode_t mode) {
  REEL_REAL(int (*)(const char*, int, mode_t), shm_open);
  int fd = real(name, flags, mode);
  if (fd >= 0 && recording()) tell_unseen(fd);
  return fd;
}

namespace {

// A semaphore with a name is a file that libc opens and maps (sem_overview(7)): told as if the program had done so.
void tell_named(const char* name, sem_t* semaphore) {
  constexpr char kWhere[] = "/dev/shm/sem.";
  char path[sizeof kWhere + NAME_MAX];
  if (snprintf(path, sizeof path, "%s%s", kWhere, name + (*name == '/' ? 1 : 0)) >= static_cast<int>(sizeof path))
    return;
  long fd = kernel(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path), O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  tell_unseen(static_cast<int>(fd));
  uint64_t enter = now();
  Call map(Op::mmap, enter, measure_gap(enter));
  map.fd = static_cast<int>(fd);
  map.length = sizeof *semaphore;
  map.mode = PROT_READ | PROT_WRITE;
  map.flags = MAP_SHARED;
  map.done(reinterpret_cast<long>(semaphore));
  close(static_cast<int>(fd));
}

}  // namespace

REEL_EXPORT sem_t* sem_open(const char* name, int flags, ...) {
  REEL_REAL(sem_t * (*)(const char*, int, ...), sem_open);
  va_list more;
  va_start(more, flags);
  mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  unsigned value = (flags & O_CREAT) != 0 ? va_arg(more, unsigned) : 0;
  va_end(more);
  sem_t* semaphore = real(name, flags, mode, value);
  if (semaphore != SEM_FAILED && is_known && recording()) tell_named(name, semaphore);
  return semaphore;
}
