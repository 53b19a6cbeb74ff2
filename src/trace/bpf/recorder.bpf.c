// SPDX-License-Identifier: Apache-2.0
//
// The BPF recorder's programs: at the entry and exit of every system call of the recorded processes,
// at their forks, execs, exits and switches, when one wakes another, and at io_uring's submissions and completions. Tracepoints only; the
// kernel's structures are declared with just the fields that are read, and relocated when loaded.
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf_wire.h"

typedef _Bool bool;
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct pt_regs {
  unsigned long di, si, dx, r10, r8, r9, orig_ax;
};
struct super_block {
  unsigned int s_dev;
};
struct kuid {
  u32 val;
};
struct inode {
  unsigned short i_mode;
  u32 i_generation;
  unsigned int i_nlink;
  unsigned long i_ino;
  long long i_size;
  struct super_block* i_sb;
};
struct file {
  struct inode* f_inode;
};
struct fdtable {
  unsigned int max_fds;
  struct file** fd;
};
struct files_struct {
  struct fdtable* fdt;
};
typedef struct {
  int counter;
} atomic_t;
struct signal_struct {
  atomic_t live;
};
struct mm_struct {
  unsigned long arg_start, arg_end;
};
struct sched_info {
  unsigned long long run_delay;
};
struct task_struct {
  unsigned int flags;
  int pid, tgid, exit_code;
  struct files_struct* files;
  struct signal_struct* signal;
  struct mm_struct* mm;
  struct sched_info sched_info;
  char comm[16];
};
struct linux_binprm {
  const char* filename;
};
struct io_cqe {
  u64 user_data;
  int fd;
};
struct io_ring_ctx {
  unsigned int flags;
};
struct io_kiocb {
  struct file* file;
  u8 opcode;
  struct io_cqe cqe;
  struct io_ring_ctx* ctx;
};
struct kiocb {
  long long ki_pos;
};
struct io_rw {
  struct kiocb kiocb;
  u32 len;
};
struct io_uring_cqe {
  u64 user_data;
  int res;
};
#pragma clang attribute pop

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 64 << 20);
} events SEC(".maps");

struct {  // recorded processes
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);  // of this and others that change seldom: their memory takes milliseconds
  __uint(max_entries, 65536);
  __type(key, u32);
  __type(value, u8);
} processes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, REEL_BPF_CALLS);
  __type(key, u32);
  __type(value, struct reel_bpf_shape);
} shapes SEC(".maps");

struct entered {
  u64 enter_ns, off_ns, queued_ns;
  u64 args[6];
  u64 blob2;
  u32 number, has;
  u8 blob[REEL_BPF_BLOB];
  u64 vector_bytes;
  // Of a call on a futex: its number among those of its thread that woke somebody, 0: it has not. Who woke it last
  // (a tid, 0: nobody who is recorded), and the number of that call; 0: it was the other's end.
  u64 futex, wakes, woken_by, woken_by_call;
};
struct {  // calls that have begun, by thread
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __type(key, u32);
  __type(value, struct entered);
} calls SEC(".maps");

struct {  // requests of io_uring that have begun, by address
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 65536);
  __type(key, u64);
  __type(value, struct reel_bpf_event);
} requests SEC(".maps");

// How long a thread was not on a processor: all in all, and since when it is not. Its CPU time is the rest.
struct off {
  u64 total, since;
  u64 wakes;  // its calls on a futex that woke somebody
};
struct {  // by thread
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 65536);
  __type(key, u32);
  __type(value, struct off);
} offs SEC(".maps");

struct room {
  struct reel_bpf_event event;
  char text[2 * REEL_BPF_PATH + 64];
};
struct {  // where an event is put together
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, struct room);
} rooms SEC(".maps");

struct {  // a begun call, put together: too large for the stack
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, struct entered);
} starts SEC(".maps");

struct {  // events that found no room
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, u64);
} lost SEC(".maps");

static __always_inline void count_lost(void) {
  u32 zero = 0;
  u64* count = bpf_map_lookup_elem(&lost, &zero);
  if (count) __sync_fetch_and_add(count, 1);
}

static __always_inline int is_recorded(u32 tgid) {
  return bpf_map_lookup_elem(&processes, &tgid) != 0;
}

