// SPDX-License-Identifier: Apache-2.0
//
// System calls of x86-64 by number: which op each is, where its paths and structures lie, and how its
// arguments become an event. Shared by the recorders that see system calls (ptrace and BPF). Pure.
#pragma once

#include <cstdint>
#include <string>

#include "trace/collect/raw.h"

namespace reel::trace {

inline constexpr int8_t kNoArg = -1;
inline constexpr int8_t kCwdArg = -2;  // the directory is the working directory

enum class Aio : uint8_t { none, requests, results };

// What has to be fetched from the program's memory for a call. Argument numbers, or kNoArg.
struct CallShape {
  uint16_t number;
  Op op;
  int8_t dirfd = kNoArg, path = kNoArg, dirfd2 = kNoArg, path2 = kNoArg;
  uint8_t path_at = 0;   // bytes from where the argument points to the path
  int8_t blob = kNoArg;  // a structure: `blob_size` bytes of it
  uint8_t blob_size = 0;
  bool blob_after = false;    // it holds the answer: fetched when the call has returned
  int8_t blob2 = kNoArg;      // eight bytes more
  int8_t vector = kNoArg;     // an array of iovec; its count is the next argument
  int8_t arguments = kNoArg;  // exec's
  Aio aio = Aio::none;        // requests or results of aio
};

// nullptr: this call is not recorded.
const CallShape* shape_of(uint64_t number);
const CallShape* all_shapes(size_t& count);

// A call with what was fetched for it.
struct FetchedCall {
  const CallShape* shape = nullptr;
  uint64_t arguments[6] = {};
  int64_t result = 0;
  uint64_t enter_ns = 0, exit_ns = 0;
  std::string path, path2, argv, aio;  // empty: there was none, or it could not be read
  uint8_t blob[64] = {};
  bool has_blob = false;
  uint64_t blob2 = 0;
  bool has_blob2 = false;
  uint64_t vector_bytes = 0;
};

// Its event; the views point into the call. False: it says nothing that a trace has room for.
bool to_raw(const FetchedCall& call, Raw& raw);

}  // namespace reel::trace
