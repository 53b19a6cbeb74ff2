// SPDX-License-Identifier: Apache-2.0
//
// The user side of the BPF recorder: loads the programs, drains their ring each two milliseconds, and
// gives the events to the assembler in order.
#include "trace/bpf/bpf_recorder.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>
#include <unordered_map>

#include "trace/bpf/bpf_wire.h"
#include "trace/collect/collector.h"
#include "trace/collect/syscalls/syscalls.h"
#include "trace/recording/command.h"

// The compiled programs are part of this binary.
__asm__(
    ".section .rodata\n"
    ".balign 16\n"
    ".globl reel_bpf_object\n"
    "reel_bpf_object:\n"
    ".incbin \"" REEL_BPF_OBJECT
    "\"\n"
    ".globl reel_bpf_object_end\n"
    "reel_bpf_object_end:\n"
    ".previous\n");
extern "C" const char reel_bpf_object[], reel_bpf_object_end[];

namespace reel::trace {
namespace {

constexpr int kDrainMs = 2;
constexpr uint64_t kSettle_ns = 5'000'000;
constexpr uint64_t kGrace_ns = 1'000'000'000;
constexpr uint64_t kKernelGeneration = 1ull << 63;

// An event as it lies in the ring, kept until its turn.
struct Held {
  uint64_t key = 0;
  uint64_t order = 0;  // of arrival, for equal keys
  std::string bytes;
};

class BpfRecorder {
 public:
  BpfRecorder(Assembler& assembler, Writer& writer) : assembler_(assembler), writer_(writer) {}
  ~BpfRecorder() { unload(); }

  Status load();
  void unload();
  Status watch(int32_t pid);
  Status drain(bool last);
  bool anybody_left() const { return !living_.empty(); }
  int32_t somebody() const { return *living_.begin(); }

 private:
  static int take_static(void* self, void* data, size_t size) {
    static_cast<BpfRecorder*>(self)->take(data, size);
    return 0;
  }
  void take(const void* data, size_t size);
  Status deliver(const std::string& bytes);
  Status call(const reel_bpf_event& event, std::string_view path, std::string_view path2);
  Status uring(const reel_bpf_event& event);
  Status futex(const reel_bpf_event& event);
  Status ended(const reel_bpf_event& event);
  Result<uint32_t> thread_of(const reel_bpf_event& event);
  Status write_lost();
  void measure_gap(const reel_bpf_event& event, Raw& raw);

  // A thread at the end of its last call.
  struct Left {
    uint64_t exit_ns = 0, off_ns = 0, queued_ns = 0;
  };

