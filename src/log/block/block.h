// SPDX-License-Identifier: Apache-2.0
//
// Records <-> the payload of one block (docs/log-format.md, "Record"). Encoder and decoder keep the
// same small memory of what went before (recent FIDs, recent callers, the last flags of each type),
// empty at the start of every block, so that a block decodes alone.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/codec.h"
#include "log/block/block_shape.h"
#include "reel/record.h"
#include "reel/result.h"

namespace reel::log {

inline constexpr size_t kJobidSize = 32;
inline constexpr size_t kNidSize = 24;
inline constexpr size_t kXattrSize = 256;
inline constexpr uint32_t kCallersBack = 256;
inline constexpr uint32_t kFidsBack = 4096;
inline constexpr uint32_t kFidDistances = 256;  // that a block without columns can tell

// Who caused a record; few differ within a block. Fields that the record does not have are zero.
struct Caller {
  std::array<char, kJobidSize> jobid{};
  std::array<char, kNidSize> nid{};
  uint64_t uid = 0;
  uint64_t gid = 0;
  friend bool operator==(const Caller&, const Caller&) = default;
};

// The last kSize things that were spelled out; a later one is named by its distance (1 = the
// latest).
template <class T, uint32_t kSize>
class Recent {
 public:
  void push(const T& value) { ring_[count_++ % kSize] = value; }
  // nullptr: nothing that far back.
  const T* at_distance(uint32_t distance) const {
    if (distance == 0 || distance > count_ || distance >= kSize) return nullptr;
    return &ring_[(count_ - distance) % kSize];
  }
  uint32_t count() const { return count_; }
  void clear() { count_ = 0; }

 private:
  std::array<T, kSize> ring_{};
  uint32_t count_ = 0;
};

// Where in a Recent a value was last pushed. Only the encoder needs it; what it forgets is spelled
// out.
template <size_t kSlots>
class Lookup {
 public:
  void note(size_t hash, uint32_t count) { slots_[hash % kSlots] = base_ + count; }
  // The distance the value of this hash may be at, or 0.
  uint32_t distance(size_t hash, uint32_t count) const {
    uint64_t noted = slots_[hash % kSlots];
    return noted <= base_ ? 0 : static_cast<uint32_t>(base_ + count - noted + 1);
  }
  void clear(uint32_t count) { base_ += count; }

 private:
  std::array<uint64_t, kSlots> slots_{};  // base + count after the push; 0: never
  uint64_t base_ = 0;
};

struct FlagMemory {
  uint16_t flags = 0;
  uint64_t extra = 0;
};

// The fields of a call extension beside its op, as numbers, in the order of their bits.
inline constexpr size_t kCallFields = 12;
enum CallField : uint32_t {
  kFd,
  kFdGeneration,
  kPath,
  kFlags,
  kRelative,
  kArg,
  kFd2,
  kFd2Generation,
  kMode,
  kPath2,
  kRelative2,
  kArg2
};
static_assert(kFields + kCallFields == kColumns);
using CallFields = std::array<uint64_t, kCallFields>;
CallFields fields_of(const CallExtension& call);
CallExtension call_of(uint32_t op, const CallFields& fields);

// What a record of a block with columns has, and how it is written. Most records of a block have one of few.
struct Form {
  uint32_t type = 0;
  uint32_t shape = 0;
  uint32_t io = 0;       // the byte before the I/O extension
  uint32_t op = 0;       // of the call extension
  uint32_t changed = 0;  // which of its fields are written
  friend bool operator==(const Form&, const Form&) = default;
};
inline constexpr size_t kMaxForms = 1024;
static_assert(sizeof(Form) == 20, "hashed as bytes: no padding allowed");

// What both sides remember while they go through a block.
struct BlockMemory {
  static constexpr uint32_t kTypes = 64;
  static constexpr uint32_t kOps = 256;
  uint64_t index = 0;
  uint64_t time = 0;                          // what the next record's is told from: of a call its end
  Fid target, parent, source, source_parent;  // of the record before
  Fid literal;                                // the last FID spelled out
  Caller caller;                              // of the last record that had one
  std::array<FlagMemory, kTypes> flags{};
  IoExtension io;                                 // of the last record that had one
  std::array<CallFields, kOps + kTypes> calls{};  // the last of each op, and of each type that is no call
  std::vector<Form> forms;                        // those spelled out, up to kMaxForms
  std::string name;                               // the last one
  uint64_t first_string = 0;                      // the number of the first STRING, 0: there was none
  std::vector<uint32_t> bases;                    // of the strings from there: bytes behind the last slash
  std::array<uint64_t, 256> generations{};        // the last of each descriptor (modulo 256)
  uint32_t fid_at = 0;                            // which of the FIDs spelled out the last reference was to
  Recent<Fid, kFidsBack> fids;
  Recent<Caller, kCallersBack> callers;

