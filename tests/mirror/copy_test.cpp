// SPDX-License-Identifier: Apache-2.0
#include "tree/copy.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "scratch.h"
#include "tree/posix/posix_attributes.h"
#include "verify/compare.h"

namespace reel::mirror::test {
namespace {

Fd open_file(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  EXPECT_TRUE(fd) << path;
  return fd;
}

uint64_t size_of(const Fd& fd) {
  struct stat s;
  EXPECT_EQ(::fstat(fd.get(), &s), 0);
  return static_cast<uint64_t>(s.st_size);
}

// Equal contents, and holes to the block of either file system.
void expect_equal(const Fd& from, const Fd& to) {
  ASSERT_EQ(size_of(from), size_of(to));
  Result<Comparison> found = compare_contents(from.get(), to.get(), size_of(from), 4096);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_FALSE(found->first_difference) << "at byte " << *found->first_difference;
  EXPECT_FALSE(found->hole_difference) << "at byte " << *found->hole_difference;
}

void random_change(const Fd& file, std::mt19937_64& random) {
  uint64_t size = size_of(file);
  switch (random() % 4) {
    case 0:
      ASSERT_EQ(::ftruncate(file.get(), static_cast<off_t>(random() % 4000000)), 0);
      break;
    case 1:
      if (size > 0)
        ::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(random() % size),
                    static_cast<off_t>(1 + random() % 300000));
      break;
    default: {
      std::string data(random() % 100000, static_cast<char>(random()));
      ASSERT_EQ(::pwrite(file.get(), data.data(), data.size(), static_cast<off_t>(random() % (size + 1))),
                static_cast<ssize_t>(data.size()));
    }
  }
}

class Copy : public testing::TestWithParam<std::pair<const char*, const char*>> {
 protected:
  void SetUp() override {
    if (!from_.missing().empty()) GTEST_SKIP() << from_.missing();
    if (!to_.missing().empty()) GTEST_SKIP() << to_.missing();
  }
  // Where both are the same kind they are the same file system: the kernel's ways are used.
  std::string target(const std::string& name) {
    bool same = GetParam().first == std::string(GetParam().second);
    return (same ? from_ : to_) / name;
  }
  Scratch from_{GetParam().first}, to_{GetParam().second};
};

TEST_P(Copy, FreshAndUpdatedCopiesAreExact) {
  std::mt19937_64 random(seed());
  for (int round = 0; round < 12 && !HasFailure(); round++) {
    std::string name = "file" + std::to_string(round);
    write_sparse(from_ / name, random() % 4000000, random);
    Fd from = open_file(from_ / name), to = open_file(target(name + ".copy"));
    auto made = copy_contents(from.get(), to.get(), size_of(from), true, nullptr);
    ASSERT_TRUE(made) << made.error().text();
    expect_equal(from, to);
    for (int change = 0; change < 4; change++) {
      random_change(change % 2 ? to : from, random);
      auto updated = copy_contents(from.get(), to.get(), size_of(from), false, nullptr);
      ASSERT_TRUE(updated) << updated.error().text();
      expect_equal(from, to);
    }
  }
}

TEST_P(Copy, AnEqualFileIsNotWritten) {
  std::mt19937_64 random(seed());
  write_sparse(from_ / "file", 3000000, random);
  Fd from = open_file(from_ / "file"), to = open_file(target("copy"));
  ASSERT_TRUE(copy_contents(from.get(), to.get(), size_of(from), true, nullptr));
  auto again = copy_contents(from.get(), to.get(), size_of(from), false, nullptr);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->bytes, 0u);
}

TEST_P(Copy, OneByteCostsOneBlock) {
  write_file(from_ / "file", std::string(2000000, 'x'));
  Fd from = open_file(from_ / "file"), to = open_file(target("copy"));
  ASSERT_TRUE(copy_contents(from.get(), to.get(), size_of(from), true, nullptr));
  ASSERT_EQ(::pwrite(from.get(), "y", 1, 1000000), 1);
  auto again = copy_contents(from.get(), to.get(), size_of(from), false, nullptr);
  ASSERT_TRUE(again);
  EXPECT_LE(again->bytes, 128u << 10);
  expect_equal(from, to);
}

TEST_P(Copy, AFileThatChangesMeanwhileIsEqualInTheEnd) {
  std::mt19937_64 random(seed());
  write_sparse(from_ / "file", 3000000, random);
  Fd from = open_file(from_ / "file"), writer_fd = open_file(from_ / "file");
  Fd to = open_file(target("copy"));
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    std::mt19937_64 own(seed() + 1);
    for (int i = 0; i < 2000 && !stop; i++) random_change(writer_fd, own);
  });
  for (int round = 0; round < 30; round++) {
    auto copied = copy_contents(from.get(), to.get(), size_of(from), round == 0, nullptr);
    EXPECT_TRUE(copied) << copied.error().text();
  }
  stop = true;
  writer.join();
  ASSERT_TRUE(copy_contents(from.get(), to.get(), size_of(from), false, nullptr));
  expect_equal(from, to);
}

