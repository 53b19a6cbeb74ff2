// SPDX-License-Identifier: Apache-2.0
//
// The status log of lustre_rsync: what it mirrored, from where, to where, as which changelog user. It is
// a dump of a C structure in the machine's byte order:
//   u32 version (1) · u32 size of all this · u64 last record · char user[65] · char mdt[65] ·
//   char file system[65] · char source[4097] · u32 number of targets · char target[4097] each
// and behind that what it keeps in .lustrerepl, which does not matter here. (Source: part D.3 of the study.)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reel/result.h"

namespace reel::service {

struct RsyncStatus {
  uint64_t last_record = 0;
  std::string user;    // "cl1"
  std::string mdt;     // "lustre-MDT0000"
  std::string source;  // mount point
  std::vector<std::string> targets;
};

// Errors: corrupt (not such a file, or cut off), unsupported (another version).
Result<RsyncStatus> parse_rsync_status(std::string_view bytes);

// Whether a mirror of `source` in each of `targets` was made by it. Paths without symlinks.
// Errors: conflict (says what it was), not_found (no such file), those of parse_rsync_status().
Result<RsyncStatus> read_rsync_status(const std::string& file, const std::string& source,
                                      const std::vector<std::string>& targets);

}  // namespace reel::service
