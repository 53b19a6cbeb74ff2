// SPDX-License-Identifier: Apache-2.0
//
// The parts of the Lustre source by themselves: texts of lctl, users, names, the origin file; the
// device protocol of the model; the threads of the whole source.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "lustre/sim_world.h"
#include "source/lustre/mdt_view.h"
#include "source/lustre/site_names.h"
#include "source/lustre/stream/origin.h"

namespace reel::model {
namespace {

using namespace source::lustre;

TEST(LustreView, UnderstandsWhatLctlPrints) {
  std::string text =
      "mdd.lustre-MDT0000.changelog_users=\n"
      "current_index: 21\n"
      "ID                            index (idle) mask\n"
      "cl1                               5 (0)\n"
      "cl3-myuser                        2 (10) mask=MARK,CREAT,UNLNK,RENME\n"
      "mdd.lustre-MDT0000.changelog_current_mask=MARK CREAT CLOSE \n"
      "mdd.lustre-MDT0001.changelog_current_mask=MARK \n"
      "mdt.lustre-MDT0000.recovery_status=\nstatus: COMPLETE\nevicted_clients: 2\n"
      "nodemap.active=1\nnodemap.default.audit_mode=1\nnodemap.lab.audit_mode=0\n"
      "mdc.lustre-MDT0000-mdc-ffff8800.import=\nimport:\n    connect_data:\n       instance: 7\n";
  MdtView view = parse_view(text, "lustre-MDT0000");
  EXPECT_EQ(view.current_index, 21u);
  EXPECT_EQ(view.incarnation, 7u);
  EXPECT_EQ(view.evicted, 2u);
  EXPECT_EQ(view.audit, false);
  EXPECT_EQ(view.mask, mask_bit(RecordType::mark) | mask_bit(RecordType::creat) | mask_bit(RecordType::close));
  ASSERT_TRUE(view.users && view.users->size() == 2);
  EXPECT_EQ((*view.users)[0].text(), "cl1");
  EXPECT_EQ((*view.users)[1].text(), "cl3-myuser");
  EXPECT_EQ((*view.users)[1].cleared, 2u);
  MdtView other = parse_view(text, "lustre-MDT0002");
  EXPECT_FALSE(other.users || other.mask || other.incarnation || other.current_index);
}

TEST(LustreView, UsersOfWhichSomeAreNotUnderstoodAreNoUsers) {
  EXPECT_FALSE(
      parse_view("mdd.x-MDT0000.changelog_users=\ncurrent_index: 1\nID index\nwhat is this\n", "x-MDT0000").users);
  EXPECT_FALSE(
      parse_view("mdd.x-MDT0000.changelog_users=\ncurrent_index: 1\ncl1 2 (3) mask=NOSUCH\n", "x-MDT0000").users);
}

TEST(LustreView, AUserIsMeantByNumberOrNameAndPerMdt) {
  ModelFs fs(2, 1);
  ModelMdt mdt(fs, 1, {});
  MdtView view;
  view.users = {MdtUser{2, "reel", 0, {}}, MdtUser{5, "", 0, {}}};
  EXPECT_EQ(user_for("cl2-reel", mdt, view)->id, 2u);
  EXPECT_EQ(user_for("cl2", mdt, view)->name, "reel");
  EXPECT_EQ(user_for("reel", mdt, view)->id, 2u);
  EXPECT_EQ(user_for("MDT0000:cl9,MDT0001:cl5", mdt, view)->id, 5u);
  EXPECT_TRUE(user_for("nobody", mdt, view).is(Code::not_found));
  for (const char* bad : {"", "cl0", "clx", "MDT0000:cl9", "reel"})
    EXPECT_TRUE(user_for(bad, mdt, MdtView()).is(Code::invalid)) << bad;
}

TEST(LustreNames, OfMountsAndDevices) {
  EXPECT_EQ(fsname_of("10.0.0.1@tcp:10.0.0.2@tcp:/lustre"), "lustre");
  EXPECT_EQ(fsname_of("10.0.0.1@tcp:/scratch/sub/dir"), "scratch");
  EXPECT_EQ(fsname_of("/dev/sda1"), "");
  auto mdts = mdts_of(
      "fs", {"changelog-fs-MDT000a", "changelog-fs-MDT0000", "changelog-fs2-MDT0001", "changelog-fs-MDT00", "null"});
  EXPECT_EQ(mdts, (std::map<unsigned, std::string>{{0, "fs-MDT0000"}, {10, "fs-MDT000a"}}));
}

TEST(LustreOrigin, TextComesBackAndDamageIsTold) {
  Origin origin;
  origin.mdt = "fs-MDT0000";
  origin.user = "cl3-reel";
  origin.incarnation = 9;
  origin.owes_gap = true;
  origin.spans = {{35, 0}, {90, 1}, {200, -4}};
  Result<Origin> again = Origin::parse(origin.text());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->text(), origin.text());
  EXPECT_EQ(again->mdt_index(34), 0u);
  EXPECT_EQ(again->mdt_index(95), 94u);
  EXPECT_EQ(again->mdt_index(200), 204u);
  again->trim(100);
  EXPECT_EQ(again->mdt_index(100), 99u);
  std::string text = origin.text();
  for (size_t size = 0; size + 4 < text.size(); ++size) EXPECT_FALSE(Origin::parse(text.substr(0, size))) << size;
  EXPECT_TRUE(Origin::parse("reel-origin 2\nend\n").is(Code::newer));
}

// As cli/device_semantics.txt of the recordings has it.
TEST(ModelDevice, ProtocolIsTheRecordedOne) {
  ModelFs fs(1, 1);
  fs.log(0).register_user("", std::nullopt);
  for (int i = 0; i < 6; ++i) fs.mkdir("d" + std::to_string(i));
  ModelMdt mdt(fs, 0, {});
  char buffer[4096];
  auto device = *mdt.open_device();
  EXPECT_EQ(device->read(buffer, sizeof buffer).error().sys_errno(), EAGAIN);  // without a poll, for ever
  EXPECT_TRUE(device->poll(0)->readable);
  EXPECT_EQ(*device->read(buffer, 16), 0u);  // the next record does not fit
  size_t one = fs.log(0).entries().front()->raw.size();
  EXPECT_EQ(*device->read(buffer, one + 5), one);  // whole records only
  ASSERT_TRUE(device->seek(4));
  EXPECT_EQ(device->seek(2).error().sys_errno(), EINVAL);
  EXPECT_EQ(*device->read(buffer, one), one);
  EXPECT_EQ(buffer[8], 4);
  EXPECT_EQ(*device->read(buffer, sizeof buffer), 2 * one);
  EXPECT_TRUE(device->poll(0)->end);
  fs.mkdir("later");
  EXPECT_EQ(*device->read(buffer, sizeof buffer), 0u);  // the end is final
  auto fresh = *mdt.open_device();
  ASSERT_TRUE(fresh->seek(1000));  // beyond the end is accepted
  EXPECT_TRUE(fresh->poll(0)->end);
  auto follower = *mdt.open_device();
  ASSERT_TRUE(follower->set_flags(kFollow));
  while (*follower->poll(0), follower->read(buffer, sizeof buffer)) {
  }
  fs.mkdir("followed");
  EXPECT_TRUE(follower->poll(0)->readable);
  EXPECT_TRUE(mdt.clear(1, 2));
  EXPECT_EQ(mdt.clear(1, 1).error().sys_errno(), ENOENT);
  EXPECT_EQ(mdt.clear(1, 99999999).error().sys_errno(), EINVAL);
  EXPECT_EQ(mdt.clear(9, 1).error().sys_errno(), ENOENT);
}

// The whole source, with its threads, over a log on a real disk.
TEST(LustreSource, BarriersHoldWhatWasWrittenBefore) {
  log::TempDir dir;
  ModelFs fs(2, 1);
  Site site;
  for (unsigned i = 0; i < 2; ++i) {
    fs.log(i).register_user("reel", kMaskDefaultLustre);
    site.mdts.push_back(std::make_unique<ModelMdt>(fs, i, ModelOptions{}));
  }
  fs.mkdir("on1", 1);
  fs.mkdir("on0", 0);
  fs.commit();
  // Nobody touches the model while the source runs, but one MDT is enough for one thread at a time.
  site.mdts.pop_back();
  LustreOptions options;
  options.log_dir = dir.path() + "/log";
  options.state_dir = dir.path() + "/state";
  options.user = "reel";
  {
    auto source = watch_lustre(std::move(site), options, Env::posix());
    ASSERT_TRUE(source) << source.error().text();
    auto ends = (*source)->barrier();
    ASSERT_TRUE(ends) << ends.error().text();
    ASSERT_EQ(ends->size(), 1u);
    EXPECT_GT((*ends)[0].index, 1u);
    EXPECT_TRUE((*source)->health());
    EXPECT_EQ((*source)->streams()[0].released, (*ends)[0].index);
  }
  auto reader = log::must(log::Reader::open(Env::posix(), options.log_dir, "mdt0"));
  Record record;
  ASSERT_TRUE(log::must(reader->next(record)));
  EXPECT_EQ(record.type, RecordType::gap);
  ASSERT_TRUE(log::must(reader->next(record)));
}

// An error at every call, one after the other: the next passes make it good.
TEST(LustreStream, AnErrorAtEachCallLosesNothing) {
  for (int fail_at = 1; fail_at < 60; ++fail_at) {
    ModelFs fs(1, 1);
    ModelMdt mdt(fs, 0, {});
    MdtUser user;
    user.id = fs.log(0).register_user("reel", kMaskDefaultLustre).id;
    user.name = "reel";
    for (int i = 0; i < 20; ++i) fs.mkdir("d" + std::to_string(i));
    int calls = 0;
    mdt.set_hook([&](const std::string& call) -> Status {
      return ++calls == fail_at ? Status(Error::from_errno(EIO, call)) : ok();
    });
    log::FaultEnv env(1);
    LustreOptions options;
    options.log_dir = "/log";
    options.state_dir = "/state";
    auto stream = log::must(MdtStream::open(mdt, user, options, env));
    for (int i = 0; i < 30 && stream->served() < 1; ++i) ASSERT_NE(stream->step(1), Step::ended) << fail_at;
    ASSERT_EQ(stream->served(), 1u) << fail_at;
    auto reader = log::must(log::Reader::open(env, "/log", "mdt0"));
    Record record;
    int made = 0;
    while (log::must(reader->next(record))) made += record.type == RecordType::mkdir && record.name.starts_with("d");
    EXPECT_EQ(made, 20) << fail_at;
  }
}

TEST(LustreStream, NamesOfEveryByteArriveAsTheyAre) {
  ModelFs fs(1, 1);
  ModelMdt mdt(fs, 0, {});
  MdtUser user;
  user.id = fs.log(0).register_user("reel", kMaskDefaultLustre).id;
  user.name = "reel";
  std::vector<std::string> names;
  for (int byte = 1; byte < 256; ++byte) {
    if (byte == '/') continue;
    for (size_t size : {1, 2, 255}) {
      names.emplace_back(size, static_cast<char>(byte));
      if (names.back() == "." || names.back() == "..") {
        names.pop_back();
        continue;
      }
      ASSERT_EQ(fs.mkdir(names.back()), 0);
    }
  }
  ASSERT_EQ(fs.rename(names[0], names[1] + "new"), 0);
  log::FaultEnv env(1);
  LustreOptions options;
  options.log_dir = "/log";
  options.state_dir = "/state";
  auto stream = log::must(MdtStream::open(mdt, user, options, env));
  for (int i = 0; i < 100 && stream->served() < 1; ++i) ASSERT_NE(stream->step(1), Step::ended);
  auto reader = log::must(log::Reader::open(env, "/log", "mdt0"));
  Record record;
  size_t at = 0;
  bool renamed = false;
  while (log::must(reader->next(record))) {
    if (record.type == RecordType::mkdir && at < names.size()) {
      EXPECT_EQ(record.name, names[at++]);
    }
    if (record.type != RecordType::renme) continue;
    renamed = record.name == names[1] + "new" && record.source_name == names[0];
  }
  EXPECT_EQ(at, names.size());
  EXPECT_TRUE(renamed);
}

// --- Lustre's own tests, as far as a consumer is meant; the numbers are theirs ---

// One stream over one model MDT.
struct Followed {
  ModelFs fs{1, 1};
  ModelMdt mdt{fs, 0, {}};
  log::FaultEnv env{1};
  LustreOptions options;
  MdtUser user;
  std::vector<EventKind> events;
  std::unique_ptr<MdtStream> stream;
  uint64_t ticket = 0;

