// SPDX-License-Identifier: Apache-2.0
//
// The collector of rings.
#include "trace/collect/collector.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <queue>

namespace reel::trace {
namespace {

constexpr uint64_t kSettle_ns = 5'000'000;  // a thread may be held up between its stamp and its event
// A few calls may wait for more: the rings keep what is not in the log yet, also when reel dies.
constexpr uint64_t kFew_ns = 250'000'000;
constexpr size_t kControlBytes = 4096;

bool is_dead(int32_t pid) {
  return ::kill(pid, 0) != 0 && errno == ESRCH;
}

uint64_t key_of(const Raw& raw) {
  return raw.op() == Op::close ? raw.event.enter_ns : raw.event.exit_ns;
}

}  // namespace

Status make_control(const std::string& dir, uint64_t limit_bytes) {
  std::string path = dir + "/" + wire::kControlName;
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return Error::from_errno(errno, "create " + path);
  wire::Control control{};
  control.magic = wire::kControlMagic;
  control.version = wire::kVersion;
  control.limit_bytes = limit_bytes;
  RingClock::choose(control);
  control.gap_ticks = wire::kGap_ns * (1u << 24) / control.ns_per_tick_24;
  bool written = ::ftruncate(fd, kControlBytes) == 0 && ::posix_fallocate(fd, 0, kControlBytes) == 0 &&
                 ::pwrite(fd, &control, sizeof control, 0) == sizeof control;
  int error = errno;
  ::close(fd);
  if (!written) return Error::from_errno(error, "write " + path);
  return ok();
}

Result<std::unique_ptr<Collector>> Collector::open(const std::string& dir, Assembler& assembler, Writer& writer) {
  std::string path = dir + "/" + wire::kControlName;
  int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return Error::from_errno(errno, "open " + path);
  void* map = ::mmap(nullptr, kControlBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  int error = errno;
  ::close(fd);
  if (map == MAP_FAILED) return Error::from_errno(error, "map " + path);
  return std::unique_ptr<Collector>(new Collector(dir, static_cast<wire::Control*>(map), assembler, writer));
}

Collector::~Collector() {
  ::munmap(control_, kControlBytes);
}

Status Collector::find_rings(bool last) {
  uint64_t made = __atomic_load_n(&control_->rings_made, __ATOMIC_ACQUIRE);
  if (made == rings_seen_ && complete_scan_ && !last) return ok();
  DIR* dir = ::opendir(dir_.c_str());
  if (!dir) return Error::from_errno(errno, "read " + dir_);
  complete_scan_ = true;
  while (struct dirent* entry = ::readdir(dir)) {
    std::string name = entry->d_name;
    if (!name.starts_with("r.") || known_.count(name) != 0) continue;
    Result<std::unique_ptr<RingFile>> ring = RingFile::open(dir_ + "/" + name);
    if (!ring) {
      complete_scan_ = false;  // being made; look again
      continue;
    }
    known_.insert(name);
    auto source = std::make_unique<Source>();
    source->ring = *std::move(ring);
    find_beginning(*source->ring);
    sources_.push_back(std::move(source));
  }
  ::closedir(dir);
  rings_seen_ = made;
  return ok();
}

// A collector before us may have been killed: behind what it had read, and while it wrote that nobody knows how
// much of it the log has.
void Collector::find_beginning(RingFile& ring) {
  const wire::RingHeader& header = ring.header();
  if (header.going == 0) return;
  ring.begin_at(header.going);
  if (header.going != header.in_log && first_index_ < control_->going_index) in_doubt_ = true;
}

// True when the source has an event to be taken; its key is set then.
bool Collector::advance(Source& source, bool last) {
  for (;;) {
    RingFile::Look look = source.ring->look();
    if (look == RingFile::Look::event) {
      RawEvent& event = source.ring->event().event;
      event.enter_ns = clock_.to_monotonic(event.enter_ns);
      event.exit_ns = clock_.to_monotonic(event.exit_ns);
      source.key = key_of(source.ring->event());
      return true;
    }
    if (look == RingFile::Look::nothing || !(source.owner_dead || last)) return false;
    ignore(lost(source, 1, "the program died while it was being written"), "the next write tells the same error");
    source.ring->skip();
  }
}

Status Collector::lost(const Source& source, uint64_t events, const std::string& why) {
  return writer_.loss({assembler_.in_real_time(monotonic_now()), source.thread, events, why});
}

Status Collector::take_one(Source& source) {
  const Raw& raw = source.ring->event();
  if (source.thread == 0) {
    const wire::RingHeader& header = source.ring->header();
    Origin origin;
    origin.pid = header.pid;
    origin.tid = header.tid;
    origin.ppid = header.ppid;
    origin.parent = header.parent;
    origin.uid = header.uid;
    origin.gid = header.gid;
    origin.made_ns = clock_.to_monotonic(header.made);
    origin.name.assign(header.comm, strnlen(header.comm, sizeof header.comm));
    origin.begins = header.sequence == 0;
    origin.hello = raw.event.op == wire::kOpHello;
    TRY_ASSIGN(source.thread, assembler_.thread(origin));
    if (header.lost_before > 0) TRY(lost(source, header.lost_before, "there was no room for the recorder's ring"));
  }
  if (raw.op() == Op::uring_setup && raw.event.result >= 0)
    TRY(lost(source, 0, "the program uses io_uring, whose requests a library cannot see; record it with --via bpf"));
  ++source.taken;
  Status taken = assembler_.take(source.thread, raw);
  source.ring->skip();
  return taken;
}

Status Collector::take_until(uint64_t horizon, bool last) {
  auto later = [](const Source* a, const Source* b) { return a->key > b->key; };
  std::priority_queue<Source*, std::vector<Source*>, decltype(later)> queue(later);
  for (auto& source : sources_)
    if (advance(*source, last) && source->key < horizon) queue.push(source.get());
  while (!queue.empty()) {
    Source* source = queue.top();
    queue.pop();
    TRY(take_one(*source));
    if (advance(*source, last) && source->key < horizon) queue.push(source);
  }
  return ok();
}

std::vector<LiveThread> Collector::live() const {
  std::vector<LiveThread> threads;
  for (const auto& source : sources_)
    if (!source->owner_dead && !source->ring->closed())
      threads.push_back({source->ring->header().tid, uint64_t{source->ring->header().sequence} << 32 | source->taken,
                         source->thread});
  return threads;
}

// Rings that get no more and are read go.
Status Collector::retire(bool last) {
  for (auto& source : sources_) {
    bool closed = source->ring->closed() || source->owner_dead || last;
    if (!closed || source->ring->look() == RingFile::Look::event || !source->ring->is_in_log()) continue;
    if (source->ring->look() == RingFile::Look::pending && !source->owner_dead && !last) continue;
    if (source->ring->damaged() > 0) TRY(lost(*source, source->ring->damaged(), "a ring is damaged"));
    ::unlink(source->ring->path().c_str());
    __atomic_sub_fetch(&control_->used_bytes, source->ring->header().bytes, __ATOMIC_RELAXED);
    source.reset();
  }
  std::erase(sources_, nullptr);
  return ok();
}

Status Collector::collect(bool last) {
  clock_.look();
  uint64_t horizon = last ? ~0ull : monotonic_now() - kSettle_ns;
  // Who is dead now will write no more, so what is found after this is all there is of them.
  std::unordered_map<int32_t, bool> dead;
  for (auto& source : sources_) {
    int32_t pid = source->ring->header().pid;
    auto [at, is_new] = dead.try_emplace(pid, false);
    if (is_new) at->second = is_dead(pid);
    source->owner_dead = at->second;
  }
  TRY(find_rings(last));
  TRY(take_until(horizon, last));
  if (last || assembler_.is_due(monotonic_now(), kFew_ns)) {
    TRY(write_taken());
    TRY(retire(last));
  }
  if (last) {
    TRY(write_own_times());
    uint64_t all = __atomic_load_n(&control_->lost, __ATOMIC_RELAXED);
    if (all > lost_seen_)
      TRY(writer_.loss({assembler_.in_real_time(monotonic_now()), 0, all - lost_seen_,
                        "there was no room for the recorder's rings"}));
    lost_seen_ = all;
  }
  return last ? assembler_.flush() : ok();
}

Status Collector::write_own_times() {
  OwnTimes times;
  for (uint32_t op = 0; op < wire::kOwnTimeOps; ++op) {
    const wire::OwnTime& own = control_->own[op];
    auto in_ns = [this](uint64_t ticks) { return ticks * control_->ns_per_tick_24 >> 24; };
    times.add(static_cast<Op>(op), in_ns(own.before), in_ns(own.after), own.calls);
  }
  return times.write(writer_);
}

// In this order: whoever finds the rings after our death knows at each point what the log has.
Status Collector::write_taken() {
  if (in_doubt_)
    TRY(writer_.loss(
        {assembler_.in_real_time(monotonic_now()), 0, 0, "reel was ended while it wrote calls to the log"}));
  in_doubt_ = false;
  __atomic_store_n(&control_->going_index, ~0ull, __ATOMIC_RELEASE);
  for (auto& source : sources_) source->ring->note_going();
  TRY(assembler_.hand_over());
  __atomic_store_n(&control_->going_index, writer_.last_index(), __ATOMIC_RELEASE);
  TRY(assembler_.flush());
  for (auto& source : sources_) source->ring->note_in_log();
  return ok();
}

bool Collector::anybody_left(int32_t& pid) const {
  for (const auto& source : sources_) {
    pid = source->ring->header().pid;
    if (!source->owner_dead && !is_dead(pid)) return true;
  }
  return false;
}

}  // namespace reel::trace
