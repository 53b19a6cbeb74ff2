// SPDX-License-Identifier: Apache-2.0
//
// A model of a Lustre with one to four MDTs: a namespace with FIDs, and the changelog records that
// each operation leaves at each MDT. Which operation writes what: study C.1 to C.6, corrected by the
// recordings. No data, only versions of it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model_mdt/model_log.h"

namespace reel::model {

enum class Kind { file, dir, symlink, node };

struct Handle {
  Fid fid;
  uint32_t flags = 0;  // MDS_FMODE_* and MDS_OPEN_*, as in OPEN and CLOSE records
  bool written = false;
  uint64_t uid = 0, gid = 0;
};

struct Inode {
  Fid fid;
  Kind kind = Kind::file;
  unsigned mdt = 0;
  std::vector<unsigned> stripes;  // of a striped directory: the MDTs of its entries
  std::map<std::string, Fid> children;
  std::set<std::pair<Fid, std::string>> links;             // (parent, name): where it is
  bool on_mdt = false;                                     // Data-on-MDT: its truncations are told as changes of times
  bool is_volatile = false;                                // a temporary: leaves no records
  bool archived = false, dirty = false, released = false;  // HSM
  uint64_t data = 0, attrs = 0, times = 0, xattrs = 0;     // versions; 0: as made
  uint64_t ctime = 0;                                      // of the last change of anything; never comes again
  uint64_t changed_ns = 0;                                 // when that was
  uint64_t recorded_ns = 0;                            // when it last had a record; forgotten by its MDT now and then
  std::map<std::pair<uint64_t, uint32_t>, int> opens;  // (uid, access mode) -> handles that OPEN knows
  int open_handles = 0;
  bool silly = false;  // unlinked, still open
};

// Who does it: what a record says of its client.
struct Who {
  uint64_t uid = 0, gid = 0;
  std::string jobid = "test.0";
  bool server = false;  // the MDS itself: no jobid, nobody
};

class ModelFs {
 public:
  ModelFs(unsigned mdts, uint64_t seed);

  ModelClock& clock() { return clock_; }
  ModelLog& log(unsigned mdt) { return logs_[mdt]; }
  const ModelLog& log(unsigned mdt) const { return logs_[mdt]; }
  unsigned mdts() const { return static_cast<unsigned>(logs_.size()); }
  Fid root() const { return kRoot; }
  const std::map<Fid, Inode>& inodes() const { return inodes_; }
  const Inode* find(const Fid& fid) const;
  Fid lookup(const std::string& path) const;  // zero when there is none; "" is the root

  // Which MDT the entry of a striped directory goes to; when it does not say, a hash of the name does.
  std::function<std::optional<unsigned>(const Fid& dir, const std::string& name)> stripe_policy;
  // In which order a migration takes the entries of a directory; else by name.
  std::function<void(const Fid& dir, std::vector<std::string>& names)> readdir_order;
  // What a client asks for after it has opened a file and before it truncates it (by its caches); may be empty.
  std::function<void(const Fid&)> before_truncation;
  Who who;  // of the operations that follow

  // --- operations; paths from the root, without a leading slash; objects also by ".lustre/fid/[0x...]". 0 or an
  // errno ---
  int mkdir(const std::string& path, int on_mdt = -1, unsigned stripes = 1);  // -1: where its parent is
  // creates or opens; the handle has to be closed
  int open(const std::string& path, uint32_t flags, Handle& handle);
  // Somebody who may not: EACCES, NOPEN where that is logged. Always 0.
  int open_denied(const std::string& path, uint32_t flags);
  void write(Handle& handle);
  void close(Handle& handle) { close(handle, who); }
  void close(Handle& handle, const Who& by);
  int symlink(const std::string& path);
  int mknod(const std::string& path, bool regular);
  int link(const std::string& from, const std::string& to);
  int unlink(const std::string& path);
  int rmdir(const std::string& path);
  int rename(const std::string& from, const std::string& to);
  // `valid`: the LA_ bits of what is set
  int setattr(const std::string& path, uint16_t valid);
  int setxattr(const std::string& path, const std::string& name);
  int getxattr(const std::string& path, const std::string& name);
  int set_acl(const std::string& path);                      // the access ACL: no record of its own
  int layout(const std::string& path, bool on_mdt = false);  // LYOUT
  int hsm(const std::string& path, uint16_t flags);          // an event by itself
  // The contents go to the archive's copy: closes the handle, which was opened to write. EBUSY: not archived, dirty, or
  // open elsewhere.
  int release(Handle& handle);
  int restore(const std::string& path);
  void restore_all();                                     // the archive gives back all that was released
  int flr(const std::string& path, RecordType type);      // FLRW or RESYNC
  int access(const std::string& path);                    // a read that moves atime
  int migrate(const std::string& path, unsigned to_mdt);  // a directory and its entries, new FIDs
  void open_volatile(unsigned mdt, uint32_t flags, Handle& handle);

  // --- the MDSs ---
  void forget_inodes(unsigned mdt);  // cache pressure: their next time change makes a record
  void commit();                     // all of them
  // All MDSs crash and recover. `undo`: no client comes back, what was not committed is undone. Else the
  // clients repeat it all: in another order, with new times and new indexes.
  void crash(bool undo);

 private:
  struct Place {
    Inode* parent = nullptr;
    std::string name;
    Inode* inode = nullptr;
  };
  int place(const std::string& path, Place& place);
  Inode& make(Kind kind, unsigned mdt);
  unsigned stripe_of(const Inode& dir, const std::string& name) const;
  void changed(Inode& inode, uint64_t& version);
  void restore(Inode& inode);
  void enter(Inode& parent, const std::string& name, Inode& inode);
  void leave(Inode& parent, const std::string& name, Inode& inode);
  uint16_t last_flags(const Inode& gone, bool open_counts) const;
  void drop_if_gone(Fid fid);

  Record base(RecordType type, uint16_t flags, const Who& by);
  void emit(unsigned mdt, Record record, const Who& by);
  void names(unsigned mdt, RecordType type, uint16_t flags, const Fid& target, const Fid& parent,
             const std::string& name);
  void moved(unsigned mdt, RecordType type, uint16_t flags, const Fid& target, const Fid& parent,
             const std::string& name, const Fid& source, const Fid& source_parent, const std::string& source_name);
  void data(Inode& inode, RecordType type, uint16_t flags, const Who& by, const std::string& xattr = "");
  void attr_record(Inode& inode, uint16_t valid, const Who& by);
  void look_into(const Inode& inode, uint32_t flags);
  int migrate_entry(Inode& from, Inode& to, const std::string& name);
  int rename_across(Place& from, Place& to);

  static constexpr Fid kRoot = {0x200000007, 1, 0};
  ModelClock clock_;
  std::deque<ModelLog> logs_;
  std::map<Fid, Inode> inodes_, committed_;
  std::vector<uint32_t> next_oid_;
  Fid stale_parent_;  // what the server's buffer held last: garbage in records that set no parent
  std::string jobid_field_, xattr_field_, nid_field_;
  uint64_t random_, version_ = 0;
};

}  // namespace reel::model