INSTANTIATE_TEST_SUITE_P(FileSystems, Copy,
                         testing::Values(std::pair("dir", "dir"), std::pair("ext4", "xfs"), std::pair("xfs", "xfs"),
                                         std::pair("btrfs", "btrfs"), std::pair("btrfs", "ext4"),
                                         std::pair("ext4", "tmpfs"), std::pair("tmpfs", "btrfs")),
                         [](const auto& pair) { return std::string(pair.param.first) + "_to_" + pair.param.second; });

TEST(CopySharing, BlocksAreSharedWhereTheFileSystemCan) {
  for (const char* kind : {"xfs", "btrfs"}) {
    Scratch scratch(kind);
    if (!scratch.missing().empty()) GTEST_SKIP() << scratch.missing();
    write_file(scratch / "file", std::string(1 << 20, 'x'));
    Fd from = open_file(scratch / "file"), to = open_file(scratch / "copy");
    auto copied = copy_contents(from.get(), to.get(), 1 << 20, true, nullptr);
    ASSERT_TRUE(copied);
    EXPECT_EQ(copied->bytes, 0u) << kind;
    EXPECT_EQ(copied->bytes_cloned, 1u << 20) << kind;
    expect_equal(from, to);
  }
}

TEST(SameContents, IsWhatACopyWouldLeave) {
  Scratch scratch;
  std::mt19937_64 random(seed());
  for (uint64_t size : {0u, 1u, 4096u, 65536u, 65537u, 3000000u}) {
    std::string name = std::to_string(size);
    if (size == 3000000)
      write_sparse(scratch / name, size, random);
    else
      write_file(scratch / name, std::string(size, 'x'));
    Fd from = open_file(scratch / name), to = open_file(scratch / (name + ".copy"));
    ASSERT_EQ(::ftruncate(from.get(), static_cast<off_t>(size)), 0);
    auto same = [&] {
      Result<bool> answer = same_contents(from.get(), to.get(), size, nullptr);
      return answer && *answer;
    };
    EXPECT_EQ(same(), size == 0) << size;  // the copy is empty
    ASSERT_TRUE(copy_contents(from.get(), to.get(), size, false, nullptr));
    EXPECT_TRUE(same()) << size;
    for (uint64_t at : {uint64_t{0}, size / 2, size - 1}) {
      if (size == 0) break;
      ASSERT_EQ(::pwrite(to.get(), "~", 1, static_cast<off_t>(at)), 1);
      EXPECT_FALSE(same()) << size << " at " << at;
      ASSERT_TRUE(copy_contents(from.get(), to.get(), size, false, nullptr));
      EXPECT_TRUE(same()) << size << " at " << at;
    }
  }
}

TEST(SameContents, ZerosAreNoHole) {
  Scratch scratch;
  write_file(scratch / "zeros", std::string(65536, 0));
  Fd zeros = open_file(scratch / "zeros"), hole = open_file(scratch / "hole");
  ASSERT_EQ(::ftruncate(hole.get(), 65536), 0);
  if (::lseek(hole.get(), 0, SEEK_DATA) >= 0) GTEST_SKIP() << "no holes here";
  Result<bool> same = same_contents(zeros.get(), hole.get(), 65536, nullptr);
  ASSERT_TRUE(same);
  EXPECT_FALSE(*same);
}

TEST(CopySharing, ASourceShorterThanSaidIsNoError) {
  Scratch scratch;
  write_file(scratch / "file", std::string(100000, 'x'));
  Fd from = open_file(scratch / "file"), to = open_file(scratch / "copy");
  ASSERT_TRUE(copy_contents(from.get(), to.get(), 500000, true, nullptr));
  ASSERT_TRUE(copy_contents(from.get(), to.get(), 400000, false, nullptr));
  EXPECT_EQ(size_of(to), 400000u);
}

TEST(Throttle, HoldsTheRateOfAllThreadsTogether) {
  Throttle throttle(10 << 20);
  auto begin = std::chrono::steady_clock::now();
  auto spend = [&] {
    for (int i = 0; i < 16; i++) throttle.spend(128 << 10);
  };
  std::thread other(spend);
  spend();
  other.join();
  // 4 MiB at 10 MiB/s, but for what a tenth of a second earned.
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  EXPECT_GE(seconds, 0.29);
}

TEST(Throttle, StopLetsEverybodyGo) {
  Throttle throttle(1);
  std::thread waiting([&] { throttle.spend(1 << 30); });
  throttle.stop();
  waiting.join();
  EXPECT_EQ(throttle.step(), 4096u);
}

}  // namespace
}  // namespace reel::mirror::test
