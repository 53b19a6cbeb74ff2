// SPDX-License-Identifier: Apache-2.0
//
// See overlaps.h.
#include "replay/plan/waits/overlaps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include <algorithm>

#include "trace/ops.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Family;
using trace::Op;

bool creates(const Event& event) {
  return event.op == Op::open && (event.flags & O_CREAT) != 0 && (event.flags & O_TMPFILE) != O_TMPFILE;
}

// Whether a symlink at the name itself is followed.
bool follows_last(const Event& event) {
  switch (trace::family_of(event.op)) {
    case Family::make:
    case Family::remove:
      return false;
    case Family::move:
      return event.op == Op::link && (event.flags & AT_SYMLINK_FOLLOW) != 0;
    default:
      return follows(event);
  }
}

bool says_taken(const Event& event) {
  return event.result == -EEXIST || event.result == -EADDRINUSE;
}

}  // namespace

// What the call's result says of names, when it has any.
std::vector<Overlaps::Claim> Overlaps::claims_of(const Event& event) {
  bool good = !event.failed(), nothing = event.result == -ENOENT, taken = says_taken(event);
  if (event.path == 0 || (!good && !nothing && !taken)) return {};
  NodeId node = names_.resolve(trace_.string(event.path), follows_last(event), nullptr, missing(event));
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
      if (nothing) {  // where there is a directory for the second, it was the first; else that is not known
        NodeId into = names_.parent(to);
        bool is_there = names_.known(into) && names_.kind(into) == FileKind::directory && names_.hole_above(into) == 0;
        return is_there ? std::vector<Claim>{{node, false}} : std::vector<Claim>{};
      }
      if (taken) return {{node, true}, {to, true}};
      if (event.op == Op::link) return {{node, true}, {names_.parent(to), true}, {to, false}};
      return {{node, true}, {names_.parent(to), true}};
    }
    default:
      return {};
  }
}

// The call puts something at a name, or takes it from there.
bool Overlaps::makes_true(const Event& event, const Claim& claim) {
  if (event.failed() || event.path == 0) return false;
  return claim.present ? made_by(event) == claim.node : takes_away(event, claim.node);
}

// The name that the call, if it was successful, puts something at; 0: none.
NodeId Overlaps::made_by(const Event& event) {
  Family family = trace::family_of(event.op);
  if (event.failed() || (family != Family::make && family != Family::move && !creates(event))) return 0;
  trace::StringId made = family == Family::move ? event.path2 : event.path;
  return names_.resolve(trace_.string(made), event.op == Op::open && follows(event));
}

bool Overlaps::takes_away(const Event& event, NodeId node) {
  if (trace::family_of(event.op) != Family::remove && event.op != Op::rename) return false;
  NodeId gone = names_.resolve(trace_.string(event.path), false);
  if (event.op == Op::rename) {
    NodeId to = names_.resolve(trace_.string(event.path2), false);
    if (gone == to || names_.same_file(gone, to)) return false;  // it does nothing
    if (gone == node && (event.flags & RENAME_EXCHANGE) != 0) return false;
  }
  return node == gone || names_.is_below(node, gone);
}

bool Overlaps::found_nothing(const Event& event, NodeId node) {
  std::vector<Claim> claims = claims_of(event);
  return std::any_of(claims.begin(), claims.end(), [&](const Claim& one) { return one.node == node && !one.present; });
}

// What the call makes is what the other found: nothing was there before, or it is the same file.
bool Overlaps::is_what_it_found(const Event& event, const Event& other, NodeId node) {
  if (event.op != Op::rename || (event.flags & RENAME_EXCHANGE) != 0) return found_nothing(event, node);
  return event.object.is_zero() || other.object.is_zero() || event.object == other.object;
}

// What the call makes of its file's size; nullopt: nothing that is known.
std::optional<uint64_t> Overlaps::size_after(const Event& event, uint64_t size) {
  if (event.failed()) return std::nullopt;
  if (event.op == Op::truncate) return event.length;
  if (event.op == Op::open) return (event.flags & O_TRUNC) != 0 ? std::optional<uint64_t>(0) : std::nullopt;
  if (event.op == Op::fallocate && event.mode == 0) return std::max(size, event.offset + event.length);
  if (trace::type_of(event.op) != RecordType::write || (event.flags & trace::kOffsetUnknown) != 0) return std::nullopt;
  return std::max(size, event.offset + static_cast<uint64_t>(event.result));
}

// The sizes that the call's result allows for its file.
Overlaps::Sizes Overlaps::sizes_seen(const Event& event) {
  Sizes any;
  if (event.failed()) return any;
  auto result = static_cast<uint64_t>(event.result);
  if (event.op == Op::lseek && event.flags == SEEK_END) return {result - event.arg, result - event.arg};
  if (trace::type_of(event.op) != RecordType::read || (event.flags & trace::kOffsetUnknown) != 0) return any;
  if (result == 0) return {0, event.length == 0 ? any.most : event.offset};
  return {event.offset + result, result < event.length ? event.offset + result : any.most};
}