static __always_inline u64 off_total(u32 tid) {
  struct off* off = bpf_map_lookup_elem(&offs, &tid);
  return off ? off->total : 0;
}

static __always_inline u64 queued_total(void) {
  struct task_struct* task = bpf_get_current_task_btf();
  if (!bpf_core_field_exists(task->sched_info.run_delay)) return ~0ull;
  return task->sched_info.run_delay;
}

static __always_inline struct room* new_event(u32 kind) {
  u32 zero = 0;
  struct room* room = bpf_map_lookup_elem(&rooms, &zero);
  if (!room) return 0;
  struct reel_bpf_event* event = &room->event;
  u64 id = bpf_get_current_pid_tgid(), user = bpf_get_current_uid_gid();
  event->kind = kind;
  event->tgid = id >> 32;
  event->tid = (u32)id;
  event->uid = (u32)user;
  event->gid = user >> 32;
  event->number = 0;
  event->parent = 0;
  event->result = 0;
  event->path_size = event->path2_size = event->has = 0;
  event->vector_bytes = 0;
  event->off_enter = event->off_exit = 0;
  event->queued_enter = event->queued_exit = 0;
  event->exit_ns = bpf_ktime_get_ns();
  event->enter_ns = event->exit_ns;
  bpf_get_current_comm(event->comm, sizeof event->comm);
  return room;
}

static __always_inline void send(struct room* room) {
  u32 size = sizeof(struct reel_bpf_event) + (room->event.path_size & (2 * REEL_BPF_PATH - 1)) +
             (room->event.path2_size & (REEL_BPF_PATH - 1));
  if (size > sizeof *room) size = sizeof *room;
  if (bpf_ringbuf_output(&events, room, size, BPF_RB_NO_WAKEUP) != 0) count_lost();
}

static __always_inline void put_path(struct room* room, const char* from) {
  long size = bpf_probe_read_user_str(room->text, REEL_BPF_PATH, from);
  room->event.path_size = size > 1 ? size - 1 : 0;
}

// Behind the first one.
static __always_inline void put_path2(struct room* room, const char* from) {
  u32 at = room->event.path_size & (REEL_BPF_PATH - 1);
  long size = bpf_probe_read_user_str(room->text + at, REEL_BPF_PATH, from);
  room->event.path2_size = size > 1 ? size - 1 : 0;
}

struct requests {
  u64 list, count;
};
static long put_request(u32 i, struct requests* from) {
  u32 zero = 0;
  u64 at = (u64)i * REEL_BPF_AIO_REQUEST;
  struct room* room = bpf_map_lookup_elem(&rooms, &zero);
  asm volatile("" : "+r"(at));  // the verifier must see the bound of what is used
  if (!room || i >= from->count || at >= REEL_BPF_AIO_REQUESTS * REEL_BPF_AIO_REQUEST) return 1;
  char* to = room->text + at;
  u64 address = 0;
  if (bpf_probe_read_user(&address, 8, (const void*)(from->list + 8 * (u64)i)) != 0) return 1;
  if (bpf_probe_read_user(to + 8, REEL_BPF_AIO_REQUEST - 8, (const void*)address) != 0) return 1;
  __builtin_memcpy(to, &address, 8);
  room->event.path_size += REEL_BPF_AIO_REQUEST;
  return 0;
}

// The requests of an io_submit that returned how many it took, or the results of an io_getevents.
static __always_inline void put_aio(struct room* room, u8 aio, const u64* args, long result) {
  if (result <= 0) return;
  if (aio == 1) {
    struct requests from = {args[2], result};
    bpf_loop(REEL_BPF_AIO_REQUESTS, put_request, &from, 0);
    return;
  }
  u32 size = (result > REEL_BPF_AIO_RESULTS ? REEL_BPF_AIO_RESULTS : result) * 32;
  size &= 2 * REEL_BPF_PATH - 1;
  if (bpf_probe_read_user(room->text, size, (const void*)args[3]) == 0) room->event.path_size = size;
}

