// SPDX-License-Identifier: Apache-2.0
//
// Files behind the names in strace's output. Strace tells names and results, not which file is which;
// so a file is what a name led to when it was opened, followed through renames and links.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "trace/collect/assemble/tables.h"
#include "trace/import/strace_steps.h"

namespace reel::trace {
namespace {

constexpr int kMostLinks = 40;           // the kernel's own limit
constexpr uint64_t kLinks = 1ull << 40;  // numbers from here on are symlinks'

bool is_below(const std::string& path, const std::string& top) {
  return path.size() > top.size() && path.starts_with(top) && path[top.size()] == '/';
}

bool is_virtual(const std::string& path) {
  for (const char* top : {"/proc", "/sys", "/dev"})
    if (path == top || is_below(path, top)) return true;
  return false;
}

}  // namespace

StraceObjects::StraceObjects(std::vector<StraceStep>& steps, const std::string& cwd) : first_cwd_(cwd) {
  for (StraceStep& step : steps) pass(step);
  for (StraceStep& step : steps) {
    if (!step.is_end && step.object != 0 && files_[step.object].maybe_made && !step.creates &&
        step.call.shape->op == Op::open) {
      step.creates = true;
      files_[step.object].maybe_made = false;  // only the first time
      ++unsure_;
    }
  }
  for (const auto& [named, is] : led_) infer_link(named, is);
}

// Where the name led when it was opened.
std::string StraceObjects::real(const std::string& path) const {
  auto at = real_.find(path);
  return at == real_.end() ? path : at->second;
}

uint64_t StraceObjects::number_of(const std::string& path) {
  auto [at, is_new] = names_.try_emplace(path, files_.size());
  if (is_new) {
    files_.emplace_back();
    if (!is_made(path)) at_first_.try_emplace(path, at->second);
  }
  return at->second;
}

uint64_t StraceObjects::make(const std::string& path, uint32_t mode) {
  names_[path] = files_.size();
  made_.insert(path);
  File& file = files_.emplace_back();
  file.mode = mode;
  file.has_size = file.touched = true;
  return files_.size() - 1;
}

// By the program, it or what it lies in.
bool StraceObjects::is_made(const std::string& path) const {
  for (size_t end = path.size(); end != std::string::npos && end > 0; end = path.rfind('/', end - 1))
    if (made_.count(path.substr(0, end)) != 0) return true;
  return false;
}

void StraceObjects::moved(const std::string& from, const std::string& to) {
  std::vector<std::pair<std::string, uint64_t>> taken;
  auto whole = names_.find(from);
  if (whole != names_.end()) taken.emplace_back(to, whole->second);
  for (auto at = names_.lower_bound(from + "/"); at != names_.end() && is_below(at->first, from); ++at)
    taken.emplace_back(to + at->first.substr(from.size()), at->second);
  std::erase_if(names_, [&](const auto& name) {
    return name.first == from || is_below(name.first, from) || name.first == to || is_below(name.first, to);
  });
  for (auto& [name, number] : taken) names_[name] = number;
  std::erase_if(real_, [&](const auto& name) { return name.second == from || is_below(name.second, from); });
  made_.insert(to);
}

// The name with the symlinks in it that are known taken out.
std::string StraceObjects::resolved(std::string path) const {
  for (int links = 0; links < kMostLinks; ++links) {
    size_t end = path.find('/', 1);
    auto link = links_.end();
    for (;; end = path.find('/', end + 1)) {
      end = std::min(end, path.size());
      link = links_.find(path.substr(0, end));
      if (link != links_.end() || end == path.size()) break;
    }
    if (link == links_.end()) return path;
    std::string base = path.substr(0, path.rfind('/', end - 1));
    path = join_path(join_path(base.empty() ? "/" : base, link->second), "./" + path.substr(end));
  }
  return path;
}

// `named` was opened and is called `is`: what they do not have in common at their ends is a symlink.
void StraceObjects::infer_link(const std::string& given, const std::string& is) {
  std::string named = resolved(given);
  if (named == is || named.find("/../") != std::string::npos || named.ends_with("/..")) return;
  size_t a = named.size(), b = is.size();
  for (;;) {
    size_t left = named.rfind('/', a - 1), right = is.rfind('/', b - 1);
    if (left == std::string::npos || right == std::string::npos || left == 0 || right == 0 ||
        named.compare(left, a - left, is, right, b - right) != 0 || no_links_.count(named.substr(0, left)) != 0)
      break;
    a = left;
    b = right;
  }
  std::string link = named.substr(0, a);
  if (links_.try_emplace(link, is.substr(0, b)).second) inferred_links_[link] = is.substr(0, b);
}

void StraceObjects::pass(StraceStep& step) {
  if (step.is_end) return;
  Raw raw;
  if (!to_raw(step.call, raw) || !step.returned) return;
  std::string& cwd = cwds_.try_emplace(step.pid, first_cwd_).first->second;
  bool by_cwd = step.call.shape->dirfd >= 0 && raw.event.fd == AT_FDCWD;
  if (by_cwd && !step.leads.empty()) cwd = step.leads;
  auto full = [&](std::string_view given, const std::string& base) {
    return given.empty() ? "" : given.starts_with('/') ? join_path("", given) : join_path(base, given);
  };
  full_ = full(raw.path, step.leads.empty() ? cwd : step.leads);
  full2_ = full(raw.path2, step.leads2.empty() ? cwd : step.leads2);
  if (raw.event.result == -ENOENT && names_.count(full_) == 0) absent_.insert(full_);
  if (raw.event.result == -EINVAL && raw.op() == Op::readlink) no_links_.insert(full_);
  if (raw.event.result < 0) return;
  pass_names(step, raw);
}

void StraceObjects::pass_names(StraceStep& step, const Raw& raw) {
  switch (raw.op()) {
    case Op::open:
      return pass_open(step, raw);
    case Op::stat:
      return pass_stat(step, raw);
    case Op::mkdir:
      make(full_, S_IFDIR | 0755);
      return;
    case Op::bind:
      make(full_, S_IFSOCK | raw.event.mode);
      return;
    case Op::mknod:
    case Op::symlink:
      make(full_, raw.op() == Op::symlink ? S_IFLNK | 0777 : raw.event.mode);
      return;
    case Op::unlink:
    case Op::rmdir:
      number_of(full_);
      names_.erase(full_);
      std::erase_if(real_, [&](const auto& name) { return name.first == full_ || name.second == full_; });
      return;
    case Op::rename:
      number_of(full_);
      return moved(full_, full2_);
    case Op::link:
      names_[full2_] = number_of(real(full_));
      made_.insert(full2_);
      return;
    case Op::readlink:
      if (!step.link_text.empty() && !is_made(full_)) links_.try_emplace(full_, step.link_text);
      return;
    case Op::chdir:
      cwds_[step.pid] = !full_.empty() ? full_ : step.leads;
      return;
    case Op::fork:
    case Op::vfork:
      cwds_[static_cast<int32_t>(raw.event.result)] = cwds_[step.pid];
      return;
    default:
      return pass_data(step, raw);
  }
}

void StraceObjects::pass_open(StraceStep& step, const Raw& raw) {
  bool temporary = (raw.event.flags & O_TMPFILE) == O_TMPFILE;
  if (temporary) {
    files_.emplace_back();
    step.object = files_.size() - 1;
    return;
  }
  bool is_path = step.opened.starts_with('/');
  std::string is = is_path ? step.opened : real(full_);
  if (is_path && full_ != is && !is_virtual(full_) && !is_virtual(is) && !is_made(full_)) led_.emplace_back(full_, is);
  real_[full_] = is;
  bool creates = (raw.event.flags & O_CREAT) != 0;
  bool is_known = names_.count(is) != 0;
  bool was_absent = (absent_.count(full_) != 0 || absent_.count(is) != 0) && !is_known;
  if (creates && ((raw.event.flags & O_EXCL) != 0 || was_absent || (!is_known && is_made(is)))) {
    step.object = make(is, S_IFREG | (raw.event.mode & 0777));
    step.creates = true;
    return;
  }
  step.object = number_of(is);
  File& file = files_[step.object];
  if (creates && !is_known) file.maybe_made = true;
  if ((raw.event.flags & O_TRUNC) != 0) file.touched = true;
  if ((raw.event.flags & O_DIRECTORY) != 0 && file.mode == 0) file.mode = S_IFDIR;
}

void StraceObjects::pass_stat(StraceStep& step, const Raw& raw) {
  bool itself = (raw.event.flags & AT_SYMLINK_NOFOLLOW) != 0;
  std::string path = !full_.empty() ? full_ : step.leads;
  if (step.stat_mode == 0 || !path.starts_with('/')) return;
  if (itself && S_ISLNK(step.stat_mode)) return;  // its text comes with readlink, if at all
  if (itself) no_links_.insert(path);
  if (!full_.empty() && (!itself || real_.count(path) != 0)) path = real(path);
  if (links_.count(path) != 0 && !itself) return;  // where it leads to is not told
  step.object = number_of(path);
  File& file = files_[step.object];
  bool type_is_new = (file.mode & ~S_IFMT) == 0;
  if (!file.touched || type_is_new) file.mode = step.stat_mode;
  if (!file.touched && !file.has_size) {
    file.size = step.stat_size;
    file.has_size = true;
  }
  if (!file.touched && file.size > 0) file.maybe_made = false;  // it had contents
}

// By descriptor, or an attribute by name.
void StraceObjects::pass_data(StraceStep& step, const Raw& raw) {
  std::string path = !full_.empty() ? real(full_) : step.leads;
  if (!path.starts_with('/')) return;
  auto at = names_.find(path);
  if (at == names_.end()) return;
  File& file = files_[at->second];
  switch (type_of(raw.op())) {
    case RecordType::read:
      if (!file.touched && raw.event.result > 0) file.maybe_made = false;
      break;
    case RecordType::readdir:
      if (file.mode == 0) file.mode = S_IFDIR;
      break;
    case RecordType::write:
    case RecordType::trunc:
    case RecordType::sattr:
    case RecordType::copy:
      file.touched = true;
      break;
    default:
      break;
  }
}

wire::Object StraceObjects::object(const StraceStep& step) const {
  const File& file = files_[step.object];
  wire::Object object{};
  object.inode = step.object;
  object.links = 1;
  object.uid = object.gid = ~0u;  // strace does not tell
  // What nothing speaks against is a plain file.
  object.mode = file.mode != 0 ? file.mode : S_IFREG;
  object.size = file.has_size ? file.size : 0;
  object.blocks = (object.size + 511) / 512;
  return object;
}

bool StraceObjects::look(const std::string& path, wire::Object& object, std::string& link_text) {
  object = wire::Object{};
  auto link = links_.find(path);
  if (link != links_.end()) {
    object.inode = kLinks + link_numbers_.try_emplace(path, link_numbers_.size()).first->second;
    object.mode = S_IFLNK | 0777;
    object.links = 1;
    object.uid = object.gid = ~0u;
    link_text = link->second;
    return true;
  }
  auto at = at_first_.find(real(path));
  if (at == at_first_.end()) at = at_first_.find(path);
  if (at == at_first_.end() || files_[at->second].mode == 0) return false;
  StraceStep step;
  step.object = at->second;
  object = this->object(step);
  return true;
}

}  // namespace reel::trace
