// SPDX-License-Identifier: Apache-2.0
#include "mirror/plan/doomed.h"

#include "mirror/plan/target_dirs.h"

namespace reel::mirror {

Result<uint64_t> count_doomed(const Plan& plan, const Index& index, SourceTree& source, uint64_t enough) {
  uint64_t doomed = 0;
  std::vector<Entry> todo;
  for (const Op& op : plan.moves)
    if (op.to.parent == kParkFid) todo.push_back({op.fid, op.type});
  while (!todo.empty() && doomed <= enough) {
    Entry entry = todo.back();
    todo.pop_back();
    if (!source.stat(entry.fid).is(Code::not_found)) continue;  // lives, or is not known to be gone
    ++doomed;
    if (entry.type != FileType::directory) continue;
    TRY(index.list(entry.fid, "", [&](const std::string&, const Entry& child, const Object*) {
      todo.push_back(child);
      return true;
    }));
  }
  return doomed;
}

}  // namespace reel::mirror
