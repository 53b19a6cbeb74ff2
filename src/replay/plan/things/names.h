// SPDX-License-Identifier: Apache-2.0
//
// The names of a trace while the plan walks it: what is known of each (a file, a directory, a
// symlink, nothing), where a path leads through symlinks, "..", and renamed directories, and which
// earlier calls decided that. Nothing here touches the file system.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "reel/trace.h"
#include "replay/plan/order/order.h"
#include "replay/plan/plan.h"

namespace reel::replay {

using NodeId = uint32_t;  // 0: none

class Names {
 public:
  Names(Plan& plan, Needs& needs);

  // `old_prefix` is the top of root number `root`; before anything else.
  void map(const std::string& old_prefix, uint32_t root);
  // A name's initial state; links first, so that the others are found through them.
  void initial(const trace::FileState& state, const std::string& path, const std::string& link_text);

  // The name that a path means now; the last component's symlink is followed when `follow`. 0: too
  // many symlinks. Makes names that were not known. `through` gets what decided the way but does
  // not lie above the name: symlinks, and directories that ".." left again.
  // `missing`: the call found nothing (ENOENT), so a directory that is not known may not be there.
  NodeId resolve(std::string_view path, bool follow, std::vector<NodeId>* through = nullptr, bool missing = false);

  // Below /proc, /sys or /dev: the replaying machine has its own.
  bool is_virtual(NodeId id) const { return nodes_[id].machine; }
  FileKind kind(NodeId id) const { return nodes_[id].kind; }
  bool known(NodeId id) const { return nodes_[id].known; }
  // Where the step finds the name: the directory (an index of Plan::dirs) and the last component.
  uint32_t dir_of(NodeId id);
  uint32_t name_of(NodeId id);
  // The directory that is here (Dir::instance), 0: none.
  uint32_t instance_of(NodeId id) const;
  // Of what was there from the start: its place in Plan::initial + 1, else 0.
  uint32_t initial_of(NodeId id) const { return nodes_[id].initial; }

  // What follows is looked at by a poll, which is in no order with what it waits for: use() does nothing.
  void set_polling(bool polls) { polling_ = polls; }
  // The step looked at the name (and what it found follows from all above it).
  void use(NodeId id, Need me);
  // The step shows that there is something here; `directory`: of that kind. What was not known is
  // an initial state from then on.
  void exists(NodeId id, bool directory);
  // The step found nothing here, and no file in the way (ENOENT, not ENOTDIR).
  void found_no_file_above(NodeId id);
  // The step made, removed or replaced what is here.
  void changed(NodeId id, Need me, FileKind now, std::string_view link_text = {});
  void renamed(NodeId from, NodeId to, Need me, bool exchange);
  // `to`, which changed() has been told of, is another name of the file at `from`.
  void linked(NodeId from, NodeId to);
  // Two names of one file: renaming one to the other does nothing.
  bool same_file(NodeId a, NodeId b) const { return nodes_[a].file != 0 && nodes_[a].file == nodes_[b].file; }
  void listed(NodeId id, Need me);
  // It turned out to be a symlink, with a text of so many bytes.
  void is_link(NodeId id, uint64_t bytes);
  const std::string& link_text(NodeId id) const { return nodes_[id].link; }
  NodeId parent(NodeId id) const { return nodes_[id].parent; }  // 0: it has none
  bool is_below(NodeId id, NodeId above) const;
  // The uppermost name, it or above it, of which it is known that nothing is there; 0: none.
  NodeId hole_above(NodeId id) const;
  // The place of a name in Plan::names.
  uint32_t intern(const std::string& name);

 private:
  struct Node {
    NodeId parent = 0;
    std::string name;
    bool known = false, machine = false, top = false;
    FileKind kind = FileKind::absent;
    std::string link;
    uint32_t root = 0;      // of tops
    uint32_t instance = 0;  // of directories: which one; 0: none was used yet
    uint32_t initial = 0;
    uint32_t file = 0;                // equal ones are one file by several names; 0: it has but this one
    uint32_t dir = 0, dir_epoch = 0;  // as a directory: index of Plan::dirs + 1 at that epoch
    std::map<std::string, NodeId, std::less<>> children;
    Cell cell;
    Listing listing;
  };

  NodeId child(NodeId parent, std::string_view name);
  uint32_t as_dir(NodeId id);
  // A directory, whatever it is called now: where it was at the start, if it was there then.
  struct Instance {
    bool initial = false;
    uint32_t root = 0;
    std::string origin;
  };

  NodeId walk(NodeId at, std::string_view path, bool follow, int& links, std::vector<NodeId>* through);
  std::string path_of(NodeId id, uint32_t& root) const;
  uint32_t instance_at(NodeId id);
  bool may_hold_names(NodeId id) const;
  void needs_above(NodeId id);
  void settle_below(NodeId id);
  void move(NodeId from, NodeId to);

  Plan& plan_;
  Needs& needs_;
  std::deque<Node> nodes_;  // 1 is "/"
  std::vector<Instance> instances_{Instance{}};
  std::map<std::pair<uint32_t, std::string>, uint32_t> dirs_;  // by instance and path
  std::unordered_map<std::string, uint32_t> interned_;
  std::unordered_map<Fid, uint32_t, FidHash> linked_;  // initial files with several names
  uint32_t files_ = 0;
  bool polling_ = false;
  bool missing_ = false;  // of the resolve() under way
  uint32_t epoch_ = 1;    // rises when the paths of directories change
};

// A call by name: whether a symlink at its end is followed; whether its names, or what lies above them, may not have
// been there.
bool follows(const trace::Event& event);
bool missing(const trace::Event& event);

}  // namespace reel::replay
