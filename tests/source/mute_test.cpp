// SPDX-License-Identifier: Apache-2.0
//
// A file that is written all the time has its events switched off. Whoever reads the file at each
// record that names it must still have its latest contents after a barrier.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <random>
#include <thread>

#include "support.h"

namespace reel::source {
namespace {

constexpr off_t kLast = (16 << 20) - sizeof(uint64_t);  // where the number lies

// A child that keeps a file open and writes numbers into it, on command.
class Scribe {
 public:
  struct Order {
    int writes = 0;
    int pause_us = 0;  // up to this long between two
    size_t bytes = 8;  // of each write, the number at its end
    uint64_t seed = 0;
  };

  explicit Scribe(const std::string& path) {
    if (::pipe(orders_) != 0 || ::pipe(answers_) != 0) return;
    child_ = ::fork();
    if (child_ == 0) serve(path);
  }
  ~Scribe() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }

  // The number that was written last, when the order is done; 0 when the child failed.
  uint64_t write(const Order& order) {
    begin(order);
    return end();
  }
  void begin(const Order& order) { (void)!::write(orders_[1], &order, sizeof order); }
  uint64_t end() {
    uint64_t number = 0;
    (void)!::read(answers_[0], &number, sizeof number);
    return number;
  }

 private:
  [[noreturn]] void serve(const std::string& path) {
    int fd = ::open(path.c_str(), O_RDWR | O_CREAT, 0600);
    uint64_t number = 0;
    Order order;
    while (::read(orders_[0], &order, sizeof order) == sizeof order) {
      std::mt19937_64 random(order.seed);
      std::vector<char> data(order.bytes);
      for (int i = 0; i < order.writes; ++i) {
        ++number;
        std::memcpy(data.data() + data.size() - sizeof number, &number, sizeof number);
        off_t at = kLast + static_cast<off_t>(sizeof number) - static_cast<off_t>(order.bytes);
        if (::pwrite(fd, data.data(), data.size(), at) != static_cast<ssize_t>(data.size())) ::_exit(1);
        if (order.pause_us > 0) ::usleep(static_cast<useconds_t>(random() % static_cast<uint64_t>(order.pause_us)));
      }
      if (::write(answers_[1], &number, sizeof number) < 0) ::_exit(1);
    }
    ::_exit(0);
  }

  int orders_[2], answers_[2];
  pid_t child_ = 0;
};

uint64_t number_in(const std::string& path) {
  uint64_t number = 0;
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  if (::pread(fd, &number, sizeof number, kLast) < 0) number = 0;
  ::close(fd);
  return number;
}

class Mute : public ::testing::TestWithParam<const char*> {
 protected:
  // Reads the file whenever a record says that it may have changed.
  void watch(const std::string& root) {
    path_ = root + "/file";
    scribe_ = std::make_unique<Scribe>(path_);
    ASSERT_EQ(scribe_->write({1, 0, 8, 0}), 1u);
    file_ = fid_of(path_);
    writer_.on_append([this](const Record& record) {
      if (record.target != file_) return;
      ++named_;
      read_ = number_in(path_);
    });
    auto source = watch_local(root, writer_, {});
    ASSERT_TRUE(source) << source.error().text();
    source_ = std::move(*source);
  }

  MemoryWriter writer_;
  std::string path_;
  Fid file_;
  std::atomic<uint64_t> read_ = 0, named_ = 0;
  std::unique_ptr<Scribe> scribe_;
  std::unique_ptr<Source> source_;
};

TEST_P(Mute, barrier_has_the_last_write) {
  REEL_SCRATCH_FS(fs, GetParam());
  ASSERT_NO_FATAL_FAILURE(watch(fs.path()));
  uint64_t seed = test_seed();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 150; ++round) {
    int writes = 1 + static_cast<int>(random() % 60), pause_us = static_cast<int>(random() % 4000);
    uint64_t number = scribe_->write({writes, pause_us, 8, random()});
    ASSERT_NE(number, 0u);
    Result<uint64_t> index = source_->barrier();
    ASSERT_TRUE(index) << index.error().text();
    ASSERT_EQ(read_, number) << "round " << round;
  }
}

// A long write gets its time stamp before its data.
TEST_P(Mute, barrier_has_a_long_write) {
  REEL_SCRATCH_FS(fs, GetParam());
  ASSERT_NO_FATAL_FAILURE(watch(fs.path()));
  for (int round = 0; round < 10; ++round) {
    scribe_->write({40, 2000, 8, 1});  // switches its events off
    uint64_t number = scribe_->write({1, 0, 16 << 20, 1});
    ASSERT_TRUE(source_->barrier());
    ASSERT_EQ(read_, number) << "round " << round;
  }
}

// Without a barrier the last write shows soon, even when nothing else happens.
TEST_P(Mute, last_write_shows_by_itself) {
  REEL_SCRATCH_FS(fs, GetParam());
  ASSERT_NO_FATAL_FAILURE(watch(fs.path()));
  for (int round = 0; round < 3; ++round) {
    uint64_t number = scribe_->write({100, 2000, 8, 1});
    EXPECT_TRUE(eventually(20, [&] { return read_ == number; })) << "round " << round;
  }
}

TEST_P(Mute, busy_file_is_seldom_named) {
  REEL_SCRATCH_FS(fs, GetParam());
  ASSERT_NO_FATAL_FAILURE(watch(fs.path()));
  named_ = 0;
  auto start = std::chrono::steady_clock::now();
  scribe_->write({2000, 1000, 8, 1});
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_GE(named_, 1u);
  // Every millisecond without muting; with it, a few times each second.
  EXPECT_LE(static_cast<double>(named_), 20 * (seconds + 1));
}

INSTANTIATE_TEST_SUITE_P(Local, Mute, ::testing::Values("ext4", "xfs", "btrfs", "tmpfs"),
                         [](const auto& type) { return std::string(type.param); });

// A reel is killed while files are muted: the next one must say that they changed.
TEST(MuteKilled, successor_names_muted_files) {
  REEL_SCRATCH_FS(fs, "ext4");
  TempDir state;
  LocalOptions options;
  options.state_dir = state.path();
  std::string path = fs.path() + "/file";
  Scribe scribe(path);
  ASSERT_EQ(scribe.write({1, 0, 8, 0}), 1u);
  pid_t reel = ::fork();
  if (reel == 0) {
    MemoryWriter writer;
    auto source = watch_local(fs.path(), writer, options);
    if (source) ::pause();
    ::_exit(1);
  }
  ASSERT_TRUE(eventually(20, [&] { return ::access((state.path() + "/hold.sock").c_str(), F_OK) == 0; }));
  scribe.begin({300, 1000, 8, 1});
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ::kill(reel, SIGKILL);
  ::waitpid(reel, nullptr, 0);
  uint64_t number = scribe.end();
  // The predecessor's log is not at hand: one that is at least as long stands for it.
  MemoryWriter writer;
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(writer.append(Record{}));
  uint64_t read = 0;
  Fid file = fid_of(path);
  writer.on_append([&](const Record& record) {
    if (record.target == file) read = number_in(path);
  });
  auto source = watch_local(fs.path(), writer, options);
  ASSERT_TRUE(source) << source.error().text();
  ASSERT_TRUE((*source)->barrier());
  EXPECT_EQ(writer.gaps().size(), 0u);
  EXPECT_EQ(read, number);
}

}  // namespace
}  // namespace reel::source
