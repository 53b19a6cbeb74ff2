// SPDX-License-Identifier: Apache-2.0
//
// See merge.h. Numbers of threads and strings are given anew; a file system has one number for each machine, or one for
// all where it is one that several machines mount under one name.
#include "trace/merge/merge.h"

#include <algorithm>
#include <iterator>
#include <sstream>
#include <string_view>

#include "trace/merge/part.h"
#include "trace/messages.h"
#include "trace/throttle/series.h"

namespace reel::trace {
namespace {

bool has_thread_in_arg(Op op) {
  return op == Op::fork || op == Op::vfork || op == Op::clone_thread || op == Op::wait || op == Op::accept ||
         op == Op::futex_wait;
}

bool is_of_network(const std::string& type) {
  static constexpr std::string_view kTypes[] = {"nfs",       "nfs4",           "lustre",   "ceph", "beegfs",
                                                "gpfs",      "cifs",           "smb3",     "9p",   "virtiofs",
                                                "glusterfs", "fuse.glusterfs", "orangefs", "pvfs2"};
  return std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes);
}

class Merging {
 public:
  Merging(Writer& writer, std::vector<Part> parts) : writer_(writer), parts_(std::move(parts)) {
    auto first = std::find_if(parts_.begin(), parts_.end(), [](const Part& part) { return part.rank == 0; });
    reference_ = first == parts_.end() ? 0 : static_cast<uint32_t>(first - parts_.begin());
    shifts_.by_part.assign(parts_.size(), 0);
  }

  Status run() {
    shifts_ = shifts_for(static_cast<uint32_t>(parts_.size()), reference_, crossings());
    TRY(write_facts());
    for (uint32_t part = 0; part < parts_.size(); ++part) TRY(write_numbers(part));
    TRY(write_files());
    for (uint32_t part = 0; part < parts_.size(); ++part) TRY(write_part(part));
    TRY(write_found());
    TRY(write_doubts());
    return writer_.commit();
  }

 private:
  // How its numbers are in the merged trace.
  struct Numbers {
    uint32_t threads = 0;           // to be added
    std::vector<StringId> strings;  // by the part's own
    std::map<uint32_t, uint32_t> file_systems;
  };

  bool same_clock(const Part& part) const { return part.machine == parts_[reference_].machine; }

  // A time of a part by the reference's clock, before shifts.
  uint64_t by_reference(uint32_t number, uint64_t time) const {
    const Part& part = parts_[number];
    const Part& reference = parts_[reference_];
    if (same_clock(part)) return time - part.ahead + reference.ahead;
    if (part.samples.empty()) return time;
    return to_other_clock(part.samples, time - part.ahead) + reference.ahead;
  }
  uint64_t moved(uint32_t number, uint64_t time) const {
    return by_reference(number, time) + static_cast<uint64_t>(shifts_.by_part[number]);
  }

  // Messages between machines: within one, the clock is one.
  std::vector<Crossing> crossings() const {
    std::vector<Messages> messages;
    for (const Part& part : parts_) messages.push_back(match_messages(part.trace));
    std::map<Channel, uint32_t> senders;
    for (uint32_t part = 0; part < parts_.size(); ++part)
      for (const auto& [channel, ends] : messages[part].channels)
        if (!ends.sent.empty()) senders[channel] = part;
    std::vector<Crossing> found;
    for (uint32_t to = 0; to < parts_.size(); ++to) {
      for (const auto& [channel, ends] : messages[to].channels) {
        auto sender = senders.find(channel);
        if (sender == senders.end() || parts_[sender->second].machine == parts_[to].machine) continue;
        uint32_t from = sender->second;
        const std::vector<uint32_t>& sent = messages[from].channels.at(channel).sent;
        for (size_t i = 0; i < std::min(sent.size(), ends.received.size()); ++i) {
          const Event& begun = parts_[from].trace.events[sent[i]];
          const Event& come = parts_[to].trace.events[messages[to].came.at(ends.received[i])];
          found.push_back({from, to, by_reference(from, begun.enter_ns), by_reference(to, come.exit_ns())});
        }
      }
    }
    return found;
  }