uint32_t Overlaps::overtaken(uint32_t thread) {
  const Thread& state = threads_[thread];
  const Event& event = trace_.events[state.events[state.next]];
  if (threads_.is_alone()) return 0;
  if (event.path == 0) return overtaken_in_size(thread, event);
  if (uint32_t finder = still_finds(thread, event)) return finder;
  for (Claim claim : claims_of(event)) {
    if (claim.node == 0 || names_.is_virtual(claim.node)) continue;
    NodeId hole = names_.hole_above(claim.node);
    bool is_there = names_.known(claim.node) && hole == 0;
    // What is found, and not known to be there before, may be what another is just making.
    bool may_be_new = claim.present && hole == 0 && !is_there;
    if (claim.present ? hole == 0 && !may_be_new : !is_there) continue;
    if (hole != 0) claim.node = hole;
    uint32_t late = find_late(thread, event, [&](const Event& its) {
      return makes_true(its, claim) && (!may_be_new || is_what_it_found(its, event, claim.node));
    });
    if (late != 0) return late;
  }
  return 0;
}

// The thread whose call, begun before the end of this one, found a name that this one takes away; 0: none.
uint32_t Overlaps::still_finds(uint32_t thread, const Event& event) {
  Family family = trace::family_of(event.op);
  if (event.failed() || (family != Family::remove && event.op != Op::rename)) return 0;
  for (uint32_t other = 1; other < threads_.size(); ++other) {
    const Thread& finder = threads_[other];
    if (other == thread || !finder.queued) continue;
    uint32_t index = finder.events[finder.next];
    const Event& its = trace_.events[index];
    if (its.enter_ns >= event.exit_ns() || meetings_.is_apart(index)) continue;
    // What has an effect of its own keeps its place.
    if (!its.failed() && trace::family_of(its.op) != Family::question) continue;
    std::vector<Claim> claims = claims_of(its);
    auto holds = [&](const Claim& claim) {
      return claim.present && claim.node != 0 && !names_.is_virtual(claim.node) && names_.hole_above(claim.node) == 0;
    };
    auto ends = [&](const Claim& claim) { return takes_away(event, claim.node) && !somebody_makes(other, its, claim); };
    if (std::all_of(claims.begin(), claims.end(), holds) && std::any_of(claims.begin(), claims.end(), ends))
      return other;
  }
  return 0;
}

// Whether the call may have found what another put there before its end, or on the way there: what was moved comes with
// all below it, and a symlink leads elsewhere.
bool Overlaps::somebody_makes(uint32_t thread, const Event& event, const Claim& claim) {
  std::vector<NodeId> ways;
  names_.resolve(trace_.string(event.path), follows_last(event), &ways, missing(event));
  if (trace::family_of(event.op) == Family::move)
    names_.resolve(trace_.string(event.path2), false, &ways, missing(event));
  auto leads = [&](const Event& its) {
    NodeId made = made_by(its);
    if (made == 0) return false;
    if (made == claim.node || std::find(ways.begin(), ways.end(), made) != ways.end()) return true;
    bool brings = trace::family_of(its.op) == Family::move || its.op == Op::symlink;
    return brings && names_.is_below(claim.node, made);
  };
  for (uint32_t other = 1; other < threads_.size(); ++other) {
    const Thread& maker = threads_[other];
    if (other == thread) continue;
    for (size_t i = maker.next; i < maker.events.size(); ++i) {
      const Event& its = trace_.events[maker.events[i]];
      if (its.enter_ns >= event.exit_ns()) break;
      if (leads(its)) return true;
    }
  }
  return false;
}

uint32_t Overlaps::overtaken_in_size(uint32_t thread, const Event& event) {
  const uint64_t* size = event.object.is_zero() ? nullptr : files_.size_of(event.object);
  if (!size) return 0;
  Sizes seen = sizes_seen(event);
  if (*size >= seen.least && *size <= seen.most) return 0;
  bool longer = *size < seen.least;
  return find_late(thread, event, [&](const Event& its) {
    std::optional<uint64_t> after = its.object == event.object ? size_after(its, *size) : std::nullopt;
    return after && (longer ? *after > *size : *after < *size);
  });
}

uint32_t Overlaps::find_late(uint32_t thread, const Event& event, const std::function<bool(const Event&)>& wanted) {
  for (uint32_t other = 1; other < threads_.size(); ++other) {
    const Thread& late = threads_[other];
    if (other == thread || !late.queued) continue;
    uint32_t index = late.events[late.next];
    const Event& its = trace_.events[index];
    if (its.enter_ns < event.exit_ns() && !meetings_.is_apart(index) && wanted(its)) return other;
  }
  return 0;
}

}  // namespace reel::replay
