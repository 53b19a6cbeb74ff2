// SPDX-License-Identifier: Apache-2.0
//
// Which file each call was about.
#include "report/files.h"

namespace reel::report {

using trace::Descriptor;
using trace::Event;
using trace::Op;

Files::Files(const trace::Trace& trace) : trace_(trace) {
  for (uint32_t i : trace.by_entry()) {
    const Event& event = trace.events[i];
    bool copies = event.op == Op::dup || event.op == Op::dup2;
    if (event.failed() || (event.op != Op::open && !copies)) continue;
    if (event.thread == 0 || event.thread > trace.threads.size()) continue;
    uint32_t process = trace.threads[event.thread - 1].process;
    trace::StringId name = event.path;
    if (copies) {
      for (uint32_t at = process; at != 0 && name == 0;) {
        auto from = names_.find({at, event.fd.number, event.fd.generation});
        if (from != names_.end()) name = from->second;
        uint32_t parent = trace.threads[at - 1].parent;
        at = parent == 0 ? 0 : trace.threads[parent - 1].process;
      }
    }
    names_[{process, event.fd2.number, event.fd2.generation}] = name;
  }
}

const std::string& Files::of_descriptor(uint32_t process, Descriptor fd) const {
  while (process != 0 && process <= trace_.threads.size()) {
    auto at = names_.find({process, fd.number, fd.generation});
    if (at != names_.end()) return trace_.string(at->second);
    uint32_t parent = trace_.threads[process - 1].parent;  // it was open when the process was made
    process = parent == 0 ? 0 : trace_.threads[parent - 1].process;
  }
  return trace_.string(0);
}

const std::string& Files::of(const Event& event) const {
  if (event.path != 0) return trace_.string(event.path);
  if (event.thread == 0 || event.thread > trace_.threads.size() || event.fd.number < 0) return trace_.string(0);
  return of_descriptor(trace_.threads[event.thread - 1].process, event.fd);
}

}  // namespace reel::report