  Status write_facts() {
    const Part& reference = parts_[reference_];
    for (const auto& [key, value] : reference.trace.facts)
      if (!key.starts_with("fs.") && !key.starts_with("found") && key != "exit" && key != "end")
        TRY(writer_.fact(key, value));
    TRY(writer_.fact("merged", std::to_string(parts_.size())));
    std::string exit = "0";
    uint64_t end = 0;
    bool ended = true;
    for (uint32_t number = 0; number < parts_.size(); ++number) {
      const auto& facts = parts_[number].trace.facts;
      auto found = facts.find("exit");
      if (found != facts.end() && found->second != "0") exit = found->second;
      found = facts.find("end");
      ended = ended && found != facts.end();
      if (found != facts.end()) end = std::max(end, moved(number, std::stoull(found->second)));
      for (const char* key : {"host", "kernel", "cpus", "command", "cwd", "exit"})
        if (found = facts.find(key); found != facts.end())
          TRY(writer_.fact("part." + std::to_string(number) + "." + key, found->second));
      for (const auto& [key, value] : facts)
        if (key.starts_with("mpi.")) TRY(writer_.fact(key, value));
    }
    if (ended) TRY(writer_.fact("end", std::to_string(end)));
    return writer_.fact("exit", exit);
  }

  Status write_numbers(uint32_t number) {
    const Part& part = parts_[number];
    Numbers numbers;
    numbers.threads = threads_;
    threads_ += static_cast<uint32_t>(part.trace.threads.size());
    numbers.strings.push_back(0);
    for (size_t i = 1; i < part.trace.strings.size(); ++i) {
      TRY_ASSIGN(StringId id, writer_.string(part.trace.string_kinds[i], part.trace.strings[i]));
      numbers.strings.push_back(id);
    }
    for (const auto& [key, value] : part.trace.facts) {
      if (!key.starts_with("fs.")) continue;
      std::istringstream text(value);
      std::string device, type, mount;
      text >> device >> type >> mount;
      std::string identity = is_of_network(type) ? type : part.machine;
      identity += " " + (is_of_network(type) ? mount : device);
      auto next = static_cast<uint32_t>(file_systems_.size() + 1);
      auto [at, is_new] = file_systems_.try_emplace(identity, next);
      numbers.file_systems[static_cast<uint32_t>(std::stoul(key.substr(3)))] = at->second;
      if (is_new) TRY(writer_.fact("fs." + std::to_string(next), value));
    }
    TRY(writer_.fact("part." + std::to_string(number) + ".threads",
                     std::to_string(numbers.threads + 1) + " " + std::to_string(threads_)));
    TRY(writer_.fact("part." + std::to_string(number) + ".machine", part.machine));
    numbers_.push_back(std::move(numbers));
    for (Thread thread : part.trace.threads) {
      const Numbers& now = numbers_[number];
      thread.number += now.threads;
      thread.process += now.threads;
      if (thread.parent != 0) thread.parent += now.threads;
      thread.start_ns = moved(number, thread.start_ns);
      thread.name = now.strings[thread.name];
      TRY(writer_.thread(thread));
    }
    return ok();
  }

  void renumber(const Numbers& numbers, Fid& fid) const {
    if (fid.is_zero()) return;
    auto at = numbers.file_systems.find(fid.oid);
    if (at != numbers.file_systems.end()) fid.oid = at->second;
  }

  // The part that used a name first knows how it was before the program. Names of machines that differ are one, as they
  // will be where the trace is replayed.
  Status write_files() {
    struct First {
      uint64_t used = ~0ull;
      FileState state;
    };
    std::map<StringId, First> first;
    for (uint32_t number = 0; number < parts_.size(); ++number) {
      const Part& part = parts_[number];
      const Numbers& numbers = numbers_[number];
      std::map<StringId, uint64_t> used;
      for (const Event& event : part.trace.events)
        for (StringId path : {event.path, event.path2}) {
          auto at = used.try_emplace(path, ~0ull).first;
          at->second = std::min(at->second, moved(number, event.enter_ns));
        }
      for (FileState state : part.trace.files) {
        auto at = used.find(state.path);
        uint64_t when = at == used.end() ? ~0ull - 1 : at->second;
        state.path = numbers.strings[state.path];
        state.link_text = numbers.strings[state.link_text];
        renumber(numbers, state.object);
        First& known = first[state.path];
        if (when < known.used) known = {when, state};
      }
    }
    std::vector<const First*> in_order;
    in_order.reserve(first.size());
    for (const auto& [key, value] : first) in_order.push_back(&value);
    std::sort(in_order.begin(), in_order.end(), [](const First* a, const First* b) { return a->used < b->used; });
    for (const First* file : in_order) TRY(writer_.file(file->state));
    return ok();
  }

