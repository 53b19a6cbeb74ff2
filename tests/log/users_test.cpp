// SPDX-License-Identifier: Apache-2.0
//
// Users: who is registered, what they have cleared, what may be deleted.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "log_testing.h"

namespace reel::log {
namespace {

struct Place {
  TempDir dir;
  std::unique_ptr<Writer> writer;
  std::unique_ptr<Users> users;

  explicit Place(uint64_t segment_bytes = 64u << 20) {
    WriterOptions options;
    options.segment_bytes = segment_bytes;
    options.block_bytes = 100;
    writer = open_writer(dir, options);
    users = must(Users::open(Env::posix(), dir.path(), kStream));
  }
  void append(int count) {
    for (int i = 0; i < count; ++i) must(writer->append(Record{}));
    must(writer->commit());
  }
};

TEST(Users, RegisterStartsAtTheCurrentIndexAndIdsAreNeverReused) {
  Place place;
  EXPECT_EQ(must(place.users->register_user("", 0)).cleared, 0u);
  place.append(7);
  User second = must(place.users->register_user("backup", 6));
  EXPECT_EQ(second.cleared, 7u);
  EXPECT_EQ(second.full_name(), "cl2-backup");
  must(place.users->deregister("cl2-backup"));
  EXPECT_EQ(must(place.users->register_user("backup", 0)).id, 3u);
}

TEST(Users, AreFoundByIdAndByName) {
  Place place;
  must(place.users->register_user("", 0));
  must(place.users->register_user("backup", 6));
  for (const char* text : {"cl2", "cl2-backup", "2", "backup"}) EXPECT_EQ(must(place.users->find(text)).id, 2u) << text;
  EXPECT_EQ(must(place.users->find("cl1")).id, 1u);
  for (const char* text : {"", "cl", "cl3", "cl2-other", "2-other", "cl1-backup", "back", "cl2 "})
    EXPECT_TRUE(place.users->find(text).is(Code::not_found)) << text;
}

TEST(Users, NamesAreChecked) {
  Place place;
  for (const char* name : {"1a", "a b", "a/b", "sixteen-letters-", "-a", "cl3", "cl3-x"})
    EXPECT_TRUE(place.users->register_user(name, 0).is(Code::invalid)) << name;
  must(place.users->register_user("fifteen-letters", 0));
  must(place.users->register_user("clone", 0));
  EXPECT_TRUE(place.users->register_user("clone", 0).is(Code::exists));
}

TEST(Users, ClearFollowsLustresRulesWithoutItsTraps) {
  Place place;
  must(place.users->register_user("", 0));
  place.append(10);
  EXPECT_TRUE(place.users->clear("cl1", 0).is(Code::invalid)) << "0 must not mean everything";
  EXPECT_TRUE(place.users->clear("cl1", 11).is(Code::invalid));
  EXPECT_TRUE(place.users->clear("cl9", 1).is(Code::not_found));
  must(place.users->clear("cl1", 5));
  EXPECT_TRUE(place.users->clear("cl1", 4).is(Code::not_found));
  must(place.users->clear("cl1", 5));
  EXPECT_EQ(must(place.users->find("cl1")).cleared, 5u);
  place.append(1);
  must(place.users->clear("cl1", 11));
}

TEST(Users, SegmentsGoWhenAllHaveClearedThem) {
  Place place(300);
  place.append(200);
  size_t all = segments_of(place.dir).size();
  ASSERT_GT(all, 3u);
  must(place.writer->purge());
  EXPECT_EQ(segments_of(place.dir).size(), all) << "without users nothing is deleted";
  User slow = must(place.users->register_user("slow", 0)), fast = must(place.users->register_user("fast", 0));
  place.append(200);
  all = segments_of(place.dir).size();
  must(place.users->clear("fast", 400));
  size_t kept = segments_of(place.dir).size();
  EXPECT_LT(kept, all) << "what was before both registered is deleted";
  auto reader = open_reader(place.dir, 201);
  Record record;
  ASSERT_TRUE(must(reader->next(record)));
  EXPECT_EQ(record.index, 201u) << "the slow user has not cleared it";
  must(place.users->deregister("slow"));
  EXPECT_EQ(segments_of(place.dir).size(), 1u);
  // The reader, which is no user, is told that records have gone; then it goes on.
  uint64_t last = 201;
  bool told = false;
  for (;;) {
    Result<bool> got = reader->next(record);
    if (got.is(Code::corrupt)) {
      told = true;
      continue;
    }
    if (!must(std::move(got))) break;
    ASSERT_TRUE(told || record.index == last + 1);
    last = record.index;
  }
  EXPECT_EQ(last, 400u);
}

TEST(Users, IndexesGoOnWhenEverythingHasBeenPurged) {
  Place place(300);
  must(place.users->register_user("", 0));
  place.append(100);
  must(place.users->clear("cl1", 100));
  ASSERT_EQ(segments_of(place.dir).size(), 1u);
  place.writer.reset();
  EXPECT_EQ(open_writer(place.dir)->last_index(), 100u);
  std::filesystem::remove(segments_of(place.dir)[0]);
  place.writer = open_writer(place.dir);
  EXPECT_EQ(place.writer->last_index(), 100u);
  EXPECT_EQ(must(place.writer->append(Record{})), 101u);
}

TEST(Users, ADamagedFileIsToldAndNothingIsDeleted) {
  Place place(300);
  must(place.users->register_user("", 0));
  place.append(100);
  size_t all = segments_of(place.dir).size();
  std::string path = place.dir.path() + "/" + kStream + ".stream/users";
  std::ifstream in(path);
  std::string good((std::istreambuf_iterator<char>(in)), {});
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    std::ofstream(path, std::ios::trunc) << bad;
    EXPECT_TRUE(place.users->list().is(Code::corrupt)) << "byte " << at;
    EXPECT_FALSE(place.users->clear("cl1", 100)) << "byte " << at;
  }
  EXPECT_EQ(segments_of(place.dir).size(), all);
}

TEST(Users, ProcessesRegisteringAtOnceGetDifferentIds) {
  Place place;
  constexpr int kProcesses = 4, kEach = 25;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (int i = 0; i < kEach; ++i) {
        auto users = Users::open(Env::posix(), place.dir.path(), kStream);
        if (!users || !(*users)->register_user("", 0)) ::_exit(1);
      }
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  std::set<uint32_t> ids;
  for (const User& user : must(place.users->list())) ids.insert(user.id);
  EXPECT_EQ(ids.size(), static_cast<size_t>(kProcesses * kEach));
  EXPECT_EQ(*ids.rbegin(), static_cast<uint32_t>(kProcesses * kEach));
}

}  // namespace
}  // namespace reel::log
