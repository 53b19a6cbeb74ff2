// SPDX-License-Identifier: Apache-2.0
//
// A mounted Lustre as a tree. It is read as any directory (posix_source.h), but for:
// - objects are opened by FID as MOUNT/.lustre/fid/[0x...], which reaches every object of the file
//   system; the FID of a name comes from its file handle (type 0x97).
// And as every directory on a Lustre:
// - a file whose contents were released to the HSM archive is not read, since reading recalls it;
// - whether others write to a file cannot be asked: for two minutes after a change nobody knows.
// What belongs to Lustre itself (trusted.lov, lma, link, fid, som, hsm, ...) is no attribute of a file:
// see is_mirrored_xattr(). `user.job`, which servers may put on new files, is one like any other.
#pragma once

#include "tree/posix/posix_source.h"

namespace reel::mirror {

// `hidden` and `recall`: see PosixSource::Options. Errors: unsupported (no Lustre there: says what is,
// and what to do), not_found, permission, io.
Result<std::unique_ptr<PosixSource>> open_lustre_tree(const std::string& mount, const std::string& hidden, bool recall);

// An object through `root`/.lustre/fid, never followed. Errors: not_found, permission, io.
Result<Fd> open_in_fid_directory(int root, const Fid& fid, int flags);

}  // namespace reel::mirror