  Assembler& assembler_;
  Writer& writer_;
  bpf_object* object_ = nullptr;
  ring_buffer* ring_ = nullptr;
  std::vector<bpf_link*> links_;
  std::vector<Held> held_;
  uint64_t arrivals_ = 0, lost_ = 0;
  std::unordered_map<uint32_t, uint32_t> parents_;                           // tid -> tid of its maker
  std::unordered_map<uint32_t, uint32_t> threads_;                           // tid -> number in the trace
  std::unordered_map<uint32_t, Left> left_;                                  // by tid
  std::unordered_map<uint32_t, std::pair<std::string, std::string>> execs_;  // tid -> program, arguments
  std::set<int32_t> living_;
};

int quiet(enum libbpf_print_level, const char*, va_list) {
  return 0;
}

// futex, and its younger kin futex_waitv, futex_wake, futex_wait and futex_requeue.
constexpr uint32_t kFutexCalls[] = {SYS_futex, 449, 454, 455, 456};
constexpr reel_bpf_shape kFutexShape{1, 255, 255, 0, 255, 0, 0, 255, 255, 0, 0, 1};

Status put(int map, uint32_t key, const reel_bpf_shape& shape) {
  return bpf_map_update_elem(map, &key, &shape, BPF_ANY) == 0 ? ok() : Error::from_errno(errno, "fill a BPF map");
}

unsigned char index_of(int8_t argument) {
  return argument < 0 ? 255 : static_cast<unsigned char>(argument);
}

Status BpfRecorder::load() {
  libbpf_set_print(quiet);
  auto size = static_cast<size_t>(reel_bpf_object_end - reel_bpf_object);
  object_ = bpf_object__open_mem(reel_bpf_object, size, nullptr);
  if (!object_) return Error::from_errno(errno, "open the BPF programs");
  int error = bpf_object__load(object_);
  if (error != 0)
    return Error(Code::unsupported, std::string("the kernel refuses the BPF programs: ") + std::strerror(-error));
  int shapes = bpf_object__find_map_fd_by_name(object_, "shapes");
  size_t count = 0;
  const CallShape* all = all_shapes(count);
  for (size_t i = 0; i < count; ++i) {
    const CallShape& from = all[i];
    reel_bpf_shape shape{1,
                         index_of(from.path),
                         index_of(from.path2),
                         from.path_at,
                         index_of(from.blob),
                         from.blob_size,
                         from.blob_after,
                         index_of(from.blob2),
                         index_of(from.vector),
                         static_cast<unsigned char>(from.aio),
                         from.op == Op::open,
                         0};
    TRY(put(shapes, from.number, shape));
  }
  for (uint32_t number : kFutexCalls) TRY(put(shapes, number, kFutexShape));
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object_) {
    bpf_link* link = bpf_program__attach(program);
    if (!link)
      return Error(Code::unsupported, std::string("cannot attach the BPF program ") + bpf_program__name(program) +
                                          ": " + std::strerror(errno));
    links_.push_back(link);
  }
  ring_ = ring_buffer__new(bpf_object__find_map_fd_by_name(object_, "events"), take_static, this, nullptr);
  if (!ring_) return Error::from_errno(errno, "open the BPF ring");
  return ok();
}

void BpfRecorder::unload() {
  for (bpf_link* link : links_) bpf_link__destroy(link);
  links_.clear();
  ring_buffer__free(ring_);
  bpf_object__close(object_);
  ring_ = nullptr;
  object_ = nullptr;
}

Status BpfRecorder::watch(int32_t pid) {
  auto key = static_cast<uint32_t>(pid);
  uint8_t one = 1;
  if (bpf_map_update_elem(bpf_object__find_map_fd_by_name(object_, "processes"), &key, &one, BPF_ANY) != 0)
    return Error::from_errno(errno, "fill a BPF map");
  uint64_t none[3] = {0, 0, 0};
  if (bpf_map_update_elem(bpf_object__find_map_fd_by_name(object_, "offs"), &key, none, BPF_ANY) != 0)
    return Error::from_errno(errno, "fill a BPF map");
  living_.insert(pid);
  return ok();
}

void BpfRecorder::take(const void* data, size_t size) {
  if (size < sizeof(reel_bpf_event)) return;
  const auto* event = static_cast<const reel_bpf_event*>(data);
  bool gives = (event->kind == REEL_BPF_CALL && event->number == SYS_close) || event->kind == REEL_BPF_WAKE;
  held_.push_back(
      {gives ? event->enter_ns : event->exit_ns, arrivals_++, std::string(static_cast<const char*>(data), size)});
}

Status BpfRecorder::drain(bool last) {
  uint64_t horizon = last ? ~0ull : monotonic_now() - kSettle_ns;
  ring_buffer__consume(ring_);
  std::sort(held_.begin(), held_.end(),
            [](const Held& a, const Held& b) { return a.key != b.key ? a.key < b.key : a.order < b.order; });
  auto end = std::find_if(held_.begin(), held_.end(), [&](const Held& held) { return held.key >= horizon; });
  for (auto at = held_.begin(); at != end; ++at) TRY(deliver(at->bytes));
  held_.erase(held_.begin(), end);
  TRY(write_lost());
  return last || assembler_.is_due(monotonic_now()) ? assembler_.flush() : ok();
}

Status BpfRecorder::write_lost() {
  uint32_t key = 0;
  uint64_t lost = 0;
  bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(object_, "lost"), &key, &lost);
  if (lost == lost_) return ok();
  Status told = writer_.loss({assembler_.in_real_time(monotonic_now()), 0, lost - lost_, "the BPF ring was full"});
  lost_ = lost;
  return told;
}

Result<uint32_t> BpfRecorder::thread_of(const reel_bpf_event& event) {
  auto known = threads_.find(event.tid);
  if (known != threads_.end()) return known->second;
  Origin origin;
  origin.pid = static_cast<int32_t>(event.tgid);
  origin.tid = static_cast<int32_t>(event.tid);
  auto parent = parents_.find(event.tid);
  if (parent != parents_.end()) origin.parent = static_cast<int32_t>(parent->second);
  origin.uid = event.uid;
  origin.gid = event.gid;
  origin.made_ns = event.enter_ns;
  origin.name.assign(event.comm, strnlen(event.comm, sizeof event.comm));
  origin.begins = true;
  TRY_ASSIGN(uint32_t number, assembler_.thread(origin));
  threads_[event.tid] = number;
  return number;
}

