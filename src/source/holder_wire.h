// SPDX-License-Identifier: Apache-2.0
//
// What reel and its holder say to each other: one Request, one Reply, always whole (SEQPACKET).
#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "source/fanotify_group.h"

namespace reel::source {

inline constexpr const char* kHolderSocket = "hold.sock";
inline constexpr uint32_t kHolderMagic = 0x52654c48;  // "HLeR"; changes when these structures do

enum class HolderCommand : uint32_t { attach = 1, quit = 2 };
enum class HolderAnswer : uint32_t { attached = 1, busy = 2 };

struct HolderRequest {
  uint32_t magic = kHolderMagic;
  HolderCommand command = HolderCommand::attach;
  int32_t hold_seconds = 0;
};

struct HolderReply {
  uint32_t magic = kHolderMagic;
  HolderAnswer answer = HolderAnswer::attached;  // attached: the group and the memfd come with it
};

inline constexpr int kHolderFds = 2;

// True when the process at the other end is of our user, or root.
inline bool peer_is_trusted(int socket) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == ::geteuid() || peer.uid == 0);
}

// What the holder's process is given.
struct HolderCharge {
  int listening;
  int state_dir;
  int group;
  int memfd;
  uint64_t socket_ino;
  int hold_seconds;
  FileSystem fs;
};

// Forks the holder off and ends; the holder lives. Runs in a process that was just forked from one
// with many threads: allocates nothing and takes no lock.
[[noreturn]] void run_holder(HolderCharge charge);

}  // namespace reel::source
