// SPDX-License-Identifier: Apache-2.0
//
// One system call on its way to be an event: what its arguments mean, by family.
#pragma once

#include "trace/collect/syscalls/syscalls.h"

namespace reel::trace {

class Conversion {
 public:
  Conversion(const FetchedCall& call, Raw& raw) : call_(call), raw_(raw), e_(raw.event), a_(call.arguments) {}

  // False: the call says nothing that a trace has room for.
  bool run();

 private:
  static int32_t int_of(uint64_t argument) { return static_cast<int32_t>(argument); }
  static uint32_t word(uint64_t argument) { return static_cast<uint32_t>(argument); }
  void set(Op op) { e_.op = static_cast<uint16_t>(op); }
  bool failed() const { return call_.result < 0; }

  // syscalls_descriptors.cpp
  void descriptors();
  void other_fd();
  void ends();
  void fcntl_call();
  // syscalls_data.cpp
  bool data();  // false: it is about memory that is no file's
  void moves();
  void source_offset();
  void vector();
  void ioctl_call();
  // syscalls_names.cpp
  void names();
  bool socket_name();  // false: it is no file's
  void attributes();
  void xattrs();
  template <class Of>
  void times(uint64_t pointer, Of of);
  // syscalls_processes.cpp
  void processes();
  void users();
  void asynchronous();

  const FetchedCall& call_;
  Raw& raw_;
  RawEvent& e_;
  const uint64_t* a_;
};

}  // namespace reel::trace
