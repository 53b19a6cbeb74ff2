// SPDX-License-Identifier: Apache-2.0
#include "scratch.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace reel::mirror::test {

int shell(const std::string& command, std::string* output) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (!pipe) return -1;
  char buffer[4096];
  std::string text;
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
  if (output) *output = text;
  int status = ::pclose(pipe);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool is_root() {
  return ::geteuid() == 0;
}

uint64_t seed() {
  static const uint64_t value = [] {
    const char* given = std::getenv("REEL_TEST_SEED");
    uint64_t chosen = given ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::printf("REEL_TEST_SEED=%llu\n", static_cast<unsigned long long>(chosen));
    return chosen;
  }();
  return value;
}

Scratch::Scratch(const std::string& kind) {
  base_ = (std::filesystem::temp_directory_path() / "reel-test-XXXXXX").string();
  if (!::mkdtemp(base_.data())) {
    missing_ = "no temporary directory can be made";
    return;
  }
  path_ = base_ + "/fs";
  ::mkdir(path_.c_str(), 0755);
  if (kind == "dir") return;
  std::string output, image = base_ + "/image";
  std::string make = "truncate -s 400M " + image + " && mkfs." + kind + (kind == "ext4" ? " -q -F " : " -q -f ") +
                     image + " && mount -o loop " + image + " " + path_;
  if (kind == "tmpfs" || kind == "ramfs") make = "mount -t " + kind + " none " + path_;
  if (!is_root()) {
    missing_ = "needs root to mount " + kind;
  } else if (shell(make, &output) != 0) {
    missing_ = "cannot mount " + kind + ": " + output;
  } else {
    mounted_ = true;
  }
}

Scratch::~Scratch() {
  if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  std::error_code failed;
  std::filesystem::remove_all(base_, failed);
  if (failed) shell("chattr -R -f -i -a " + base_ + "; rm -rf " + base_);
}

void make_dir(const std::string& path, uint32_t mode) {
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0) << path;
  ASSERT_EQ(::chmod(path.c_str(), mode), 0) << path;
}

void write_file(const std::string& path, const std::string& text) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  ASSERT_GE(fd, 0) << path;
  ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ::close(fd);
}

std::string read_file(const std::string& path) {
  std::string text;
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_GE(fd, 0) << path;
  char buffer[65536];
  for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(n));
  ::close(fd);
  return text;
}

void write_sparse(const std::string& path, uint64_t size, std::mt19937_64& random) {
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  ASSERT_GE(fd, 0) << path;
  ASSERT_EQ(::ftruncate(fd, static_cast<off_t>(size)), 0);
  for (int piece = 0; size > 0 && piece < 6; piece++) {
    uint64_t offset = random() % size;
    std::string data(std::min<uint64_t>(size - offset, random() % 200000), '\0');
    // Some blocks of zeros are data too.
    if (random() % 4) {
      for (char& c : data) c = static_cast<char>(random());
    }
    ASSERT_EQ(::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset)), static_cast<ssize_t>(data.size()));
  }
  ::close(fd);
}

void set_mtime(const std::string& path, int64_t seconds, uint32_t nanoseconds) {
  struct timespec times[2] = {{0, UTIME_OMIT}, {seconds, nanoseconds}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0) << path;
}

namespace {

void set_inode_flag(const std::string& path, int flag) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC), flags = 0;
  ASSERT_GE(fd, 0);
  if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
    flags |= flag;
    ASSERT_EQ(::ioctl(fd, FS_IOC_SETFLAGS, &flags), 0) << path;
  }
  ::close(fd);
}

void make_nodes(const std::string& root) {
  ASSERT_EQ(::mkfifo((root + "/fifo").c_str(), 0620), 0);
  ASSERT_EQ(::mknod((root + "/socket").c_str(), S_IFSOCK | 0711, 0), 0);
  if (!is_root()) return;
  ASSERT_EQ(::mknod((root + "/char").c_str(), S_IFCHR | 0640, makedev(1, 3)), 0);
  ASSERT_EQ(::mknod((root + "/block").c_str(), S_IFBLK | 0600, makedev(259, 70000)), 0);
  ASSERT_EQ(::chown((root + "/fifo").c_str(), 5, 6), 0);
}

