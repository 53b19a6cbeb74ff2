// SPDX-License-Identifier: Apache-2.0
//
// The initial state of a replay.
#include "replay/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <filesystem>
#include <unordered_map>

#include "base/env.h"

namespace reel::replay {
namespace {

using trace::Content;

constexpr size_t kChunk = 256u << 10;

class Handle {
 public:
  explicit Handle(int fd) : fd_(fd) {}
  ~Handle() {
    if (fd_ >= 0) ::close(fd_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

int open_in_root(int top, const std::string& path, uint64_t flags) {
  struct open_how how {};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, top, path.c_str(), &how, sizeof how));
}

// Bytes that can be packed as far as those of the original; the same for the same file of a trace.
void generate(Content content, uint64_t& state, std::vector<char>& bytes) {
  static const char kWords[] = "the name of a file and what was in it then ";
  for (size_t i = 0; i < bytes.size(); i += 8) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    char word[8];
    std::memcpy(word, &state, 8);
    if (content == Content::text) {
      for (size_t k = 0; k < 8; ++k)
        word[k] = (state >> 60) == 0 ? static_cast<char>('a' + static_cast<unsigned char>(word[k]) % 26)
                                     : kWords[(i + k) % (sizeof kWords - 1)];
    } else if (content != Content::random && (i / 32) % 2 == 0) {
      std::memset(word, 0, 8);
    }
    std::memcpy(&bytes[i], word, std::min<size_t>(8, bytes.size() - i));
  }
}

class Maker {
 public:
  Maker(const Plan& plan, std::vector<int> tops) : plan_(plan), tops_(std::move(tops)) {}

  Status run() {
    std::vector<const Initial*> order;
    for (const Initial& initial : plan_.initial) order.push_back(&initial);
    // What lies deeper later.
    std::stable_sort(order.begin(), order.end(), [](const Initial* a, const Initial* b) {
      return std::make_pair(a->root, a->path) < std::make_pair(b->root, b->path);
    });
    for (const Initial* initial : order) {
      Status made = make(*initial);
      if (made) continue;
      if (made.is(Code::no_space)) return made;
      prepared.troubles.push_back(made.error().text());
    }
    // Modes of directories at last: they may forbid what was just done.
    for (auto at = directories_.rbegin(); at != directories_.rend(); ++at) {
      const Initial& initial = **at;
      if (initial.mode == 0) continue;
      Handle directory(open_in_root(tops_[initial.root], initial.path, O_RDONLY | O_DIRECTORY));
      if (directory.fd() >= 0) own(directory.fd(), initial);
    }
    return ok();
  }

  Prepared prepared;

 private:
  Error failed(const char* what, const Initial& initial) {
    return Error::from_errno(errno, std::string("prepare: ") + what + " " + initial.path);
  }

  // The directory that the last component of the path is in; made when it is not there.
  int parent(const Initial& initial, std::string& name) {
    size_t slash = initial.path.rfind('/');
    name = initial.path.substr(slash == std::string::npos ? 0 : slash + 1);
    std::string above = slash == std::string::npos ? "." : initial.path.substr(0, slash);
    int fd = open_in_root(tops_[initial.root], above, O_PATH | O_DIRECTORY);
    if (fd >= 0 || errno != ENOENT || above == ".") return fd;
    Initial& directory = implied_.emplace_back();
    directory.root = initial.root;
    directory.path = above;
    directory.kind = FileKind::directory;
    Status made = make(directory);
    if (!made) {
      errno = ENOENT;
      return -1;
    }
    return open_in_root(tops_[initial.root], above, O_PATH | O_DIRECTORY);
  }

  Status make(const Initial& initial) {
    if (initial.path == ".") return ok();
    std::string name;
    Handle above(parent(initial, name));
    if (above.fd() < 0) return failed("directory of", initial);
    auto [first, is_first] = objects_.try_emplace(initial.object, &initial);
    bool again = !initial.object.is_zero() && !is_first && first->second->root == initial.root;
    if (again) return repeat(initial, *first->second, above.fd(), name);
    switch (initial.kind) {
      case FileKind::absent:
        return ok();
      case FileKind::directory:
        if (::mkdirat(above.fd(), name.c_str(), 0755) != 0 && errno != EEXIST) return failed("mkdir", initial);
        directories_.push_back(&initial);
        ++prepared.directories;
        return ok();
      case FileKind::symlink:
        if (::symlinkat(initial.link_text.c_str(), above.fd(), name.c_str()) != 0) return failed("symlink", initial);
        ++prepared.links;
        return ok();
      case FileKind::file:
        return make_file(initial, above.fd(), name);
      case FileKind::fifo:
      case FileKind::socket:
      case FileKind::block:
      case FileKind::character:
        return make_special(initial, above.fd(), name);
    }
    return ok();
  }

