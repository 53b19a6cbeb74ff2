// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <thread>

#include "base/handle.h"

namespace reel::source {

bool shell(const std::string& command) {
  return std::system(("(" + command + ") >/dev/null 2>&1").c_str()) == 0;
}

ScratchFs::ScratchFs(const std::string& type, const std::string& options) : mount_(dir_.path() + "/mnt") {
  if (::geteuid() != 0) {
    why_not_ = "needs root to mount a scratch file system";
    return;
  }
  ::mkdir(mount_.c_str(), 0755);
  std::string comma = options.empty() ? "" : "," + options;
  if (type == "tmpfs") {
    mounted_ = shell("mount -t tmpfs -o size=512m" + comma + " reel-test " + mount_);
  } else {
    std::string image = dir_.path() + "/image";
    std::string force = type == "ext4" ? " -F -N 100000 " : " -f ";
    mount_command_ = "mount -t " + type + " -o loop" + comma + " " + image + " " + mount_;
    mounted_ = shell("truncate -s 512M " + image) && shell("mkfs." + type + force + image) && shell(mount_command_);
  }
  if (!mounted_) why_not_ = "cannot make and mount a file system of type " + type;
}

ScratchFs::~ScratchFs() {
  if (mounted_ && !unmount()) ::umount2(mount_.c_str(), MNT_DETACH);
}

bool ScratchFs::unmount() {
  if (mounted_) mounted_ = ::umount2(mount_.c_str(), 0) != 0;
  return !mounted_;
}

bool ScratchFs::mount_again() {
  if (!mounted_) mounted_ = shell(mount_command_);
  return mounted_;
}

std::string to_text(const Kept& r) {
  std::string text = std::to_string(r.index) + " " + std::string(type_name(r.type).value_or("?"));
  text += " t=" + to_string(r.target) + " p=" + to_string(r.parent) + " " + r.name;
  if (r.type == RecordType::renme)
    text += " s=" + to_string(r.source) + " sp=" + to_string(r.source_parent) + " " + r.source_name;
  return text;
}

std::string to_text(const std::vector<Kept>& records) {
  std::string text;
  for (const Kept& record : records) text += to_text(record) + "\n";
  return text;
}

Result<uint64_t> MemoryWriter::append(const Record& r) {
  std::unique_lock lock(mutex_);
  released_.wait(lock, [&] { return !held_; });
  if (!failure_.empty()) return Error(Code::no_space, failure_);
  if (on_append_) on_append_(r);
  records_.push_back({records_.size() + 1, r.type, r.target, r.parent, r.source, r.source_parent, std::string(r.name),
                      std::string(r.source_name)});
  return records_.back().index;
}

Status MemoryWriter::commit() {
  TRY(flush());
  std::lock_guard lock(mutex_);
  durable_ = flushed_;
  return ok();
}

Status MemoryWriter::flush() {
  std::lock_guard lock(mutex_);
  flushed_ = records_.size();
  return ok();
}

uint64_t MemoryWriter::last_index() const {
  std::lock_guard lock(mutex_);
  return records_.size();
}

uint64_t MemoryWriter::durable_index() const {
  std::lock_guard lock(mutex_);
  return durable_;
}

std::vector<Kept> MemoryWriter::after(uint64_t index) const {
  std::lock_guard lock(mutex_);
  auto at = [&](uint64_t i) { return records_.begin() + static_cast<ptrdiff_t>(i); };
  return {at(index), at(flushed_)};
}

std::vector<std::string> MemoryWriter::gaps(uint64_t index) const {
  std::vector<std::string> reasons;
  for (const Kept& record : after(index))
    if (record.type == RecordType::gap) reasons.push_back(record.name);
  return reasons;
}

void MemoryWriter::fail_from_now(const std::string& why) {
  std::lock_guard lock(mutex_);
  failure_ = why;
}

void MemoryWriter::on_append(std::function<void(const Record&)> call) {
  std::lock_guard lock(mutex_);
  on_append_ = std::move(call);
}

void MemoryWriter::hold(bool on) {
  std::lock_guard lock(mutex_);
  held_ = on;
  released_.notify_all();
}

bool in_child(const std::function<bool()>& work) {
  pid_t child = ::fork();
  if (child == 0) ::_exit(work() ? 0 : 1);
  int how = 0;
  return child > 0 && ::waitpid(child, &how, 0) == child && how == 0;
}

Fid fid_of(const std::string& path) {
  Result<FidAndMount> found = fid_at(AT_FDCWD, path.c_str());
  return found ? found->fid : Fid{};
}

uint64_t test_seed() {
  const char* given = std::getenv("REEL_SEED");
  uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::cout << "REEL_SEED=" << seed << std::endl;
  return seed;
}

bool eventually(double seconds, const std::function<bool()>& done) {
  auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace reel::source