void make_names(const std::string& root) {
  make_dir(root + "/names");
  for (const std::string& name :
       {std::string(255, 'n'), std::string("line\nbreak\t"), std::string("\xff\xfe invalid"), std::string("-rf"),
        std::string(" "), std::string("..."), std::string("*?[a]"), std::string("\\040"), std::string("\xc3\xa9")}) {
    write_file(root + "/names/" + name, "named");
  }
}

void make_attributes(const std::string& root) {
  make_dir(root + "/attributes", 02775);
  std::string path = root + "/attributes/file";
  write_file(path, "attributes");
  EXPECT_EQ(::setxattr(path.c_str(), "user.empty", "", 0, 0), 0);
  EXPECT_EQ(::setxattr(path.c_str(), "user.binary", "\0\xff\n", 3, 0), 0);
  EXPECT_EQ(::setxattr((root + "/attributes").c_str(), "user.dir", "d", 1, 0), 0);
  EXPECT_EQ(shell("setfacl -m u:7:rw,g:8:r,m::rwx " + path), 0);
  EXPECT_EQ(shell("setfacl -d -m u:9:rx " + root + "/attributes"), 0);
  ASSERT_EQ(::symlink("nowhere/ at all", (root + "/attributes/link").c_str()), 0);
  write_file(root + "/attributes/setuid", "#!/bin/sh\n");
  set_mtime(root + "/attributes/link", -1234567, 987654321);
  set_mtime(path, -2000000000, 1);
  if (is_root()) {
    std::string link = root + "/attributes/link", program = root + "/attributes/setuid";
    EXPECT_EQ(::lsetxattr(link.c_str(), "trusted.link", "not Reel's", 10, 0), 0);
    EXPECT_EQ(::lsetxattr(link.c_str(), "trusted.mine", "on a symlink", 12, 0), 0);
    EXPECT_EQ(::lchown(link.c_str(), 11, 12), 0);
    EXPECT_EQ(::chown(program.c_str(), 1, 2), 0);
    EXPECT_EQ(::chmod(program.c_str(), 06755), 0);
    EXPECT_EQ(shell("setcap cap_net_raw+ep " + program), 0);
  }
  write_file(root + "/attributes/unreadable", "x");
  EXPECT_EQ(::chmod((root + "/attributes/unreadable").c_str(), 0), 0);
  set_inode_flag(path, FS_NODUMP_FL);
  if (is_root()) {
    write_file(root + "/attributes/immutable", "i");
    set_inode_flag(root + "/attributes/immutable", FS_IMMUTABLE_FL);
  }
}

}  // namespace

void make_zoo(const std::string& root) {
  std::mt19937_64 random(seed());
  make_nodes(root);
  make_names(root);
  make_attributes(root);
  make_dir(root + "/deep");
  std::string deep = root + "/deep";
  for (int level = 0; level < 30; level++) make_dir(deep += "/level");
  write_file(deep + "/bottom", "bottom");
  ASSERT_EQ(::link((deep + "/bottom").c_str(), (root + "/names/other name of bottom").c_str()), 0);
  ASSERT_EQ(::symlink("/etc/passwd", (root + "/deep/out").c_str()), 0);
  ASSERT_EQ(::link((root + "/deep/out").c_str(), (root + "/deep/out too").c_str()), 0);
  write_file(root + "/empty", "");
  write_file(root + "/small", "small");
  write_sparse(root + "/all hole", 0, random);
  ASSERT_EQ(::truncate((root + "/all hole").c_str(), 12345678), 0);
  for (int file = 0; file < 8; file++)
    write_sparse(root + "/sparse" + std::to_string(file), random() % 8000000, random);
  write_file(root + "/large", std::string(3000001, 'L'));
  make_dir(root + "/old", 0700);
  set_mtime(root + "/old", -1, 999999999);
  if (is_root()) {
    ASSERT_EQ(::chown(root.c_str(), 3, 4), 0);
  }
  ASSERT_EQ(::chmod(root.c_str(), 01770), 0);
}

}  // namespace reel::mirror::test
