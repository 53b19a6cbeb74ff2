// SPDX-License-Identifier: Apache-2.0
#include "mirror/plan/fold.h"

#include <utility>

namespace reel::mirror {
namespace {

void touch_object(DirtySet& dirty, const Fid& fid, uint8_t bits) {
  if (!fid.is_zero()) dirty.objects[fid] |= bits;
}

// The entry may differ, and with it the times of its directory.
void touch_entry(DirtySet& dirty, const Fid& parent, std::string_view name) {
  if (name.empty() || parent.is_zero()) return;
  dirty.entries.insert({parent, std::string(name)});
  touch_object(dirty, parent, kDirtyAttributes);
}

}  // namespace

void fold(const Record& record, DirtySet& dirty) {
  ++dirty.records;
  uint64_t time_before = std::exchange(dirty.last_time, record.time);
  switch (record.type) {
    case RecordType::creat:
    case RecordType::mkdir:
    case RecordType::hlink:
    case RecordType::slink:
    case RecordType::mknod:
    case RecordType::unlnk:
    case RecordType::rmdir:
      touch_entry(dirty, record.parent, record.name);
      touch_object(dirty, record.target, kDirtyAttributes);
      return;
    case RecordType::renme:
    case RecordType::rnmto:
    case RecordType::migrt:
      // MIGRT has the two parents exchanged; as places to look at, both pairings are.
      touch_entry(dirty, record.parent, record.name);
      touch_entry(dirty, record.source_parent, record.source_name);
      if (record.type == RecordType::migrt) {
        touch_entry(dirty, record.source_parent, record.name);
        touch_entry(dirty, record.parent, record.source_name);
      }
      touch_object(dirty, record.target, kDirtyAttributes);
      touch_object(dirty, record.source, kDirtyAttributes);
      // The new FID is at all hard links, and the record tells of one.
      if (record.type == RecordType::migrt && record.source != record.target)
        touch_object(dirty, record.source, kDirtyNames);
      return;
    case RecordType::close:
    case RecordType::trunc:
    case RecordType::lyout:
    case RecordType::hsm:
    case RecordType::mtime:
    case RecordType::flrw:
    case RecordType::resync:
    case RecordType::write:
    case RecordType::mmap:
      touch_object(dirty, record.target, kDirtyAttributes | kDirtyData);
      return;
    case RecordType::sattr:
    case RecordType::xattr:
    case RecordType::ctime:
    case RecordType::atime:
      touch_object(dirty, record.target, kDirtyAttributes);
      return;
    case RecordType::gap:
      if ((record.flags & kFlagUnwatched) && !dirty.unwatched_since) dirty.unwatched_since = time_before;
      [[fallthrough]];
    case RecordType::mark:  // a server writes it when logging was switched on or off
      dirty.gaps.push_back(record.target);
      return;
    case RecordType::open:
    case RecordType::nopen:
    case RecordType::gxatr:
      // Nothing has changed, but Lustre leaves out the times and ACLs that change between any record of an
      // object and the next clear.
      touch_object(dirty, record.target, kDirtyAttributes);
      return;
    case RecordType::read:
    case RecordType::fsync:
    case RecordType::compute:
    case RecordType::send:
    case RecordType::recv:
    case RecordType::barrier:
    case RecordType::signal:
    case RecordType::wait:
      return;
    case RecordType::stat:
    case RecordType::readdir:
    case RecordType::seek:
    case RecordType::fork:
    case RecordType::exec:
    case RecordType::exit:
    case RecordType::descriptor:
    case RecordType::copy:
    case RecordType::lock:
    case RecordType::context:
    case RecordType::fact:
    case RecordType::string:
    case RecordType::file:
    case RecordType::thread:
    case RecordType::loss:
    case RecordType::count:
      break;  // of a trace, which no mirror follows
  }
  // A type this version does not know may mean anything: doubt is a gap.
  dirty.gaps.push_back(Fid{});
}

}  // namespace reel::mirror
