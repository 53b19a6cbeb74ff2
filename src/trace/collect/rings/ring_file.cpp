// SPDX-License-Identifier: Apache-2.0
//
// Reading ring files.
#include "trace/collect/rings/ring_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace reel::trace {

Result<std::unique_ptr<RingFile>> RingFile::open(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return Error::from_errno(errno, "open " + path);
  struct stat s;
  void* map = MAP_FAILED;
  if (::fstat(fd, &s) == 0 && s.st_size >= wire::kRingStart)
    map = ::mmap(nullptr, static_cast<size_t>(s.st_size), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (map == MAP_FAILED) return Error(Code::corrupt, path + " is not complete");
  auto size = static_cast<size_t>(s.st_size);
  auto* header = static_cast<wire::RingHeader*>(map);
  std::unique_ptr<RingFile> ring(new RingFile(path, header, size));
  if (__atomic_load_n(&header->magic, __ATOMIC_ACQUIRE) != wire::kRingMagic || header->version != wire::kVersion)
    return Error(Code::corrupt, path + " is no ring of this version");
  return ring;
}

RingFile::~RingFile() {
  ::munmap(header_, size_);
}

RingFile::Look RingFile::look() {
  for (;;) {
    event_size_ = 0;
    if (at_ + sizeof(wire::Event) > size_) return Look::nothing;
    const char* place = reinterpret_cast<const char*>(header_) + at_;
    uint16_t words = __atomic_load_n(reinterpret_cast<const uint16_t*>(place), __ATOMIC_ACQUIRE);
    if (words == 0) return Look::nothing;
    event_size_ = (words & ~uint32_t{wire::kPending}) * 8;
    if (event_size_ < sizeof(wire::Event) || at_ + event_size_ > size_) {
      ++damaged_;
      at_ = size_;  // nobody knows where the next one begins
      return Look::nothing;
    }
    if ((words & wire::kPending) != 0) return Look::pending;
    std::optional<Raw> raw = parse_raw(std::string_view(place, event_size_));
    if (raw) {
      raw_ = *raw;
      return Look::event;
    }
    ++damaged_;
    at_ += event_size_;
  }
}

void RingFile::skip() {
  at_ += event_size_;
}

}  // namespace reel::trace
