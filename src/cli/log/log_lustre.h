// SPDX-License-Identifier: Apache-2.0
//
// The changelog of an MDT as a log to read: reel log lustre:MOUNT.
#pragma once

#include <memory>
#include <string>

#include "log/log.h"
#include "reel/result.h"

namespace reel::cli {

struct MdtPlace {
  std::string mount, mdt;  // mdt: "lustre-MDT0001", "MDT0001" or "mdt1"; empty: the only one
  uint64_t start = 1;
  bool follow = false;
};

// Reads from the device; clears nothing. With `follow`, next() gives false when there is nothing now.
// Errors: unsupported (no Lustre), not_found, invalid (which MDT?), permission.
Result<std::unique_ptr<log::Reader>> open_mdt_reader(const MdtPlace& place);

}  // namespace reel::cli
