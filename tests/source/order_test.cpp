// SPDX-License-Identifier: Apache-2.0
//
// The order of records is the order of changes: replayed one by one they give the tree that is there.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <random>
#include <thread>

#include "support.h"

namespace reel::source {
namespace {

constexpr int kThreads = 4;
constexpr int kSteps = 3000;  // of each thread
constexpr int kDirs = 6;

// One thread's share: makes, links, moves and removes entries in directories that all threads use.
// No name is ever used twice (by the number in it).
class Worker {
 public:
  Worker(std::string root, uint64_t seed, std::atomic<int>& names)
      : root_(std::move(root)), random_(seed), names_(names) {}

  void run() {
    for (int i = 0; i < kSteps; ++i) step();
  }

 private:
  std::string fresh() { return root_ + "/d" + std::to_string(random_() % kDirs) + "/n" + std::to_string(names_++); }

  void step() {
    uint64_t what = random_() % 10;
    if (mine_.empty() || what < 4) {
      std::string path = fresh();
      bool made = what % 2 == 0 ? ::mkdir(path.c_str(), 0700) == 0 : ::mknod(path.c_str(), S_IFREG | 0600, 0) == 0;
      if (made) mine_.push_back(path);
      return;
    }
    std::string& path = mine_[random_() % mine_.size()];
    std::string other = fresh();
    if (what < 6) {
      if (::link(path.c_str(), other.c_str()) == 0) mine_.push_back(other);  // not of a directory
    } else if (what < 8) {
      if (::rename(path.c_str(), other.c_str()) == 0) path = other;
    } else if (::unlink(path.c_str()) == 0 || ::rmdir(path.c_str()) == 0) {
      std::swap(path, mine_.back());
      mine_.pop_back();
    }
  }

  std::string root_;
  std::mt19937_64 random_;
  std::atomic<int>& names_;
  std::vector<std::string> mine_;
};

using Tree = std::map<std::pair<Fid, std::string>, Fid>;

// Gives what did not fit.
std::vector<std::string> replay(const std::vector<Kept>& records, Tree& tree) {
  std::vector<std::string> misfits;
  auto put = [&](const Kept& r, const Fid& parent, const std::string& name, const Fid& fid) {
    if (!tree.emplace(std::pair(parent, name), fid).second) misfits.push_back("is there: " + to_text(r));
  };
  auto take = [&](const Kept& r, const Fid& parent, const std::string& name, const Fid& fid) {
    auto found = tree.find({parent, name});
    if (found == tree.end() || found->second != fid)
      misfits.push_back("is not there: " + to_text(r));
    else
      tree.erase(found);
  };
  for (const Kept& r : records) switch (r.type) {
      case RecordType::creat:
      case RecordType::mkdir:
        put(r, r.parent, r.name, r.target);
        break;
      case RecordType::unlnk:
      case RecordType::rmdir:
        take(r, r.parent, r.name, r.target);
        break;
      case RecordType::renme:
        take(r, r.source_parent, r.source_name, r.source);
        put(r, r.parent, r.name, r.source);
        break;
      case RecordType::gap:
        misfits.push_back(to_text(r));
        break;
      default:
        break;
    }
  return misfits;
}

Tree walk(const std::string& root) {
  Tree tree;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
    tree[{fid_of(entry.path().parent_path()), entry.path().filename()}] = fid_of(entry.path());
  return tree;
}

bool make_changes(const std::string& root, uint64_t seed) {
  for (int i = 0; i < kDirs; ++i)
    if (::mkdir((root + "/d" + std::to_string(i)).c_str(), 0700) != 0) return false;
  std::atomic<int> names = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] { Worker(root, seed + static_cast<uint64_t>(i), names).run(); });
  for (std::thread& thread : threads) thread.join();
  return true;
}

class Order : public ::testing::TestWithParam<const char*> {};

TEST_P(Order, replayed_records_give_the_tree) {
  REEL_SCRATCH_FS(fs, GetParam());
  uint64_t seed = test_seed();
  std::string root = fs.path() + "/tree";
  ASSERT_TRUE(shell("mkdir " + root));
  // Forked while this process has one thread, because the child is to have several.
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  pid_t child = ::fork();
  if (child == 0) {
    char byte;
    ::_exit(::read(go[0], &byte, 1) == 1 && make_changes(root, seed) ? 0 : 1);
  }
  MemoryWriter writer;
  auto source = watch_local(fs.path(), writer, {});
  ASSERT_TRUE(source) << source.error().text();
  uint64_t start = writer.last_index();
  ASSERT_EQ(::write(go[1], "", 1), 1);
  int how = 0;
  ASSERT_EQ(::waitpid(child, &how, 0), child);
  ASSERT_EQ(how, 0);
  ASSERT_TRUE((*source)->barrier());
  Tree replayed;
  std::vector<std::string> misfits = replay(writer.after(start), replayed);
  EXPECT_EQ(misfits.size(), 0u) << misfits[0];
  EXPECT_EQ(replayed.size(), walk(root).size());
  EXPECT_EQ(replayed, walk(root));
  EXPECT_GT(replayed.size(), 100u);
}

INSTANTIATE_TEST_SUITE_P(Local, Order, ::testing::Values("ext4", "xfs", "btrfs", "tmpfs"),
                         [](const auto& type) { return std::string(type.param); });

}  // namespace
}  // namespace reel::source
