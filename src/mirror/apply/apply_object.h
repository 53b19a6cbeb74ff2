// SPDX-License-Identifier: Apache-2.0
//
// Makes one object of the target equal to its source: contents and attributes. Called from many
// threads for different objects; reads the index, never changes it.
#pragma once

#include "mirror/apply/apply.h"

namespace reel::mirror {

struct Outcome {
  Status status = ok();  // what failed, with the path's last name; the caller makes it a Trouble
  Object object;         // what the index shall say now (valid when `changed`)
  bool changed = false;
  bool contents = false;             // and not only its attributes were changed
  bool unseen = false;               // it was equal already, as far as the source's ctime tells
  bool vanished = false;             // gone from the source: nothing to do, nothing wrong
  bool lost = false;                 // not on the target where the index has it: somebody else touched the target
  bool again = false;                // changed while it was copied
  std::optional<Error> layout_lost;  // Lustre: why it does not have the source's layout
};

// A file, symlink or node that the target does not have yet, at op.to.
Outcome create_object(const Op& op, ApplyContext& context);
// An object that the target has: contents if they may differ, attributes.
Outcome sync_object(const Op& op, ApplyContext& context);
// A directory's own attributes.
Outcome sync_directory(const Op& op, ApplyContext& context);

// Whether the copy of a file that the index takes for equal is: read on both sides, nothing is changed. False also
// when that cannot be told so; then sync_object() does.
bool is_copy_intact(const Object& object, SourceTree& source, TargetTree& target, TargetDirs& dirs);

// Removes whatever is at (dir, name), with all below it.
Status remove_tree(TargetTree& target, const TargetDirPtr& dir, const std::string& name);

}  // namespace reel::mirror
