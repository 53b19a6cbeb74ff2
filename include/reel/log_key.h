// SPDX-License-Identifier: Apache-2.0
//
// The key of an encrypted log (docs/log-format.md, "Encryption"). A plain value; who has it can read the log and write
// to it.
#pragma once

#include <array>
#include <cstdint>

namespace reel {

struct LogKey {
  std::array<uint8_t, 32> bytes{};
};

}  // namespace reel
