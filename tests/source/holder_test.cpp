// SPDX-License-Identifier: Apache-2.0
//
// Nothing is lost between one reel and the next: killed, stopped, or (a GAP) when it cannot be known.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <set>
#include <thread>

#include "source/holder_wire.h"
#include "support.h"

namespace reel::source {
namespace {

struct Place {
  explicit Place(const std::string& fs_path) : root(fs_path) { options.state_dir = state.path(); }
  std::string socket() const { return options.state_dir + "/hold.sock"; }
  bool held() const { return std::filesystem::exists(socket()); }
  Result<std::unique_ptr<Source>> watch() { return watch_local(root, writer, options); }
  bool make(const std::string& name) {
    return in_child([&] { return ::mkdir((root + "/" + name).c_str(), 0700) == 0; });
  }
  bool has(const std::string& name) const {
    for (const Kept& record : writer.after(0))
      if (record.name == name) return true;
    return false;
  }

  std::string root;
  TempDir state;
  MemoryWriter writer;
  LocalOptions options;
};

#define ASSERT_WATCH(source, place) \
  auto source = (place).watch();    \
  ASSERT_TRUE(source) << source.error().text()

TEST(Holder, clean_stop_and_restart_miss_nothing) {
  REEL_SCRATCH_FS(fs, "ext4");
  Place p(fs.path());
  for (int round = 0; round < 5; ++round) {
    ASSERT_WATCH(source, p);
    ASSERT_TRUE(p.make("during" + std::to_string(round)));
    source->reset();
    ASSERT_TRUE(p.make("between" + std::to_string(round)));
  }
  ASSERT_WATCH(source, p);
  ASSERT_TRUE((*source)->barrier());
  EXPECT_EQ(p.writer.gaps().size(), 1u) << to_text(p.writer.after(0));
  for (int round = 0; round < 5; ++round) {
    EXPECT_TRUE(p.has("during" + std::to_string(round)));
    EXPECT_TRUE(p.has("between" + std::to_string(round)));
  }
}

TEST(Holder, socket_is_private) {
  REEL_SCRATCH_FS(fs, "ext4");
  Place p(fs.path());
  ASSERT_WATCH(source, p);
  struct stat st;
  ASSERT_EQ(::stat(p.socket().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
}

TEST(Holder, another_user_is_not_served) {
  REEL_SCRATCH_FS(fs, "ext4");
  Place p(fs.path());
  ASSERT_WATCH(source, p);
  source->reset();
  ASSERT_TRUE(shell("chmod 0777 " + p.state.path() + " " + p.socket()));
  EXPECT_TRUE(in_child([&] {
    int fd = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
    struct sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    p.socket().copy(address.sun_path, sizeof address.sun_path - 1);
    HolderRequest request;
    char byte;
    if (::setuid(65534) != 0 || ::connect(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof address) != 0)
      return false;
    (void)!::send(fd, &request, sizeof request, MSG_NOSIGNAL);
    return ::recv(fd, &byte, 1, 0) <= 0;
  }));
}

// Inode numbers of the memfds that a process (a folder of /proc) has open.
std::set<ino_t> memfds_of(const std::filesystem::path& process) {
  std::set<ino_t> found;
  std::error_code gone;  // processes come and go
  for (const auto& fd : std::filesystem::directory_iterator(process / "fd", gone)) {
    struct stat st;
    bool is_memfd = std::filesystem::read_symlink(fd.path(), gone).string().starts_with("/memfd:");
    if (is_memfd && ::stat(fd.path().c_str(), &st) == 0) found.insert(st.st_ino);
  }
  return found;
}

// The holder that shares our buffer; others may belong to tests that run beside this one.
std::filesystem::path own_holder() {
  std::set<ino_t> ours = memfds_of("/proc/self");
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::string name;
    std::ifstream(entry.path() / "comm") >> name;
    if (name != "reel-holder") continue;
    for (ino_t memfd : memfds_of(entry.path()))
      if (ours.count(memfd)) return entry.path();
  }
  return {};
}

TEST(Holder, has_its_own_name_and_nothing_of_its_parent) {
  REEL_SCRATCH_FS(fs, "ext4");
  Place p(fs.path());
  ASSERT_WATCH(source, p);
  std::filesystem::path proc = own_holder();
  ASSERT_FALSE(proc.empty()) << "no process named reel-holder has our buffer";
  EXPECT_EQ(std::filesystem::read_symlink(proc / "cwd"), "/");
  for (int fd : {0, 1, 2}) EXPECT_EQ(std::filesystem::read_symlink(proc / "fd" / std::to_string(fd)), "/dev/null");
  auto open_files = std::filesystem::directory_iterator(proc / "fd");
  EXPECT_LE(std::distance(begin(open_files), end(open_files)), 9);
}

TEST(Holder, gone_is_a_gap) {
  REEL_SCRATCH_FS(fs, "ext4");
  Place p(fs.path());
  ASSERT_TRUE(p.watch());
  ASSERT_EQ(::unlink(p.socket().c_str()), 0);  // ends it
  ASSERT_WATCH(source, p);
  EXPECT_EQ(p.writer.gaps().size(), 2u);
}

TEST(Holder, ends_when_its_time_is_over) {
  REEL_SCRATCH_FS(fs, "ext4");
  Place p(fs.path());
  p.options.hold_seconds = 1;
  ASSERT_TRUE(p.watch());
  EXPECT_TRUE(eventually(20, [&] { return !p.held(); }));
  ASSERT_WATCH(source, p);
  EXPECT_EQ(p.writer.gaps().size(), 2u);
}

TEST(Holder, none_without_hold_seconds) {
  REEL_SCRATCH_FS(fs, "ext4");
  Place p(fs.path());
  p.options.hold_seconds = 0;
  ASSERT_TRUE(p.watch());
  EXPECT_FALSE(p.held());
  ASSERT_TRUE(p.watch());
  EXPECT_EQ(p.writer.gaps().size(), 2u);
}

// The last session with a holder is still continued, then the holder goes.
TEST(Holder, dismissed_when_no_longer_wanted) {
  REEL_SCRATCH_FS(fs, "ext4");
  Place p(fs.path());
  ASSERT_TRUE(p.watch());
  ASSERT_TRUE(p.make("between"));
  p.options.hold_seconds = 0;
  ASSERT_WATCH(source, p);
  ASSERT_TRUE((*source)->barrier());
  EXPECT_FALSE(p.held());
  EXPECT_TRUE(p.has("between"));
  EXPECT_EQ(p.writer.gaps().size(), 1u);
}

TEST(Holder, another_log_is_a_gap) {
  REEL_SCRATCH_FS(fs, "ext4");
  Place p(fs.path());
  ASSERT_TRUE(p.watch());
  MemoryWriter fresh;
  auto source = watch_local(p.root, fresh, p.options);
  ASSERT_TRUE(source) << source.error().text();
  EXPECT_EQ(fresh.gaps().size(), 1u);
}

TEST(Holder, another_file_system_is_a_gap) {
  REEL_SCRATCH_FS(fs, "ext4");
  REEL_SCRATCH_FS(other, "tmpfs");
  Place p(fs.path());
  ASSERT_TRUE(p.watch());
  p.root = other.path();
  ASSERT_WATCH(source, p);
  EXPECT_EQ(p.writer.gaps().size(), 2u);
  ASSERT_TRUE(p.make("there"));
  ASSERT_TRUE((*source)->barrier());
  EXPECT_TRUE(p.has("there"));
}

TEST(Holder, ends_with_the_file_system) {
  REEL_SCRATCH_FS(fs, "ext4");
  Place p(fs.path());
  ASSERT_TRUE(p.watch());
  ASSERT_TRUE(fs.unmount()) << "the holder keeps the file system busy";
  EXPECT_TRUE(eventually(20, [&] { return !p.held(); }));
}

TEST(Holder, mounted_anew_is_a_gap) {
  REEL_SCRATCH_FS(fs, "ext4");
  Place p(fs.path());
  ASSERT_TRUE(p.watch());
  ASSERT_TRUE(fs.unmount() && fs.mount_again());
  ASSERT_WATCH(source, p);
  EXPECT_EQ(p.writer.gaps().size(), 2u);
}

TEST(Holder, second_reel_is_refused) {
  REEL_SCRATCH_FS(fs, "ext4");
  Place p(fs.path());
  ASSERT_WATCH(source, p);
  MemoryWriter second;
  auto refused = watch_local(p.root, second, p.options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::busy) << refused.error().text();
  ASSERT_TRUE((*source)->barrier());
}

// --- kill -9 ---

constexpr int kKills = 30;
constexpr const char* kStream = "local";

// Writes a byte to `ready` when it watches.
[[noreturn]] void run_reel(const std::string& root, const std::string& log_dir, const LocalOptions& options,
                           int ready) {
  auto writer = log::Writer::open(Env::posix(), log_dir, kStream);
  if (!writer) std::cerr << writer.error().text() << std::endl, ::_exit(2);
  auto source = watch_local(root, **writer, options);
  if (!source) std::cerr << source.error().text() << std::endl, ::_exit(3);
  if (::write(ready, "", 1) != 1) ::_exit(5);
  while ((*source)->health()) ::pause();
  ::_exit(4);
}

// Makes entries with numbered names, moves some, removes some.
bool work(const std::string& root, const std::string& prefix, int total) {
  for (int i = 0; i < total; ++i) {
    std::string path = root + "/" + prefix + std::to_string(i);
    if (::mknod(path.c_str(), S_IFREG | 0600, 0) != 0) return false;
    if (i % 3 == 0 && ::rename(path.c_str(), (path + "m").c_str()) != 0) return false;
    if (i % 3 == 1 && ::unlink(path.c_str()) != 0) return false;
  }
  return true;
}

std::vector<std::string> missing(const std::vector<Kept>& records, const std::string& prefix, int total) {
  std::set<std::pair<RecordType, std::string>> seen;
  for (const Kept& r : records) seen.emplace(r.type, r.name);
  std::vector<std::string> lost;
  for (int i = 0; i < total; ++i) {
    std::string name = prefix + std::to_string(i);
    if (!seen.contains({RecordType::creat, name})) lost.push_back("creation of " + name);
    if (i % 3 == 0 && !seen.contains({RecordType::renme, name + "m"})) lost.push_back("move of " + name);
    if (i % 3 == 1 && !seen.contains({RecordType::unlnk, name})) lost.push_back("removal of " + name);
  }
  return lost;
}

std::vector<Kept> read_log(const std::string& dir) {
  std::vector<Kept> records;
  auto reader = log::Reader::open(Env::posix(), dir, kStream);
  if (!reader) return records;
  Record r;
  while (true) {
    Result<bool> more = (*reader)->next(r);
    EXPECT_TRUE(more) << more.error().text();
    if (!more || !*more) return records;
    records.push_back({r.index, r.type, r.target, r.parent, r.source, r.source_parent, std::string(r.name),
                       std::string(r.source_name)});
  }
}

int gap_count(const std::vector<Kept>& records, std::string& reasons) {
  int gaps = 0;
  for (const Kept& r : records)
    if (r.type == RecordType::gap) ++gaps, reasons += r.name + "\n";
  return gaps;
}

pid_t fork_work(const std::string& root, const std::string& prefix, int total) {
  pid_t child = ::fork();
  if (child == 0) ::_exit(work(root, prefix, total) ? 0 : 1);
  return child;
}

// `log_inside`: the log and the holder's socket lie on the file system that is watched.
void kill_reel_many_times(const std::string& type, bool log_inside) {
  REEL_SCRATCH_FS(fs, type);
  uint64_t seed = test_seed();
  std::mt19937_64 random(seed);
  TempDir outside;
  std::string state = log_inside ? fs.path() + "/state" : outside.path() + "/state";
  std::string log_dir = state + "/log";
  ASSERT_TRUE(shell("mkdir -p " + state + " " + fs.path() + "/tree"));
  LocalOptions options;
  options.state_dir = state;
  constexpr int kTotal = 30000;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  pid_t workers[2] = {};
  for (int kills = 0; kills <= kKills; ++kills) {
    pid_t reel = ::fork();
    if (reel == 0) run_reel(fs.path(), log_dir, options, ready[1]);
    if (kills == 0) {
      char byte;
      ASSERT_EQ(::read(ready[0], &byte, 1), 1);
      workers[0] = fork_work(fs.path() + "/tree", "a", kTotal);
      workers[1] = fork_work(fs.path() + "/tree", "b", kTotal);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 60000));
    ASSERT_EQ(::kill(reel, SIGKILL), 0);
    int how = 0;
    ASSERT_EQ(::waitpid(reel, &how, 0), reel);
    ASSERT_TRUE(WIFSIGNALED(how)) << "reel ended by itself with " << WEXITSTATUS(how);
  }
  for (pid_t worker : workers) {
    int how = 0;
    ASSERT_EQ(::waitpid(worker, &how, 0), worker);
    ASSERT_EQ(how, 0) << "the workload failed";
  }
  {
    auto writer = log::Writer::open(Env::posix(), log_dir, kStream);
    ASSERT_TRUE(writer) << writer.error().text();
    auto source = watch_local(fs.path(), **writer, options);
    ASSERT_TRUE(source) << source.error().text();
    ASSERT_TRUE((*source)->barrier());
  }
  std::vector<Kept> records = read_log(log_dir);
  std::string reasons;
  EXPECT_EQ(gap_count(records, reasons), 1) << reasons;
  for (const char* prefix : {"a", "b"}) {
    std::vector<std::string> lost = missing(records, prefix, kTotal);
    EXPECT_EQ(lost.size(), 0u) << lost[0] << " and others";
  }
  ::unlink((state + "/hold.sock").c_str());
  EXPECT_TRUE(eventually(20, [&] { return fs.unmount(); })) << "the holder does not end";
}

TEST(Killed, nothing_is_lost_ext4) {
  kill_reel_many_times("ext4", false);
}
TEST(Killed, nothing_is_lost_ext4_log_inside) {
  kill_reel_many_times("ext4", true);
}
TEST(Killed, nothing_is_lost_xfs) {
  kill_reel_many_times("xfs", false);
}
TEST(Killed, nothing_is_lost_btrfs) {
  kill_reel_many_times("btrfs", false);
}
TEST(Killed, nothing_is_lost_tmpfs) {
  kill_reel_many_times("tmpfs", false);
}

}  // namespace
}  // namespace reel::source
