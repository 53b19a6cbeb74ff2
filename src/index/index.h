// SPDX-License-Identifier: Apache-2.0
//
// The index: what one target has. It knows every mirrored object by its source FID, every directory
// entry by (parent FID, name), and what is still to be done: directories to scan, objects to retry,
// batches that were begun.
//
// Rows (all integers big-endian in keys, so that they sort):
//   'E' parent name   the entry: child FID, type; and, in the object's home entry, the object itself
//   'O' fid           where the object's home entry is: parent, name
//   'L' fid parent name   further hard links of the object (beside home)
//   'S' fid           directory to be scanned with all below it; value "w": waits for its 'R' row
//   'R' key           to be looked at again: an object ("o" fid) or an entry ("e" parent name)
//   'I' number        a batch that was begun: what it may touch on the target
//   'B' number        a barrier (barriers.h)
//   'M' name          cursor, identities, counters
// The root's home is the entry "" of the zero FID; what is parked has its home in kParkFid.
//
// Changes are collected in memory (every read sees them) until take_batch(). One thread changes;
// reads may come from many threads while nobody changes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "index/store.h"
#include "tree/tree.h"

namespace reel::mirror {

struct EntryKey {
  Fid parent;
  std::string name;
  friend auto operator<=>(const EntryKey&, const EntryKey&) = default;
};
struct EntryKeyHash {
  size_t operator()(const EntryKey& key) const {
    return FidHash()(key.parent) * 31 + std::hash<std::string>()(key.name);
  }
};

// The key of a row that has a number, and the number in it.
std::string numbered_row(char table, uint64_t number);
uint64_t number_of_row(std::string_view key);

inline constexpr Fid kParkFid{0, 0, 1};  // the pseudo directory ".reel/park" of the target

struct Object {
  Fid fid;
  FileType type = FileType::regular;
  EntryKey home;
  Instance target;  // what stands for it on the target
  // The source's ctime when attributes (contents) were last known to be equal; zero: not known.
  Time ctime, data_ctime;
  Time mtime;
  uint64_t size = 0;
  uint64_t parked_until = 0;  // only in the park: goes when this barrier has been passed (barriers.h)
  bool hollow = false;        // a scan passed it by while it was away, or its parts are going: read it on its return
};

struct Retry {
  int sys_errno = 0;  // 0: it changed while it was read, nothing is wrong with it
  std::string text;   // for people: what failed, on which path
  int64_t since_s = 0;
  int64_t next_s = 0;  // realtime seconds of the next attempt
  uint32_t tries = 0;
};

struct Entry {
  Fid fid;
  FileType type = FileType::regular;
};

class Index {
 public:
  explicit Index(Store& store) : store_(store) {}

  Result<std::optional<Entry>> entry(const EntryKey& key) const;
  Result<std::optional<Object>> object(const Fid& fid) const;
  Result<bool> has_object(const Fid& fid) const;  // at half the cost
  // All names of the object, home first. Empty when it is not in the index.
  Result<std::vector<EntryKey>> links(const Fid& fid) const;
  // Entries of a directory in name order, from `start` on; `object` is set where this is its home.
  Status list(const Fid& dir, const std::string& start,
              const std::function<bool(const std::string& name, const Entry&, const Object*)>& each) const;
  Result<bool> has_entries(const Fid& dir) const;

  // Changes. put() writes the object at its home; the entry there comes with it.
  Status put(const Object& object);
  Status add_link(const Object& object, const EntryKey& key);
  // Removes one name; when it was home another link becomes home; without any the object is gone.
  Status remove_link(const Fid& fid, const EntryKey& key);
  // The entry moved, with the object's body if it was home.
  Status move_link(const Fid& fid, const EntryKey& from, const EntryKey& to);

  // The directory and everything below it is to be compared.
  void add_scan(const Fid& dir);
  void remove_scan(const Fid& dir);
  // It could not be read: it is scanned when its retry falls due, which wakes it.
  void defer_scan(const Fid& dir);
  Status wake_scan(const Fid& dir);
  Result<std::vector<Fid>> scans(size_t at_most);  // without those that wait
  Result<bool> has_scans();                        // also those that wait for their retry
  Result<bool> has_scan(const Fid& dir) const;     // one that waits, too

  static std::string retry_key(const Fid& object);
  static std::string retry_key(const EntryKey& entry);
  void put_retry(const std::string& key, const Retry& retry);
  void remove_retry(const std::string& key);
  Result<std::optional<Retry>> retry(const std::string& key) const;
  Status retries(const std::function<bool(const std::string& key, const Retry&)>& each) const;
  // What a retry key names; the entry's name is empty and `object` set for objects.
  struct RetrySubject {
    Fid object;
    EntryKey entry;
    bool is_entry = false;
  };
  static RetrySubject parse_retry_key(const std::string& key);

  static std::string meta_key(const std::string& name) { return "M" + name; }
  void put_meta(const std::string& name, const std::string& value);
  Result<std::optional<std::string>> meta(const std::string& name) const;

  void put_raw(const std::string& key, std::optional<std::string> value);  // rows with numbers
  Status scan_raw(const std::string& prefix, const std::function<bool(std::string_view, std::string_view)>& each) const;

  size_t pending_rows() const { return pending_.size(); }
  // Hands the collected changes out for Store::write and forgets them; drop() just forgets.
  StoreBatch take_batch();
  void drop() { pending_.clear(); }
  Store& store() { return store_; }

 private:
  Result<std::optional<std::string>> get(const std::string& key) const;
  Status scan_merged(const std::string& prefix, const std::string& start,
                     const std::function<bool(std::string_view, std::string_view)>& each) const;

  void put_scan(const Fid& dir, const std::string& value);
  Status skip_done_scans();

  Store& store_;
  std::map<std::string, std::optional<std::string>, std::less<>> pending_;
  // No 'S' row lies before this key, in the store or pending.
  std::string scans_from_ = "S";
};

// Whether an object, or a directory that it lies in, is still to be scanned or was passed by: what comes
// out of there is owed a scan wherever it goes. Answers are kept: for as long as the index does not change.
class ScanDebts {
 public:
  explicit ScanDebts(const Index& index) : index_(index) {}
  Result<bool> owed(const Fid& fid);

 private:
  const Index& index_;
  std::unordered_map<Fid, bool, FidHash> answers_;
};

}  // namespace reel::mirror
