// SPDX-License-Identifier: Apache-2.0
//
// The assembler's frame: threads and processes, names, and what goes to the writer.
#include "trace/collect/assemble/assembler.h"

#include <errno.h>
#include <fcntl.h>

#include <algorithm>
#include <iterator>

#include "trace/collect/rings/ring_clock.h"

namespace reel::trace {
namespace {

constexpr uint64_t kSegments = ~0ull;  // in an object's place of an inode, which is none of these

// Requests of aio and io_uring lie across their thread's calls: no gap of its begins or ends with them.
bool is_request(Op op) {
  return (op >= Op::aio_read && op <= Op::aio_fsync) || (op >= Op::uring_read && op <= Op::uring_other);
}

}  // namespace

Assembler::Assembler(Writer& writer, Surroundings& surroundings, Filter filter, uint64_t ahead_ns)
    : writer_(writer),
      surroundings_(surroundings),
      filter_(std::move(filter)),
      sampler_(filter_.one_in),
      ahead_ns_(ahead_ns),
      objects_([this](uint32_t number, uint64_t device) {
        std::string value = std::to_string(device >> 32) + ":" + std::to_string(device & 0xffffffff) + " " +
                            surroundings_.file_system(device);
        ignore(writer_.fact("fs." + std::to_string(number), value), "the next write tells the same error");
      }),
      initial_(writer, objects_, surroundings) {}

void Assembler::begin(int32_t pid, const std::string& cwd) {
  first_pid_ = pid;
  first_cwd_ = cwd;
}

void Assembler::inherit(int32_t number, std::shared_ptr<OpenFile> file) {
  first_table_.inherit(number, std::move(file));
}

void Assembler::leads_to(uint32_t thread, int32_t number, const std::string& path) {
  FdTable& table = state(thread).process->table;
  if (table.find(number)) return;
  auto file = std::make_shared<OpenFile>();
  file->path = path;
  table.inherit(number, file);
}

std::shared_ptr<Process> Assembler::alive(int32_t pid) {
  auto at = by_pid_.find(pid);
  return at != by_pid_.end() && !at->second->ended ? at->second : nullptr;
}

Result<uint32_t> Assembler::add_thread(const Origin& origin, std::shared_ptr<Process> process, uint32_t parent) {
  ThreadState added;
  Thread& thread = added.thread;
  thread.number = thread_count() + 1;
  if (process->number == 0) process->number = thread.number;
  thread.process = process->number;
  thread.parent = parent;
  thread.pid = origin.pid;
  thread.tid = origin.tid;
  thread.uid = origin.uid;
  thread.gid = origin.gid;
  thread.start_ns = in_real_time(origin.made_ns);
  if (!origin.name.empty()) {
    TRY_ASSIGN(thread.name, writer_.string(StringKind::thread_name, origin.name));
  }
  added.process = std::move(process);
  added.program = origin.name;
  TRY(writer_.thread(thread));
  by_tid_[thread.tid] = thread.number;
  threads_.push_back(std::move(added));
  return threads_.back().thread.number;
}

// A process that `parent` made: it has copies of what its parent has now.
Result<uint32_t> Assembler::child_of(ThreadState& parent, int32_t pid, uint64_t now, const std::string& name) {
  auto process = std::make_shared<Process>();
  process->pid = pid;
  process->table = parent.process->table;
  process->cwd = parent.process->cwd;
  process->born_with = parent.process->born_with;
  for (const auto& [at, mapping] : parent.process->mappings) process->born_with.insert_or_assign(at, mapping);
  Origin origin;
  origin.pid = origin.tid = pid;
  origin.uid = parent.thread.uid;
  origin.gid = parent.thread.gid;
  origin.made_ns = now;
  origin.name = name;
  by_pid_[pid] = process;
  uint32_t parent_number = parent.thread.number;  // add_thread may move `parent`
  return add_thread(origin, process, parent_number);
}

Result<uint32_t> Assembler::thread(const Origin& origin) {
  auto known = by_tid_.find(origin.tid);
  std::shared_ptr<Process> process = alive(origin.pid);
  if (known != by_tid_.end() && process && state(known->second).process == process &&
      (!origin.begins || origin.hello || state(known->second).last_exit == 0))
    return known->second;
  uint32_t parent = 0;
  int32_t parent_tid = origin.parent != 0 ? origin.parent : process ? origin.pid : origin.ppid;
  auto at = by_tid_.find(parent_tid);
  if (at != by_tid_.end()) parent = at->second;
  if (process) return add_thread(origin, process, parent);
  if (parent != 0) {
    uint32_t maker = origin.hello && origin.parent == 0 ? spawner(parent, origin.made_ns) : 0;
    TRY_ASSIGN(uint32_t child, child_of(state(maker != 0 ? maker : parent), origin.pid, origin.made_ns, origin.name));
    if (maker != 0) TRY(spawned(maker, child, ""));
    if (origin.tid == origin.pid) return child;
    return add_thread(origin, by_pid_[origin.pid], child);
  }
  process = std::make_shared<Process>();
  process->pid = origin.pid;
  process->cwd = first_cwd_;
  if (origin.pid == first_pid_) process->table = first_table_;
  by_pid_[origin.pid] = process;
  return add_thread(origin, process, 0);
}

Status Assembler::name_paths(ThreadState& at, const Raw& raw, Event& event, std::string& full, std::string& full2) {
  auto base_of = [&](int32_t dirfd) {
    if (dirfd == AT_FDCWD) return at.process->cwd;
    const OpenFile* file = at.process->table.file(dirfd);
    return file && !file->path.empty() ? file->path : "/?fd" + std::to_string(dirfd);
  };
  auto name = [&](std::string_view given, Descriptor& dirfd, uint32_t& relative, std::string& whole) {
    if (given.starts_with('/')) {
      whole = join_path("", given);
      dirfd = {};
      return;
    }
    std::string base = base_of(dirfd.number);
    whole = join_path(base, given);
    size_t before = base == "/" ? 1 : base.size() + 1;
    relative = whole.size() > before ? static_cast<uint32_t>(whole.size() - before) : 0;
  };
  if (!raw.path.empty()) {
    name(raw.path, event.fd, event.relative, full);
    TRY_ASSIGN(event.path, writer_.string(StringKind::path, full));
  }
  if (raw.path2.empty()) return ok();
  if (event.op == Op::rename || event.op == Op::link) {
    name(raw.path2, event.fd2, event.relative2, full2);
    TRY_ASSIGN(event.path2, writer_.string(StringKind::path, full2));
    return ok();
  }
  StringKind kind = event.op == Op::symlink                             ? StringKind::link_text
                    : event.op == Op::connect || event.op == Op::accept ? StringKind::other
                                                                        : StringKind::xattr_name;
  TRY_ASSIGN(event.path2, writer_.string(kind, raw.path2));
  return ok();
}

// What needs no knowledge of the op.
Status Assembler::base_event(ThreadState& at, const Raw& raw, Event& event, std::string& full, std::string& full2) {
  const RawEvent& from = raw.event;
  const FdTable& table = at.process->table;
  event.op = raw.op();
  event.thread = at.thread.number;
  event.enter_ns = in_real_time(from.enter_ns);
  event.duration_ns = from.exit_ns > from.enter_ns ? from.exit_ns - from.enter_ns : 0;
  event.result = from.result;
  event.fd = from.fd >= 0 ? table.descriptor(from.fd) : Descriptor{from.fd, 0};
  event.fd2 = from.fd2 >= 0 ? table.descriptor(from.fd2) : Descriptor{from.fd2, 0};
  event.offset = from.offset;
  event.length = from.length;
  event.flags = from.flags;
  event.mode = from.mode;
  event.arg = raw.arg;
  event.arg2 = raw.arg2;
  TRY(name_paths(at, raw, event, full, full2));
  if (raw.object && raw.object->links != 0) {
    bool created = event.op == Op::open && raw.before && raw.before->links == 0;
    event.object = objects_.fid_of(*raw.object, created);
  } else if (raw.before && raw.before->links != 0) {
    event.object = objects_.fid_of(*raw.before, false);
  } else if (event.path == 0 && event.fd.number >= 0) {
    if (const OpenFile* file = table.file(event.fd.number)) event.object = file->object;
  }
  return ok();
}

// A program's own word about itself: "key=value".
Status Assembler::fact(std::string_view text) {
  size_t equals = text.find('=');
  if (equals == std::string_view::npos) return ok();
  return writer_.fact(text.substr(0, equals), text.substr(equals + 1));
}

// The gap before a call, when its CPU time was measured.
Status Assembler::compute(ThreadState& at, const Raw& raw) {
  // A gap that is no longer than what the recorder itself does in it tells nothing.
  uint64_t shortest = at.last_exit + calibration_.cost_ns() + wire::kGap_ns;
  if (!raw.cpu_ns || at.last_exit == 0 || raw.event.enter_ns < shortest) return ok();
  Event event;
  event.op = Op::compute;
  event.thread = at.thread.number;
  event.enter_ns = in_real_time(at.last_exit);
  event.duration_ns = raw.event.enter_ns - at.last_exit;
  event.arg = *raw.cpu_ns;
  if (raw.queued_ns != wire::kNotKnown) {
    event.mode = 1;
    event.arg2 = std::min(raw.queued_ns, event.duration_ns - std::min(event.duration_ns, event.arg));
  }
  emit(event, "");
  return ok();
}

// A thread that gave way again and again; what it computed before is a record of its own.
void Assembler::spun(const ThreadState& at, const Raw& raw) {
  Event event;
  event.op = Op::compute;
  event.thread = at.thread.number;
  event.enter_ns = in_real_time(raw.event.enter_ns);
  event.duration_ns = raw.event.exit_ns - raw.event.enter_ns;
  event.flags = kGaveWay;
  event.arg = std::min(raw.arg, event.duration_ns);
  if (raw.arg2 != wire::kNotKnown) {
    event.mode = 1;
    event.arg2 = std::min(raw.arg2, event.duration_ns - event.arg);
  }
  emit(event, "");
}

// A segment of System V's has no file that could be opened: its own numbers stand for one.
void Assembler::attached(Process& process, const Raw& raw) {
  if (raw.event.length == 0)
    process.mappings.erase(raw.arg);
  else
    process.mappings[raw.arg] = {raw.event.length, 0, Fid{kSegments, static_cast<uint32_t>(raw.arg2), 0}};
}

Status Assembler::take(uint32_t number, const Raw& raw) {
  ThreadState& at = state(number);
  if (calibration_.takes(number, raw)) return calibration_.is_done() ? calibration_.write(writer_) : ok();
  if (!is_request(raw.op())) {
    TRY(compute(at, raw));
    at.last_exit = std::max(at.last_exit, raw.event.exit_ns);
  }
  at.process->last_ns = std::max(at.process->last_ns, in_real_time(raw.event.exit_ns));
  if (raw.event.op == wire::kOpHello) return hello(at, raw);
  if (raw.event.op == wire::kOpExecTry) return exec_tried(at, raw);
  if (raw.event.op == wire::kOpSpawnTry) {
    at.spawn = {true, raw.event.enter_ns, std::string(raw.path), std::string(raw.data), ""};
    return ok();
  }
  if (raw.event.op == wire::kOpSpawnActions) {
    at.spawn.actions = raw.data;
    return ok();
  }
  if (raw.event.op == wire::kOpUnseen) return unseen(at, raw);
  if (raw.event.op == wire::kOpSpun) {
    spun(at, raw);
    return ok();
  }
  if (raw.event.op == wire::kOpAttached) {
    attached(*at.process, raw);
    return ok();
  }
  if (raw.event.op == wire::kOpLoss)
    return writer_.loss({in_real_time(raw.event.exit_ns), number, 0, std::string(raw.path)});
  if (raw.event.op == wire::kOpFact) return fact(raw.path);
  if (!op_name(raw.op())) return ok();
  if (raw.op() == Op::exec && raw.event.result < 0) at.process->exec_pending = false;  // it is what it was
  Event event;
  std::string full, full2;
  TRY(base_event(at, raw, event, full, full2));
  if (!filter_.counters) TRY(initial_.used(raw, event, full, full2));  // what was there before is for replays
  initial_.changed(raw, event, full, full2);
  bool wanted = true;
  std::shared_ptr<Process> process = at.process;
  const OpenFile* file = event.fd.number >= 0 ? process->table.file(event.fd.number) : nullptr;
  std::string about = !full.empty() ? full : file ? file->path : "";
  TRY(complete(at, raw, event, full, full2, wanted));
  if (wanted) emit(event, about);
  return raw.op() == Op::io_submit || raw.op() == Op::io_getevents ? requests(state(number), raw) : ok();
}

// What lies behind io_submit and io_getevents.
Status Assembler::requests(ThreadState& at, const Raw& raw) {
  int32_t pid = at.process->pid;
  std::vector<AioRequests::Done> done;
  bool all = raw.op() == Op::io_submit ? aio_.submitted(pid, at.thread.number, raw) : aio_.taken(pid, raw, done);
  if (!all)
    TRY(writer_.loss({in_real_time(raw.event.exit_ns), at.thread.number, 0,
                      "a call of aio had more requests than the recorder takes at once"}));
  for (const AioRequests::Done& request : done) TRY(take(request.thread, request.raw));
  return ok();
}

void Assembler::emit(Event event, const std::string& path) {
  const ThreadState& at = threads_[event.thread - 1];
  if (filter_.active() && !filter_.wants(event, at.thread, at.program, path)) return;
  if (filter_.counters || !sampler_.keeps(event, path)) {
    counters_.add(event, at.thread.process, at.program, path);
    return;
  }
  batch_[event.thread].push_back(event);
  ++batched_;
}

Status Assembler::hand_over() {
  for (auto at = batch_.begin(); at != batch_.end();) {
    auto& [thread, events] = *at;
    bool rests = events.empty();  // since the last time: it may have ended
    for (const Event& event : events) TRY(writer_.event(event));
    events.clear();
    at = rests ? batch_.erase(at) : std::next(at);
  }
  batched_ = 0;
  return ok();
}

Status Assembler::flush() {
  TRY(hand_over());
  flushed_ns_ = monotonic_now();
  if (!counters_.empty() && flushed_ns_ - counted_ns_ >= kCount_ns) {
    counted_ns_ = flushed_ns_;
    TRY(counters_.write(writer_));
  }
  return writer_.flush();
}

}  // namespace reel::trace
