// SPDX-License-Identifier: Apache-2.0
//
// The origins that are not a directory of this machine, one file each.
#pragma once

#include "service/origin/origin.h"

namespace reel::service {

// origin_recorded.cpp. Errors: not_found, invalid (the manifest), io.
Result<std::unique_ptr<Origin>> open_recorded_origin(const std::string& dir, const OriginOptions& options);

// origin_lustre.cpp. Errors: unsupported (no Lustre is mounted there), not_found, io.
Result<std::unique_ptr<Origin>> open_lustre_origin(const std::string& mount, const OriginOptions& options);

}  // namespace reel::service
