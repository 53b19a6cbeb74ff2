// SPDX-License-Identifier: Apache-2.0
#include "recorded/recording.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "base/json.h"
#include "log/recordings.h"
#include "log/text/lustre_wire.h"
#include "recorded/sha256.h"
#include "support/memory_store.h"

namespace reel::recorded {

namespace fs = std::filesystem;
using namespace reel::mirror;

namespace {

Recording load(const fs::path& dir) {
  Recording recording;
  recording.dir = dir.string();
  recording.name = dir.parent_path().filename().string() + "/" + dir.filename().string();
  recording.manifest = recordings::slurp(dir / "after.jsonl");
  recording.entries = *parse_manifest(recording.manifest);
  recording.has_contents = fs::exists(dir / "final.tar.gz");
  std::istringstream lines(recording.manifest);
  for (std::string line; std::getline(lines, line);) {
    Result<Json> json = parse_json(line);
    const Json* sum = json->find("sha256");
    recording.sums.push_back(sum && recording.has_contents ? sum->text : "");
  }
  for (unsigned i = 0; fs::exists(dir / ("mdt" + std::to_string(i) + ".raw")); ++i) {
    Stream& stream = recording.streams.emplace_back();
    stream.name = "mdt" + std::to_string(i);
    stream.raw = recordings::slurp(dir / (stream.name + ".raw"));
  }
  // The strings do not move any more.
  for (Stream& stream : recording.streams) {
    for (size_t at = 0; at < stream.raw.size();) {
      Record record;
      Result<size_t> size = log::decode_lustre(stream.raw.data() + at, stream.raw.size() - at, record);
      if (!size) throw std::runtime_error(size.error().text());
      stream.records.push_back(record);
      at += *size;
    }
  }
  return recording;
}

// "" when they are equal, else what differs.
std::string difference(const ManifestEntry& entry, const std::string& sum, const std::string& path) {
  struct stat there;
  if (::lstat(path.c_str(), &there) != 0) return "missing";
  constexpr uint32_t kTypes[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK};
  FileType type = *entry.type;
  if ((there.st_mode & S_IFMT) != kTypes[static_cast<size_t>(type)]) return "type";
  if (type != FileType::symlink && (there.st_mode & 07777) != *entry.mode) return "mode";
  if (there.st_uid != *entry.uid || there.st_gid != *entry.gid) return "owner";
  if (there.st_mtim.tv_sec != entry.mtime->seconds || there.st_mtim.tv_nsec != entry.mtime->nanoseconds) return "mtime";
  if (entry.rdev && there.st_rdev != *entry.rdev) return "rdev";
  if (type == FileType::regular && static_cast<uint64_t>(there.st_size) != *entry.size) return "size";
  if (type == FileType::regular && !sum.empty() && Sha256::hex(recordings::slurp(path)) != sum) return "sha256";
  if (type == FileType::symlink && fs::read_symlink(path).string() != *entry.link_text) return "link text";
  std::map<std::string, std::string> expected, found;
  for (const Xattr& xattr : *entry.xattrs) {
    bool lustres = xattr.name.starts_with("lustre.") || xattr.name == "trusted.lov" || xattr.name == "trusted.lma" ||
                   xattr.name == "trusted.link" || xattr.name == "trusted.hsm" || xattr.name == "trusted.dmv";
    if (!lustres) expected[xattr.name] = xattr.value;
  }
  std::vector<char> names(65536), value(65536);
  ssize_t size = ::llistxattr(path.c_str(), names.data(), names.size());
  for (ssize_t at = 0; at < size; at += static_cast<ssize_t>(std::strlen(names.data() + at)) + 1) {
    ssize_t length = ::lgetxattr(path.c_str(), names.data() + at, value.data(), value.size());
    found[names.data() + at] = std::string(value.data(), static_cast<size_t>(std::max<ssize_t>(length, 0)));
  }
  return found == expected ? "" : "xattrs";
}

void collect_paths(const std::string& dir, const std::string& prefix, std::set<std::string>& paths) {
  for (const auto& entry : fs::directory_iterator(dir)) {
    std::string name = entry.path().filename().string();
    if (prefix.empty() && name == ".reel") continue;
    paths.insert(prefix + name);
    if (entry.is_directory() && !entry.is_symlink()) collect_paths(entry.path().string(), prefix + name + "/", paths);
  }
}

}  // namespace

size_t Recording::record_count() const {
  size_t count = 0;
  for (const Stream& stream : streams) count += stream.records.size();
  return count;
}

const std::vector<Recording>& recordings() {
  static const std::vector<Recording> all = [] {
    std::vector<Recording> found;
    fs::path root = ::reel::recordings::full_set();
    if (root.empty()) root = ::reel::recordings::corpus();
    for (const fs::path& path : ::reel::recordings::files_under(root, "after.jsonl"))
      found.push_back(load(path.parent_path()));
    return found;
  }();
  return all;
}

void lay_out(const Recording& recording, const std::string& dir) {
  fs::create_directories(dir + "/tree");
  std::ofstream(dir + "/after.jsonl") << recording.manifest;
  for (const Stream& stream : recording.streams)
    std::ofstream(dir + "/" + stream.name + ".raw", std::ios::binary) << stream.raw;
  if (recording.has_contents) {
    std::string command = "tar -xzf '" + recording.dir + "/final.tar.gz' -C '" + dir + "/tree' 2>/dev/null";
    if (mirror::test::shell(command) != 0) throw std::runtime_error("tar failed: " + command);
    return;
  }
  for (const ManifestEntry& entry : recording.entries) {
    std::string path = dir + "/tree/" + entry.path;
    if (entry.type == FileType::directory) fs::create_directories(path);
    if (entry.type == FileType::regular) {
      std::ofstream(path) << "x";
      fs::resize_file(path, *entry.size);
    }
    if (entry.type == FileType::symlink) fs::create_symlink(*entry.link_text, path);
  }
}

std::vector<std::string> compare_with_manifest(const Recording& recording, const std::string& path) {
  std::vector<std::string> differences;
  std::set<std::string> extra;
  collect_paths(path, "", extra);
  std::map<Fid, std::pair<std::string, ino_t>> inodes;
  std::map<ino_t, Fid> fids;
  for (size_t i = 0; i < recording.entries.size(); ++i) {
    const ManifestEntry& entry = recording.entries[i];
    std::string full = path + (entry.path.empty() ? "" : "/" + entry.path);
    std::string differs = difference(entry, recording.sums[i], full);
    if (!differs.empty()) differences.push_back(printable(entry.path) + ": " + differs);
    extra.erase(entry.path);
    struct stat there {};
    if (::lstat(full.c_str(), &there) != 0) continue;
    auto [of_fid, first] = inodes.emplace(entry.fid, std::pair(entry.path, there.st_ino));
    if (of_fid->second.second != there.st_ino)
      differences.push_back(printable(entry.path) + ": no link of " + printable(of_fid->second.first));
    if (auto [of_ino, fresh] = fids.emplace(there.st_ino, entry.fid); of_ino->second != entry.fid)
      differences.push_back(printable(entry.path) + ": is a link of another object");
  }
  for (const std::string& each : extra) differences.push_back(printable(each) + ": extra");
  return differences;
}

std::vector<std::string> compare_fids(const Recording& recording, const Index& index, const Fid& root) {
  std::vector<std::string> differences;
  for (const ManifestEntry& entry : recording.entries) {
    Fid at = root;
    for (size_t begin = 0; begin < entry.path.size();) {
      size_t end = std::min(entry.path.find('/', begin), entry.path.size());
      Result<std::optional<Entry>> found = index.entry({at, entry.path.substr(begin, end - begin)});
      at = found && *found ? (*found)->fid : Fid{};
      begin = end + 1;
    }
    if (at != entry.fid) differences.push_back(printable(entry.path) + ": the index has " + to_string(at));
  }
  return differences;
}

std::unique_ptr<Store> memory_store(std::map<std::string, std::string>& rows) {
  return std::make_unique<mirror::test::MemoryStore>(rows);
}

RecordedFeed::RecordedFeed(const Recording& recording)
    : visible(recording.streams.size()), recording_(recording), next_(recording.streams.size()) {
  for (const Stream& stream : recording.streams) names_.push_back(stream.name);
  for (size_t i = 0; i < visible.size(); ++i) visible[i] = recording.streams[i].records.size();
}

Result<bool> RecordedFeed::next(Record& record, size_t& stream) {
  std::vector<size_t> ready;
  for (size_t i = 0; i < next_.size(); ++i)
    if (next_[i] < visible[i]) ready.push_back(i);
  if (ready.empty()) return false;
  stream = order ? ready[(*order)() % ready.size()] : ready[turn_++ % ready.size()];
  record = recording_.streams[stream].records[next_[stream]];
  if (twice && (repeated_ = !repeated_)) return true;
  ++next_[stream];
  return true;
}

Status RecordedFeed::start_after(const log::Position& position) {
  repeated_ = false;
  for (size_t i = 0; i < next_.size(); ++i) {
    const std::vector<Record>& records = recording_.streams[i].records;
    next_[i] = 0;
    if (from_the_start) continue;
    while (next_[i] < records.size() && records[next_[i]].index <= position.at(names_[i])) ++next_[i];
  }
  return ok();
}

log::Position RecordedFeed::last() {
  log::Position end;
  for (size_t i = 0; i < next_.size(); ++i)
    if (visible[i] > 0) end.set(names_[i], recording_.streams[i].records[visible[i] - 1].index);
  return end;
}

// The tree that the mirror sees now; counts what it asks.
class SwitchedTree final : public SourceTree {
 public:
  explicit SwitchedTree(Mirror& mirror) : mirror_(mirror) {}
  Fid root() const override { return mirror_.now_->root(); }
  Result<Attributes> stat(const Fid& fid) override { return ++mirror_.stats, mirror_.now_->stat(fid); }
  Result<SourceEntry> lookup(const Fid& parent, const std::string& name) override {
    return ++mirror_.lookups, mirror_.now_->lookup(parent, name);
  }
  Status list(const Fid& dir, const std::function<Status(const SourceEntry&)>& each, const FidHint& hint) override {
    if (mirror_.now_ == mirror_.final_.get()) ++mirror_.directories_scanned;
    return mirror_.now_->list(dir, each, hint);
  }
  Result<std::string> read_link(const Fid& fid) override { return mirror_.now_->read_link(fid); }
  Result<std::vector<Xattr>> xattrs(const Fid& fid, File* file) override { return mirror_.now_->xattrs(fid, file); }
  Result<bool> being_written(File& file) override { return mirror_.now_->being_written(file); }
  Result<std::unique_ptr<File>> open(const Fid& fid) override { return mirror_.now_->open(fid); }
  Result<Attributes> stat(File& file) override { return mirror_.now_->stat(file); }

