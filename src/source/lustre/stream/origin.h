// SPDX-License-Identifier: Apache-2.0
//
// The origin file of a stream: which index of the MDT stands behind which index of the stream, and
// whose records they are. Text, one line each:
//
//   reel-origin 1
//   mdt lustre-MDT0001
//   user cl3-reel
//   incarnation 7               of the MDT when it was last looked at; 0: not known
//   owes_gap 0
//   from 35 offset 0            from stream index 35 on, MDT index = stream index - offset
//
// It is on disk before the first record of a new offset is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/env.h"
#include "reel/result.h"

namespace reel::source::lustre {

struct Origin {
  struct Span {
    uint64_t from = 0;   // stream index
    int64_t offset = 0;  // stream index - MDT index
  };
  std::string mdt, user;
  uint64_t incarnation = 0;
  bool owes_gap = false;    // a GAP has to come before the next record is believed
  std::vector<Span> spans;  // by `from`

  // Spans that begin behind `last` were never used; those before it but for one are not needed.
  void trim(uint64_t last);
  // The MDT's index at stream index `at`; 0 when not known.
  uint64_t mdt_index(uint64_t at) const;

  std::string text() const;
  static Result<Origin> parse(const std::string& text);

  // not_found when there is none; corrupt, newer.
  static Result<Origin> load(Env& env, const std::string& path);
  Status save(Env& env, const std::string& dir, const std::string& path) const;
};

}  // namespace reel::source::lustre