  void start(uint64_t first_index);
  CallFields& last(const Form& form) { return calls[form.op != 0 ? form.op % kOps : kOps + form.type % kTypes]; }
  void note_string(const Record& record);
  // What a field is when it is not written, and what it is told from when it is. `now`: the fields before it.
  uint64_t expected(uint32_t field, const Form& form, const CallFields& now);
  uint64_t origin(uint32_t field, const Form& form, const CallFields& now);
  void note_fields(const Form& form, const CallFields& now);
};

class BlockEncoder {
 public:
  // `columns`: for blocks with kBlockColumns.
  explicit BlockEncoder(bool columns = false);
  // invalid: a field is longer than the format allows; nothing was added then.
  Status add(const Record& record);
  void clear();

  bool empty() const { return count_ == 0; }
  size_t size() const { return static_cast<size_t>(at_ - buffer_.data()) + in_columns_; }
  // Nothing is added from here to clear(). The payload is whole only now: data(), size(), and the sizes of the parts of
  // it that pack best by themselves.
  std::vector<size_t> close();
  const uint8_t* data() const { return buffer_.data(); }
  uint32_t count() const { return count_; }
  uint64_t first_index() const { return first_index_; }
  uint64_t last_index() const { return memory_.index; }
  uint64_t min_time() const { return min_time_; }
  uint64_t max_time() const { return max_time_; }

 private:
  void reserve(size_t more);
  void put_number(Column column, uint64_t value);
  void put_time(Column low, Column high, uint64_t value);
  uint32_t fid_op(const Fid& fid, const Fid& before) const;
  void put_fid(uint32_t op, const Fid& fid);
  void put_fid_back(uint32_t distance);
  void put_name(std::string_view name);
  void put_bytes(std::string_view bytes);
  void put_trimmed(std::string_view field);
  void put_caller(const Caller& caller);
  uint32_t put_flags(const Record& record);
  uint32_t put_optional(const Record& record);
  void put_rename(const Record& record);
  void put_io(const IoExtension& io, const CallExtension* call);
  void put_call(const CallExtension& call);
  void put_form();

  bool columns_;
  std::vector<uint8_t> buffer_;
  uint8_t* at_;
  std::array<std::vector<uint8_t>, kColumns> column_;
  size_t in_columns_ = 0;  // bytes in them
  BlockMemory memory_;
  Lookup<8192> fid_lookup_;
  Lookup<1024> caller_lookup_;
  Form form_;                                 // of the record that is being added
  std::array<uint16_t, 4096> form_lookup_{};  // by hash: its number, 0: none
  uint32_t count_ = 0;
  uint64_t first_index_ = 0, min_time_ = 0, max_time_ = 0;
};

class BlockDecoder {
 public:
  enum class Step { record, end, bad };

  // `payload` is unpacked and stays in place while records are read. `columns`: the block has kBlockColumns.
  void start(uint64_t first_index, uint32_t count, const uint8_t* payload, size_t size, bool columns = false);
  // The record's views are valid until the next call. bad: the payload is not one we wrote.
  Step next(Record& record);
  uint32_t left() const { return left_; }

 private:
  bool split(const uint8_t* payload, size_t size);
  ByteReader& in(Column column) { return columns_ ? column_[column] : in_; }
  uint64_t get_time(Column low, Column high);
  bool all_read() const;
  bool failed() const;
  const Fid* get_fid_back();
  bool get_fid(uint32_t op, const Fid& before, Fid& fid);
  bool get_form();
  std::string_view get_name();
  std::string_view get_bytes();
  bool get_field(char* to, size_t capacity);
  bool get_caller(uint32_t shape, Record& record);
  bool get_extra(Record& record);
  bool get_rename(Record& record);
  bool get_io(Record& record);
  void get_call(Record& record);

  bool columns_ = false;
  ByteReader in_{nullptr, 0};
  std::array<ByteReader, kColumns> column_;
  BlockMemory memory_;
  Form form_;  // of the record that is being read
  std::array<char, kXattrSize> xattr_{};
  uint32_t left_ = 0;
};

}  // namespace reel::log
