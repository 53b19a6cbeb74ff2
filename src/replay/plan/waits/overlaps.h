// SPDX-License-Identifier: Apache-2.0
//
// Calls that overlapped in time count in the order of their ends, which need not be the one in which they took effect:
// who made a directory may lose the processor before its call returns, and another finds it meanwhile. Where a result
// about a name, or a file's size, can only come from the other order, that one is taken.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "replay/plan/things/files.h"
#include "replay/plan/things/names.h"
#include "replay/plan/things/threads.h"
#include "replay/plan/waits/meetings.h"

namespace reel::replay {

class Overlaps {
 public:
  Overlaps(const trace::Trace& trace, Names& names, const Files& files, const Threads& threads,
           const Meetings& meetings)
      : trace_(trace), names_(names), files_(files), threads_(threads), meetings_(meetings) {}

  // The thread whose call, begun and not yet taken, has to be there before the next one of `thread` can have had its
  // result; 0: none.
  uint32_t overtaken(uint32_t thread);

 private:
  using Event = trace::Event;
  struct Claim {
    NodeId node;
    bool present;
  };
  struct Sizes {
    uint64_t least = 0, most = ~0ull;
  };
  std::vector<Claim> claims_of(const Event& event);
  bool makes_true(const Event& event, const Claim& claim);
  NodeId made_by(const Event& event);
  bool takes_away(const Event& event, NodeId node);
  bool found_nothing(const Event& event, NodeId node);
  bool is_what_it_found(const Event& event, const Event& other, NodeId node);
  static Sizes sizes_seen(const Event& event);
  static std::optional<uint64_t> size_after(const Event& event, uint64_t size);
  uint32_t still_finds(uint32_t thread, const Event& event);
  bool somebody_makes(uint32_t thread, const Event& event, const Claim& claim);
  uint32_t overtaken_in_size(uint32_t thread, const Event& event);
  uint32_t find_late(uint32_t thread, const Event& event, const std::function<bool(const Event&)>& wanted);

  const trace::Trace& trace_;
  Names& names_;  // names that are asked for become known to it
  const Files& files_;
  const Threads& threads_;
  const Meetings& meetings_;
};

}  // namespace reel::replay