 private:
  Mirror& mirror_;
};

Mirror::Mirror(const Recording& recording, const std::string& base)
    : feed(recording), recording_(recording), target_path_(base + "/target") {
  auto value = [](auto result) {
    if (!result) throw std::runtime_error(result.error().text());
    return *std::move(result);
  };
  fs::create_directories(base + "/before/tree");
  std::string root = to_string(recording.entries.front().fid);
  std::ofstream(base + "/before/after.jsonl") << "{\"path\": \".\", \"fid\": \"" << root << "\"}\n";
  before_ = value(RecordedTree::open(base + "/before/after.jsonl", base + "/before/tree"));
  if (!fs::exists(base + "/recording")) lay_out(recording, base + "/recording");
  final_ = value(RecordedTree::open(base + "/recording/after.jsonl", base + "/recording/tree"));
  now_ = before_.get();
  tree_ = std::make_unique<SwitchedTree>(*this);
  fs::remove_all(target_path_);
  fs::create_directories(target_path_ + "/.reel/park");
  store_ = memory_store(rows_);
  std::fill(feed.visible.begin(), feed.visible.end(), 0);
  restart();
}

void Mirror::restart() {
  EngineHooks hooks;
  hooks.open_target = [this]() -> Result<std::unique_ptr<TargetTree>> {
    TRY_ASSIGN(std::unique_ptr<PosixTarget> target, PosixTarget::open(target_path_));
    return std::unique_ptr<TargetTree>(std::move(target));
  };
  hooks.barrier = [this]() -> Result<log::Position> {
    if (at_barrier) at_barrier();
    return feed.last();
  };
  hooks.now_s = [this] { return now_s_; };
  hooks.monotonic_ms = [this] { return now_s_ * 1000; };
  EngineOptions options;
  options.boot_id = "boot";
  engine_ = std::make_unique<Engine>(*store_, *tree_, &feed, pool_, std::move(hooks), options);
  if (Status started = engine_->start(); !started) throw std::runtime_error(started.error().text());
}

std::string Mirror::step() {
  now_s_ += 400;
  Result<bool> worked = engine_->step();
  return worked ? "" : worked.error().text();
}

std::string Mirror::settle() {
  for (int i = 0; i < 200; ++i) {
    now_s_ += 400;
    Result<bool> worked = engine_->step();
    if (!worked) return worked.error().text();
    Progress progress = engine_->progress();
    if (progress.troubles) return progress.trouble_texts.front();
    if (!*worked && progress.settled && progress.parked == 0) return "";
  }
  return "does not settle";
}

std::vector<std::string> Mirror::differences() {
  std::vector<std::string> found = compare_with_manifest(recording_, target_path_);
  for (std::string& each : compare_fids(recording_, engine_->index(), now_->root())) found.push_back(std::move(each));
  return found;
}

}  // namespace reel::recorded
