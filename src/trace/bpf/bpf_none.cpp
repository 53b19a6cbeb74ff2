// SPDX-License-Identifier: Apache-2.0
//
// In place of the BPF recorder where it could not be built (no clang or libbpf).
#include "trace/bpf/bpf_recorder.h"

namespace reel::trace {

bool bpf_possible() {
  return false;
}

Result<Ran> run_bpf(Assembler&, Writer&, const std::vector<std::string>&) {
  return Error(Code::unsupported,
               "this reel was built without the BPF recorder; install clang and libbpf-dev and build again");
}

}  // namespace reel::trace
