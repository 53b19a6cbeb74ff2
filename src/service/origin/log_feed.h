// SPDX-License-Identifier: Apache-2.0
//
// The streams of a log as the feed of one engine: a reader for each, one record of each in turn.
#pragma once

#include <memory>
#include <string>

#include "base/env.h"
#include "mirror/engine.h"
#include "service/origin/inflow.h"

namespace reel::service {

// The inflow must outlive the feed.
std::unique_ptr<mirror::Feed> make_log_feed(const std::string& log_dir, const Inflow& inflow, Env& env = Env::posix());

}  // namespace reel::service
