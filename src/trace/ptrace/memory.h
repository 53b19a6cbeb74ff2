// SPDX-License-Identifier: Apache-2.0
//
// Reading a stopped process's memory, and the world as it sees it.
#pragma once

#include <optional>
#include <string>

#include "trace/collect/syscalls/syscalls.h"

namespace reel::trace {

// What of a call lies in memory before it is made, and after.
void fetch_before(int32_t tid, FetchedCall& call);
void fetch_after(int32_t tid, FetchedCall& call);

// What is at the process's path (relative to its directory `dirfd`); links 0: nothing.
wire::Object look_as(int32_t tid, int32_t dirfd, const std::string& path, bool follow);
// What its descriptor leads to.
std::optional<wire::Object> look_at_fd(int32_t tid, int32_t fd);

}  // namespace reel::trace
