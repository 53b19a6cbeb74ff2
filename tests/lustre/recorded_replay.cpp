// SPDX-License-Identifier: Apache-2.0
#include "lustre/recorded_replay.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "log/text/lustre_wire.h"

namespace reel::model {
namespace {

constexpr uint64_t kSeqOfDotLustre = 0x200000002;

bool is_of_names(RecordType type) {
  return (type >= RecordType::creat && type <= RecordType::renme) || type == RecordType::migrt;
}
std::string text_of(std::string_view field) {
  return std::string(field.substr(0, field.find('\0')));
}

// By time, as one clock and one node give it; within an MDT by index.
std::vector<Recorded> merged(const std::vector<std::string>& raws) {
  std::vector<std::vector<Recorded>> streams(raws.size());
  for (unsigned mdt = 0; mdt < raws.size(); ++mdt) {
    for (size_t at = 0; at < raws[mdt].size();) {
      Recorded next;
      next.mdt = mdt;
      Result<size_t> used = log::decode_lustre(raws[mdt].data() + at, raws[mdt].size() - at, next.record);
      if (!used) std::abort();
      at += *used;
      streams[mdt].push_back(next);
    }
  }
  std::vector<Recorded> all;
  std::vector<size_t> next(streams.size(), 0);
  for (;;) {
    size_t first = streams.size();
    for (size_t i = 0; i < streams.size(); ++i)
      if (next[i] < streams[i].size() &&
          (first == streams.size() || streams[i][next[i]].record.time < streams[first][next[first]].record.time))
        first = i;
    if (first == streams.size()) return all;
    all.push_back(streams[first][next[first]++]);
  }
}

std::string describe(const Record& r) {
  char flags[16], extra[16];
  std::snprintf(flags, sizeof flags, "0x%x", r.flags);
  std::snprintf(extra, sizeof extra, "0x%x", static_cast<unsigned>(r.extra_flags));
  std::string text = std::to_string(r.index) + " " + std::string(type_name(r.type).value_or("?")) + " " + flags +
                     " ef=" + extra + " t=" + to_string(r.target) + " j=" + text_of(r.jobid_field) +
                     " p=" + to_string(r.parent) + " " + std::string(r.name);
  if (r.flags & kFlagRename)
    text += " s=" + to_string(r.source) + " sp=" + to_string(r.source_parent) + " " + std::string(r.source_name);
  if (r.extra_flags & kExtraXattr) text += " x=" + text_of(r.xattr_field);
  return text;
}

}  // namespace

RecordedReplay::RecordedReplay(const std::vector<std::string>& raws, unsigned mdts)
    : fs_(mdts, 1), records_(merged(raws)), taken_(mdts, 0) {
  opens_are_logged_ = std::any_of(records_.begin(), records_.end(),
                                  [](const Recorded& r) { return r.record.type == RecordType::open; });
  std::optional<uint64_t> mask;
  if (opens_are_logged_) mask = kMaskAllLustre;
  for (unsigned i = 0; i < mdts; ++i) fs_.log(i).register_user("", mask);
  there_[fs_.root()] = back_[fs_.root()] = fs_.root();
  take_policies();
}

void RecordedReplay::take_policies() {
  // Entries of one directory that were made on several MDTs: it is striped.
  std::map<Fid, std::set<unsigned>> used;
  for (const Recorded& r : records_) {
    bool made =
        r.record.type == RecordType::creat || r.record.type == RecordType::slink || r.record.type == RecordType::mknod;
    if (!made && r.record.type != RecordType::hlink && r.record.type != RecordType::renme) continue;
    // Goes where the overwritten one is.
    if (r.record.type == RecordType::renme && !r.record.target.is_zero()) continue;
    used[r.record.parent].insert(r.mdt);
    placed_[{r.record.parent, std::string(r.record.name)}] = r.mdt;
  }
  for (const auto& [dir, on] : used)
    if (on.size() > 1) striped_.insert(dir);
  fs_.stripe_policy = [this](const Fid& dir, const std::string& name) -> std::optional<unsigned> {
    auto at = placed_.find({back_[dir], name});
    return at == placed_.end() ? std::nullopt : std::optional(at->second);
  };
  fs_.readdir_order = [this](const Fid& dir, std::vector<std::string>& names) {
    std::map<std::string, size_t> order;
    for (const std::string& name : names)
      for (size_t i = 0; i < records_.size(); ++i)
        if (records_[i].record.type == RecordType::migrt && records_[i].record.source_name == name &&
            records_[i].record.source == back_[fs_.find(dir)->children.at(name)])
          order[name] = i;
    std::sort(names.begin(), names.end(),
              [&](const std::string& a, const std::string& b) { return order[a] < order[b]; });
  };
}

std::string RecordedReplay::run() {
  for (size_t i = 0; i < records_.size(); ++i) {
    std::string wrong = step(i);
    if (half_migrated_) return "";
    if (!wrong.empty())
      return wrong + "\n  at MDT " + std::to_string(records_[i].mdt) + ", recorded " + describe(records_[i].record);
  }
  for (unsigned mdt = 0; mdt < fs_.mdts(); ++mdt)
    if (taken_[mdt] < fs_.log(mdt).entries().size())
      return "MDT " + std::to_string(mdt) + " has more than was recorded: " + describe(next_made(mdt));
  return "";
}

std::string RecordedReplay::step(size_t at) {
  const Recorded& r = records_[at];
  if (r.record.target.seq == kSeqOfDotLustre) return "";
  if (!is_written(r)) {
    std::string wrong = apply(at);
    if (half_migrated_ || !wrong.empty()) return wrong;
  }
  return take(r);
}

Record RecordedReplay::next_made(unsigned mdt) const {
  const EntryPtr& entry = fs_.log(mdt).entries()[taken_[mdt]];
  Record made;
  if (!log::decode_lustre(entry->raw.data(), entry->raw.size(), made)) std::abort();
  return made;
}

// Whether an operation that was done has already left it.
bool RecordedReplay::is_written(const Recorded& r) const {
  if (taken_[r.mdt] == fs_.log(r.mdt).entries().size()) return false;
  Record made = next_made(r.mdt);
  auto known = there_.find(r.record.target);
  return made.type == r.record.type && (known == there_.end() || known->second == made.target);
}

std::string RecordedReplay::take(const Recorded& r) {
  if (taken_[r.mdt] == fs_.log(r.mdt).entries().size()) return "the model wrote nothing";
  Record made = next_made(r.mdt);
  std::string wrong = differs(r.record, made);
  if (!wrong.empty()) return wrong + " differs: the model has " + describe(made);
  ++taken_[r.mdt];
  ++compared_;
  return "";
}

std::string RecordedReplay::differs(const Record& wanted, const Record& made) {
  if (made.type != wanted.type) return "type";
  if (made.flags != wanted.flags) return "flags";
  if ((made.extra_flags ^ wanted.extra_flags) & ~kExtraNidBe) return "extensions";
  if (made.name != wanted.name || made.source_name != wanted.source_name) return "names";
  if (!pair(wanted.target, made.target)) return "target";
  if (is_of_names(wanted.type) && !pair(wanted.parent, made.parent)) return "parent";
  if (wanted.type == RecordType::trunc && !is_parent(wanted, made)) return "parent";
  if (!pair(wanted.source, made.source) || !pair(wanted.source_parent, made.source_parent)) return "source";
  if (made.uid != wanted.uid || made.gid != wanted.gid) return "uid or gid";
  if (text_of(made.jobid_field) != text_of(wanted.jobid_field)) return "jobid";
  if (text_of(made.xattr_field) != text_of(wanted.xattr_field)) return "xattr";
  if ((made.open_mode ^ wanted.open_mode) & kFlagPayload) return "open mode";
  return "";
}

// Of a file with several names the client says which it used.
bool RecordedReplay::is_parent(const Record& wanted, const Record& made) {
  if (wanted.parent.is_zero() || made.parent.is_zero()) return wanted.parent.is_zero() == made.parent.is_zero();
  const Inode* inode = fs_.find(made.target);
  return inode && std::any_of(inode->links.begin(), inode->links.end(),
                              [&](const auto& link) { return pair(wanted.parent, link.first); });
}

// Recorded FID and model FID belong together.
bool RecordedReplay::pair(const Fid& recorded, const Fid& model) {
  if (recorded.is_zero() || model.is_zero()) return recorded.is_zero() == model.is_zero();
  bool first = there_.emplace(recorded, model).second;
  back_.emplace(model, recorded);
  return first || there_[recorded] == model;
}

std::string RecordedReplay::path_of(const Fid& model) const {
  std::string path;
  for (const Inode* at = fs_.find(model); at && at->fid != fs_.root() && !at->links.empty();
       at = fs_.find(at->links.begin()->first))
    path = at->links.begin()->second + (path.empty() ? "" : "/" + path);
  return path;
}

std::string RecordedReplay::path_of_recorded(const Fid& recorded) const {
  auto known = there_.find(recorded);
  return known == there_.end() ? "" : path_of(known->second);
}

std::optional<std::string> RecordedReplay::path(const Fid& parent, std::string_view name) const {
  auto known = there_.find(parent);
  if (known == there_.end()) return std::nullopt;
  std::string dir = path_of(known->second);
  return (dir.empty() ? "" : dir + "/") + std::string(name);
}

const Record* RecordedReplay::next_of(size_t at) const {
  for (size_t i = at + 1; i < records_.size(); ++i)
    if (records_[i].mdt == records_[at].mdt && records_[i].record.target == records_[at].record.target)
      return &records_[i].record;
  return nullptr;
}

}  // namespace reel::model