// What was not spent off the processors between two calls was computing.
void BpfRecorder::measure_gap(const reel_bpf_event& event, Raw& raw) {
  Left& left = left_[event.tid];
  uint64_t gap = event.enter_ns > left.exit_ns ? event.enter_ns - left.exit_ns : 0;
  if (left.exit_ns != 0 && gap >= wire::kGap_ns)
    raw.cpu_ns = gap - std::min<uint64_t>(gap, event.off_enter - left.off_ns);
  if (raw.cpu_ns && event.queued_enter != wire::kNotKnown) raw.queued_ns = event.queued_enter - left.queued_ns;
  left = {event.exit_ns, event.off_exit, event.queued_exit};
}

wire::Object object_of(const reel_bpf_event& event) {
  wire::Object object{};
  object.device = event.device;
  object.inode = event.inode;
  object.generation = event.generation | kKernelGeneration;
  object.size = event.size;
  object.mode = event.mode;
  object.links = event.links == 0 ? 1 : event.links;
  return object;
}

Status BpfRecorder::call(const reel_bpf_event& event, std::string_view path, std::string_view path2) {
  if (event.result <= -512 && event.result >= -516) return ok();  // begun again after a signal
  FetchedCall call;
  call.shape = shape_of(event.number);
  if (!call.shape) return ok();
  std::copy(std::begin(event.args), std::end(event.args), std::begin(call.arguments));
  call.result = event.result;
  call.enter_ns = event.enter_ns;
  call.exit_ns = event.exit_ns;
  (call.shape->aio == Aio::none ? call.path : call.aio) = path;
  call.path2 = path2;
  std::memcpy(call.blob, event.blob, sizeof call.blob);
  call.has_blob = (event.has & REEL_BPF_HAS_BLOB) != 0;
  call.blob2 = event.blob2;
  call.has_blob2 = (event.has & REEL_BPF_HAS_BLOB2) != 0;
  call.vector_bytes = event.vector_bytes;
  if (call.shape->op == Op::exec && event.result == 0) {
    // Its arguments lay in memory that is gone; the kernel told them meanwhile.
    call.path = execs_[event.tid].first;
    call.argv = execs_[event.tid].second;
  }
  TRY_ASSIGN(uint32_t thread, thread_of(event));
  Raw raw;
  if (!to_raw(call, raw)) return ok();
  if ((event.has & REEL_BPF_HAS_OBJECT) != 0) raw.object = object_of(event);
  measure_gap(event, raw);
  return assembler_.take(thread, raw);
}

Status BpfRecorder::uring(const reel_bpf_event& event) {
  constexpr uint64_t kNop = 0, kReadv = 1, kWritev = 2, kFsync = 3, kReadFixed = 4, kWriteFixed = 5, kRead = 22,
                     kWrite = 23;
  TRY_ASSIGN(uint32_t thread, thread_of(event));
  uint64_t opcode = event.args[0];
  if (opcode == kNop) return ok();
  Raw raw;
  Op op = opcode == kFsync                                                 ? Op::uring_fsync
          : opcode == kReadv || opcode == kReadFixed || opcode == kRead    ? Op::uring_read
          : opcode == kWritev || opcode == kWriteFixed || opcode == kWrite ? Op::uring_write
                                                                           : Op::uring_other;
  raw.event.op = static_cast<uint16_t>(op);
  raw.event.enter_ns = event.enter_ns;
  raw.event.exit_ns = event.exit_ns;
  raw.event.result = event.result;
  raw.event.fd = static_cast<int32_t>(event.args[3]);
  raw.event.fd2 = -1;
  if (op == Op::uring_read || op == Op::uring_write) {
    raw.event.offset = event.args[1];
    // Of a vector the length is its number of parts; what was moved is known.
    bool vector = opcode == kReadv || opcode == kWritev;
    raw.event.length = vector && event.result > 0 ? static_cast<uint64_t>(event.result) : event.args[2];
  }
  if (op == Op::uring_other) raw.event.mode = static_cast<uint32_t>(opcode);
  raw.arg = event.args[5];
  raw.arg2 = event.args[4];
  if ((event.has & REEL_BPF_HAS_OBJECT) != 0) raw.object = object_of(event);
  return assembler_.take(thread, raw);
}

