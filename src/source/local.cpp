// SPDX-License-Identifier: Apache-2.0
//
// watch_local: one thread that moves events from a fanotify group into a log.
//
// When it waits matters more than anything else it does. A reader that blocks is woken by every
// event, at the expense of whoever made it; so after each look the thread naps for 1 ms and leaves
// the events to queue up. Only when nothing has happened for kQuiet does it block: an idle reel uses
// no CPU, and the first event after a silence pays for one wake-up.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <ctime>
#include <mutex>
#include <optional>
#include <thread>

#include "base/kill_point.h"
#include "source/events.h"
#include "source/fanotify_group.h"
#include "source/holder.h"
#include "source/mute.h"
#include "source/session.h"
#include "source/source.h"

namespace reel::source {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kNap(1);
constexpr milliseconds kQuiet(1000);      // without events for this long: block instead of napping
constexpr milliseconds kLiftEvery(1000);  // how long the writes of a muted file may go unrecorded
constexpr size_t kLargestEvent = 4096;    // bytes; two entries with names of 255 and the largest handles
constexpr uint64_t kDrainMax = 50'000;    // events between two looks at everything else
constexpr int kReadErrorsMax = 10;        // in a row, each a GAP, before the source gives up

uint64_t realtime() {
  struct timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  return pack_time(static_cast<uint64_t>(now.tv_sec), static_cast<uint32_t>(now.tv_nsec));
}

// What a reader works with, and whether it goes on where another one stopped.
struct Watch {
  FileSystem fs;
  Fd group;
  Session session;
  Fd holder;            // connection; none when there is no holder
  std::string why_gap;  // empty: continues without loss
};

class LocalSource final : public Source {
 public:
  LocalSource(std::string directory, log::Writer& writer, const LocalOptions& options, Watch watch)
      : directory_(std::move(directory)),
        writer_(writer),
        options_(options),
        watch_(std::move(watch)),
        mute_(watch_.group.get(), watch_.session, directory_) {}

  ~LocalSource() override { stop(); }

  // What must be in the log before anything else; then the thread.
  Status start();

  Result<uint64_t> barrier() override;
  Status health() override;

 private:
  void run();
  Status work();
  Status serve_barriers();
  Status settle();
  void stop();
  bool wait();

  Error unmounted() const { return {Code::not_found, directory_ + ": its file system was unmounted"}; }
  Status begin_session();
  Status take_over();
  Status read_some(bool& empty);
  Status drain(uint64_t events);
  Status read_failed(int sys_errno);
  Status append_events(size_t bytes);
  Status append(const Record& record);
  Status append_gap(const std::string& why, uint16_t flags = 0);
  Status lift();
  Status flush();
  Status commit();

  const std::string directory_;
  log::Writer& writer_;
  const LocalOptions options_;
  Watch watch_;
  Mute mute_;
  const pid_t self_ = ::getpid();
  Fd wake_, mounts_;

