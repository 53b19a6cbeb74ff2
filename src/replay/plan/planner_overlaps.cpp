// SPDX-License-Identifier: Apache-2.0
//
// Calls that overlapped in time count in the order of their ends, which need not be the one in which they took effect:
// who made a directory may lose the processor before its call returns, and another finds it meanwhile. Where a result
// about a name can only come from the other order, that one is taken.
#include <errno.h>
#include <fcntl.h>

#include "replay/plan/planner.h"
#include "trace/ops.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Family;
using trace::Op;

bool creates(const Event& event) {
  return event.op == Op::open && (event.flags & O_CREAT) != 0 && (event.flags & O_TMPFILE) != O_TMPFILE;
}

bool says_taken(const Event& event) {
  return event.result == -EEXIST || event.result == -EADDRINUSE;
}

}  // namespace

// What the call's result says of names, when it has any.
std::vector<Planner::Claim> Planner::claims_of(const Event& event) {
  bool good = !event.failed(), nothing = event.result == -ENOENT, taken = says_taken(event);
  if (event.path == 0 || (!good && !nothing && !taken)) return {};
  NodeId node = names_.resolve(trace_.string(event.path), follows(event), nullptr, missing(event));
  NodeId above = names_.parent(node);
  switch (trace::family_of(event.op)) {
    case Family::open:
    case Family::make: {
      bool makes = trace::family_of(event.op) == Family::make || creates(event);
      if (!makes || taken) return {{node, !nothing}};
      bool was_absent = good && (event.op != Op::open || (event.flags & O_EXCL) != 0 || event.arg2 == 1);
      if (was_absent) return {{above, true}, {node, false}};
      return {{above, good}};
    }
    case Family::remove:
    case Family::question:
    case Family::truncate:
      if (taken) return {};
      return {{node, good}};
    case Family::move: {
      NodeId to = names_.resolve(trace_.string(event.path2), false, nullptr, missing(event));
      if (nothing) return {};  // which of the two it was is not known
      if (taken) return {{node, true}, {to, true}};
      if (event.op == Op::link) return {{node, true}, {names_.parent(to), true}, {to, false}};
      return {{node, true}, {names_.parent(to), true}};
    }
    default:
      return {};
  }
}

// The call puts something at a name, or takes it from there.
bool Planner::makes_true(const Event& event, const Claim& claim) {
  if (event.failed() || event.path == 0) return false;
  Family family = trace::family_of(event.op);
  if (claim.present) {
    if (family != Family::make && family != Family::move && !creates(event)) return false;
    trace::StringId made = family == Family::move ? event.path2 : event.path;
    return names_.resolve(trace_.string(made), event.op == Op::open && follows(event)) == claim.node;
  }
  if (family != Family::remove && event.op != Op::rename) return false;
  NodeId gone = names_.resolve(trace_.string(event.path), false);
  for (NodeId node = claim.node; node != 0; node = names_.parent(node))
    if (node == gone) return true;
  return false;
}

// The thread whose call, begun and not yet taken, has to be there before the next one of `thread` can have had its
// result; 0: none.
uint32_t Planner::overtaken(uint32_t thread) {
  const ThreadState& state = threads_[thread];
  const Event& event = trace_.events[state.events[state.next]];
  if (queue_.empty() || event.path == 0) return 0;
  for (Claim claim : claims_of(event)) {
    if (claim.node == 0 || names_.is_virtual(claim.node)) continue;
    NodeId hole = names_.hole_above(claim.node);
    bool is_there = names_.known(claim.node) && hole == 0;
    if (claim.present ? hole == 0 : !is_there) continue;
    if (claim.present) claim.node = hole;
    for (uint32_t other = 1; other < threads_.size(); ++other) {
      const ThreadState& late = threads_[other];
      if (other == thread || !late.queued) continue;
      uint32_t index = late.events[late.next];
      const Event& its = trace_.events[index];
      if (its.enter_ns < event.exit_ns() && !is_apart(index) && makes_true(its, claim)) return other;
    }
  }
  return 0;
}

}  // namespace reel::replay
