// SPDX-License-Identifier: Apache-2.0
//
// What being watched costs a workload: each runs with and without a source beside it, in turn, on a
// scratch file system, and the medians are compared: of the wall clock, and of the processor time that
// the workload itself uses (on a machine that others use too, only that one means much). Needs root.
//   watch_cost [ROUNDS [FILE_SYSTEM...]]     default: 5 ext4 xfs btrfs tmpfs
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "log/log.h"
#include "source/source.h"

namespace {

using namespace reel;

constexpr int kFiles = 50000, kDirectories = 100;
constexpr int kRewrites = 600000;
constexpr off_t kRewritten = 64 << 20;  // bytes of the file whose blocks are written again

bool shell(const std::string& command) {
  return std::system(("(" + command + ") >/dev/null 2>&1").c_str()) == 0;
}

std::string numbered(const std::string& base, int number) {
  return base + std::to_string(number);
}

bool create_and_unlink(const std::string& root) {
  for (int i = 0; i < kDirectories; ++i) ::mkdir(numbered(root + "/d", i).c_str(), 0700);
  for (bool making : {true, false})
    for (int i = 0; i < kFiles; ++i) {
      std::string path = numbered(numbered(root + "/d", i % kDirectories) + "/f", i);
      if (making) {
        int fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0 || ::close(fd) != 0) return false;
      } else if (::unlink(path.c_str()) != 0) {
        return false;
      }
    }
  return true;
}

bool rewrite(const std::string& root) {
  std::vector<char> block(4096, 'x');
  int fd = ::open((root + "/rewritten").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  for (off_t at = 0; at < kRewritten; at += 4096)
    if (::pwrite(fd, block.data(), block.size(), at) < 0) return false;
  uint64_t random = 1;
  for (int i = 0; i < kRewrites; ++i) {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    off_t at = static_cast<off_t>((random >> 33) % (kRewritten / 4096)) * 4096;
    if (::pwrite(fd, block.data(), block.size(), at) < 0) return false;
  }
  return ::close(fd) == 0;
}

struct Workload {
  const char* name;
  std::function<bool(const std::string&)> run;
  double limit;  // the ratio that is promised
};

struct Cost {
  double wall = -1, cpu = -1;  // seconds; negative: it failed
};

double seconds(const struct timeval& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
}

// What the workload takes in a process of its own.
Cost cost_of(const Workload& workload, const std::string& root) {
  ::sync();
  auto start = std::chrono::steady_clock::now();
  pid_t child = ::fork();
  if (child == 0) ::_exit(workload.run(root) ? 0 : 1);
  int how = 0;
  struct rusage used;
  ::wait4(child, &how, 0, &used);
  if (how != 0) return {};
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          seconds(used.ru_utime) + seconds(used.ru_stime)};
}

// Runs a source in a child until it is killed; returns when it watches.
pid_t start_watching(const std::string& root, const std::string& log_dir) {
  int ready[2];
  if (::pipe(ready) != 0) return -1;
  pid_t child = ::fork();
  if (child == 0) {
    auto writer = log::Writer::open(Env::posix(), log_dir, "local");
    if (!writer) ::_exit(1);
    auto source = source::watch_local(root, **writer, {});
    if (!source || ::write(ready[1], "", 1) != 1) ::_exit(1);
    while (true) ::pause();
  }
  char byte;
  ::close(ready[1]);
  bool watching = ::read(ready[0], &byte, 1) == 1;
  ::close(ready[0]);
  return watching ? child : -1;
}

double median(const std::vector<Cost>& costs, double Cost::*which) {
  std::vector<double> values;
  for (const Cost& cost : costs) values.push_back(cost.*which);
  std::sort(values.begin(), values.end());
  return values.empty() ? -1 : values[values.size() / 2];
}

bool mount_scratch(const std::string& type, const std::string& base) {
  std::string image = base + "/image", mount = base + "/mnt";
  shell("umount " + mount + "; rm -f " + image);
  ::mkdir(mount.c_str(), 0700);
  if (type == "tmpfs") return shell("mount -t tmpfs -o size=2g bench " + mount);
  return shell("truncate -s 3G " + image + " && mkfs." + type + (type == "ext4" ? " -F " : " -f ") + image +
               " && mount -o loop -t " + type + " " + image + " " + mount);
}

void measure(const std::string& type, const Workload& workload, int rounds, const std::string& base) {
  std::vector<Cost> alone, watched, reader;
  for (int round = 0; round < rounds; ++round)
    for (bool with : {round % 2 == 0, round % 2 != 0}) {
      if (!mount_scratch(type, base)) {
        std::printf("%-6s cannot be made\n", type.c_str());
        return;
      }
      std::string root = base + "/mnt", log_dir = base + "/log";
      shell("rm -rf " + log_dir);
      pid_t watcher = with ? start_watching(root, log_dir) : 0;
      Cost cost = cost_of(workload, root);
      if (watcher > 0) {
        ::kill(watcher, SIGKILL);
        struct rusage used;
        ::wait4(watcher, nullptr, 0, &used);
        reader.push_back({0, seconds(used.ru_utime) + seconds(used.ru_stime)});
      }
      if (watcher < 0 || cost.wall < 0)
        std::printf("%-6s %s failed\n", type.c_str(), workload.name);
      else
        (with ? watched : alone).push_back(cost);
    }
  std::printf(
      "%-6s %-16s wall %.3f -> %.3f s x%.2f   cpu %.3f -> %.3f s x%.2f   (promised x%.2f)   source's cpu %.3f s\n",
      type.c_str(), workload.name, median(alone, &Cost::wall), median(watched, &Cost::wall),
      median(watched, &Cost::wall) / median(alone, &Cost::wall), median(alone, &Cost::cpu), median(watched, &Cost::cpu),
      median(watched, &Cost::cpu) / median(alone, &Cost::cpu), workload.limit, median(reader, &Cost::cpu));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
  std::vector<std::string> types(argv + std::min(argc, 2), argv + argc);
  if (types.empty()) types = {"ext4", "xfs", "btrfs", "tmpfs"};
  char base[] = "/tmp/reel-watch-cost-XXXXXX";
  if (!::mkdtemp(base)) return 1;
  std::string archive = std::string(base) + "/include.tar";
  if (!shell("tar -C /usr -cf " + archive + " include")) return 1;
  const Workload workloads[] = {
      {"untar", [&](const std::string& root) { return shell("tar -C " + root + " -xf " + archive); }, 1.15},
      {"create+unlink", create_and_unlink, 1.2},
      {"4 KiB rewrites", rewrite, 1.1},
  };
  for (const std::string& type : types)
    for (const Workload& workload : workloads) measure(type, workload, rounds, base);
  shell(std::string("umount ") + base + "/mnt");
  shell(std::string("rm -rf ") + base);
  return 0;
}
