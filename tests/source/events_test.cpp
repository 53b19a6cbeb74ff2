// SPDX-License-Identifier: Apache-2.0
//
// The bytes of fanotify events, as the kernel writes them and as it never should.
#include "source/events.h"

#include <fcntl.h>
#include <sys/fanotify.h>

#include <cstring>
#include <random>

#include "support.h"

namespace reel::source {
namespace {

using Bytes = std::string;

template <class T>
Bytes raw(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// An info with a handle as ext4 makes it (inode, generation), and a name when there is one.
Bytes info(uint8_t type, uint32_t ino, const char* name = nullptr) {
  Bytes body = Bytes(8, '\0') + raw(uint32_t{8}) + raw(int32_t{1}) + raw(ino) + raw(uint32_t{7});
  if (name) body += Bytes(name) + '\0';
  while (body.size() % 4 != 0) body += '\0';
  return raw(type) + Bytes(1, '\0') + raw(static_cast<uint16_t>(body.size() + 4)) + body;
}

Bytes event(uint64_t mask, const Bytes& infos, int pid = 42) {
  struct fanotify_event_metadata head = {};
  head.event_len = static_cast<uint32_t>(sizeof head + infos.size());
  head.vers = FANOTIFY_METADATA_VERSION;
  head.metadata_len = sizeof head;
  head.mask = mask;
  head.fd = FAN_NOFD;
  head.pid = pid;
  return raw(head) + infos;
}

std::vector<Kept> records_of(const Bytes& bytes) {
  std::vector<Kept> kept;
  EventReader reader(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  Event one;
  while (reader.next(one)) {
    std::vector<Record> records;
    add_records(one, 1, records);
    EXPECT_FALSE(records.empty()) << "an event without a record";
    for (const Record& r : records)
      kept.push_back(
          {0, r.type, r.target, r.parent, r.source, r.source_parent, std::string(r.name), std::string(r.source_name)});
  }
  return kept;
}

constexpr uint8_t kFid = FAN_EVENT_INFO_TYPE_FID, kName = FAN_EVENT_INFO_TYPE_DFID_NAME;
const Fid kDir{2, 7, 0}, kFile{3, 7, 0};

bool is_gap(const std::vector<Kept>& records) {
  return records.size() == 1 && records[0].type == RecordType::gap;
}

TEST(Events, creation_has_object_directory_and_name) {
  auto records = records_of(event(FAN_CREATE, info(kName, 2, "f") + info(kFid, 3)));
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].type, RecordType::creat);
  EXPECT_EQ(records[0].target, kFile);
  EXPECT_EQ(records[0].parent, kDir);
  EXPECT_EQ(records[0].name, "f");
}

TEST(Events, merged_event_is_several_records) {
  auto records = records_of(
      event(FAN_CREATE | FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE_WRITE | FAN_DELETE, info(kName, 2, "f") + info(kFid, 3)));
  std::vector<RecordType> types;
  for (const Kept& r : records) types.push_back(r.type);
  EXPECT_EQ(types, (std::vector{RecordType::creat, RecordType::write, RecordType::sattr, RecordType::close,
                                RecordType::unlnk}));
}

TEST(Events, rename_has_both_places) {
  auto records = records_of(event(FAN_RENAME, info(FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, 2, "old") +
                                                  info(FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, 4, "new") + info(kFid, 3)));
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].type, RecordType::renme);
  EXPECT_EQ(records[0].source, kFile);
  EXPECT_EQ(records[0].source_parent, kDir);
  EXPECT_EQ(records[0].source_name, "old");
  EXPECT_EQ(records[0].parent, (Fid{4, 7, 0}));
  EXPECT_EQ(records[0].name, "new");
  EXPECT_TRUE(records[0].target.is_zero());
}

TEST(Events, directory_about_itself_has_no_name) {
  auto records = records_of(event(FAN_ATTRIB | FAN_ONDIR, info(kName, 2, ".")));
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].target, kDir);
  EXPECT_TRUE(records[0].parent.is_zero());
  EXPECT_EQ(records[0].name, "");
}

TEST(Events, creation_without_a_handle_still_names_the_entry) {
  auto records = records_of(event(FAN_CREATE, info(kName, 2, "f")));
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].type, RecordType::creat);
  EXPECT_TRUE(records[0].target.is_zero());
}

TEST(Events, what_cannot_be_told_is_a_gap) {
  EXPECT_TRUE(is_gap(records_of(event(FAN_Q_OVERFLOW, ""))));
  EXPECT_TRUE(is_gap(records_of(event(FAN_CREATE, info(kFid, 3)))));
  EXPECT_TRUE(is_gap(records_of(event(FAN_MODIFY, info(kName, 2, "f")))));
  EXPECT_TRUE(is_gap(records_of(event(FAN_RENAME, info(kFid, 3)))));
  EXPECT_TRUE(is_gap(records_of(event(FAN_OPEN, info(kFid, 3)))));
  EXPECT_TRUE(is_gap(records_of(event(0, ""))));
  EXPECT_TRUE(is_gap(records_of(event(FAN_CREATE, info(kName, 2, "a/b") + info(kFid, 3)))));
  EXPECT_TRUE(is_gap(records_of(event(FAN_FS_ERROR, info(kFid, 3)))));
}

TEST(Events, damage_ends_the_bytes_with_a_gap) {
  Bytes good = event(FAN_CREATE, info(kName, 2, "f") + info(kFid, 3));
  for (uint32_t length : {1u, 23u, static_cast<uint32_t>(good.size()) + 1, 0xffffffffu}) {
    Bytes bad = good;
    std::memcpy(bad.data(), &length, sizeof length);
    EXPECT_TRUE(is_gap(records_of(bad))) << length;
  }
  Bytes version = good;
  version[4] = 77;
  EXPECT_TRUE(is_gap(records_of(version)));
}

TEST(Events, zero_length_is_the_end) {
  Bytes good = event(FAN_CREATE, info(kName, 2, "f") + info(kFid, 3));
  EXPECT_EQ(records_of(good + Bytes(4096, '\0')).size(), 1u);
  EXPECT_EQ(records_of(Bytes(4096, '\0')).size(), 0u);
}

// An event whose information was copied in part: the rest of the buffer is zero.
TEST(Events, half_copied_event_is_a_gap) {
  Bytes good = event(FAN_CREATE, info(kName, 2, "name") + info(kFid, 3));
  for (size_t kept = sizeof(struct fanotify_event_metadata); kept < good.size() - 8; kept += 4) {
    Bytes half = good.substr(0, kept) + Bytes(good.size() - kept, '\0');
    auto records = records_of(half);
    ASSERT_EQ(records.size(), 1u);
    EXPECT_TRUE(is_gap(records) || records[0].name == "name") << kept;
  }
}

TEST(Events, any_bytes_are_survived) {
  std::mt19937_64 random(test_seed());
  Bytes good;
  for (const char* name : {"a", "bb", "ccc"})
    good += event(FAN_CREATE | FAN_ATTRIB, info(kName, 2, name) + info(kFid, 3));
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes = good.substr(0, random() % (good.size() + 1));
    for (uint64_t flips = random() % 8; flips > 0 && !bytes.empty(); --flips)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    std::vector<char> exact(bytes.begin(), bytes.end());  // so that a read past the end is seen
    records_of(Bytes(exact.data(), exact.size()));
  }
}

}  // namespace
}  // namespace reel::source