  // Another name of a file that is there already; of a directory: one was reached through a
  // symlink.
  Status repeat(const Initial& initial, const Initial& first, int above, const std::string& name) {
    if (initial.kind == FileKind::directory) {
      std::string text = "/" + first.path;
      if (::symlinkat(text.c_str(), above, name.c_str()) != 0) return failed("symlink", initial);
      ++prepared.links;
      return ok();
    }
    if (::linkat(tops_[first.root], first.path.c_str(), above, name.c_str(), 0) != 0) return failed("link", initial);
    ++prepared.files;
    return ok();
  }

  Status make_special(const Initial& initial, int above, const std::string& name) {
    mode_t kind = initial.kind == FileKind::fifo     ? S_IFIFO
                  : initial.kind == FileKind::socket ? S_IFSOCK
                  : initial.kind == FileKind::block  ? S_IFBLK
                                                     : S_IFCHR;
    auto device = makedev(static_cast<unsigned>(initial.rdev >> 32), static_cast<unsigned>(initial.rdev));
    if (::mknodat(above, name.c_str(), kind | (initial.mode & 0777), device) != 0) return failed("mknod", initial);
    ++prepared.others;
    return ok();
  }

  Status make_file(const Initial& initial, int above, const std::string& name) {
    Handle file(::openat(above, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (file.fd() < 0) return failed("create", initial);
    if (::ftruncate(file.fd(), static_cast<off_t>(initial.size)) != 0) return failed("truncate", initial);
    // A file with fewer blocks than bytes has holes; where they were is not known.
    bool sparse = initial.content == Content::zeros && initial.allocated == 0;
    uint64_t filled = sparse ? 0 : initial.size;
    if (initial.allocated != 0 && initial.allocated < initial.size) filled = initial.allocated;
    uint64_t state = 0x9e3779b97f4a7c15ull ^ std::hash<std::string>()(initial.path);
    std::vector<char> bytes(std::min<uint64_t>(filled, kChunk));
    for (uint64_t at = 0; at < filled; at += bytes.size()) {
      bytes.resize(std::min<uint64_t>(bytes.size(), filled - at));
      if (initial.content != Content::zeros) generate(initial.content, state, bytes);
      if (::pwrite(file.fd(), bytes.data(), bytes.size(), static_cast<off_t>(at)) != static_cast<ssize_t>(bytes.size()))
        return failed("write", initial);
    }
    prepared.bytes += filled;
    ++prepared.files;
    own(file.fd(), initial);
    return ok();
  }

  void own(int fd, const Initial& initial) {
    uint32_t mode = initial.mode != 0 || initial.known != trace::Known::inferred ? initial.mode : 0644;
    if (::geteuid() == 0 && initial.known != trace::Known::inferred && ::fchown(fd, initial.uid, initial.gid) != 0)
      prepared.troubles.push_back(failed("chown", initial).text());
    if (::fchmod(fd, mode) != 0) prepared.troubles.push_back(failed("chmod", initial).text());
  }

  const Plan& plan_;
  std::vector<int> tops_;
  std::deque<Initial> implied_;  // directories above names, that no state tells of
  std::vector<const Initial*> directories_;
  std::unordered_map<Fid, const Initial*, FidHash> objects_;
};

}  // namespace

Result<bool> is_empty(const std::string& directory) {
  std::error_code error;
  if (!std::filesystem::exists(directory, error)) return true;
  bool empty = std::filesystem::is_empty(directory, error);
  if (error) return Error::from_errno(error.value(), "look into " + directory);
  return empty;
}

Result<Prepared> prepare(const Plan& plan, const std::vector<std::string>& tops) {
  std::vector<int> fds;
  Result<Prepared> result = Prepared{};
  for (const std::string& top : tops) {
    TRY(make_dirs(Env::posix(), top));
    int fd = ::open(top.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
      result = Error::from_errno(errno, "open " + top);
      break;
    }
    fds.push_back(fd);
  }
  if (result) {
    Maker maker(plan, fds);
    Status made = maker.run();
    result = made ? Result<Prepared>(std::move(maker.prepared)) : Result<Prepared>(std::move(made).error());
  }
  for (int fd : fds) ::close(fd);
  return result;
}

Status empty_out(const std::string& directory) {
  std::error_code error;
  std::vector<std::filesystem::path> entries;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) entries.push_back(entry.path());
  if (error) return Error::from_errno(error.value(), "list " + directory);
  for (const auto& entry : entries) {
    std::filesystem::remove_all(entry, error);
    if (error) return Error::from_errno(error.value(), "remove " + entry.string());
  }
  return ok();
}

}  // namespace reel::replay