Status BpfRecorder::futex(const reel_bpf_event& event) {
  TRY_ASSIGN(uint32_t thread, thread_of(event));
  Raw raw;
  raw.event.op = static_cast<uint16_t>(event.kind == REEL_BPF_WAKE ? Op::futex_wake : Op::futex_wait);
  raw.event.enter_ns = event.enter_ns;
  raw.event.exit_ns = event.exit_ns;
  raw.event.result = event.result;
  raw.event.fd = raw.event.fd2 = -1;
  raw.arg = event.args[1];
  raw.arg2 = event.args[0];
  measure_gap(event, raw);
  return assembler_.take(thread, raw);
}

// exit and exit_group do not return: this is how their thread's end is told.
Status BpfRecorder::ended(const reel_bpf_event& event) {
  TRY_ASSIGN(uint32_t thread, thread_of(event));
  threads_.erase(event.tid);
  left_.erase(event.tid);
  execs_.erase(event.tid);
  bool process = event.args[1] != 0;
  int signal = static_cast<int>(event.args[0] & 0x7f);
  if (signal == 0) {
    Raw raw;
    raw.event.op = static_cast<uint16_t>(process ? Op::exit : Op::exit_thread);
    raw.event.enter_ns = raw.event.exit_ns = event.exit_ns;
    raw.event.fd = raw.event.fd2 = -1;
    raw.arg = event.args[0] >> 8 & 0xff;
    TRY(assembler_.take(thread, raw));
  }
  if (!process) return ok();
  living_.erase(static_cast<int32_t>(event.tgid));
  return assembler_.process_ended(static_cast<int32_t>(event.tgid), signal);
}

Status BpfRecorder::deliver(const std::string& bytes) {
  reel_bpf_event event;
  std::memcpy(&event, bytes.data(), sizeof event);
  std::string_view rest = std::string_view(bytes).substr(sizeof event);
  std::string_view path = rest.substr(0, event.path_size);
  std::string_view path2 = rest.substr(path.size(), event.path2_size);
  switch (event.kind) {
    case REEL_BPF_FORK: {
      TRY(thread_of(event));
      auto child = static_cast<uint32_t>(event.args[0]);
      parents_[child] = event.tid;
      threads_.erase(child);  // the number was another's before
      left_.erase(child);
      if (event.args[1] == child) living_.insert(static_cast<int32_t>(child));
      return ok();
    }
    case REEL_BPF_EXEC:
      execs_[event.tid] = {std::string(path), std::string(path2)};
      return ok();
    case REEL_BPF_EXIT:
      return ended(event);
    case REEL_BPF_CALL:
      return call(event, path, path2);
    case REEL_BPF_URING:
      return uring(event);
    case REEL_BPF_WAKE:
    case REEL_BPF_WOKEN:
      return futex(event);
    default:
      return ok();
  }
}

}  // namespace

bool bpf_possible() {
  return ::geteuid() == 0 && ::access("/sys/kernel/btf/vmlinux", R_OK) == 0;
}

namespace {

// Until the command has ended, and what it left behind has or has had its time.
Status follow(BpfRecorder& recorder, Command& running, Assembler& assembler, Writer& writer) {
  for (;;) {
    TRY_ASSIGN(bool ended, running.wait(kDrainMs));
    if (ended) break;
    TRY(recorder.drain(false));
  }
  uint64_t until = monotonic_now() + kGrace_ns;
  TRY(recorder.drain(false));
  while (recorder.anybody_left() && monotonic_now() < until) {
    TRY(running.wait(kDrainMs));
    TRY(recorder.drain(false));
  }
  TRY(recorder.drain(true));
  if (recorder.anybody_left())
    TRY(writer.loss(
        {assembler.in_real_time(monotonic_now()), 0, 0,
         "a process that the command left behind (pid " + std::to_string(recorder.somebody()) + ") went on"}));
  return assembler.finish();
}

}  // namespace

Result<Ran> run_bpf(Assembler& assembler, Writer& writer, const std::vector<std::string>& command) {
  BpfRecorder recorder(assembler, writer);
  TRY(recorder.load());
  Command running;
  TRY(running.launch(command, {}, [] {
    ::raise(SIGSTOP);
    make_calibration_calls();
  }));
  int status = 0;
  while (::waitpid(running.pid(), &status, WUNTRACED) < 0 && errno == EINTR) {
  }
  assembler.begin(running.pid(), std::filesystem::current_path().string());
  TRY(recorder.watch(running.pid()));
  ::kill(running.pid(), SIGCONT);
  TRY(running.launched());
  Status recorded = follow(recorder, running, assembler, writer);
  if (!recorded) {
    recorder.unload();
    TRY(running.let_it_end());
  }
  return Ran{running.exit_code(), std::move(recorded)};
}

}  // namespace reel::trace
