// SPDX-License-Identifier: Apache-2.0
//
// Which file each call of a trace was about: by its path, or by what its descriptor was opened as.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "reel/trace.h"

namespace reel::report {

class Files {
 public:
  explicit Files(const trace::Trace& trace);
  // The name, or "" when it is not known. Of reads and writes: of `fd`.
  const std::string& of(const trace::Event& event) const;

 private:
  const std::string& of_descriptor(uint32_t process, trace::Descriptor fd) const;

  const trace::Trace& trace_;
  std::map<std::tuple<uint32_t, int32_t, uint32_t>, trace::StringId> names_;  // process, number, generation
};

}  // namespace reel::report
