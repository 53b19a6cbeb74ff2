// SPDX-License-Identifier: Apache-2.0
//
// What `lctl get_param` prints about an MDT, understood; and which of its users is meant. Pure.
#pragma once

#include <string>

#include "source/lustre/changelog_device.h"

namespace reel::source::lustre {

// `text`: of mdd.MDT.changelog_users, mdd.MDT.changelog_current_mask, nodemap.active,
// nodemap.*.audit_mode, mdt.MDT.recovery_status, mdc.MDT-mdc-*.import, any of them, with their names (not `-n`), in any
// order. What is not understood is as good as not there.
MdtView parse_view(const std::string& text, const std::string& mdt);

// The user that `spec` names for this MDT: "cl3-reel", "cl3", "reel", or a list of
// "MDT0000:cl3-reel" (also "lustre-MDT0000:", "0:") separated by commas. A name alone is looked for in the
// view. Errors: invalid, not_found; the text says what to do.
Result<MdtUser> user_for(const std::string& spec, const Mdt& mdt, const MdtView& view);

}  // namespace reel::source::lustre
