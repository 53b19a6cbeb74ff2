// SPDX-License-Identifier: Apache-2.0
//
// The payload of a block -> records. The payload has passed its checksum, yet nothing here trusts
// it: every length and distance is checked.
#include <algorithm>

#include "log/block/block.h"
#include "log/block/block_shape.h"
#include "log/block/format.h"

namespace reel::log {

// Into the records' rest and the columns behind it.
bool BlockDecoder::split(const uint8_t* payload, size_t size) {
  constexpr size_t kSizes = kColumns * kColumnSize;
  if (size < kSizes) return false;
  size_t end = size - kSizes;
  for (uint32_t i = kColumns; i-- > 0;) {
    auto bytes = load_le<uint32_t>(payload + size - kSizes + i * kColumnSize);
    if (bytes > end) return false;
    end -= bytes;
    column_[i] = ByteReader(payload + end, bytes);
  }
  in_ = ByteReader(payload, end);
  return true;
}

uint64_t BlockDecoder::get_time(Column low, Column high) {
  if (!columns_) return in_.varint();
  uint64_t lowest = column_[low].fixed<uint8_t>();
  return column_[high].varint() << 8 | lowest;
}

bool BlockDecoder::all_read() const {
  bool all = in_.left() == 0;
  for (const ByteReader& column : column_) all = all && (!columns_ || column.left() == 0);
  return all;
}

bool BlockDecoder::failed() const {
  bool any = in_.failed();
  for (const ByteReader& column : column_) any = any || (columns_ && column.failed());
  return any;
}

void BlockDecoder::start(uint64_t first_index, uint32_t count, const uint8_t* payload, size_t size, bool columns) {
  columns_ = columns;
  in_ = ByteReader(payload, size);
  if (columns && !split(payload, size)) in_ = ByteReader(nullptr, 0), columns_ = false;  // the first record is missing
  memory_.start(first_index);
  left_ = count;
}

// The next record's, or what stands for it in a block without columns.
bool BlockDecoder::get_form() {
  form_ = Form{};
  if (!columns_) {
    form_.type = in_.fixed<uint8_t>();
    form_.shape = in_.fixed<uint16_t>();
    if (form_.type == kTypeEscape) form_.type = static_cast<uint32_t>(in_.varint());
    return (form_.shape & ~kShapeKnown) == 0;
  }
  uint64_t known = column_[kForms].varint();
  if (known > memory_.forms.size()) return false;
  if (known != 0) {
    form_ = memory_.forms[known - 1];
    return true;
  }
  for (uint32_t* number : {&form_.type, &form_.shape, &form_.io, &form_.op, &form_.changed})
    *number = static_cast<uint32_t>(column_[kNewForms].varint());
  if (memory_.forms.size() < kMaxForms) memory_.forms.push_back(form_);
  return (form_.shape & ~kShapeKnownInForm) == 0 && (form_.io & ~kIoKnownInForm) == 0 &&
         form_.changed >> kCallFields == 0;
}

const Fid* BlockDecoder::get_fid_back() {
  if (!columns_) return memory_.fids.at_distance(in_.fixed<uint8_t>());
  memory_.fid_at += static_cast<uint32_t>(unzigzag(column_[kFidBacks].varint()));
  return memory_.fids.at_distance(memory_.fids.count() - memory_.fid_at);
}

bool BlockDecoder::get_fid(uint32_t op, const Fid& before, Fid& fid) {
  switch (op) {
    case kFidZero:
      fid = Fid{};
      return true;
    case kFidSame:
      fid = before;
      return true;
    case kFidBack: {
      const Fid* back = get_fid_back();
      if (!back) return false;
      fid = *back;
      return true;
    }
    case kFidNear:
      fid = memory_.literal;
      fid.oid += static_cast<uint32_t>(unzigzag(in(kFidRests).varint()));
      break;
    case kFidFull:
      fid.seq = memory_.literal.seq + static_cast<uint64_t>(unzigzag(in(kFidSeqs).varint()));
      fid.oid = memory_.literal.oid + static_cast<uint32_t>(unzigzag(in(kFidRests).varint()));
      fid.ver = static_cast<uint32_t>(in(kFidRests).varint());
      break;
    default:
      return false;
  }
  memory_.literal = fid;
  memory_.fid_at = memory_.fids.count();
  memory_.fids.push(fid);
  return true;
}

std::string_view BlockDecoder::get_name() {
  if (!columns_) return get_bytes();
  std::string& name = memory_.name;
  uint64_t shared = column_[kNameShared].varint();
  uint64_t size = column_[kNameSizes].varint();
  const uint8_t* bytes = column_[kNames].bytes(size);
  if (!bytes || shared > name.size()) {
    in_.fail();
    return {};
  }
  name.resize(shared);
  name.append(reinterpret_cast<const char*>(bytes), size);
  return name;
}

std::string_view BlockDecoder::get_bytes() {
  uint64_t size = in_.varint();
  const uint8_t* bytes = in_.bytes(size);
  return bytes ? std::string_view(reinterpret_cast<const char*>(bytes), size) : std::string_view();
}

bool BlockDecoder::get_field(char* to, size_t capacity) {
  std::string_view used = get_bytes();
  if (used.size() > capacity) return false;
  std::fill(std::copy(used.begin(), used.end(), to), to + capacity, '\0');
  return true;
}

bool BlockDecoder::get_caller(uint32_t shape, Record& record) {
  if ((shape & kShapeCaller) != 0) {
    uint8_t distance = in_.fixed<uint8_t>();
    if (distance != 0) {
      const Caller* back = memory_.callers.at_distance(distance);
      if (!back) return false;
      memory_.caller = *back;
    } else {
      Caller& caller = memory_.caller;
      if (!get_field(caller.jobid.data(), kJobidSize) || !get_field(caller.nid.data(), kNidSize)) return false;
      caller.uid = in_.varint();
      caller.gid = in_.varint();
      memory_.callers.push(caller);
    }
  }
  const Caller& caller = memory_.caller;
  if (has_jobid(record)) record.jobid_field = {caller.jobid.data(), kJobidSize};
  if (has_extra(record, kExtraUidGid)) {
    record.uid = caller.uid;
    record.gid = caller.gid;
  }
  if (has_extra(record, kExtraNid)) record.nid_field = {caller.nid.data(), kNidSize};
  return true;
}

bool BlockDecoder::get_extra(Record& record) {
  if (has_extra(record, kExtraOpen)) record.open_mode = static_cast<uint32_t>(in_.varint());
  if (has_extra(record, kExtraXattr)) {
    if (!get_field(xattr_.data(), kXattrSize)) return false;
    record.xattr_field = {xattr_.data(), kXattrSize};
  }
  return true;
}

bool BlockDecoder::get_rename(Record& record) {
  uint32_t ops = in_.fixed<uint8_t>();
  if (!get_fid(ops & kFidMask, memory_.source, record.source)) return false;
  if (!get_fid(ops >> kFidSecond, memory_.source_parent, record.source_parent)) return false;
  record.source_name = get_bytes();
  memory_.source = record.source;
  memory_.source_parent = record.source_parent;
  return record.source_name.size() <= kMaxName;
}

bool BlockDecoder::get_io(Record& record) {
  uint32_t head = form_.io;
  if (!columns_) head = in_.fixed<uint8_t>();
  if (!columns_ && (head & ~kIoKnown) != 0) return false;
  IoExtension& io = record.io.emplace();
  IoExtension none;
  IoExtension& last = (form_.shape & kShapeCall) != 0 && form_.op == 0 ? none : memory_.io;
  bool ranged = (head & kIoNone) == 0;
  if (ranged) {
    io.offset = last.offset + last.length;
    if (!(head & kIoAdjacent)) io.offset += static_cast<uint64_t>(unzigzag(in(kOffsets).varint()));
    if ((head & kIoLength) != 0)
      io.length = last.length;
    else
      io.length = (head & kIoPages) != 0 ? in_pages(io.offset) : in(kLengths).varint();
  }
  io.result = (head & kIoWhole) != 0 ? static_cast<int64_t>(io.length) : unzigzag(in(kResults).varint());
  io.thread = (head & kIoThread) != 0 ? last.thread : in(kThreads).varint();
  if (!(head & kIoNoDuration)) io.duration_ns = get_time(kDurationLow, kDurationHigh);
  last.thread = io.thread;
  last.duration_ns = io.duration_ns;
  if (!ranged) return true;
  last.offset = io.offset;
  last.length = io.length;
  return true;
}

void BlockDecoder::get_call(Record& record) {
  CallFields fields{};
  for (uint32_t i = 0; i < kCallFields; ++i) {
    if ((form_.changed >> i & 1) == 0) {
      fields[i] = memory_.expected(i, form_, fields);
      continue;
    }
    auto difference = static_cast<uint64_t>(unzigzag(column_[kFields + i].varint()));
    fields[i] = memory_.origin(i, form_, fields) + difference;
  }
  memory_.note_fields(form_, fields);
  record.call = call_of(form_.op, fields);
}

BlockDecoder::Step BlockDecoder::next(Record& record) {
  if (left_ == 0) return all_read() ? Step::end : Step::bad;
  record = Record{};
  if (!get_form()) return Step::bad;
  uint32_t shape = form_.shape;
  record.type = static_cast<RecordType>(form_.type);

  record.index = memory_.index + 1;
  if ((shape & kShapeJump) != 0) record.index += in_.varint() + 1;
  record.time = memory_.time;
  if (!(shape & kShapeAtOnce)) record.time += static_cast<uint64_t>(unzigzag(get_time(kTimeLow, kTimeHigh)));

  FlagMemory& flags = memory_.flags[form_.type % BlockMemory::kTypes];
  if ((shape & kShapeFlags) != 0) {
    flags.flags = in_.fixed<uint16_t>();
    flags.extra = (flags.flags & kFlagExtra) != 0 ? in_.varint() : 0;
  }
  record.flags = flags.flags;
  record.extra_flags = flags.extra;

  if (!get_fid(shape & kFidMask, memory_.target, record.target)) return Step::bad;
  if (!get_fid(shape >> kFidSecond & kFidMask, memory_.parent, record.parent)) return Step::bad;
  if ((shape & kShapeName) != 0) record.name = get_name();
  if ((shape & kShapePrev) != 0) record.prev = in_.varint();
  if ((record.flags & kFlagRename) != 0 && !get_rename(record)) return Step::bad;
  if (has_caller(record) && !get_caller(shape, record)) return Step::bad;
  if ((record.flags & kFlagExtra) != 0 && !get_extra(record)) return Step::bad;
  if ((shape & kShapeIo) != 0 && !get_io(record)) return Step::bad;
  if ((shape & kShapeCall) != 0) get_call(record);
  if (failed() || record.index <= memory_.index || record.name.size() > kMaxName) return Step::bad;

  if (columns_) memory_.note_string(record);
  memory_.index = record.index;
  memory_.time = record.time + (record.call && record.io ? record.io->duration_ns : 0);
  memory_.target = record.target;
  memory_.parent = record.parent;
  --left_;
  return Step::record;
}

}  // namespace reel::log
