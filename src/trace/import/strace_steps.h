// SPDX-License-Identifier: Apache-2.0
//
// What is known of a call of strace's output before it goes to the assembler: whose it is, its place
// in the order of effects, the names and objects it was about. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "trace/collect/assemble/initial_state.h"
#include "trace/collect/syscalls/syscalls.h"
#include "trace/import/strace_lines.h"

namespace reel::trace {

struct StraceStep {
  FetchedCall call;
  size_t enter_line = 0, exit_line = 0;
  int32_t tid = 0, pid = 0, parent = 0;  // parent: tid of the maker, 0: not known
  bool begins = false;                   // the first of its thread
  bool is_end = false, by_signal = false, returned = true;
  int status = 0;
  std::string leads, leads2;  // what its descriptors lead to (strace_leads)
  std::string opened;         // what the descriptor that it gave out leads to
  uint32_t stat_mode = 0;     // of a call of the stat family, when strace showed it; 0: it did not
  uint64_t stat_size = 0;
  std::string link_text;  // of readlink
  uint64_t object = 0;    // number of the file, from 1; 0: not known
  bool creates = false;   // it made the file, or nothing says that the file was there
};

// A step of a call: `call` may be an end. Its thread and object are for the passes below.
StraceStep step_of(StraceCall&& call, FetchedCall&& fetched);

// Brings steps into the order in which they took effect, and their times with it.
// `back`: how often the clock went back by more than strace's rounding explains.
void order_steps(std::vector<StraceStep>& steps, uint64_t& back);

// Whose each step is: processes by what clone was asked for.
void find_owners(std::vector<StraceStep>& steps);

// Which names were which files, and what they were before the program used them, from calls and their results.
class StraceObjects : public Surroundings {
 public:
  // `cwd`: of the first process.
  StraceObjects(std::vector<StraceStep>& steps, const std::string& cwd);

  // A file as an event of the assembler has it.
  wire::Object object(const StraceStep& step) const;
  // Names of directories that lead elsewhere, as results show: name -> what it leads to.
  const std::map<std::string, std::string>& symlinks() const { return inferred_links_; }
  uint64_t unsure() const { return unsure_; }  // files of which it is not told whether they were there before

  bool look(const std::string& path, wire::Object& object, std::string& link_text) override;
  Content content_of(const std::string&, const wire::Object&) override { return Content::unknown; }
  std::string file_system(uint64_t) override { return "? ?"; }
  bool first_hand() const override { return false; }

 private:
  struct File {
    uint32_t mode = 0;  // with type; 0: not told
    uint64_t size = 0;
    bool has_size = false;
    bool touched = false;  // size or mode are the program's doing from here on
    bool maybe_made = false;
  };

  void pass(StraceStep& step);
  void pass_names(StraceStep& step, const Raw& raw);
  void pass_open(StraceStep& step, const Raw& raw);
  void pass_data(StraceStep& step, const Raw& raw);
  void pass_stat(StraceStep& step, const Raw& raw);
  uint64_t number_of(const std::string& path);
  uint64_t make(const std::string& path, uint32_t mode);
  std::string real(const std::string& path) const;
  void moved(const std::string& from, const std::string& to);
  std::string resolved(std::string path) const;
  void infer_link(const std::string& named, const std::string& is);
  bool is_made(const std::string& path) const;

  std::vector<File> files_{1};
  std::map<std::string, uint64_t> names_;               // now
  std::unordered_map<std::string, uint64_t> at_first_;  // when the name was first used
  std::unordered_map<std::string, std::string> real_;   // a name as given -> what it led to
  std::unordered_map<std::string, std::string> links_;  // symlinks that were there, by name
  std::unordered_map<std::string, uint64_t> link_numbers_;
  std::map<std::string, std::string> inferred_links_;
  std::unordered_set<std::string> no_links_;              // names that are something else
  std::vector<std::pair<std::string, std::string>> led_;  // names that were opened, and where that led
  std::set<std::string> made_, absent_;
  std::unordered_map<int32_t, std::string> cwds_;  // by pid
  std::string first_cwd_;
  std::string full_, full2_;
  uint64_t unsure_ = 0;
};

}  // namespace reel::trace
