// SPDX-License-Identifier: Apache-2.0
//
// Running recordings, and a trace as lines.
#include "recorded.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>

#include "base/env.h"

namespace reel::trace {
namespace {

// What descriptors were opened as; generation by generation, so the order does not matter.
class Names {
 public:
  explicit Names(const Recording& run) : run_(run) {
    // Copies come after what they copy, by time.
    for (uint32_t i : run.trace.by_entry()) {
      const Event& event = run.trace.events[i];
      if (event.failed() || event.fd2.generation == 0) continue;
      if (event.op == Op::open) put(event, event.fd2, inside(event.path));
      if (event.op == Op::open && !inside(event.path).empty()) objects_.insert(event.object);
      if (event.op == Op::dup || event.op == Op::dup2) put(event, event.fd2, of(event, event.fd));
    }
  }

  bool is_inside(const Fid& object) const { return objects_.count(object) != 0; }

  // Relative to the work directory; empty: not in it.
  std::string inside(StringId path) const {
    const std::string& whole = run_.trace.string(path);
    std::string work = run_.work() + "/";
    return whole.starts_with(work) ? whole.substr(work.size()) : "";
  }

  std::string of(const Event& event, Descriptor fd) const {
    for (uint32_t process = process_of(event); process != 0; process = parent_of(process)) {
      auto at = names_.find({process, {fd.number, fd.generation}});
      if (at != names_.end()) return at->second;
    }
    return "";
  }

 private:
  uint32_t process_of(const Event& event) const { return run_.trace.threads[event.thread - 1].process; }
  uint32_t parent_of(uint32_t process) const {
    uint32_t parent = run_.trace.threads[process - 1].parent;
    return parent == 0 ? 0 : run_.trace.threads[parent - 1].process;
  }
  void put(const Event& event, Descriptor fd, const std::string& name) {
    names_[{process_of(event), {fd.number, fd.generation}}] = name;
  }

  const Recording& run_;
  std::set<Fid> objects_;  // files in it
  std::map<std::pair<uint32_t, std::pair<int32_t, uint32_t>>, std::string> names_;
};

bool has_range(Op op) {
  RecordType type = type_of(op);
  return type == RecordType::read || type == RecordType::write;
}

std::string line_of(const Event& event, const Names& names) {
  std::string name = names.inside(event.path);
  if (event.path == 0) name = names.of(event, event.fd);
  if ((event.op == Op::msync || event.op == Op::munmap) && names.is_inside(event.object)) name = "mapping";
  if (name.empty()) return "";
  std::string line = std::string(op_name(event.op)) + " " + name;
  if (event.op == Op::rename || event.op == Op::link) line += " " + names.inside(event.path2);
  if (has_range(event.op) || event.op == Op::mmap || event.op == Op::msync)
    line += " " + std::to_string(event.offset) + "+" + std::to_string(event.length);
  if (event.op == Op::truncate) line += " " + std::to_string(event.length);
  bool plain = event.op == Op::open || event.op == Op::dup || event.op == Op::dup2 || event.op == Op::mmap;
  if (!plain || event.failed()) line += "=" + std::to_string(event.result);
  return line;
}

}  // namespace

int shell(const std::string& command) {
  int status = std::system(command.c_str());
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void record_into(Recording& run, const std::string& via, const std::string& command, const std::string& options) {
  std::filesystem::create_directory(run.work());
  ::chmod(run.work().c_str(), 0777);
  ::chmod(run.dir.path().c_str(), 0755);
  run.exit_code = shell("cd " + run.work() + " && exec " REEL_BINARY " record --via " + via + " -o " + run.log() + " " +
                        options + " -- " + command + " 2> " + run.dir.at("said"));
  std::ifstream said(run.dir.at("said"));
  run.said.assign(std::istreambuf_iterator<char>(said), {});
  Result<Trace> trace = load(Env::posix(), run.log());
  if (!trace) throw std::runtime_error(trace.error().text() + "; reel said: " + run.said);
  run.trace = *std::move(trace);
}

std::map<uint32_t, std::vector<std::string>> lines_of(const Recording& run) {
  Names names(run);
  std::map<uint32_t, std::vector<std::string>> lines;
  for (const Event& event : run.trace.events) {
    std::string line = line_of(event, names);
    if (!line.empty()) lines[event.thread].push_back(line);
  }
  return lines;
}

std::vector<std::string> all_lines(const Recording& run) {
  std::vector<std::string> all;
  for (auto& [thread, lines] : lines_of(run)) all.insert(all.end(), lines.begin(), lines.end());
  return all;
}

}  // namespace reel::trace
