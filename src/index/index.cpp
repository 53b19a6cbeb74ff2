// SPDX-License-Identifier: Apache-2.0
#include "index/index.h"

#include "base/codec.h"

namespace reel::mirror {
namespace {

const std::string kWaits = "w";  // value of an S row

constexpr uint8_t kHomeBit = 0x80;  // in an entry's type byte: the object's body follows

void append_be(std::string& to, uint64_t value, int bytes) {
  char text[8];
  for (int i = 0; i < bytes; ++i) text[i] = static_cast<char>(value >> ((bytes - 1 - i) * 8));
  to.append(text, static_cast<size_t>(bytes));
}

uint64_t load_be(std::string_view from, size_t at, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value = value << 8 | static_cast<uint8_t>(from[at + static_cast<size_t>(i)]);
  return value;
}

constexpr size_t kFidBytes = 16;

void append_fid(std::string& to, const Fid& fid) {
  append_be(to, fid.seq, 8);
  append_be(to, fid.oid, 4);
  append_be(to, fid.ver, 4);
}

Fid load_fid(std::string_view from, size_t at) {
  return {load_be(from, at, 8), static_cast<uint32_t>(load_be(from, at + 8, 4)),
          static_cast<uint32_t>(load_be(from, at + 12, 4))};
}

std::string dir_prefix(const Fid& dir, size_t room = 0) {
  std::string key;
  key.reserve(1 + kFidBytes + room);
  key.push_back('E');
  append_fid(key, dir);
  return key;
}
std::string entry_key(const EntryKey& key) {
  return dir_prefix(key.parent, key.name.size()) += key.name;
}
std::string fid_key(char table, const Fid& fid) {
  std::string key(1, table);
  append_fid(key, fid);
  return key;
}
std::string link_key(const Fid& fid, const EntryKey& key) {
  std::string row = fid_key('L', fid);
  append_fid(row, key.parent);
  return row + key.name;
}

void append_varint(std::string& to, uint64_t value) {
  uint8_t buffer[kVarintMax];
  uint8_t* end = store_varint(buffer, value);
  to.append(reinterpret_cast<char*>(buffer), static_cast<size_t>(end - buffer));
}
void append_time(std::string& to, const Time& time) {
  append_varint(to, zigzag(time.seconds));
  append_varint(to, time.nanoseconds);
}
Time read_time(ByteReader& reader) {
  Time time;
  time.seconds = unzigzag(reader.varint());
  time.nanoseconds = static_cast<uint32_t>(reader.varint());
  return time;
}

std::string encode_entry(const Entry& entry, const Object* object) {
  std::string value;
  value.reserve(object ? 1 + kFidBytes + 12 * kVarintMax : 1 + kFidBytes);
  value.push_back(static_cast<char>(static_cast<uint8_t>(entry.type) | (object ? kHomeBit : 0)));
  append_fid(value, entry.fid);
  if (!object) return value;
  append_varint(value, object->target.ino);
  append_time(value, object->target.born);
  append_time(value, object->ctime);
  append_time(value, object->data_ctime);
  append_time(value, object->mtime);
  append_varint(value, object->size);
  append_varint(value, object->parked_until << 1 | (object->hollow ? 1 : 0));
  return value;
}

Error corrupt_row() {
  return {Code::corrupt,
          "the index holds a row that cannot be read; stop reel, move the target's state away "
          "and start again with --adopt"};
}

// Fills entry and, for a home, object (but not its home). Returns whether it is a home.
Result<bool> decode_entry(std::string_view value, Entry& entry, Object& object) {
  if (value.size() < 1 + kFidBytes) return corrupt_row();
  uint8_t tag = static_cast<uint8_t>(value[0]);
  entry.type = static_cast<FileType>(tag & ~kHomeBit);
  entry.fid = load_fid(value, 1);
  if (!(tag & kHomeBit)) return false;
  ByteReader reader(value.data() + 1 + kFidBytes, value.size() - 1 - kFidBytes);
  object.fid = entry.fid;
  object.type = entry.type;
  object.target.ino = reader.varint();
  object.target.born = read_time(reader);
  object.ctime = read_time(reader);
  object.data_ctime = read_time(reader);
  object.mtime = read_time(reader);
  object.size = reader.varint();
  uint64_t park = reader.varint();
  object.parked_until = park >> 1;
  object.hollow = park & 1;
  if (reader.failed()) return corrupt_row();
  return true;
}

std::string encode_home(const EntryKey& home) {
  std::string value;
  value.reserve(kFidBytes + home.name.size());
  append_fid(value, home.parent);
  return value += home.name;
}
EntryKey decode_home(std::string_view value) {
  return {load_fid(value, 0), std::string(value.substr(kFidBytes))};
}

}  // namespace

std::string numbered_row(char table, uint64_t number) {
  std::string key(1, table);
  append_be(key, number, 8);
  return key;
}
uint64_t number_of_row(std::string_view key) {
  return key.size() < 9 ? 0 : load_be(key, 1, 8);
}

Result<std::optional<std::string>> Index::get(const std::string& key) const {
  auto found = pending_.find(key);
  if (found != pending_.end()) return found->second;
  return store_.get(key);
}

Status Index::scan_merged(const std::string& prefix, const std::string& start,
                          const std::function<bool(std::string_view, std::string_view)>& each) const {
  auto next = pending_.lower_bound(start);
  auto in_prefix = [&] { return next != pending_.end() && next->first.starts_with(prefix); };
  bool stopped = false;
  TRY(store_.scan(prefix, start, [&](std::string_view key, std::string_view value) {
    while (in_prefix() && next->first < key) {
      if (next->second && !each(next->first, *next->second)) return !(stopped = true);
      ++next;
    }
    if (in_prefix() && next->first == key) {  // ours is newer
      bool go_on = !next->second || each(next->first, *next->second);
      ++next;
      if (!go_on) stopped = true;
      return go_on;
    }
    if (!each(key, value)) stopped = true;
    return !stopped;
  }));
  for (; !stopped && in_prefix(); ++next)
    if (next->second && !each(next->first, *next->second)) break;
  return ok();
}

Result<std::optional<Entry>> Index::entry(const EntryKey& key) const {
  TRY_ASSIGN(std::optional<std::string> value, get(entry_key(key)));
  if (!value) return std::optional<Entry>();
  Entry entry;
  Object unused;
  TRY(decode_entry(*value, entry, unused));
  return std::optional<Entry>(entry);
}

Result<std::optional<Object>> Index::object(const Fid& fid) const {
  TRY_ASSIGN(std::optional<std::string> home, get(fid_key('O', fid)));
  if (!home) return std::optional<Object>();
  if (home->size() < kFidBytes) return corrupt_row();
  Object object;
  object.home = decode_home(*home);
  TRY_ASSIGN(std::optional<std::string> value, get(entry_key(object.home)));
  if (!value) return corrupt_row();
  Entry entry;
  TRY_ASSIGN(bool is_home, decode_entry(*value, entry, object));
  if (!is_home || entry.fid != fid) return corrupt_row();
  return std::optional<Object>(std::move(object));
}

Result<bool> Index::has_object(const Fid& fid) const {
  TRY_ASSIGN(std::optional<std::string> home, get(fid_key('O', fid)));
  return home.has_value();
}

Result<std::vector<EntryKey>> Index::links(const Fid& fid) const {
  std::vector<EntryKey> links;
  TRY_ASSIGN(std::optional<std::string> home, get(fid_key('O', fid)));
  if (!home) return links;
  links.push_back(decode_home(*home));
  std::string prefix = fid_key('L', fid);
  TRY(scan_merged(prefix, prefix, [&](std::string_view key, std::string_view) {
    links.push_back(decode_home(key.substr(prefix.size())));
    return true;
  }));
  return links;
}

Status Index::list(const Fid& dir, const std::string& start,
                   const std::function<bool(const std::string&, const Entry&, const Object*)>& each) const {
  std::string prefix = dir_prefix(dir);
  Status bad = ok();
  TRY(scan_merged(prefix, prefix + start, [&](std::string_view key, std::string_view value) {
    Entry entry;
    Object object;
    object.home = {dir, std::string(key.substr(prefix.size()))};
    Result<bool> is_home = decode_entry(value, entry, object);
    if (!is_home) {
      bad = std::move(is_home).error();
      return false;
    }
    return each(object.home.name, entry, *is_home ? &object : nullptr);
  }));
  return bad;
}

Result<bool> Index::has_entries(const Fid& dir) const {
  bool any = false;
  TRY(list(dir, "", [&](const std::string&, const Entry&, const Object*) { return !(any = true); }));
  return any;
}

Status Index::put(const Object& object) {
  pending_[entry_key(object.home)] = encode_entry({object.fid, object.type}, &object);
  pending_[fid_key('O', object.fid)] = encode_home(object.home);
  return ok();
}

Status Index::add_link(const Object& object, const EntryKey& key) {
  pending_[entry_key(key)] = encode_entry({object.fid, object.type}, nullptr);
  pending_[link_key(object.fid, key)] = "";
  return ok();
}

Status Index::remove_link(const Fid& fid, const EntryKey& key) {
  TRY_ASSIGN(std::optional<Object> object, this->object(fid));
  pending_[entry_key(key)] = std::nullopt;
  if (!object) return ok();
  if (object->home != key) {
    pending_[link_key(fid, key)] = std::nullopt;
    return ok();
  }
  TRY_ASSIGN(std::vector<EntryKey> all, links(fid));
  if (all.size() == 1) {
    pending_[fid_key('O', fid)] = std::nullopt;
    return ok();
  }
  object->home = all[1];
  pending_[link_key(fid, object->home)] = std::nullopt;
  return put(*object);
}

Status Index::move_link(const Fid& fid, const EntryKey& from, const EntryKey& to) {
  TRY_ASSIGN(std::optional<Object> object, this->object(fid));
  if (!object) return Error(Code::corrupt, "index: moved object " + to_string(fid) + " is not there");
  pending_[entry_key(from)] = std::nullopt;
  if (object->home == from) {
    object->home = to;
    if (to.parent != kParkFid) {
      object->parked_until = 0;
      object->hollow = false;
    }
    return put(*object);
  }
  pending_[link_key(fid, from)] = std::nullopt;
  return add_link(*object, to);
}

void Index::put_scan(const Fid& dir, const std::string& value) {
  std::string key = fid_key('S', dir);
  if (key < scans_from_) scans_from_ = key;
  pending_[key] = value;
}
void Index::add_scan(const Fid& dir) {
  put_scan(dir, "");
}
void Index::defer_scan(const Fid& dir) {
  put_scan(dir, kWaits);
}
void Index::remove_scan(const Fid& dir) {
  pending_[fid_key('S', dir)] = std::nullopt;
}

Status Index::wake_scan(const Fid& dir) {
  TRY_ASSIGN(std::optional<std::string> row, get(fid_key('S', dir)));
  if (row == kWaits) add_scan(dir);
  return ok();
}

// A finished scan leaves a tombstone in the store for each directory of the tree. Whoever looks for
// scans, in every step, starts behind them: or the cost of a change would grow with the tree.
Status Index::skip_done_scans() {
  std::string first = "T";
  TRY(store_.scan("S", scans_from_, [&](std::string_view key, std::string_view) {
    first = key;
    return false;
  }));
  auto next = pending_.lower_bound(scans_from_);
  if (next != pending_.end() && next->first < first) first = next->first;
  scans_from_ = first;
  return ok();
}

Result<std::vector<Fid>> Index::scans(size_t at_most) {
  std::vector<Fid> found;
  if (at_most == 0) return found;
  TRY(skip_done_scans());
  TRY(scan_merged("S", scans_from_, [&](std::string_view key, std::string_view value) {
    if (value != kWaits) found.push_back(load_fid(key, 1));
    return found.size() < at_most;
  }));
  return found;
}

Result<bool> Index::has_scans() {
  bool any = false;
  TRY(skip_done_scans());
  TRY(scan_merged("S", scans_from_, [&](std::string_view, std::string_view) {
    any = true;
    return false;
  }));
  return any;
}

Result<bool> Index::has_scan(const Fid& dir) const {
  TRY_ASSIGN(std::optional<std::string> row, get(fid_key('S', dir)));
  return row.has_value();
}

std::string Index::retry_key(const Fid& object) {
  return fid_key('o', object);
}
std::string Index::retry_key(const EntryKey& entry) {
  return "e" + encode_home(entry);
}

Index::RetrySubject Index::parse_retry_key(const std::string& key) {
  RetrySubject subject;
  subject.is_entry = key[0] == 'e';
  if (subject.is_entry)
    subject.entry = decode_home(std::string_view(key).substr(1));
  else
    subject.object = load_fid(key, 1);
  return subject;
}

void Index::put_retry(const std::string& key, const Retry& retry) {
  std::string value;
  append_varint(value, static_cast<uint64_t>(retry.sys_errno));
  append_varint(value, zigzag(retry.since_s));
  append_varint(value, zigzag(retry.next_s));
  append_varint(value, retry.tries);
  pending_["R" + key] = value + retry.text;
}
void Index::remove_retry(const std::string& key) {
  pending_["R" + key] = std::nullopt;
}

namespace {
Retry decode_retry(std::string_view value) {
  Retry retry;
  ByteReader reader(value.data(), value.size());
  retry.sys_errno = static_cast<int>(reader.varint());
  retry.since_s = unzigzag(reader.varint());
  retry.next_s = unzigzag(reader.varint());
  retry.tries = static_cast<uint32_t>(reader.varint());
  retry.text = std::string(reinterpret_cast<const char*>(reader.at()), reader.left());
  return retry;
}
}  // namespace

Result<std::optional<Retry>> Index::retry(const std::string& key) const {
  TRY_ASSIGN(std::optional<std::string> value, get("R" + key));
  if (!value) return std::optional<Retry>();
  return std::optional<Retry>(decode_retry(*value));
}

Status Index::retries(const std::function<bool(const std::string&, const Retry&)>& each) const {
  return scan_merged("R", "R", [&](std::string_view key, std::string_view value) {
    return each(std::string(key.substr(1)), decode_retry(value));
  });
}

void Index::put_meta(const std::string& name, const std::string& value) {
  pending_[meta_key(name)] = value;
}
Result<std::optional<std::string>> Index::meta(const std::string& name) const {
  return get(meta_key(name));
}

void Index::put_raw(const std::string& key, std::optional<std::string> value) {
  pending_[key] = std::move(value);
}
Status Index::scan_raw(const std::string& prefix,
                       const std::function<bool(std::string_view, std::string_view)>& each) const {
  return scan_merged(prefix, prefix, each);
}

StoreBatch Index::take_batch() {
  StoreBatch batch;
  batch.items.reserve(pending_.size());
  while (!pending_.empty()) {
    auto row = pending_.extract(pending_.begin());
    batch.items.push_back({std::move(row.key()), std::move(row.mapped())});
  }
  return batch;
}

Result<bool> ScanDebts::owed(const Fid& fid) {
  std::vector<Fid> way;
  bool owed = false;
  for (Fid at = fid; !owed && !at.is_zero() && at != kParkFid;) {
    auto answered = answers_.find(at);
    if (answered != answers_.end()) {
      owed = answered->second;
      break;
    }
    way.push_back(at);
    TRY_ASSIGN(std::optional<Object> object, index_.object(at));
    if (!object) break;
    TRY_ASSIGN(bool due, index_.has_scan(at));
    owed = due || object->hollow;
    at = object->home.parent;
  }
  for (const Fid& at : way) answers_[at] = owed;
  return owed;
}

}  // namespace reel::mirror
