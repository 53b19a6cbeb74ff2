// SPDX-License-Identifier: Apache-2.0
//
// How each file of a trace is used: gathered call by call, by time of entry.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "report/report.h"

namespace reel::report {

class FileUses {
 public:
  // A call about the file `name`, by the process.
  void add(const trace::Event& event, const std::string& name, uint32_t process);
  void add(const trace::Count& count, const std::string& name);
  std::vector<FileUse> sorted() const;

 private:
  // Where the last data call of a descriptor ended, and which way it went.
  struct Last {
    uint64_t end = 0, begin = 0, stride = 0;
    bool any = false;
  };
  // Ranges of bytes, none touching another: begin -> end.
  using Ranges = std::map<uint64_t, uint64_t>;

  void follow(FileUse& use, const trace::Event& event, uint64_t moved, uint32_t process);

  std::map<std::string, FileUse> uses_;
  std::map<std::string, Ranges> written_;
  std::map<std::tuple<uint32_t, int32_t, uint32_t>, Last> last_;
};

}  // namespace reel::report