  Followed() {
    user.id = fs.log(0).register_user("reel", kMaskDefaultLustre).id;
    user.name = "reel";
    options.log_dir = "/log";
    options.state_dir = "/state";
    options.look_s = 0;
    options.event = [this](const SourceEvent& event) { events.push_back(event.kind); };
    stream = log::must(MdtStream::open(mdt, user, options, env));
  }
  // All that is there now; false when the stream has ended.
  bool follow() {
    ++ticket;
    for (int i = 0; i < 300 && stream->served() < ticket; ++i) {
      if (stream->step(ticket) == Step::ended) return false;
      fs.clock().sleep_ms(50);
    }
    EXPECT_EQ(stream->served(), ticket);
    return true;
  }
  bool had(EventKind kind) const { return std::count(events.begin(), events.end(), kind) > 0; }
  size_t count(RecordType type) {
    auto reader = log::must(log::Reader::open(env, "/log", "mdt0"));
    Record record;
    size_t found = 0;
    while (log::must(reader->next(record))) found += record.type == type;
    return found;
  }
};

TEST(LustreStream, E_160f_160g_160s_160t_AUserThatWasDroppedIsAGapAndAnEnd) {
  Followed f;
  ASSERT_TRUE(f.follow());
  f.fs.log(0).deregister(f.user.id);
  f.fs.log(0).register_user("other", kMaskDefaultLustre);
  f.fs.mkdir("missed");
  EXPECT_FALSE(f.follow());
  EXPECT_TRUE(f.had(EventKind::user_lost));
  EXPECT_EQ(f.stream->error()->code(), Code::gap);
  EXPECT_EQ(f.count(RecordType::gap), 2u);  // of the first start, and this one
}

TEST(LustreStream, E_160c_160o_160q_AMaskWithoutANeededTypeIsAGapAndAnEnd) {
  for (RecordType type : {RecordType::close, RecordType::mkdir, RecordType::trunc, RecordType::ctime}) {
    Followed f;
    ASSERT_TRUE(f.follow());
    f.fs.log(0).forget_types(mask_bit(type));
    EXPECT_FALSE(f.follow());
    EXPECT_TRUE(f.had(EventKind::mask_lacks)) << *type_name(type);
  }
}

TEST(LustreStream, E_160a_160e_160x_WhatIsClearedIsWhatWasReadAndNeverAll) {
  Followed f;
  for (int i = 0; i < 3; ++i) {
    f.fs.mkdir("d" + std::to_string(i));
    ASSERT_TRUE(f.follow());
    EXPECT_EQ(f.fs.log(0).users().front().endrec, f.stream->state().mdt_index);
  }
  EXPECT_EQ(f.mdt.clears_of_zero, 0u);
  f.fs.log(0).clear(f.user.id, 0);  // somebody else does
  f.fs.mkdir("then");
  f.fs.log(0).clear(f.user.id, 0);
  EXPECT_FALSE(f.follow());
  EXPECT_TRUE(f.had(EventKind::cleared_by_other));
}

TEST(LustreStream, E_160j_ADeviceThatIsGoneComesBackAndNothingIsMissing) {
  Followed f;
  ASSERT_TRUE(f.follow());
  f.fs.mkdir("meanwhile");
  f.mdt.set_hook([](const std::string& call) -> Status { return Error::from_errno(ENODEV, call); });
  EXPECT_EQ(f.stream->step(f.ticket + 1), Step::away);
  f.mdt.set_hook({});
  ASSERT_TRUE(f.follow());
  EXPECT_TRUE(f.had(EventKind::mdt_gone) && f.had(EventKind::mdt_back));
  EXPECT_GE(f.count(RecordType::mkdir), 1u);
  EXPECT_EQ(f.count(RecordType::gap), 1u);
}

TEST(LustreStream, E_160k_ARecordThatIsWrittenLateIsNotMissed) {
  Followed f;
  ASSERT_TRUE(f.follow());
  f.fs.log(0).hold_next();
  f.fs.symlink("late");
  f.fs.mkdir("after");
  ASSERT_TRUE(f.follow());  // the fence waits for it
  EXPECT_EQ(f.count(RecordType::slink), 1u);
  EXPECT_EQ(f.count(RecordType::gap), 1u);
}

TEST(LustreStream, E_recovery_small_163_ARecordThatCouldNotBeWrittenIsAGap) {
  Followed f;
  ASSERT_TRUE(f.follow());
  f.fs.log(0).lose_next();
  f.fs.symlink("lost");
  f.fs.mkdir("after");
  ASSERT_TRUE(f.follow());
  EXPECT_TRUE(f.had(EventKind::records_missing));
  EXPECT_EQ(f.count(RecordType::gap), 2u);
}

TEST(LustreStream, E_recovery_small_60_UnlinksAcrossAFailoverComeOnce) {
  Followed f;
  constexpr int kFiles = 2000;
  for (int i = 0; i < kFiles; ++i) f.fs.mknod("f" + std::to_string(i), true);
  for (int i = 0; i < kFiles; ++i) {
    ASSERT_EQ(f.fs.unlink("f" + std::to_string(i)), 0);
    if (i % 500 == 250) f.fs.commit();
    if (i % 500 == 300) {
      f.stream->step(f.ticket);
      f.fs.crash(false);  // what was not committed is done again by the clients
    }
  }
  ASSERT_TRUE(f.follow());
  EXPECT_EQ(f.count(RecordType::unlnk), static_cast<size_t>(kFiles));
}

TEST(LustreStream, E_sanity_sec_35_WithoutTheRightItSaysSoAndWaits) {
  Followed f;
  f.mdt.set_hook([](const std::string& call) -> Status {
    return call == "open" || call == "clear" ? Status(Error::from_errno(EACCES, call)) : ok();
  });
  EXPECT_EQ(f.stream->step(1), Step::away);
  EXPECT_FALSE(f.stream->state().problem.empty());
}

}  // namespace
}  // namespace reel::model
