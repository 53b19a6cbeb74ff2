// SPDX-License-Identifier: Apache-2.0
//
// The tree of a recording as it was at each moment: the records of all MDTs, merged by time, are
// carried out on an empty top directory. So the source moves on while a mirror follows it, and what
// has not happened yet cannot be seen by reading ahead.
//
// An object's attributes and contents are those of the manifest from the last record on that touches
// it (for a directory: of a name in it, too); before, and for objects that do not reach the end, they
// are others that change with each record.
#pragma once

#include <map>
#include <unordered_map>

#include "recorded/recording.h"

namespace reel::recorded {

class ReplayedTree final : public mirror::SourceTree {
 public:
  // `final_tree` gives what the manifest has; both must outlive this.
  ReplayedTree(const Recording& recording, mirror::SourceTree& final_tree);

  // The next record happens. False: there is none.
  bool advance();
  size_t done() const { return done_; }
  // How many of the records that happened are of this stream.
  size_t done_of(size_t stream) const { return done_of_[stream]; }
  // "" when names and FIDs are those of the manifest, else what is not.
  std::string difference() const;

  Fid root() const override { return root_; }
  Result<mirror::Attributes> stat(const Fid& fid) override;
  Result<mirror::SourceEntry> lookup(const Fid& parent, const std::string& name) override;
  Status list(const Fid& dir, const std::function<Status(const mirror::SourceEntry&)>& each,
              const mirror::FidHint& hint) override;
  Result<std::string> read_link(const Fid& fid) override;
  Result<std::vector<mirror::Xattr>> xattrs(const Fid& fid, mirror::File* file) override;
  Result<bool> being_written(mirror::File&) override { return false; }
  Result<std::unique_ptr<mirror::File>> open(const Fid& fid) override;
  Result<mirror::Attributes> stat(mirror::File& file) override;

 private:
  struct Node {
    mirror::FileType type = mirror::FileType::regular;
    std::map<std::string, Fid> children;
    unsigned names = 0;
    size_t touched = 0;  // position of the last record so far that touched it
  };
  struct Step {
    size_t stream;
    const Record* record;
  };

  void carry_out(const Record& record);
  void put(const Fid& parent, std::string_view name, const Fid& fid, mirror::FileType type);
  void drop(const Fid& parent, std::string_view name);
  void migrate(const Record& record);
  void touch(const Fid& fid);
  Node* node(const Fid& fid);
  bool is_final(const Fid& fid) const;
  std::string text_of(const Fid& fid);

  const Recording& recording_;
  mirror::SourceTree& final_;
  Fid root_;
  std::vector<Step> steps_;
  size_t done_ = 0;
  std::vector<size_t> done_of_;
  std::unordered_map<Fid, Node> nodes_;
  std::unordered_map<Fid, size_t> last_touch_;  // position of the last record of all that touches it
};

}  // namespace reel::recorded