static __always_inline void put_object(struct reel_bpf_event* event, struct file* file) {
  struct inode* inode = BPF_CORE_READ(file, f_inode);
  if (!inode) return;
  unsigned int device = BPF_CORE_READ(inode, i_sb, s_dev);
  event->device = (u64)(device >> 20) << 32 | (device & 0xfffff);
  event->inode = BPF_CORE_READ(inode, i_ino);
  event->generation = BPF_CORE_READ(inode, i_generation);
  event->size = BPF_CORE_READ(inode, i_size);
  event->mode = BPF_CORE_READ(inode, i_mode);
  event->links = BPF_CORE_READ(inode, i_nlink);
  event->has |= REEL_BPF_HAS_OBJECT;
}

static __always_inline void put_object_of_fd(struct reel_bpf_event* event, u32 fd) {
  struct task_struct* task = (struct task_struct*)bpf_get_current_task();
  struct fdtable* table = BPF_CORE_READ(task, files, fdt);
  if (!table || fd >= BPF_CORE_READ(table, max_fds)) return;
  struct file** slots = BPF_CORE_READ(table, fd);
  struct file* file = 0;
  bpf_probe_read_kernel(&file, sizeof file, slots + fd);
  if (file) put_object(event, file);
}

static __always_inline u64 argument(const u64* args, u8 index) {
  return index < 6 ? args[index & 7] : 0;
}

enum { kExiting = 4 };  // PF_EXITING

struct vector {
  u64 address, count, bytes;
};
static long add_part(u32 i, struct vector* vector) {
  u64 length = 0;
  if (i >= vector->count || bpf_probe_read_user(&length, 8, (const void*)(vector->address + i * 16 + 8)) != 0) return 1;
  vector->bytes += length;
  return 0;
}
static __always_inline u64 vector_bytes(u64 address, u64 count) {
  struct vector vector = {address, count, 0};
  bpf_loop(1024, add_part, &vector, 0);  // the kernel takes no more parts
  return vector.bytes;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_enter, struct pt_regs* regs, long number) {
  u64 id = bpf_get_current_pid_tgid();
  if (!is_recorded(id >> 32)) return 0;
  u32 key = number;
  struct reel_bpf_shape* shape = bpf_map_lookup_elem(&shapes, &key);
  if (!shape || !shape->wanted) return 0;
  u32 zero = 0, tid = (u32)id;
  struct entered* start = bpf_map_lookup_elem(&starts, &zero);
  if (!start) return 0;
  start->number = key;
  start->has = 0;
  start->vector_bytes = 0;
  start->futex = shape->futex;
  start->wakes = start->woken_by = start->woken_by_call = 0;
  start->args[0] = BPF_CORE_READ(regs, di);
  start->args[1] = BPF_CORE_READ(regs, si);
  start->args[2] = BPF_CORE_READ(regs, dx);
  start->args[3] = BPF_CORE_READ(regs, r10);
  start->args[4] = BPF_CORE_READ(regs, r8);
  start->args[5] = BPF_CORE_READ(regs, r9);
  if (shape->blob != 255 && !shape->blob_after) {
    u32 size = shape->blob_size & (REEL_BPF_BLOB - 1);
    u64 from = argument(start->args, shape->blob);
    if (from && bpf_probe_read_user(start->blob, size, (const void*)from) == 0) start->has |= REEL_BPF_HAS_BLOB;
  }
  if (shape->blob2 != 255) {
    u64 from = argument(start->args, shape->blob2);
    if (from && bpf_probe_read_user(&start->blob2, 8, (const void*)from) == 0) start->has |= REEL_BPF_HAS_BLOB2;
  }
  if (shape->vector != 255)
    start->vector_bytes = vector_bytes(argument(start->args, shape->vector), argument(start->args, shape->vector + 1));
  start->off_ns = off_total(tid);
  start->queued_ns = queued_total();
  start->enter_ns = bpf_ktime_get_ns();
  if (bpf_map_update_elem(&calls, &tid, start, BPF_ANY) != 0) count_lost();
  return 0;
}

static __always_inline void put_times(struct reel_bpf_event* event, const struct entered* start, u64 now) {
  event->enter_ns = start->enter_ns;
  event->exit_ns = now;
  event->off_enter = start->off_ns;
  event->off_exit = off_total(event->tid);
  event->queued_enter = start->queued_ns;
  event->queued_exit = queued_total();
}

