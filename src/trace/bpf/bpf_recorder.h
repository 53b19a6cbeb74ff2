// SPDX-License-Identifier: Apache-2.0
//
// The BPF recorder: as root, every system call of a command and all it starts (static programs, Go),
// and io_uring's requests, by the kernel's tracepoints; about a microsecond a call. Only what the
// command started is recorded, so never reel itself.
#pragma once

#include <string>
#include <vector>

#include "trace/collect/assemble/assembler.h"
#include "trace/recording/command.h"

namespace reel::trace {

// True when this machine and this user can use it.
bool bpf_possible();

// Runs the command until it has ended, and what it left behind has or has had its time; its exit code.
// Errors: unsupported (with the kernel's reason), not_found, permission.
Result<Ran> run_bpf(Assembler& assembler, Writer& writer, const std::vector<std::string>& command);

}  // namespace reel::trace
