// SPDX-License-Identifier: Apache-2.0
#include "verify/verify_text.h"

#include <linux/fs.h>
#include <sys/sysmacros.h>

#include <cstdio>
#include <ctime>

#include "tree/posix/posix_attributes.h"
#include "verify/verify.h"

namespace reel::mirror {

std::string text_of_time(const Time& time) {
  struct tm utc;
  time_t seconds = time.seconds;
  char text[64], whole[96];
  if (!::gmtime_r(&seconds, &utc) || !std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc))
    return std::to_string(time.seconds) + " s + " + std::to_string(time.nanoseconds) + " ns";
  std::snprintf(whole, sizeof whole, "%s.%09uZ", text, time.nanoseconds);
  return whole;
}

std::string text_of_mode(uint32_t mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%04o", mode);
  return text;
}

std::string text_of_device(uint64_t rdev) {
  return std::to_string(major(rdev)) + ":" + std::to_string(minor(rdev));
}

// The letters of chattr(1).
std::string text_of_flags(uint32_t flags) {
  static constexpr std::pair<uint32_t, char> kLetters[] = {{FS_SYNC_FL, 'S'},      {FS_DIRSYNC_FL, 'D'},
                                                           {FS_IMMUTABLE_FL, 'i'}, {FS_APPEND_FL, 'a'},
                                                           {FS_NODUMP_FL, 'd'},    {FS_NOATIME_FL, 'A'}};
  std::string text;
  for (const auto& [flag, letter] : kLetters) {
    if (flags & flag) text += letter;
  }
  return text.empty() ? "none" : text;
}

const char* text_of_type(FileType type) {
  switch (type) {
    case FileType::regular:
      return "file";
    case FileType::directory:
      return "directory";
    case FileType::symlink:
      return "symlink";
    case FileType::fifo:
      return "fifo";
    case FileType::socket:
      return "socket";
    case FileType::char_device:
      return "character device";
    case FileType::block_device:
      return "block device";
  }
  return "?";
}

std::string text_of_value(const Xattr* xattr) {
  constexpr size_t kShown = 64;
  if (!xattr) return "absent";
  std::string text = "\"" + printable(std::string_view(xattr->value).substr(0, kShown)) + "\"";
  if (xattr->value.size() > kShown) text += "... of " + std::to_string(xattr->value.size()) + " bytes";
  return text;
}

std::string to_line(const Difference& difference) {
  std::string path = difference.path.empty() ? "." : printable(difference.path);
  if (difference.kind == Difference::Kind::missing) return "missing " + path;
  if (difference.kind == Difference::Kind::extra) return "extra " + path;
  std::string line = "differs " + path + ": " + difference.what;
  if (!difference.source.empty() || !difference.target.empty())
    line += " " + difference.source + " != " + difference.target;
  return line;
}

}  // namespace reel::mirror
