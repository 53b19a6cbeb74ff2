// SPDX-License-Identifier: Apache-2.0
//
// The posix implementation of Env. Every interrupted call is repeated; every descriptor is
// close-on-exec.
#include "base/env.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/fd.h"
#include "base/kill_point.h"

namespace reel {
namespace {

Result<Fd> open_fd(const std::string& path, int flags) {
  for (;;) {
    int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
    if (fd >= 0) return Fd(fd);
    if (errno != EINTR) return Error::from_errno(errno, "open " + path);
  }
}

class PosixFile : public File {
 public:
  PosixFile(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<size_t> pread(void* to, size_t size, uint64_t offset) override {
    size_t done = 0;
    while (done < size) {
      ssize_t n = ::pread(fd_.get(), static_cast<char*>(to) + done, size - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail("read");
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Status append(const void* data, size_t size) override {
    size_t done = 0;
    while (done < size) {
      ssize_t n = ::write(fd_.get(), static_cast<const char*>(data) + done, size - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail("write");
      done += static_cast<size_t>(n);
    }
    return ok();
  }

  Result<uint64_t> size() override {
    struct stat st;
    if (::fstat(fd_.get(), &st) != 0) return fail("fstat");
    return static_cast<uint64_t>(st.st_size);
  }

  Status truncate(uint64_t size) override {
    while (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0)
      if (errno != EINTR) return fail("truncate");
    return ok();
  }

  Status datasync() override { return ::fdatasync(fd_.get()) == 0 ? ok() : Status(fail("fdatasync")); }
  Status sync() override { return ::fsync(fd_.get()) == 0 ? ok() : Status(fail("fsync")); }

 private:
  Error fail(const char* call) const { return Error::from_errno(errno, call + (" " + path_)); }

  Fd fd_;
  std::string path_;
};

class PosixLock : public Lock {
 public:
  explicit PosixLock(Fd fd) : fd_(std::move(fd)) {}

 private:
  Fd fd_;
};

class PosixEnv : public Env {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    int flags = O_RDONLY;
    if (mode == OpenMode::append) flags = O_RDWR | O_APPEND;
    if (mode == OpenMode::create) flags = O_RDWR | O_APPEND | O_CREAT | O_EXCL;
    TRY_ASSIGN(Fd fd, open_fd(path, flags));
    return std::unique_ptr<File>(std::make_unique<PosixFile>(std::move(fd), path));
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) == 0) return ok();
    return Error::from_errno(errno, "rename " + from + " to " + to);
  }

  Status unlink(const std::string& path) override {
    if (::unlink(path.c_str()) == 0) return ok();
    return Error::from_errno(errno, "unlink " + path);
  }

  Result<std::vector<std::string>> list_dir(const std::string& path) override {
    DIR* dir = ::opendir(path.c_str());
    if (!dir) return Error::from_errno(errno, "open directory " + path);
    std::vector<std::string> names;
    errno = 0;
    while (const struct dirent* entry = ::readdir(dir)) {
      std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(std::move(name));
      errno = 0;
    }
    int failed = errno;
    ::closedir(dir);
    if (failed != 0) return Error::from_errno(failed, "read directory " + path);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<bool> mkdir(const std::string& path) override {
    if (::mkdir(path.c_str(), 0755) == 0) return true;
    int failed = errno;
    struct stat st;
    if (failed == EEXIST && ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) return false;
    return Error::from_errno(failed, "mkdir " + path);
  }

  Status sync_dir(const std::string& path) override {
    TRY_ASSIGN(Fd fd, open_fd(path, O_RDONLY | O_DIRECTORY));
    if (::fsync(fd.get()) == 0) return ok();
    return Error::from_errno(errno, "fsync " + path);
  }

  Result<std::unique_ptr<Lock>> lock(const std::string& path, bool wait) override {
    TRY_ASSIGN(Fd fd, open_fd(path, O_RDWR | O_CREAT));
    while (::flock(fd.get(), wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return Error(Code::busy, "lock " + path + ": another process holds it", errno);
      if (errno != EINTR) return Error::from_errno(errno, "lock " + path);
    }
    return std::unique_ptr<Lock>(std::make_unique<PosixLock>(std::move(fd)));
  }

  uint64_t realtime_ns() override { return now(CLOCK_REALTIME); }
  uint64_t monotonic_ns() override { return now(CLOCK_MONOTONIC); }

 private:
  static uint64_t now(clockid_t clock) {
    struct timespec ts;
    ::clock_gettime(clock, &ts);  // cannot fail for these two clocks
    return static_cast<uint64_t>(ts.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(ts.tv_nsec);
  }
};

}  // namespace

Env& Env::posix() {
  static PosixEnv env;
  return env;
}

Status make_dirs(Env& env, const std::string& path) {
  std::string parent = path.starts_with('/') ? "/" : ".";
  for (size_t slash = 0; slash != std::string::npos;) {
    slash = path.find('/', slash + 1);
    std::string directory = path.substr(0, slash);
    TRY_ASSIGN(bool made, env.mkdir(directory));
    if (made) {
      kill_point("mkdir.made");
      TRY(env.sync_dir(parent));
    }
    parent = std::move(directory);
  }
  return ok();
}

Result<std::string> read_file(Env& env, const std::string& path, size_t limit) {
  TRY_ASSIGN(std::unique_ptr<File> file, env.open(path, OpenMode::read));
  std::string content;
  // Until the end: the size of a file in /proc is 0, whatever is in it.
  constexpr size_t kPiece = 64u << 10;
  while (true) {
    size_t at = content.size();
    content.resize(at + kPiece);
    TRY_ASSIGN(size_t got, file->pread(content.data() + at, kPiece, at));
    content.resize(at + got);
    if (got == 0) break;
    if (content.size() > limit)
      return Error(Code::corrupt, path + ": more than " + std::to_string(limit) + " bytes, which it cannot have");
  }
  return content;
}

Status replace_file(Env& env, const std::string& dir, const std::string& path, const std::string& content) {
  std::string temporary = path + ".tmp";
  Status gone = env.unlink(temporary);
  if (!gone && !gone.is(Code::not_found)) return gone;
  TRY_ASSIGN(std::unique_ptr<File> file, env.open(temporary, OpenMode::create));
  TRY(file->append(content.data(), content.size()));
  TRY(file->sync());
  kill_point("replace.before");
  TRY(env.rename(temporary, path));
  kill_point("replace.renamed");
  TRY(env.sync_dir(dir));
  kill_point("replace.after");
  return ok();
}

}  // namespace reel
