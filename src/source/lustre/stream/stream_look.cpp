// SPDX-License-Identifier: Apache-2.0
//
// MdtStream: looks at the MDT from outside of its log: users, mask, audit mode, restarts.
#include <algorithm>

#include "source/lustre/stream/stream.h"

namespace reel::source::lustre {

Result<Step> Stream::look() {
  MdtView view = mdt_.view();
  if (!gap_.empty() && view.current_index) {
    // What has an index by now is in the log, or was cleared, when it is opened next: see to it that it is written.
    Result<Fence> fence = mdt_.fence();
    if (!fence) return away(fence.error());
    MdtView after = mdt_.view();
    bool same = *fence == Fence::committed && after.current_index && *after.current_index >= *view.current_index &&
                after.incarnation == view.incarnation;
    known_index_ = same ? *view.current_index : 0;
  }
  TRY_ASSIGN(std::optional<Step> user, check_user(view));
  if (user) return *user;
  TRY_ASSIGN(std::optional<Step> wrong, check_view(view));
  if (wrong) return *wrong;
  looked_ = true;
  was_gone_ = false;
  last_look_ms_ = now_ms();
  TRY(check_restart(view));
  return Step::worked;
}

// What was not committed when the MDT went down is done again by the clients, as far as they are still
// there; the rest is undone, and nothing tells of it. Somebody may have seen it.
Status Stream::check_restart(const MdtView& view) {
  bool restarted = view.incarnation ? origin_.incarnation != 0 && origin_.incarnation != *view.incarnation : undone_;
  // What the server tells is of its last recovery.
  bool once = view.incarnation && *view.incarnation == origin_.incarnation + 1;
  bool nobody_missing = once && view.evicted && *view.evicted == 0;
  bool is_new = view.incarnation && origin_.incarnation != *view.incarnation;
  undone_ = false;
  if (is_new) origin_.incarnation = *view.incarnation;
  if (restarted && !nobody_missing && gap_.empty())
    return owe_gap(EventKind::mdt_restarted,
                   "the MDT was restarted; what clients that did not come back had done was undone");
  return is_new ? save_origin() : ok();
}

// nullopt: nothing is wrong.
Result<std::optional<Step>> Stream::check_user(const MdtView& view) {
  if (view.users) {
    auto mine =
        std::find_if(view.users->begin(), view.users->end(), [&](const MdtUser& u) { return u.id == user_.id; });
    if (mine == view.users->end()) {
      TRY_ASSIGN(Step ended, end(EventKind::user_lost, Code::gap,
                                 "there is no user " + user_.text() + ": evicted, or never registered"));
      return std::optional(ended);
    }
    if (mine->name != user_.name) {
      TRY_ASSIGN(Step ended,
                 end(EventKind::user_lost, Code::gap, "user " + user_.text() + " is " + mine->text() + " now"));
      return std::optional(ended);
    }
  } else {
    Status there = mdt_.check_user(user_);
    if (there.is(Code::not_found)) {
      TRY_ASSIGN(Step ended, end(EventKind::user_lost, Code::gap,
                                 "there is no user " + user_.text() + ": evicted, or never registered"));
      return std::optional(ended);
    }
    if (there.is(Code::unsupported))
      return std::optional(away(Error(
          Code::unsupported, "nobody can tell whether user " + user_.text() +
                                 " is still registered: register one with a name, or let reel ask the MDS (lctl)")));
    if (!there) return std::optional(away(there.error()));
  }
  // Ids are given out again after a restart of the MDT; without a name nobody can tell.
  bool certain = !user_.name.empty();
  bool restarted = view.incarnation ? *view.incarnation != origin_.incarnation : was_gone_ || !looked_;
  if (!certain && restarted && gap_.empty())
    TRY(owe_gap(EventKind::user_unverified,
                "the MDT may have been restarted, and user " + user_.text() + ", who has no name, be another"));
  return std::optional<Step>();
}

Result<std::optional<Step>> Stream::check_view(const MdtView& view) {
  if (view.current_index && *view.current_index < position_) {
    TRY_ASSIGN(Step step, index_back("the MDT's log ends at " + std::to_string(*view.current_index) +
                                     ", before index " + std::to_string(position_) + ", which it had given"));
    return std::optional(step);
  }
  uint64_t lacking = view.mask ? needed_mask() & ~*view.mask : 0;
  if (lacking != 0) {
    TRY_ASSIGN(Step ended,
               end(EventKind::mask_lacks, Code::gap,
                   "types that a mirror needs are not logged: " + format_mask(lacking) + " (mdd.*.changelog_mask)"));
    return std::optional(ended);
  }
  if (view.audit && !*view.audit) {
    TRY_ASSIGN(Step ended,
               end(EventKind::audit_off, Code::gap,
                   "a nodemap has audit_mode 0: what its clients change is not logged (nodemap.*.audit_mode)"));
    return std::optional(ended);
  }
  bool open_logged = view.mask && (*view.mask & mask_bit(RecordType::open)) != 0;
  if (open_logged && !open_logged_)
    TRY(owe_gap(EventKind::open_logged, "OPEN is logged: a user's closes of a file are told with his last one only"));
  open_logged_ = open_logged;
  if (!view.mask || !view.users || !view.audit)
    tell_once(EventKind::not_verified,
              "mask, users and audit mode cannot be asked for; lctl on the MDS is needed for that");
  return std::optional<Step>();
}

}  // namespace reel::source::lustre
