// SPDX-License-Identifier: Apache-2.0
//
// The machine as it is now: attributes, the kind of a file's contents, mount points.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <fstream>
#include <sstream>

#include "trace/collect/assemble/initial_state.h"
#include "trace/statx_object.h"

namespace reel::trace {
namespace {

constexpr size_t kSample = 4096;

// How far the bytes could be packed, from how evenly they are spread.
Content classify(const unsigned char* bytes, size_t size) {
  std::array<size_t, 256> counts{};
  size_t text = 0;
  for (size_t i = 0; i < size; ++i) {
    ++counts[bytes[i]];
    if (bytes[i] >= 0x80 || bytes[i] >= 0x20 || bytes[i] == '\n' || bytes[i] == '\t' || bytes[i] == '\r') ++text;
  }
  if (counts[0] == size) return Content::zeros;
  double bits = 0;
  for (size_t count : counts) {
    if (count == 0) continue;
    double part = static_cast<double>(count) / static_cast<double>(size);
    bits -= part * std::log2(part);
  }
  // A sample of n bytes cannot show more than log2(n) bits.
  double most = std::min(8.0, std::log2(static_cast<double>(size)));
  if (bits > most * 0.95 && size >= 64) return Content::random;
  return text == size ? Content::text : Content::binary;
}

}  // namespace

bool LiveSurroundings::look(const std::string& path, wire::Object& object, std::string& link_text) {
  struct statx x;
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &x) != 0)
    return false;
  object = object_of(x);
  if (S_ISLNK(x.stx_mode)) {
    char text[4096];
    ssize_t size = ::readlink(path.c_str(), text, sizeof text);
    link_text.assign(text, size > 0 ? static_cast<size_t>(size) : 0);
  }
  return true;
}

Content LiveSurroundings::content_of(const std::string& path, const wire::Object& object) {
  if (object.size == 0) return Content::unknown;
  if (object.blocks == 0 && object.size > 4096) return Content::zeros;
  int fd = ::open(path.c_str(), O_RDONLY | O_NOATIME | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return Content::unknown;
  unsigned char bytes[kSample];
  off_t middle = object.size > 2 * kSample ? static_cast<off_t>(object.size / 2) : 0;
  ssize_t size = ::pread(fd, bytes, sizeof bytes, middle);
  ::close(fd);
  return size > 0 ? classify(bytes, static_cast<size_t>(size)) : Content::unknown;
}

std::string LiveSurroundings::file_system(uint64_t device) {
  std::ifstream mounts("/proc/self/mountinfo");
  std::string wanted = std::to_string(device >> 32) + ":" + std::to_string(device & 0xffffffff);
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream in(line);
    std::string id, parent, number, root, point, word, type;
    in >> id >> parent >> number >> root >> point;
    while (in >> word && word != "-") {
    }
    in >> type;
    if (number == wanted) return type + " " + point;
  }
  return "? ?";
}

}  // namespace reel::trace
