// SPDX-License-Identifier: Apache-2.0
//
// What the BPF recorder's programs and its user side share: C, compiled for both.
#pragma once

#define REEL_BPF_PATH 4096
#define REEL_BPF_BLOB 64
#define REEL_BPF_CALLS 512
#define REEL_BPF_AIO_REQUESTS 96  // as wire::kMaxAio
#define REEL_BPF_AIO_REQUEST 72   // bytes: sizeof(wire::AioRequest)
#define REEL_BPF_AIO_RESULTS 255

// What to fetch for a call, by its number; filled in from CallShape. Argument numbers, or 255.
struct reel_bpf_shape {
  unsigned char wanted;
  unsigned char path, path2;
  unsigned char path_at;  // as CallShape::path_at
  unsigned char blob, blob_size, blob_after;
  unsigned char blob2;
  unsigned char vector;
  unsigned char aio;    // 1: io_submit, 2: io_getevents; what they have in memory comes as the path
  unsigned char opens;  // the result is a descriptor whose file is to be told
  unsigned char futex;  // nothing is told of it but who woke whom
};

enum reel_bpf_kind {
  REEL_BPF_CALL = 1,
  REEL_BPF_FORK = 2,   // args[0]: tid of the new one
  REEL_BPF_EXEC = 3,   // path: the program; path2: its arguments
  REEL_BPF_EXIT = 4,   // args[0]: exit code; args[1]: 1 when the process is gone
  REEL_BPF_URING = 5,  // args: opcode, offset, length, descriptor, user data, ring
  REEL_BPF_WAKE = 6,   // args[0]: its number among the calls of its thread that woke somebody
  REEL_BPF_WOKEN = 7,  // args[0]: number of the call that woke it, 0: it was an end; args[1]: tid of whose
};

// A record in the ring: this, then path_size and path2_size bytes.
struct reel_bpf_event {
  unsigned long long enter_ns, exit_ns;
  unsigned long long off_enter, off_exit;  // nanoseconds that the thread was on no processor in its life, then and then
  unsigned long long queued_enter, queued_exit;  // of those: that it was ready to run, as the kernel counts them
  long long result;
  unsigned long long args[6];
  unsigned int kind, number;
  unsigned int tgid, tid, parent;
  unsigned int uid, gid;
  unsigned int path_size, path2_size;
  unsigned int has;  // bits: 1 blob, 2 blob2, 4 object
  unsigned char blob[REEL_BPF_BLOB];
  unsigned long long blob2, vector_bytes;
  unsigned long long device, inode, generation, size;
  unsigned int mode, links, object_uid, object_gid;
  char comm[16];
};

#define REEL_BPF_HAS_BLOB 1
#define REEL_BPF_HAS_BLOB2 2
#define REEL_BPF_HAS_OBJECT 4
