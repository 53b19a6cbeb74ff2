// SPDX-License-Identifier: Apache-2.0
//
// A place for a test to work in: a temporary directory, or a fresh file system of a given kind on a
// loop device, gone with the object. Also the few calls by which tests make trees.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace reel::mirror::test {

// Runs a shell command; its exit status, and what it printed when `output` is given.
int shell(const std::string& command, std::string* output = nullptr);
bool is_root();

// The seed of this run: REEL_TEST_SEED, or random; printed, so that a failure can be had again.
uint64_t seed();

class Scratch {
 public:
  // "dir": a directory under TMPDIR. "ext4", "xfs", "btrfs", "tmpfs", "ramfs" (it has no xattrs): a file
  // system of its own.
  explicit Scratch(const std::string& kind = "dir");
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // Why there is nothing to work in; empty when there is.
  const std::string& missing() const { return missing_; }
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string base_, path_, missing_;
  bool mounted_ = false;
};

void make_dir(const std::string& path, uint32_t mode = 0755);
void write_file(const std::string& path, const std::string& text);
std::string read_file(const std::string& path);
// Data of a random length up to `most` at random places of a file of `size` bytes.
void write_sparse(const std::string& path, uint64_t size, std::mt19937_64& random);
void set_mtime(const std::string& path, int64_t seconds, uint32_t nanoseconds);

// Everything a file system can hold, as far as this process and file system may make it.
void make_zoo(const std::string& root);

}  // namespace reel::mirror::test
