// SPDX-License-Identifier: Apache-2.0
//
// A tree that was on a Lustre, as a source: DIR/after.jsonl (manifest.h) says what there was, DIR/tree
// holds the contents. FIDs are Lustre's.
//
// Where both tell something, the manifest wins: it is what Lustre said, while a tree that was unpacked
// has what tar could carry and whoever unpacked it was allowed to set. What the manifest leaves out
// comes from the tree. Contents are always the tree's; a file there that has another size than the
// manifest says is an error, and so is one that is missing.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "tree/posix/posix_attributes.h"
#include "tree/recorded/manifest.h"

namespace reel::mirror {

class RecordedTree final : public SourceTree {
 public:
  // `tree` may hold the top of the tree itself, or one directory that does (as tar unpacks it).
  // Errors: not_found, invalid (the manifest), io.
  static Result<std::unique_ptr<RecordedTree>> open(const std::string& manifest, const std::string& tree);

  Fid root() const override { return root_; }
  Result<Attributes> stat(const Fid& fid) override;
  Result<SourceEntry> lookup(const Fid& parent, const std::string& name) override;
  Status list(const Fid& dir, const std::function<Status(const SourceEntry&)>& each, const FidHint& hint) override;
  Result<std::string> read_link(const Fid& fid) override;
  Result<std::vector<Xattr>> xattrs(const Fid& fid, File* file) override;
  Result<bool> being_written(File&) override { return false; }
  Result<std::unique_ptr<File>> open(const Fid& fid) override;
  Result<Attributes> stat(File& file) override;

 private:
  struct Node {
    ManifestEntry entry;
    std::map<std::string, Fid> children;
    uint32_t names = 0;
  };

  Status build(std::vector<ManifestEntry> entries);
  Status add_name(const ManifestEntry& entry);
  Status find_top(const std::string& tree);
  bool holds_top(int fd) const;
  Result<const Node*> node(const Fid& fid) const;
  Result<Attributes> attributes(const Node& node) const;
  // The object in the tree. Errors: io also when it is missing, so that it is not taken for gone.
  Result<Fd> open_in_tree(const Node& node, int flags) const;

  std::string tree_path_;
  Fd top_;
  Fid root_;
  std::unordered_map<Fid, Node, FidHash> nodes_;
  std::unordered_map<std::string, Fid> paths_;  // only while it is built
};

}  // namespace reel::mirror
