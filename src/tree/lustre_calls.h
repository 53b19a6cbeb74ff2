// SPDX-License-Identifier: Apache-2.0
//
// What Lustre tells of an open file beyond what every file system does. Numbers and layouts of bytes: Lustre's
// public user headers (lustre_user.h), study of the format and recordings; nothing of Lustre is needed to build.
// Thread-safe; on another file system they say "no".
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "reel/result.h"

namespace reel::mirror {

inline constexpr unsigned long kLustreMagic = 0x0bd00bd0;  // f_type of statfs, on clients

// Whether what `fd` (O_PATH will do) is lies on a Lustre.
bool is_lustre(int fd);

// Whether the contents of an open file are only in the HSM archive: reading would bring them back.
bool is_released(int fd);

// Which version its contents have: another one after each change, by whatever client. Before it is told, every client
// has sent what it had written to the servers. nullopt: this file has none (no Lustre, or nothing was ever written).
Result<std::optional<uint64_t>> data_version(int fd);

// How an open file, or what is made in an open directory, is to be spread over other servers: see portable_layout().
// Empty: it says nothing of it. Errors: also those of portable_layout().
Result<std::string> layout_of(int fd);

// For an open flag of a new file: its objects are made when it gets a layout, or when it is opened again to write.
extern const int kLayoutLater;

// Gives a file without objects, or a directory for its new files, this layout.
Status set_layout_of(int fd, const std::string& layout);

}  // namespace reel::mirror