  // The thread's own.
  uint64_t unfiltered_ = 0;  // events still to come that were queued before this process watched
  uint64_t events_read_ = 0;
  int read_errors_ = 0;
  bool unflushed_ = false, uncommitted_ = false;
  Clock::time_point last_event_, last_lift_, first_uncommitted_;
  std::vector<Record> records_;

  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t asked_ = 0, served_ = 0;  // barriers
  uint64_t served_index_ = 0;
  bool stopping_ = false;
  std::optional<Error> error_;
  std::thread thread_;
};

// --- log ---

Status LocalSource::append(const Record& record) {
  TRY(writer_.append(record));
  unflushed_ = true;
  if (!uncommitted_) first_uncommitted_ = Clock::now();
  uncommitted_ = true;
  return ok();
}

Status LocalSource::append_gap(const std::string& why, uint16_t flags) {
  Record record;
  record.flags |= flags;
  record.time = realtime();
  record.type = RecordType::gap;
  record.name = why;
  return append(record);
}

// From here on the records survive the death of this process, so the events may be forgotten.
Status LocalSource::flush() {
  if (!unflushed_) return ok();
  TRY(writer_.flush());
  kill_point("source.flushed");
  watch_.session.set_flushed_index(writer_.last_index());
  unflushed_ = false;
  return ok();
}

Status LocalSource::commit() {
  TRY(flush());
  if (!uncommitted_) return ok();
  TRY(writer_.commit());
  uncommitted_ = false;
  return ok();
}

// --- events ---

Status LocalSource::append_events(size_t bytes) {
  uint64_t now = realtime();
  EventReader reader(watch_.session.buffer(), bytes);
  Event event;
  while (reader.next(event)) {
    ++events_read_;
    // A process id of before this process is not this process.
    bool own = event.pid == self_ && unfiltered_ == 0 && event.problem.empty();
    if (unfiltered_ != 0) --unfiltered_;
    if (own) continue;
    mute_.saw(event);
    records_.clear();
    add_records(event, now, records_);
    for (const Record& record : records_) TRY(append(record));
  }
  return ok();
}

// One read(2); `empty` when it took all there was.
Status LocalSource::read_some(bool& empty) {
  ssize_t got = ::read(watch_.group.get(), watch_.session.buffer(), Session::kReadBytes);
  if (got < 0) {
    empty = true;
    return errno == EAGAIN || errno == EINTR ? ok() : read_failed(errno);
  }
  read_errors_ = 0;
  auto bytes = static_cast<size_t>(got);
  empty = bytes + kLargestEvent <= Session::kReadBytes;
  TRY(append_events(bytes));
  kill_point("source.read");
  TRY(flush());
  kill_point("source.recorded");
  watch_.session.clear_buffer(bytes);
  return ok();
}

// The kernel has taken events off its queue and could not give them.
Status LocalSource::read_failed(int sys_errno) {
  watch_.session.set_owes_gap(true);
  Error error = Error::from_errno(sys_errno, "reading fanotify events");
  if (++read_errors_ > kReadErrorsMax) return error;
  TRY(append_events(Session::kReadBytes));  // what was copied before the failure
  TRY(append_gap(error.text()));
  TRY(flush());
  watch_.session.clear_buffer(Session::kReadBytes);
  watch_.session.set_owes_gap(false);
  return ok();
}

// Reads at least `events` events, or all there are.
Status LocalSource::drain(uint64_t events) {
  uint64_t end = events_read_ + events;
  bool empty = false;
  while (!empty && events_read_ < end) TRY(read_some(empty));
  mute_.end_batch();
  return ok();
}

Status LocalSource::lift() {
  last_lift_ = Clock::now();
  if (!mute_.any()) return ok();
  records_.clear();
  bool lifted = mute_.lift(realtime(), records_);
  for (const Record& record : records_) TRY(append(record));
  if (!lifted) return Error(Code::io, "the kernel does not remove the marks of files written all the time");
  TRY(flush());
  kill_point("source.lifted");
  mute_.forget();
  return ok();
}

// Everything that has happened until now is on disk when this returns.
Status LocalSource::settle() {
  TRY(drain(queued_events(watch_.group.get())));
  TRY(lift());
  return commit();
}

// --- the thread ---

Status LocalSource::work() {
  last_event_ = last_lift_ = Clock::now();
  while (true) {
    uint64_t before = events_read_;
    TRY(drain(kDrainMax));
    auto now = Clock::now();
    if (events_read_ != before) last_event_ = now;
    if (now - last_lift_ >= kLiftEvery) TRY(lift());
    if (uncommitted_ && now - first_uncommitted_ >= milliseconds(options_.commit_ms)) TRY(commit());
    TRY(serve_barriers());
    {
      std::lock_guard lock(mutex_);
      if (stopping_) break;
    }
    bool mounts_changed = wait();
    if (mounts_changed && !still_watched(watch_.group.get(), watch_.fs)) return unmounted();
  }
  return settle();
}

Status LocalSource::serve_barriers() {
  uint64_t asked;
  {
    std::lock_guard lock(mutex_);
    asked = asked_;
    if (asked == served_) return ok();
  }
  TRY(settle());
  std::lock_guard lock(mutex_);
  served_ = asked;
  served_index_ = writer_.last_index();
  changed_.notify_all();
  return ok();
}

// True when something was mounted or unmounted since the last call.
bool LocalSource::wait() {
  bool idle = !uncommitted_ && !mute_.any() && Clock::now() - last_event_ >= kQuiet;
  struct pollfd fds[] = {{wake_.get(), POLLIN, 0}, {mounts_.get(), POLLPRI, 0}, {watch_.group.get(), POLLIN, 0}};
  struct timespec nap = {0, std::chrono::nanoseconds(kNap).count()};
  (void)::ppoll(fds, idle ? 3 : 2, idle ? nullptr : &nap, nullptr);
  if (fds[0].revents & POLLIN) {
    uint64_t count;
    (void)!::read(wake_.get(), &count, sizeof count);
  }
  return fds[1].revents != 0;
}

void LocalSource::run() {
  Status result = work();
  // Nothing can be followed any more: the holder would keep a dead queue.
  if (result.is(Code::not_found) && watch_.holder) dismiss_holder(std::move(watch_.holder));
  std::lock_guard lock(mutex_);
  if (!result) error_ = std::move(result).error();
  stopping_ = true;
  changed_.notify_all();
}

// --- other threads ---

Result<uint64_t> LocalSource::barrier() {
  std::unique_lock lock(mutex_);
  uint64_t ticket = ++asked_;
  uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
  changed_.wait(lock, [&] { return served_ >= ticket || stopping_; });
  if (error_) return error_->clone();
  if (served_ < ticket) return Error(Code::cancelled, "the source was stopped");
  return served_index_;
}

Status LocalSource::health() {
  std::lock_guard lock(mutex_);
  if (error_) return error_->clone();
  return ok();
}

void LocalSource::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
  thread_.join();
}

