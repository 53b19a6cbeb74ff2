// SPDX-License-Identifier: Apache-2.0
//
// The plan against a model: made-up programs of several threads and processes are recorded on a
// model file system; then the plan is played on another one in random orders that its needs allow.
// Every result must be the recorded one, and the trees equal. REEL_REPLAY_SEED and
// REEL_REPLAY_SEEDS repeat and lengthen.
#include "replay/plan/plan.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <random>

#include "model_fs.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Op;
using trace::Trace;

struct OpenFile {
  int64_t inode = 0;
  uint64_t position = 0;
  bool append = false;
};

uint64_t number_from(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Writes a program down while it runs on the model.
class Recording {
 public:
  explicit Recording(uint64_t seed) : random_(seed) {
    trace.string_kinds.resize(1);
    add_thread(0, 0);
    processes_[1] = {};
    initial_tree();
    unsigned steps = 20 + pick(60);
    for (unsigned i = 0; i < steps; ++i) step();
    for (size_t i = 0; i < trace.events.size(); ++i) trace.events[i].index = i + 1;
  }

  Trace trace;
  ModelFs fs;

 private:
  struct ProcessState {
    std::map<int32_t, std::shared_ptr<OpenFile>> table;
    std::map<int32_t, uint32_t> generations;
  };

  unsigned pick(unsigned below) { return static_cast<unsigned>(random_() % below); }

  trace::StringId string(const std::string& text) {
    for (size_t i = 1; i < trace.strings.size(); ++i)
      if (trace.strings[i] == text) return static_cast<trace::StringId>(i);
    trace.strings.push_back(text);
    trace.string_kinds.push_back(trace::StringKind::path);
    return static_cast<trace::StringId>(trace.strings.size() - 1);
  }

  void add_thread(uint32_t process, uint32_t parent) {
    trace::Thread thread;
    thread.number = static_cast<uint32_t>(trace.threads.size() + 1);
    thread.process = process == 0 ? thread.number : process;
    thread.parent = parent;
    trace.threads.push_back(thread);
    free_at_.push_back(time_);
  }

  void initial_tree() {
    for (const char* name : {"/a", "/b"}) {
      fs.make(fs.find(name, false), ModelFs::Kind::directory, "");
      state(name, FileKind::directory, 0, "");
    }
    int64_t inode;
    fs.open(fs.find("/a/x", false), O_CREAT, inode);
    fs.inode(inode).size = 100;
    state("/a/x", FileKind::file, 100, "");
    fs.make(fs.find("/l", false), ModelFs::Kind::symlink, "a");
    state("/l", FileKind::symlink, 1, "a");
  }
  void state(const std::string& path, FileKind kind, uint64_t size, const std::string& text) {
    trace::FileState state;
    state.path = string(path);
    state.kind = kind;
    state.size = size;
    state.known = trace::Known::before;
    state.object = {static_cast<uint64_t>(fs.look(fs.find(path, false))), 1, 0};
    if (!text.empty()) state.link_text = string(text);
    trace.files.push_back(state);
  }

  std::string some_path() {
    static const char* const kTops[] = {"/a", "/b", "/l", "/c"};
    static const char* const kNames[] = {"/x", "/y", "/d", "/d/x", "/d/../y", ""};
    return std::string(kTops[pick(4)]) + kNames[pick(6)];
  }

  // A call that takes effect at its exit, `now`; it may have begun before others ended.
  void put(uint32_t thread, Event event, bool at_entry = false) {
    time_ += 100;
    uint64_t begin = std::max(free_at_[thread - 1] + 1, time_ - std::min<uint64_t>(time_, pick(1000)));
    event.thread = thread;
    event.enter_ns = at_entry ? time_ : begin;
    event.duration_ns = at_entry ? 1 : time_ - event.enter_ns;
    free_at_[thread - 1] = event.exit_ns();
    trace.events.push_back(event);
  }

  void step() {
    uint32_t thread = 1 + pick(static_cast<unsigned>(trace.threads.size()));
    ProcessState& process = processes_[trace.threads[thread - 1].process];
    unsigned kind = pick(20);
    if (kind < 2 && trace.threads.size() < 5) return make_thread(thread, kind == 0);
    if (kind < 12) return by_name(thread, process);
    by_descriptor(thread, process);
  }

  void make_thread(uint32_t thread, bool forks) {
    Event event;
    event.op = forks ? Op::fork : Op::clone_thread;
    event.result = 100;
    event.arg = trace.threads.size() + 1;
    put(thread, event, true);
    uint32_t process = trace.threads[thread - 1].process;
    add_thread(forks ? 0 : process, thread);
    if (forks) processes_[trace.threads.back().process] = processes_[process];
  }

  Fid object_of(int64_t inode) { return inode > 0 ? Fid{static_cast<uint64_t>(inode), 1, 0} : Fid{}; }

  void by_name(uint32_t thread, ProcessState& process) {
    Event event;
    std::string path = some_path();
    event.path = string(path);
    switch (pick(9)) {
      case 0:
      case 1:
        return open(thread, process, event, path);
      case 2:
        event.op = Op::mkdir;
        event.result = fs.make(fs.find(path, false), ModelFs::Kind::directory, "");
        break;
      case 3:
        event.op = Op::rmdir;
        event.result = fs.rmdir(fs.find(path, false));
        break;
      case 4:
        event.op = Op::unlink;
        event.result = fs.unlink(fs.find(path, false));
        break;
      case 5: {
        event.op = Op::rename;
        std::string to = some_path();
        event.path2 = string(to);
        event.result = fs.rename(fs.find(path, false), fs.find(to, false));
        break;
      }
      case 6: {
        event.op = Op::link;
        std::string to = some_path();
        event.path2 = string(to);
        event.result = fs.link(fs.find(path, false), fs.find(to, false));
        break;
      }
      case 7: {
        event.op = Op::symlink;
        std::string text = pick(2) == 0 ? "x" : some_path();
        event.path2 = string(text);
        event.result = fs.make(fs.find(path, false), ModelFs::Kind::symlink, text);
        break;
      }
      default:
        event.op = Op::stat;
        event.result = std::min<int64_t>(0, fs.look(fs.find(path, true)));
    }
    put(thread, event);
  }

  void open(uint32_t thread, ProcessState& process, Event event, const std::string& path) {
    event.op = Op::open;
    static const uint64_t kFlags[] = {O_RDONLY,
                                      O_RDWR | O_CREAT,
                                      O_WRONLY | O_CREAT | O_EXCL,
                                      O_WRONLY | O_TRUNC,
                                      O_WRONLY | O_CREAT | O_APPEND,
                                      O_RDONLY | O_DIRECTORY};
    event.flags = kFlags[pick(5)];
    bool follow = (event.flags & O_EXCL) == 0;
    ModelFs::Place place = fs.find(path, follow);
    bool absent = fs.look(place) == -ENOENT;
    int64_t inode;
    event.result = fs.open(place, static_cast<int>(event.flags), inode);
    if (event.result >= 0) {
      if ((event.flags & O_CREAT) != 0 && absent) event.arg2 = 1;
      event.object = object_of(inode);
      int32_t number = 3;
      while (process.table.count(number) != 0) ++number;
      process.table[number] = std::make_shared<OpenFile>(OpenFile{inode, 0, (event.flags & O_APPEND) != 0});
      event.fd2 = {number, ++process.generations[number]};
      event.result = number;
    }
    put(thread, event);
  }

  void by_descriptor(uint32_t thread, ProcessState& process) {
    if (process.table.empty()) return;
    auto entry = process.table.begin();
    std::advance(entry, pick(static_cast<unsigned>(process.table.size())));
    OpenFile& file = *entry->second;
    Event event;
    event.fd = {entry->first, process.generations[entry->first]};
    if (pick(6) == 0) {
      event.op = Op::close;
      put(thread, event, true);
      process.table.erase(entry);
      return;
    }
    if (fs.inode(file.inode).kind != ModelFs::Kind::file) return;
    event.object = object_of(file.inode);
    event.length = 1 + pick(80);
    event.offset = file.position;
    switch (pick(6)) {
      case 0:
        event.op = Op::read;
        event.result = fs.read(file.inode, file.position, event.length);
        file.position += static_cast<uint64_t>(event.result);
        break;
      case 1:
        event.op = Op::write;
        if (file.append) file.position = event.offset = fs.inode(file.inode).size;
        event.result = fs.write(file.inode, file.position, event.length);
        file.position += event.length;
        break;
      case 2:
        event.op = Op::pread;
        event.offset = pick(200);
        event.result = fs.read(file.inode, event.offset, event.length);
        break;
      case 3:
        event.op = Op::pwrite;
        event.offset = pick(200);
        event.result = fs.write(file.inode, event.offset, event.length);
        break;
      case 4:
        event.op = Op::truncate;
        fs.inode(file.inode).size = event.length;
        event.result = 0;
        break;
      default: {
        event.op = Op::dup;
        int32_t number = 3;
        while (process.table.count(number) != 0) ++number;
        std::shared_ptr<OpenFile> shared = entry->second;
        process.table[number] = shared;
        event.fd2 = {number, ++process.generations[number]};
        event.result = number;
      }
    }
    put(thread, event);
  }

  std::mt19937_64 random_;
  uint64_t time_ = 10'000;
  std::vector<uint64_t> free_at_;  // by thread
  std::map<uint32_t, ProcessState> processes_;
};

// Plays the plan's steps on a model of its own.
class Playing {
 public:
  Playing(const Trace& trace, const Plan& plan) : trace_(trace), plan_(plan), slots_(plan.slots) {
    std::vector<const Initial*> order;
    for (const Initial& initial : plan.initial) order.push_back(&initial);
    std::sort(order.begin(), order.end(), [](const Initial* a, const Initial* b) { return a->path < b->path; });
    for (const Initial* initial : order) {
      ModelFs::Place place = fs.find(initial->path, false);
      if (initial->kind == FileKind::file) {
        int64_t inode;
        fs.open(place, O_CREAT, inode);
        fs.inode(inode).size = initial->size;
      } else {
        fs.make(place, initial->kind == FileKind::symlink ? ModelFs::Kind::symlink : ModelFs::Kind::directory,
                initial->link_text);
      }
    }
  }

  int64_t play(const Step& step) {
    const Event& event = trace_.events[step.event];
    for (uint32_t i = 0; i < step.effect_count; ++i) {
      const Effect& effect = plan_.effects[step.effects + i];
      slots_[effect.from == 0 ? 0
             : effect.to == 0 ? effect.from
                              : effect.to] = effect.to == 0 ? nullptr : slots_[effect.from];
    }
    if (step.skip != Skip::none) return event.result;
    if (step.name != 0) return by_name(step, event);
    return by_descriptor(step, event);
  }

  ModelFs fs;

 private:
  ModelFs::Place place(uint32_t dir, uint32_t name) {
    int64_t at = fs.look(fs.find(plan_.dirs[dir].path, true));
    if (at >= 0 && fs.inode(at).kind != ModelFs::Kind::directory) at = -ENOTDIR;
    // A directory that is kept open is the one it always was.
    if (plan_.dirs[dir].instance != 0 && at >= 0) {
      auto [kept, first] = instances_.try_emplace(plan_.dirs[dir].instance, at);
      EXPECT_EQ(kept->second, at) << "another directory at " << plan_.dirs[dir].path;
    }
    return {at, plan_.names[name]};
  }

  int64_t by_name(const Step& step, const Event& event) {
    ModelFs::Place at = place(step.dir, step.name);
    switch (event.op) {
      case Op::open: {
        int64_t inode;
        int64_t result = fs.open(at, static_cast<int>(event.flags), inode);
        if (result < 0) return result;
        slots_[step.slot2] = std::make_shared<OpenFile>(OpenFile{inode, 0, (event.flags & O_APPEND) != 0});
        return event.failed() ? 0 : event.result;
      }
      case Op::mkdir:
        return fs.make(at, ModelFs::Kind::directory, "");
      case Op::symlink:
        return fs.make(at, ModelFs::Kind::symlink, trace_.string(event.path2));
      case Op::rmdir:
        return fs.rmdir(at);
      case Op::unlink:
        return fs.unlink(at);
      case Op::rename:
        return fs.rename(at, place(step.dir2, step.name2));
      case Op::link:
        return fs.link(at, place(step.dir2, step.name2));
      default:
        return std::min<int64_t>(0, fs.look(at));
    }
  }

  int64_t by_descriptor(const Step& step, const Event& event) {
    std::shared_ptr<OpenFile> file = slots_[step.slot];
    if (!file) return -EBADF;
    switch (event.op) {
      case Op::close:
        slots_[step.slot] = nullptr;
        return 0;
      case Op::dup:
        slots_[step.slot2] = file;
        return event.result;
      case Op::read: {
        int64_t result = fs.read(file->inode, file->position, event.length);
        file->position += static_cast<uint64_t>(result);
        return result;
      }
      case Op::write:
        if (file->append) file->position = fs.inode(file->inode).size;
        file->position += event.length;
        return fs.write(file->inode, file->position - event.length, event.length);
      case Op::pread:
        return fs.read(file->inode, event.offset, event.length);
      case Op::pwrite:
        return fs.write(file->inode, event.offset, event.length);
      default:  // truncate
        fs.inode(file->inode).size = event.length;
        return 0;
    }
  }

  const Trace& trace_;
  const Plan& plan_;
  std::vector<std::shared_ptr<OpenFile>> slots_;
  std::map<uint32_t, int64_t> instances_;
};

std::string text_of(const Trace& trace, const Event& event) {
  return std::to_string(event.index) + " " + op_name(event.op) + " " + trace.string(event.path) + " " +
         trace.string(event.path2) + " fd " + std::to_string(event.fd.number) + " thread " +
         std::to_string(event.thread) + " @ " + std::to_string(event.offset) + "+" + std::to_string(event.length) +
         " flags " + std::to_string(event.flags) + " = " + std::to_string(event.result);
}

void play_in_some_order(const Recording& recording, const Plan& plan, uint64_t seed) {
  std::mt19937_64 random(seed);
  Playing playing(recording.trace, plan);
  std::vector<uint32_t> done(plan.threads.size() + 1);
  std::vector<uint32_t> running = plan.first;
  std::vector<std::string> history;
  for (size_t played = 0; played < plan.steps; ++played) {
    std::vector<uint32_t> ready;
    for (uint32_t thread : running) {
      if (done[thread] >= plan.threads[thread - 1].size()) continue;
      const Step& step = plan.threads[thread - 1][done[thread]];
      bool may = true;
      for (uint32_t i = 0; i < step.need_count; ++i)
        may = may && done[plan.needs[step.needs + i].thread] >= plan.needs[step.needs + i].count;
      if (may) ready.push_back(thread);
    }
    ASSERT_FALSE(ready.empty()) << "nobody may go on after " << played << " of " << plan.steps;
    uint32_t thread = ready[random() % ready.size()];
    const Step& step = plan.threads[thread - 1][done[thread]];
    const Event& event = recording.trace.events[step.event];
    history.push_back(text_of(recording.trace, event));
    int64_t result = playing.play(step);
    if (result != event.result) {
      std::string told = " recorded:\n";
      for (const Event& was : recording.trace.events) told += "  " + text_of(recording.trace, was) + "\n";
      told += "played:\n";
      for (const std::string& line : history) told += "  " + line + "\n";
      FAIL() << "record " << event.index << ": " << event.result << " was, " << result << " is\nplayed:\n" << told;
    }
    ++done[thread];
    if (step.starts != 0) running.push_back(step.starts);
  }
  std::vector<std::string> left, right;
  const_cast<Recording&>(recording).fs.tree(left);
  playing.fs.tree(right);
  EXPECT_EQ(left, right);
}

TEST(Plan, EveryOrderThatItAllowsHasTheRecordedResults) {
  uint64_t first = number_from("REEL_REPLAY_SEED", 1), count = number_from("REEL_REPLAY_SEEDS", 2000);
  if (std::getenv("REEL_REPLAY_SEED")) count = number_from("REEL_REPLAY_SEEDS", 1);
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("REEL_REPLAY_SEED=" + std::to_string(seed));
    Recording recording(seed);
    for (bool strict : {false, true}) {
      PlanOptions options;
      options.strict = strict;
      Result<Plan> plan = make_plan(recording.trace, options);
      if (recording.trace.events.empty()) continue;
      ASSERT_TRUE(plan) << plan.error().text();
      for (uint64_t order = 0; order < 3; ++order) play_in_some_order(recording, *plan, seed * 1000 + order);
    }
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace reel::replay
