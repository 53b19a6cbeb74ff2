// SPDX-License-Identifier: Apache-2.0
//
// How `reel verify --repair` tells a running reel what differs: a file in the state directory, named
// in a request of its control socket. All values are raw bytes.
#pragma once

#include <string>
#include <vector>

#include "reel/result.h"

namespace reel::service {

struct RepairRequest {
  std::string source, target;      // real paths
  std::vector<std::string> paths;  // relative to the target, "" is its root
};

// Gives the request to send.
Result<std::string> write_repair_request(const std::string& state_dir, const RepairRequest& request);
// Reads and removes the file that a request names. Errors: invalid (no request of ours), io.
Result<RepairRequest> take_repair_request(const std::string& state_dir, const std::string& line);

}  // namespace reel::service
