// SPDX-License-Identifier: Apache-2.0
//
// Directories, descriptors and bytes of a replay.
#include "replay/play/world.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <utility>

namespace reel::replay {
namespace {

constexpr size_t kPatternBytes = 1u << 20;

int open_in_root(int top, const char* path, uint64_t flags, uint32_t mode) {
  struct open_how how {};
  how.flags = flags;
  how.mode = mode;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  long fd = ::syscall(SYS_openat2, top, path, &how, sizeof how);
  return fd < 0 ? -errno : static_cast<int>(fd);
}

// Half of it repeats: programs' data are neither zeros nor noise.
void fill(unsigned char* bytes, size_t size) {
  uint64_t state = 0x9e3779b97f4a7c15ull;
  for (size_t i = 0; i < size; i += 8) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    uint64_t word = (i / 64) % 2 == 0 ? state : 0x2020202064617461ull;
    std::memcpy(bytes + i, &word, 8);
  }
}

}  // namespace

Result<Pattern> Pattern::make(uint64_t length) {
  Pattern pattern;
  size_t size = (length + kPatternBytes - 1) / kPatternBytes * kPatternBytes;
  if (size == 0) size = kPatternBytes;
  int fd = ::memfd_create("reel-replay", MFD_CLOEXEC);
  if (fd < 0) return Error::from_errno(errno, "memfd_create");
  std::vector<unsigned char> bytes(kPatternBytes);
  fill(bytes.data(), bytes.size());
  if (::write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    Error error = Error::from_errno(errno, "write to a memfd");
    ::close(fd);
    return error;
  }
  void* base = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  bool mapped = base != MAP_FAILED;
  for (size_t at = 0; mapped && at < size; at += kPatternBytes)
    mapped =
        ::mmap(static_cast<char*>(base) + at, kPatternBytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED;
  int reason = errno;
  ::close(fd);
  if (base != MAP_FAILED) {
    pattern.bytes_ = base;
    pattern.size_ = size;
  }
  if (!mapped)
    return Error::from_errno(reason, "mmap of the pattern for writes of " + std::to_string(length) + " bytes");
  return pattern;
}

Pattern& Pattern::operator=(Pattern&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(size_, other.size_);
  return *this;
}

Pattern::~Pattern() {
  if (bytes_) ::munmap(bytes_, size_);
}

DirHandle::~DirHandle() {
  if (owned_ && fd_ >= 0) ::close(fd_);
}

World::World(size_t slots, size_t instances) : slots_(slots), directories_(instances) {
  for (auto& slot : slots_) slot = -1;
  for (auto& directory : directories_) directory = -1;
}

Result<std::unique_ptr<World>> World::open(const Plan& plan, const std::vector<std::string>& tops) {
  std::unique_ptr<World> world(new World(plan.slots, plan.instances));
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  world->most_kept_ = limit.rlim_cur / 2;
  for (const std::string& top : tops) {
    int fd = ::open(top.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return Error::from_errno(errno, "open " + top);
    world->tops_.push_back(fd);
  }
  TRY_ASSIGN(world->pattern_, Pattern::make(plan.most_written));
  return world;
}

World::~World() {
  for (auto& slot : slots_)
    if (slot >= 0) ::close(slot);
  for (auto& directory : directories_)
    if (directory >= 0) ::close(directory);
  for (int top : tops_) ::close(top);
}

DirHandle World::directory(const Dir& dir) {
  if (dir.instance != 0) {
    int kept = directories_[dir.instance].load(std::memory_order_acquire);
    if (kept >= 0) return {kept, false};
  }
  int fd = open_in_root(tops_[dir.root], dir.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0 || dir.instance == 0 || kept_.fetch_add(1, std::memory_order_relaxed) >= most_kept_) return {fd, true};
  int none = -1;
  if (directories_[dir.instance].compare_exchange_strong(none, fd)) return {fd, false};
  ::close(fd);  // another thread was faster
  return {none, false};
}

void World::forget(uint32_t instance) {
  if (instance == 0) return;
  int fd = directories_[instance].exchange(-1);
  if (fd < 0) return;
  ::close(fd);
  kept_.fetch_sub(1, std::memory_order_relaxed);
}

int World::open_within(const Dir& dir, const std::string& name, int flags, uint32_t mode) {
  std::string path = dir.path + "/" + name;
  return open_in_root(tops_[dir.root], path.c_str(), static_cast<uint64_t>(flags) | O_CLOEXEC,
                      (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0);
}

}  // namespace reel::replay