// Only those that woke somebody, or were woken, are of interest: the others waited for nobody.
static __always_inline void futex_ends(const struct entered* start, long result, u64 now) {
  if (!start->wakes && (result < 0 || !start->woken_by)) return;
  struct room* room = new_event(start->wakes ? REEL_BPF_WAKE : REEL_BPF_WOKEN);
  if (!room) return;
  put_times(&room->event, start, now);
  room->event.result = result;
  room->event.args[0] = start->wakes ? start->wakes : start->woken_by_call;
  room->event.args[1] = start->woken_by;
  send(room);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_exit, struct pt_regs* regs, long result) {
  u64 now = bpf_ktime_get_ns();
  u64 id = bpf_get_current_pid_tgid();
  if (!is_recorded(id >> 32)) return 0;
  u32 tid = (u32)id;
  struct entered* start = bpf_map_lookup_elem(&calls, &tid);
  if (!start) return 0;
  if (start->futex) {
    futex_ends(start, result, now);
    bpf_map_delete_elem(&calls, &tid);
    return 0;
  }
  u32 key = start->number;
  struct reel_bpf_shape* shape = bpf_map_lookup_elem(&shapes, &key);
  struct room* room = new_event(REEL_BPF_CALL);
  if (!room || !shape) return 0;
  struct reel_bpf_event* event = &room->event;
  event->number = key;
  put_times(event, start, now);
  event->result = result;
  __builtin_memcpy(event->args, start->args, sizeof event->args);
  __builtin_memcpy(event->blob, start->blob, sizeof event->blob);
  event->blob2 = start->blob2;
  event->vector_bytes = start->vector_bytes;
  event->has = start->has;
  if (shape->blob != 255 && shape->blob_after) {
    u32 size = shape->blob_size & (REEL_BPF_BLOB - 1);
    u64 from = argument(event->args, shape->blob);
    if (from && bpf_probe_read_user(event->blob, size, (const void*)from) == 0) event->has |= REEL_BPF_HAS_BLOB;
  }
  if (shape->path != 255) put_path(room, (const char*)argument(event->args, shape->path) + shape->path_at);
  if (shape->path2 != 255) put_path2(room, (const char*)argument(event->args, shape->path2));
  if (shape->aio) put_aio(room, shape->aio, event->args, result);
  if (shape->opens && result >= 0) put_object_of_fd(event, result);
  bpf_map_delete_elem(&calls, &tid);
  send(room);
  return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct* parent, struct task_struct* child) {
  u32 parent_tgid = BPF_CORE_READ(parent, tgid);
  if (!is_recorded(parent_tgid)) return 0;
  u32 tgid = BPF_CORE_READ(child, tgid);
  u8 one = 1;
  if (bpf_map_update_elem(&processes, &tgid, &one, BPF_ANY) != 0) count_lost();
  u32 tid = BPF_CORE_READ(child, pid);
  struct off none = {};
  if (bpf_map_update_elem(&offs, &tid, &none, BPF_ANY) != 0) count_lost();
  struct room* room = new_event(REEL_BPF_FORK);
  if (!room) return 0;
  room->event.parent = room->event.tid;
  room->event.args[0] = BPF_CORE_READ(child, pid);
  room->event.args[1] = tgid;
  send(room);
  return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempted, struct task_struct* before, struct task_struct* after) {
  u32 leaves = BPF_CORE_READ(before, pid), comes = BPF_CORE_READ(after, pid);
  struct off* off = bpf_map_lookup_elem(&offs, &leaves);
  if (off) off->since = bpf_ktime_get_ns();
  off = bpf_map_lookup_elem(&offs, &comes);
  if (off && off->since != 0) {
    off->total += bpf_ktime_get_ns() - off->since;
    off->since = 0;
  }
  return 0;
}

