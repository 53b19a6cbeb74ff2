// SPDX-License-Identifier: Apache-2.0
//
// Records -> the payload of a block.
#include <algorithm>

#include "log/block/block.h"
#include "log/block/block_shape.h"
#include "log/block/format.h"

namespace reel::log {
namespace {

// No record needs more than this beside its names: fixed fields, FIDs, caller, xattr, I/O.
constexpr size_t kMaxWithoutNames = 1024;

size_t hash_of(const Fid& fid) {
  return FidHash()(fid);
}
size_t hash_of(const Caller& caller) {
  return checksum(&caller, sizeof caller);
}
static_assert(sizeof(Caller) == kJobidSize + kNidSize + 16, "hashed as bytes: no padding allowed");

Caller caller_of(const Record& record) {
  Caller caller;
  if (has_jobid(record)) std::copy(record.jobid_field.begin(), record.jobid_field.end(), caller.jobid.begin());
  if (has_extra(record, kExtraUidGid)) {
    caller.uid = record.uid;
    caller.gid = record.gid;
  }
  if (has_extra(record, kExtraNid)) std::copy(record.nid_field.begin(), record.nid_field.end(), caller.nid.begin());
  return caller;
}

Status check(const Record& record) {
  if (record.name.size() > kMaxName || record.source_name.size() > kMaxName)
    return Error(Code::invalid, "a name of more than 65535 bytes");
  if (record.jobid_field.size() > kJobidSize) return Error(Code::invalid, "a jobid field of more than 32 bytes");
  if (record.nid_field.size() > kNidSize) return Error(Code::invalid, "a nid field of more than 24 bytes");
  if (record.xattr_field.size() > kXattrSize) return Error(Code::invalid, "an xattr field of more than 256 bytes");
  return ok();
}

}  // namespace

BlockEncoder::BlockEncoder(bool columns) : columns_(columns), buffer_(128u << 10), at_(buffer_.data()) {}

void BlockEncoder::put_number(Column column, uint64_t value) {
  if (!columns_) {
    at_ = store_varint(at_, value);
    return;
  }
  uint8_t bytes[10];
  uint8_t* end = store_varint(bytes, value);
  column_[column].insert(column_[column].end(), bytes, end);
  in_columns_ += static_cast<size_t>(end - bytes);
}

void BlockEncoder::put_time(Column low, Column high, uint64_t value) {
  if (!columns_) {
    at_ = store_varint(at_, value);
    return;
  }
  column_[low].push_back(static_cast<uint8_t>(value));
  ++in_columns_;
  put_number(high, value >> 8);
}

std::vector<size_t> BlockEncoder::close() {
  if (!columns_ || empty()) return {size()};
  std::vector<size_t> parts{size() - in_columns_};
  reserve(in_columns_ + kColumns * kColumnSize);
  uint8_t sizes[kColumns * kColumnSize];
  for (uint32_t i = 0; i < kColumns; ++i) {
    at_ = std::copy(column_[i].begin(), column_[i].end(), at_);
    parts.push_back(column_[i].size());
    store_le(sizes + i * kColumnSize, static_cast<uint32_t>(column_[i].size()));
    column_[i].clear();
  }
  at_ = std::copy(std::begin(sizes), std::end(sizes), at_);
  parts.push_back(sizeof sizes);
  in_columns_ = 0;
  return parts;
}

void BlockEncoder::clear() {
  fid_lookup_.clear(memory_.fids.count());
  caller_lookup_.clear(memory_.callers.count());
  at_ = buffer_.data();
  for (std::vector<uint8_t>& column : column_) column.clear();
  form_lookup_.fill(0);
  in_columns_ = 0;
  count_ = 0;
}

void BlockEncoder::reserve(size_t more) {
  auto used = static_cast<size_t>(at_ - buffer_.data());
  if (buffer_.size() - used >= more) return;
  buffer_.resize(std::max(buffer_.size() * 2, used + more));
  at_ = buffer_.data() + used;
}

uint32_t BlockEncoder::fid_op(const Fid& fid, const Fid& before) const {
  if (fid.is_zero()) return kFidZero;
  if (fid == before) return kFidSame;
  uint32_t distance = fid_lookup_.distance(hash_of(fid), memory_.fids.count());
  const Fid* back = memory_.fids.at_distance(distance);
  if (back && *back == fid && (columns_ || distance < kFidDistances)) return kFidBack;
  if (fid.seq == memory_.literal.seq && fid.ver == memory_.literal.ver) return kFidNear;
  return kFidFull;
}

void BlockEncoder::put_fid(uint32_t op, const Fid& fid) {
  if (op == kFidBack) put_fid_back(fid_lookup_.distance(hash_of(fid), memory_.fids.count()));
  if (op != kFidNear && op != kFidFull) return;
  const Fid& last = memory_.literal;
  if (op == kFidFull) put_number(kFidSeqs, zigzag(static_cast<int64_t>(fid.seq - last.seq)));
  put_number(kFidRests, zigzag(static_cast<int32_t>(fid.oid - last.oid)));
  if (op == kFidFull) put_number(kFidRests, fid.ver);
  memory_.literal = fid;
  memory_.fid_at = memory_.fids.count();
  memory_.fids.push(fid);
  fid_lookup_.note(hash_of(fid), memory_.fids.count());
}

void BlockEncoder::put_fid_back(uint32_t distance) {
  if (!columns_) {
    *at_++ = static_cast<uint8_t>(distance);
    return;
  }
  uint32_t at = memory_.fids.count() - distance;
  put_number(kFidBacks, zigzag(static_cast<int32_t>(at - memory_.fid_at)));
  memory_.fid_at = at;
}

// With columns, what it has in common with the last one is left out.
void BlockEncoder::put_name(std::string_view name) {
  if (!columns_) {
    put_bytes(name);
    return;
  }
  std::string& last = memory_.name;
  auto differ = std::mismatch(name.begin(), name.end(), last.begin(), last.end());
  auto shared = static_cast<size_t>(differ.first - name.begin());
  put_number(kNameShared, shared);
  put_number(kNameSizes, name.size() - shared);
  column_[kNames].insert(column_[kNames].end(), differ.first, name.end());
  in_columns_ += name.size() - shared;
  last.assign(name);
}

void BlockEncoder::put_bytes(std::string_view bytes) {
  at_ = store_varint(at_, bytes.size());
  at_ = std::copy(bytes.begin(), bytes.end(), at_);
}

// A fixed-size field without the zeros at its end.
void BlockEncoder::put_trimmed(std::string_view field) {
  size_t used = field.find_last_not_of('\0');
  put_bytes(field.substr(0, used == std::string_view::npos ? 0 : used + 1));
}

void BlockEncoder::put_caller(const Caller& caller) {
  size_t hash = hash_of(caller);
  uint32_t distance = caller_lookup_.distance(hash, memory_.callers.count());
  const Caller* back = memory_.callers.at_distance(distance);
  memory_.caller = caller;
  if (back && *back == caller) {
    *at_++ = static_cast<uint8_t>(distance);
    return;
  }
  *at_++ = 0;
  put_trimmed({caller.jobid.data(), caller.jobid.size()});
  put_trimmed({caller.nid.data(), caller.nid.size()});
  at_ = store_varint(at_, caller.uid);
  at_ = store_varint(at_, caller.gid);
  memory_.callers.push(caller);
  caller_lookup_.note(hash, memory_.callers.count());
}

void BlockEncoder::put_rename(const Record& record) {
  uint32_t source = fid_op(record.source, memory_.source);
  uint8_t* ops = at_++;
  put_fid(source, record.source);
  uint32_t parent = fid_op(record.source_parent, memory_.source_parent);
  put_fid(parent, record.source_parent);
  *ops = static_cast<uint8_t>(source | parent << kFidSecond);
  put_bytes(record.source_name);
  memory_.source = record.source;
  memory_.source_parent = record.source_parent;
}

void BlockEncoder::put_io(const IoExtension& io, const CallExtension* call) {
  bool of_no_call = call && call->op == 0;
  IoExtension none;
  IoExtension& last = of_no_call ? none : memory_.io;
  uint64_t expected = last.offset + last.length;
  uint32_t head = 0;
  if (columns_ && io.offset == 0 && io.length == 0) {
    head |= kIoNone;
  } else {
    if (io.offset == expected) head |= kIoAdjacent;
    if (io.length == last.length)
      head |= kIoLength;
    else if (of_no_call && io.length == in_pages(io.offset))
      head |= kIoPages;
  }
  if (static_cast<uint64_t>(io.result) == io.length) head |= kIoWhole;
  if (io.thread == last.thread) head |= kIoThread;
  if (columns_ && io.duration_ns == 0) head |= kIoNoDuration;
  form_.io = head;
  if (!columns_) *at_++ = static_cast<uint8_t>(head);
  if ((head & (kIoAdjacent | kIoNone)) == 0) put_number(kOffsets, zigzag(static_cast<int64_t>(io.offset - expected)));
  if ((head & (kIoLength | kIoPages | kIoNone)) == 0) put_number(kLengths, io.length);
  if (!(head & kIoWhole)) put_number(kResults, zigzag(io.result));
  if (!(head & kIoThread)) put_number(kThreads, io.thread);
  if (!(head & kIoNoDuration)) put_time(kDurationLow, kDurationHigh, io.duration_ns);
  last.thread = io.thread;
  last.duration_ns = io.duration_ns;
  if ((head & kIoNone) != 0) return;
  last.offset = io.offset;
  last.length = io.length;
}

void BlockEncoder::put_call(const CallExtension& call) {
  CallFields fields = fields_of(call);
  form_.op = call.op;
  for (uint32_t i = 0; i < kCallFields; ++i) {
    if (fields[i] == memory_.expected(i, form_, fields)) continue;
    form_.changed |= 1u << i;
    uint64_t origin = memory_.origin(i, form_, fields);
    put_number(static_cast<Column>(kFields + i), zigzag(static_cast<int64_t>(fields[i] - origin)));
  }
  memory_.note_fields(form_, fields);
}

void BlockEncoder::put_form() {
  uint16_t& known = form_lookup_[checksum(&form_, sizeof form_) % form_lookup_.size()];
  if (known != 0 && memory_.forms[known - 1u] == form_) {
    put_number(kForms, known);
    return;
  }
  put_number(kForms, 0);
  for (uint32_t number : {form_.type, form_.shape, form_.io, form_.op, form_.changed}) put_number(kNewForms, number);
  if (memory_.forms.size() == kMaxForms) return;
  memory_.forms.push_back(form_);
  known = static_cast<uint16_t>(memory_.forms.size());
}

// Flags and extra flags, when this type's last record had others.
uint32_t BlockEncoder::put_flags(const Record& record) {
  uint64_t extra = (record.flags & kFlagExtra) != 0 ? record.extra_flags : 0;
  FlagMemory& flags = memory_.flags[static_cast<uint32_t>(record.type) % BlockMemory::kTypes];
  if (flags.flags == record.flags && flags.extra == extra) return 0;
  store_le(at_, record.flags);
  at_ += 2;
  if ((record.flags & kFlagExtra) != 0) at_ = store_varint(at_, extra);
  flags = {record.flags, extra};
  return kShapeFlags;
}

// What only some records have.
uint32_t BlockEncoder::put_optional(const Record& record) {
  uint32_t shape = 0;
  if (!record.name.empty()) {
    shape |= kShapeName;
    put_name(record.name);
  }
  if (record.prev != 0) {
    shape |= kShapePrev;
    at_ = store_varint(at_, record.prev);
  }
  if ((record.flags & kFlagRename) != 0) put_rename(record);
  if (has_caller(record)) {
    Caller caller = caller_of(record);
    if (caller != memory_.caller) {
      shape |= kShapeCaller;
      put_caller(caller);
    }
  }
  if (has_extra(record, kExtraOpen)) at_ = store_varint(at_, record.open_mode);
  if (has_extra(record, kExtraXattr)) put_trimmed(record.xattr_field);
  if (record.io) {
    shape |= kShapeIo;
    put_io(*record.io, record.call ? &*record.call : nullptr);
  }
  if (record.call) {
    shape |= kShapeCall;
    put_call(*record.call);
  }
  return shape;
}

Status BlockEncoder::add(const Record& record) {
  TRY(check(record));
  reserve(kMaxWithoutNames + record.name.size() + record.source_name.size());
  if (count_ == 0) {
    memory_.start(record.index);
    first_index_ = record.index;
    min_time_ = max_time_ = record.time;
  }

  form_ = Form{};
  form_.type = static_cast<uint32_t>(record.type);
  uint8_t* head = at_;
  if (!columns_) {
    *at_ = static_cast<uint8_t>(std::min<uint32_t>(form_.type, kTypeEscape));
    at_ += 3;
    if (form_.type >= kTypeEscape) at_ = store_varint(at_, form_.type);
  }
  uint32_t shape = 0;

  if (record.index != memory_.index + 1) {
    shape |= kShapeJump;
    at_ = store_varint(at_, record.index - memory_.index - 2);
  }
  if (columns_ && record.time == memory_.time)
    shape |= kShapeAtOnce;
  else
    put_time(kTimeLow, kTimeHigh, zigzag(static_cast<int64_t>(record.time - memory_.time)));

  shape |= put_flags(record);

  uint32_t op = fid_op(record.target, memory_.target);
  put_fid(op, record.target);
  shape |= op;
  op = fid_op(record.parent, memory_.parent);
  put_fid(op, record.parent);
  shape |= op << kFidSecond;

  shape |= put_optional(record);
  form_.shape = shape;
  if (columns_) {
    put_form();
    memory_.note_string(record);
  } else {
    store_le(head + 1, static_cast<uint16_t>(shape));
  }

  memory_.index = record.index;
  memory_.time = record.time + (record.call && record.io ? record.io->duration_ns : 0);
  memory_.target = record.target;
  memory_.parent = record.parent;
  min_time_ = std::min(min_time_, record.time);
  max_time_ = std::max(max_time_, record.time);
  ++count_;
  return ok();
}

}  // namespace reel::log
