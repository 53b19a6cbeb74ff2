// SPDX-License-Identifier: Apache-2.0
//
// A manifest: what a tree on a Lustre was at one moment, one JSON object a line:
//   {"path": "d/f", "fid": "[0x200000402:0x3:0x0]", "type": "f", "mode": "0644", "uid": 0, "gid": 0, "size": 5,
//    "mtime_ns": ..., "ctime_ns": ..., "nlink": 1, "rdev": [7, 0], "target": "link text", "xattrs": {"user.a": "hex"}}
// "path" is relative to the top, which is "."; bytes that are not UTF-8 are surrogate-escaped. Only "path" and "fid"
// must be there; members that are not named here are left out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tree/tree.h"

namespace reel::mirror {

struct ManifestEntry {
  std::string path;  // "" for the top
  Fid fid;
  std::optional<FileType> type;
  std::optional<uint32_t> mode, uid, gid, nlink;
  std::optional<uint64_t> size, rdev, ino;
  std::optional<Time> mtime, ctime, atime;
  std::optional<std::string> link_text;
  std::optional<std::vector<Xattr>> xattrs;  // all of them, sorted
};

// Errors: invalid (says which line and why).
Result<std::vector<ManifestEntry>> parse_manifest(std::string_view text);

}  // namespace reel::mirror
