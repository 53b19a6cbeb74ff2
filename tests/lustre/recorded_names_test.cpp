// SPDX-License-Identifier: Apache-2.0
//
// What the recorded workloads did to names is done to the model, operation by operation, and the records that
// the model writes must be the recorded ones: on the same MDT and in the same order there, with the same type,
// flags, names and FIDs (as far as a FID of the model can be paired with a recorded one, always the same).
//
// The operations are taken from the records, since most workloads have no list of their steps. So this says
// nothing of operations that leave no record; the probe (recorded_test) does. Which MDT a new directory, or an
// entry of a striped one, goes to is the policy of the server, and taken from the recording too; and so is the
// order in which a migration takes the entries of a directory. Not compared: what follows a migration that the
// server left half done, with ENOTEMPTY (full_2mdt/a_tour, its last 20 steps): the model makes no such directories.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "log/lustre_wire.h"
#include "log/recordings.h"
#include "model_mdt/model_fs.h"

namespace reel::model {
namespace {

struct Recorded {
  unsigned mdt = 0;
  Record record;  // a view into the raw bytes
};

bool is_of_names(RecordType type) {
  return (type >= RecordType::creat && type <= RecordType::renme) || type == RecordType::migrt;
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

class Replay {
 public:
  Replay(const std::vector<std::string>& raws, unsigned mdts) : fs_(mdts, 1), records_(merged(raws)) {
    for (unsigned i = 0; i < mdts; ++i) fs_.log(i).register_user("", kMaskAllLustre);
    there_[fs_.root()] = fs_.root();
    // Entries of one directory that were made on several MDTs: it is striped.
    std::map<Fid, std::set<unsigned>> used;
    for (const Recorded& r : records_) {
      bool made = r.record.type == RecordType::creat || r.record.type == RecordType::slink ||
                  r.record.type == RecordType::mknod;
      if (!made && r.record.type != RecordType::hlink && r.record.type != RecordType::renme) continue;
      if (r.record.type == RecordType::renme && !r.record.target.is_zero())
        continue;  // goes where the overwritten one is
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

  // Does them all, and compares. Empty: all is as recorded.
  std::string run() {
    for (const Recorded& r : records_) {
      std::string wrong = apply(r);
      if (half_migrated_) break;
      done_ = r.record.time;
      if (!wrong.empty()) return wrong + " (" + describe(r.record) + ", MDT " + std::to_string(r.mdt) + ")";
    }
    for (unsigned mdt = 0; mdt < fs_.mdts(); ++mdt) {
      std::string wrong = compare(mdt);
      if (!wrong.empty()) return "MDT " + std::to_string(mdt) + ": " + wrong;
    }
    return "";
  }
  size_t compared() const { return compared_; }
  bool half_migrated() const { return half_migrated_; }

 private:
  static std::string describe(const Record& r) {
    std::string text = std::to_string(r.index) + " " + std::string(type_name(r.type).value_or("?")) + " flags " +
                       std::to_string(r.flags & kFlagPayload) + " t=" + to_string(r.target) +
                       " p=" + to_string(r.parent) + " " + std::string(r.name);
    if (r.flags & kFlagRename)
      text += " s=" + to_string(r.source) + " sp=" + to_string(r.source_parent) + " " + std::string(r.source_name);
    return text;
  }
  // Recorded FID and model FID belong together.
  bool pair(const Fid& recorded, const Fid& model) {
    if (recorded.is_zero() || model.is_zero()) return recorded.is_zero() == model.is_zero();
    bool first = there_.emplace(recorded, model).second;
    back_.emplace(model, recorded);
    return first || there_[recorded] == model;
  }
  std::string path_of(const Fid& model) {
    std::string path;
    for (const Inode* at = fs_.find(model); at && at->fid != fs_.root() && !at->links.empty();
         at = fs_.find(at->links.begin()->first))
      path = at->links.begin()->second + (path.empty() ? "" : "/" + path);
    return path;
  }
  std::optional<std::string> path(const Fid& parent, std::string_view name) {
    auto known = there_.find(parent);
    if (known == there_.end()) return std::nullopt;
    std::string dir = path_of(known->second);
    return (dir.empty() ? "" : dir + "/") + std::string(name);
  }

  std::string apply(const Recorded& r) {
    const Record& record = r.record;
    auto known = there_.find(record.target);
    if (record.type == RecordType::hsm && known != there_.end()) {
      fs_.hsm(path_of(known->second), record.flags & kFlagPayload);
      return "";
    }
    if (!is_of_names(record.type)) return "";
    std::optional<std::string> at = path(record.parent, record.name);
    if (!at) return "the parent is not known";
    int error = 0;
    switch (record.type) {
      case RecordType::mkdir:
        error = fs_.mkdir(*at, static_cast<int>(r.mdt), striped_.count(record.target) ? fs_.mdts() : 1);
        break;
      case RecordType::creat:
        error = fs_.mknod(*at, true);
        break;
      case RecordType::mknod:
        error = fs_.mknod(*at, false);
        break;
      case RecordType::slink:
        error = fs_.symlink(*at);
        break;
      case RecordType::hlink:
        error = known == there_.end() ? ENOENT : fs_.link(path_of(known->second), *at);
        break;
      case RecordType::unlnk:
        error = fs_.unlink(*at);
        break;
      case RecordType::rmdir:
        error = fs_.rmdir(*at);
        break;
      case RecordType::renme:
        error = rename(record, *at);
        break;
      default:
        return migrate(r);
    }
    if (error != 0) return "errno " + std::to_string(error);
    bool makes = record.type == RecordType::mkdir || record.type == RecordType::creat ||
                 record.type == RecordType::mknod || record.type == RecordType::slink;
    if (makes && !pair(record.target, fs_.lookup(*at))) return "another object";
    return "";
  }
  int rename(const Record& record, const std::string& to) {
    std::optional<std::string> from = path(record.source_parent, record.source_name);
    return from ? fs_.rename(*from, to) : ENOENT;
  }
  // The parents are the other way round. What a directory holds moves with it, and has its records later.
  std::string migrate(const Recorded& r) {
    const Record& record = r.record;
    auto known = there_.find(record.source);
    std::optional<std::string> from = path(record.parent, record.source_name),
                               to = path(record.source_parent, record.name);
    if (known == there_.end() || !from || !to) return "an object or parent is not known";
    const Inode* inode = fs_.find(known->second);
    bool is_there = inode && !inode->links.empty();
    if (is_there && inode->kind == Kind::dir && record.source != record.target) {
      int error = fs_.migrate(*from, r.mdt);
      half_migrated_ = error == ENOTEMPTY;
      if (error) return "errno " + std::to_string(error);
    } else if (is_there && *from != *to && fs_.lookup(*to) != known->second) {
      if (int error = fs_.rename(*from, *to)) return "errno " + std::to_string(error);
    }
    if (record.source == record.target) return "";  // only the name moved; the object may have moved since
    return pair(record.target, fs_.lookup(*to)) ? "" : "another object";
  }

  std::string compare(unsigned mdt) {
    std::vector<const Record*> wanted;
    for (const Recorded& r : records_)
      if (r.mdt == mdt && is_of_names(r.record.type) && r.record.time <= done_) wanted.push_back(&r.record);
    size_t next = 0;
    for (const EntryPtr& entry : fs_.log(mdt).entries()) {
      Record made;
      if (!log::decode_lustre(entry->raw.data(), entry->raw.size(), made)) std::abort();
      if (!is_of_names(made.type)) continue;
      if (next == wanted.size()) return "more than was recorded: " + describe(made);
      const Record& record = *wanted[next++];
      bool same = made.type == record.type && (made.flags & kFlagPayload) == (record.flags & kFlagPayload) &&
                  made.name == record.name && made.source_name == record.source_name &&
                  pair(record.target, made.target) && pair(record.parent, made.parent) &&
                  pair(record.source, made.source) && pair(record.source_parent, made.source_parent);
      if (!same) return "recorded " + describe(record) + "\n  model    " + describe(made);
      ++compared_;
    }
    return next == wanted.size() ? "" : "less than was recorded, from " + describe(*wanted[next]);
  }

  ModelFs fs_;
  const std::vector<Recorded> records_;
  std::map<Fid, Fid> there_, back_;
  std::map<std::pair<Fid, std::string>, unsigned> placed_;
  std::set<Fid> striped_;
  bool half_migrated_ = false;  // what comes after it is not compared
  uint64_t done_ = 0;           // time of the last record that was
  size_t compared_ = 0;
};

TEST(ModelRecorded, EveryWorkloadsNames) {
  size_t compared = 0, workloads = 0;
  for (const auto& root : recordings::roots())
    for (const auto& first : recordings::files_under(root, "mdt0.raw")) {
      std::vector<std::string> raws;
      for (unsigned mdt = 0; std::filesystem::exists(first.parent_path() / ("mdt" + std::to_string(mdt) + ".raw"));
           ++mdt)
        raws.push_back(recordings::slurp(first.parent_path() / ("mdt" + std::to_string(mdt) + ".raw")));
      Replay replay(raws, std::max<unsigned>(2, static_cast<unsigned>(raws.size())));
      std::string wrong = replay.run();
      EXPECT_EQ(wrong, "") << first;
      EXPECT_EQ(replay.half_migrated(), first.parent_path().string().ends_with("full_2mdt/a_tour")) << first;
      compared += replay.compared();
      ++workloads;
    }
  EXPECT_GT(workloads, 0u);
  std::printf("%zu records of %zu workloads\n", compared, workloads);
}

}  // namespace
}  // namespace reel::model