  Status write_part(uint32_t number) {
    const Part& part = parts_[number];
    const Numbers& numbers = numbers_[number];
    for (Event event : part.trace.events) {
      uint64_t exit = moved(number, event.exit_ns());
      event.index = 0;
      event.enter_ns = moved(number, event.enter_ns);
      event.duration_ns = exit > event.enter_ns ? exit - event.enter_ns : 0;
      event.thread += numbers.threads;
      event.path = numbers.strings[event.path];
      event.path2 = numbers.strings[event.path2];
      if (has_thread_in_arg(event.op) && event.arg != 0) event.arg += numbers.threads;
      renumber(numbers, event.object);
      renumber(numbers, event.object2);
      TRY(writer_.event(event));
    }
    for (Count count : part.trace.counts) {
      if (count.thread != 0) count.thread += numbers.threads;
      count.path = numbers.strings[count.path];
      count.program = numbers.strings[count.program];
      TRY(writer_.count(count));
    }
    for (Loss loss : part.trace.losses) {
      if (loss.thread != 0) loss.thread += numbers.threads;
      loss.time_ns = moved(number, loss.time_ns);
      TRY(writer_.loss(loss));
    }
    return ok();
  }

  // What throttling found in the parts, of their threads by their new numbers.
  Status write_found() {
    std::vector<Series> found;
    for (uint32_t number = 0; number < parts_.size(); ++number) {
      const Trace& trace = parts_[number].trace;
      auto is_own = [&](uint32_t thread) { return thread != 0 && thread <= trace.threads.size(); };
      for (Series series : found_series(trace)) {
        if (!is_own(series.from_thread) || !is_own(series.to_thread)) continue;  // a log may say anything
        series.from_thread += numbers_[number].threads;
        series.to_thread += numbers_[number].threads;
        found.push_back(series);
      }
    }
    return found.empty() ? ok() : write_series(writer_, found);
  }

  Status write_doubts() {
    for (uint32_t number = 0; number < parts_.size(); ++number) {
      const Part& part = parts_[number];
      if (shifts_.by_part[number] != 0)
        TRY(writer_.fact("part." + std::to_string(number) + ".shift", std::to_string(shifts_.by_part[number])));
      if (!same_clock(part) && part.samples.size() < 2)
        TRY(writer_.loss({moved(number, part.ahead), 0, 0,
                          part.log + ": how its machine's clock goes against the others' was not " +
                              (part.samples.empty() ? "measured" : "measured at its end")}));
    }
    if (shifts_.broken > 0)
      TRY(writer_.loss(
          {0, 0, 0, std::to_string(shifts_.broken) + " messages were received before they were sent, by the clocks"}));
    return ok();
  }

  Writer& writer_;
  std::vector<Part> parts_;
  uint32_t reference_ = 0;
  Shifts shifts_;
  std::vector<Numbers> numbers_;
  uint32_t threads_ = 0;
  std::map<std::string, uint32_t> file_systems_;
};

}  // namespace

Result<Merged> merge(Env& env, const std::string& out, const std::vector<std::string>& logs) {
  if (is_trace(env, out)) return Error(Code::exists, out + " holds a trace already; name another directory");
  std::vector<Part> parts;
  for (const std::string& log : logs) {
    Result<Trace> trace = load(env, log);
    if (!trace) return std::move(trace).error().with("merge " + log);
    parts.push_back(part_of(log, *std::move(trace)));
  }
  TRY(make_dirs(env, out));
  TRY_ASSIGN(std::unique_ptr<Writer> writer, Writer::open(env, out));
  TRY(Merging(*writer, std::move(parts)).run());
  Merged merged;
  merged.events = writer->events();
  writer.reset();
  TRY_ASSIGN(Trace whole, load(env, out));
  merged.incomplete = whole.incomplete();
  return merged;
}

}  // namespace reel::trace