// Who waits in a call on a futex is woken by another's call on one, or by its end (CLONE_CHILD_CLEARTID, robust locks);
// else by time or a signal, and then it fails.
SEC("tp_btf/sched_waking")
int BPF_PROG(on_waking, struct task_struct* task) {
  u32 sleeper_tid = BPF_CORE_READ(task, pid), tid = (u32)bpf_get_current_pid_tgid();
  struct entered* sleeper = bpf_map_lookup_elem(&calls, &sleeper_tid);
  if (!sleeper || !sleeper->futex) return 0;
  sleeper->woken_by = 0;
  struct task_struct* current = bpf_get_current_task_btf();
  struct entered* waker = bpf_map_lookup_elem(&calls, &tid);
  struct off* off = bpf_map_lookup_elem(&offs, &tid);
  if (waker && waker->futex && off) {
    if (!waker->wakes) waker->wakes = ++off->wakes;
    sleeper->woken_by_call = waker->wakes;
    sleeper->woken_by = tid;
  } else if (current->flags & kExiting) {
    sleeper->woken_by_call = 0;
    sleeper->woken_by = tid;
  }
  return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct* task, int old, struct linux_binprm* program) {
  if (!is_recorded(bpf_get_current_pid_tgid() >> 32)) return 0;
  struct room* room = new_event(REEL_BPF_EXEC);
  if (!room) return 0;
  struct reel_bpf_event* event = &room->event;
  long size = bpf_probe_read_kernel_str(room->text, REEL_BPF_PATH, BPF_CORE_READ(program, filename));
  event->path_size = size > 1 ? size - 1 : 0;
  u64 start = BPF_CORE_READ(task, mm, arg_start), end = BPF_CORE_READ(task, mm, arg_end);
  u32 bytes = end - start;
  if (bytes > REEL_BPF_PATH - 1) bytes = REEL_BPF_PATH - 1;
  u32 at = event->path_size & (REEL_BPF_PATH - 1);
  if (bpf_probe_read_user(room->text + at, bytes & (REEL_BPF_PATH - 1), (const void*)start) == 0)
    event->path2_size = bytes & (REEL_BPF_PATH - 1);
  event->args[0] = old;
  send(room);
  return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_process_exit, struct task_struct* task) {
  u64 id = bpf_get_current_pid_tgid();
  u32 tgid = id >> 32, tid = (u32)id;
  if (!is_recorded(tgid)) return 0;
  bpf_map_delete_elem(&calls, &tid);
  bpf_map_delete_elem(&offs, &tid);
  struct room* room = new_event(REEL_BPF_EXIT);
  if (!room) return 0;
  int live = BPF_CORE_READ(task, signal, live.counter);
  room->event.args[0] = (u32)BPF_CORE_READ(task, exit_code);
  room->event.args[1] = live <= 0;
  send(room);
  if (live <= 0) bpf_map_delete_elem(&processes, &tgid);
  return 0;
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(on_submit, struct io_kiocb* request) {
  if (!is_recorded(bpf_get_current_pid_tgid() >> 32)) return 0;
  struct room* room = new_event(REEL_BPF_URING);
  if (!room) return 0;
  struct reel_bpf_event* event = &room->event;
  struct io_rw* rw = (struct io_rw*)request;
  event->args[0] = BPF_CORE_READ(request, opcode);
  event->args[1] = BPF_CORE_READ(rw, kiocb.ki_pos);
  event->args[2] = BPF_CORE_READ(rw, len);
  event->args[3] = (u32)BPF_CORE_READ(request, cqe.fd);
  event->args[4] = BPF_CORE_READ(request, cqe.user_data);
  event->args[5] = (u64)BPF_CORE_READ(request, ctx);
  struct file* file = BPF_CORE_READ(request, file);
  if (file) put_object(event, file);
  u64 key = (u64)request;
  if (bpf_map_update_elem(&requests, &key, event, BPF_ANY) != 0) count_lost();
  return 0;
}

SEC("tp_btf/io_uring_complete")
int BPF_PROG(on_complete, struct io_ring_ctx* ring, void* request, struct io_uring_cqe* answer) {
  u64 key = (u64)request, now = bpf_ktime_get_ns();
  struct reel_bpf_event* begun = bpf_map_lookup_elem(&requests, &key);
  if (!begun) return 0;
  u32 zero = 0;
  struct room* room = bpf_map_lookup_elem(&rooms, &zero);
  if (!room) return 0;
  __builtin_memcpy(&room->event, begun, sizeof *begun);
  room->event.exit_ns = now;
  room->event.result = BPF_CORE_READ(answer, res);
  bpf_map_delete_elem(&requests, &key);
  send(room);
  return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
