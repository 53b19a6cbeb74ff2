// SPDX-License-Identifier: Apache-2.0
//
// Makes small traces by hand, for tests of what reads traces: threads with a clock each, calls with
// a gap before them. It keeps the generations of descriptors; everything else is what the test says.
#pragma once

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/env.h"
#include "reel/trace.h"

namespace reel::trace {

class Synthetic {
 public:
  static constexpr uint64_t kStart = 1'700'000'000'000'000'000ull;

  explicit Synthetic(const std::string& dir) : writer_(take(Writer::open(Env::posix(), dir))) {
    fact("format", "1");
    fact("recorder", "synthetic");
    fact("start", std::to_string(kStart));
  }

  void fact(const std::string& key, const std::string& value) { check(writer_->fact(key, value)); }
  StringId string(StringKind kind, const std::string& bytes) { return take(writer_->string(kind, bytes)); }
  StringId path(const std::string& bytes) { return string(StringKind::path, bytes); }

  // A new process (with a copy of its parent's descriptors), or a further thread of `process`.
  uint32_t process(uint32_t parent = 0) { return add_thread(parent, 0); }
  uint32_t thread_of(uint32_t process, uint32_t parent) { return add_thread(parent, process); }

  void file(FileState state) { check(writer_->file(state)); }
  void file(const std::string& name, FileKind kind, uint64_t size = 0, uint32_t mode = 0644) {
    FileState state;
    state.path = path(name);
    state.kind = kind;
    state.size = state.allocated = size;
    state.mode = mode;
    state.known = Known::before;
    file(state);
  }

  void symlink(const std::string& name, const std::string& text) {
    FileState state;
    state.path = path(name);
    state.kind = FileKind::symlink;
    state.link_text = string(StringKind::link_text, text);
    file(state);
  }

  // The call begins `gap` after the thread's last one ended and takes `duration`. Descriptors whose
  // generation is 0 get the current one of their number.
  Event call(Event event, uint64_t gap = 1000, uint64_t duration = 1000) {
    State& state = states_.at(event.thread);
    event.enter_ns = state.now + gap;
    event.duration_ns = duration;
    state.now = event.exit_ns();
    auto& table = tables_[state.process];
    for (Descriptor* fd : {&event.fd, &event.fd2})
      if (fd->number >= 0 && fd->generation == 0) fd->generation = table[fd->number];
    check(writer_->event(event));
    return event;
  }
  // open: the descriptor it gave, with its generation.
  Descriptor open(uint32_t thread, const std::string& name, uint64_t flags, uint64_t mode, int32_t number,
                  uint64_t gap = 1000, uint64_t duration = 1000) {
    Event event = make(thread, Op::open, number);
    event.path = path(name);
    event.flags = flags;
    event.mode = mode;
    event.fd2 = {number, ++tables_[states_.at(thread).process][number]};
    return call(event, gap, duration).fd2;
  }
  Event on_fd(uint32_t thread, Op op, Descriptor fd, uint64_t offset, uint64_t length, int64_t result,
              uint64_t gap = 1000, uint64_t duration = 1000) {
    Event event = make(thread, op, result);
    event.fd = fd;
    event.offset = offset;
    event.length = length;
    return call(event, gap, duration);
  }
  Event on_path(uint32_t thread, Op op, const std::string& name, int64_t result = 0, uint64_t gap = 1000,
                uint64_t duration = 1000) {
    Event event = make(thread, op, result);
    event.path = path(name);
    return call(event, gap, duration);
  }
  static Event make(uint32_t thread, Op op, int64_t result) {
    Event event;
    event.thread = thread;
    event.op = op;
    event.result = result;
    return event;
  }

  uint64_t now(uint32_t thread) const { return states_.at(thread).now; }
  void set_now(uint32_t thread, uint64_t ns) { states_.at(thread).now = ns; }
  Writer& writer() { return *writer_; }

  // The end, on disk. Without it the trace counts as cut off.
  void finish() {
    fact("end", std::to_string(kStart + 1'000'000'000));
    fact("exit", "0");
    check(writer_->commit());
    writer_.reset();
  }

 private:
  struct State {
    uint32_t process = 0;
    uint64_t now = kStart;
  };

  template <class T>
  static T take(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().text());
    return *std::move(result);
  }
  static void check(const Status& status) {
    if (!status) throw std::runtime_error(status.error().text());
  }

  uint32_t add_thread(uint32_t parent, uint32_t process) {
    Thread thread;
    thread.number = static_cast<uint32_t>(states_.size()) + 1;
    thread.process = process == 0 ? thread.number : process;
    thread.parent = parent;
    thread.pid = 1000 + static_cast<int32_t>(thread.process);
    thread.tid = 1000 + static_cast<int32_t>(thread.number);
    State& state = states_[thread.number];
    state.process = thread.process;
    if (parent != 0) {
      state.now = states_.at(parent).now;
      if (process == 0) tables_[thread.number] = tables_[states_.at(parent).process];
    }
    thread.start_ns = state.now;
    check(writer_->thread(thread));
    return thread.number;
  }

  std::unique_ptr<Writer> writer_;
  std::map<uint32_t, State> states_;                        // by thread
  std::map<uint32_t, std::map<int32_t, uint32_t>> tables_;  // by process: number -> generation
};

}  // namespace reel::trace
