// SPDX-License-Identifier: Apache-2.0
//
// A line of mountinfo: "36 35 98:0 /root /mnt rw,noatime shared:1 - ext3 /dev/root rw,errors=..."
// (proc(5)); blank, tab, newline and backslash in a field are written as \ooo.
#include "source/mounts.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace reel::source {
namespace {

// Cuts the field that begins at `at` and gives where the next one begins.
char* cut(char*& at) {
  char* field = at;
  char* blank = std::strchr(at, ' ');
  if (blank) {
    *blank = '\0';
    at = blank + 1;
  } else {
    at += std::strlen(at);
  }
  return field;
}

bool is_octal(char c) {
  return c >= '0' && c <= '7';
}

void unescape(char* text) {
  char* to = text;
  for (const char* from = text; *from != '\0';) {
    if (from[0] == '\\' && is_octal(from[1]) && is_octal(from[2]) && is_octal(from[3])) {
      *to++ = static_cast<char>((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
      from += 4;
    } else {
      *to++ = *from++;
    }
  }
  *to = '\0';
}

}  // namespace

MountReader::MountReader() : fd_(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)) {}

bool MountReader::fill() {
  std::memmove(buffer_, buffer_ + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  if (end_ == sizeof buffer_) {  // no line is this long unless it is of no use to us
    skipping_ = true;
    end_ = 0;
  }
  ssize_t got;
  do {
    got = ::read(fd_.get(), buffer_ + end_, sizeof buffer_ - end_);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return false;
  end_ += static_cast<size_t>(got);
  return true;
}

bool MountReader::next(Mount& mount) {
  while (true) {
    char* newline = static_cast<char*>(std::memchr(buffer_ + begin_, '\n', end_ - begin_));
    if (!newline) {
      if (!fill()) return false;
      continue;
    }
    *newline = '\0';
    char* line = buffer_ + begin_;
    begin_ = static_cast<size_t>(newline - buffer_) + 1;
    bool whole = !skipping_;
    skipping_ = false;
    if (whole && parse(line, mount)) return true;
  }
}

bool MountReader::parse(char* line, Mount& mount) {
  char* at = line;
  if (std::sscanf(cut(at), "%d", &mount.id) != 1) return false;
  cut(at);  // parent
  if (std::sscanf(cut(at), "%u:%u", &mount.major, &mount.minor) != 2) return false;
  cut(at);  // root
  char* point = cut(at);
  char* separator = std::strstr(at, " - ");
  if (!separator) return false;
  at = separator + 3;
  mount.type = cut(at);
  char* device = cut(at);
  mount.read_only = std::strncmp(at, "ro", 2) == 0 && (at[2] == '\0' || at[2] == ',');
  unescape(point);
  unescape(device);
  mount.point = point;
  mount.device = device;
  return true;
}

}  // namespace reel::source