// --- start ---

// A session that does not continue another one: the log must say so before it is believed.
Status LocalSource::begin_session() {
  TRY(append_gap(watch_.why_gap, kFlagUnwatched));
  TRY(commit());
  kill_point("source.gap");
  watch_.session.set_established();
  return ok();
}

// What the predecessor had read and not finished, and the files it had muted.
Status LocalSource::take_over() {
  unfiltered_ = UINT64_MAX;  // all of the buffer
  TRY(append_events(Session::kReadBytes));
  unfiltered_ = queued_events(watch_.group.get());
  if (watch_.session.owes_gap()) TRY(append_gap("events were lost when the reel before this one ended"));
  TRY(flush());
  kill_point("source.taken");
  watch_.session.set_owes_gap(false);
  watch_.session.clear_buffer(Session::kReadBytes);
  return lift();
}

Status LocalSource::start() {
  wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return Error::from_errno(errno, "eventfd");
  mounts_ = Fd(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
  if (!mounts_) return Error::from_errno(errno, "/proc/self/mountinfo");
  if (!still_watched(watch_.group.get(), watch_.fs)) return unmounted();
  if (watch_.why_gap.empty()) {
    TRY(take_over());
  } else {
    TRY(begin_session());
  }
  // Signals are for the threads that expect them.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_setname_np(thread_.native_handle(), "reel-watch");
  return ok();
}

bool wants_holder(const LocalOptions& options) {
  return !options.state_dir.empty() && options.hold_seconds > 0;
}

// Why what the holder keeps does not continue this log; empty when it does.
Result<std::string> adopt(const std::string& directory, const log::Writer& writer, Holding holding, Watch& watch) {
  watch.holder = std::move(holding.connection);
  watch.group = std::move(holding.group);
  Result<Session> session = Session::adopt(std::move(holding.memfd));
  if (session.is(Code::conflict))
    return std::string("not watched since the last run: its holder was of another version");
  if (!session) return std::move(session).error();
  watch.session = std::move(*session);
  if (!watches(watch.group.get(), directory.c_str()))
    return std::string("not watched since the last run: another file system was, or it was mounted anew");
  if (!watch.session.established()) return std::string("not watched since the last run: it never came to record");
  if (writer.last_index() < watch.session.flushed_index())
    return std::string("the log does not hold what was recorded before");
  return std::string();
}

// Goes on with what a holder kept; not_found when there is nothing to go on with, and then
// watch.why_gap says why.
Status resume(const std::string& directory, const log::Writer& writer, const LocalOptions& options, Watch& watch) {
  watch.why_gap = writer.last_index() == 0 ? "first start: not watched before" : "not watched since the last run";
  if (options.state_dir.empty()) return Error(Code::not_found, "no holder");
  TRY_ASSIGN(Holding holding, attach_holder(options.state_dir, options.hold_seconds));
  TRY_ASSIGN(watch.why_gap, adopt(directory, writer, std::move(holding), watch));
  if (watch.why_gap.empty() && wants_holder(options)) return ok();
  dismiss_holder(std::move(watch.holder));
  if (watch.why_gap.empty()) return ok();
  return Error(Code::not_found, "nothing to go on with");
}

Status begin(const std::string& directory, const LocalOptions& options, Watch& watch) {
  TRY_ASSIGN(watch.group, make_group(directory, options.queue_events));
  TRY_ASSIGN(watch.session, Session::create());
  if (!wants_holder(options)) return ok();
  Result<Fd> holder =
      start_holder(options.state_dir, options.hold_seconds, watch.group.get(), watch.session.fd(), watch.fs);
  if (!holder) return std::move(holder).error().with("the holder in " + options.state_dir);
  watch.holder = std::move(*holder);
  return ok();
}

}  // namespace

Result<std::unique_ptr<Source>> watch_local(const std::string& directory, log::Writer& writer,
                                            const LocalOptions& options) {
  Watch watch;
  TRY_ASSIGN(watch.fs, file_system_of(directory));
  Status resumed = resume(directory, writer, options, watch);
  if (resumed.is(Code::not_found) || resumed.is(Code::conflict)) {
    TRY(begin(directory, options, watch));
  } else if (!resumed) {
    return std::move(resumed).error().with("the holder in " + options.state_dir);
  }
  auto source = std::make_unique<LocalSource>(directory, writer, options, std::move(watch));
  TRY(source->start());
  return std::unique_ptr<Source>(std::move(source));
}

}  // namespace reel::source
