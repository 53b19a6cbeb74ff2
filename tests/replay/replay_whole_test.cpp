// SPDX-License-Identifier: Apache-2.0
//
// Replays of small traces made by hand: where things land, what is told, how it stops.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "made_by_hand.h"
#include "replay/play/pacing.h"
#include "replay/retrace.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Op;
using trace::Synthetic;

class Replayed : public MadeByHand {};

void write_file(Synthetic& trace, uint32_t thread, const std::string& path, uint64_t bytes, uint64_t gap = 1000) {
  trace.file(path, FileKind::absent);
  trace::Descriptor fd = trace.open(thread, path, O_CREAT | O_WRONLY, 0644, 3, gap);
  trace.on_fd(thread, Op::write, fd, 0, bytes, static_cast<int64_t>(bytes));
  trace.on_fd(thread, Op::close, fd, 0, 0, 0);
}

TEST_F(Replayed, RecordedPathsLandBelowInto) {
  Synthetic trace(options_.log);
  write_file(trace, trace.process(), "/some/where/f", 5);
  trace.finish();
  Fidelity made = good();
  EXPECT_EQ(made.played, 3u);
  EXPECT_EQ(std::filesystem::file_size(dir_.at("into/some/where/f")), 5u);
}

TEST_F(Replayed, SharedMemoryIsATreeLikeOthers) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  trace.open(thread, "/dev/shm/s", O_CREAT | O_EXCL | O_RDWR, 0600, 3);
  trace.open(thread, "/dev/tty", O_RDWR, 0, 4);
  trace.finish();
  Fidelity made = good();
  EXPECT_EQ(made.played, 1u);
  EXPECT_TRUE(there("into/dev/shm/s"));
}

TEST_F(Replayed, MapsLandElsewhere) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  write_file(trace, thread, "/some/where/f", 5);
  write_file(trace, thread, "/other/g", 6);
  trace.finish();
  options_.maps = {{"/some/where", dir_.at("elsewhere")}};
  good();
  EXPECT_TRUE(there("elsewhere/f"));
  EXPECT_TRUE(there("into/other/g"));
  EXPECT_FALSE(there("into/some"));
}

TEST_F(Replayed, NoSymlinkLeadsOut) {
  std::filesystem::create_directories(dir_.at("into"));
  std::filesystem::create_directories(dir_.at("outside"));
  std::filesystem::create_symlink(dir_.at("outside"), dir_.at("into/door"));
  std::filesystem::create_symlink("../../../../../.." + dir_.at("outside"), dir_.at("into/ladder"));
  std::filesystem::create_symlink(dir_.at("outside/f"), dir_.at("into/window"));
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  // The trace knows nothing of the symlinks: somebody put them there.
  write_file(trace, thread, "/door/f", 5);
  write_file(trace, thread, "/ladder/f", 5);
  Event open = Synthetic::make(thread, Op::open, 3);
  open.path = trace.path("/window");
  open.flags = O_WRONLY | O_TRUNC | O_CREAT;
  open.fd2 = {3, 3};
  trace.call(open);
  Event chmod = Synthetic::make(thread, Op::chmod, 0);
  chmod.path = trace.path("/door");
  chmod.mode = 0777;
  trace.call(chmod);
  trace.finish();
  { std::ofstream(dir_.at("outside/f")) << "untouched"; }
  ::chmod(dir_.at("outside").c_str(), 0700);
  options_.prepare = Prepare::no;
  Result<Fidelity> made = run();
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_GT(made->different, 0u);
  EXPECT_EQ(std::filesystem::file_size(dir_.at("outside/f")), 9u);
  struct stat s;
  ASSERT_EQ(::stat(dir_.at("outside").c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 0777u, 0700u);
}

TEST_F(Replayed, TheInitialStateIsMade) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  trace.file("/a/f", FileKind::file, 12345, 0640);
  trace.symlink("/l", "a/f");
  trace::Descriptor fd = trace.open(thread, "/l", O_RDONLY, 0, 3);
  trace.on_fd(thread, Op::read, fd, 0, 20000, 12345);
  trace.on_path(thread, Op::rmdir, "/a", -ENOTEMPTY);
  trace.finish();
  good();
  struct stat s;
  ASSERT_EQ(::stat(dir_.at("into/a/f").c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 0777u, 0640u);
}

TEST_F(Replayed, WhatIsThereIsNotOverwrittenByPreparing) {
  Synthetic trace(options_.log);
  write_file(trace, trace.process(), "/f", 5);
  trace.finish();
  std::filesystem::create_directories(dir_.at("into/mine"));
  options_.prepare = Prepare::yes;
  Result<Fidelity> made = run();
  ASSERT_FALSE(made);
  EXPECT_TRUE(made.is(Code::conflict)) << made.error().text();
  options_.prepare = Prepare::when_empty;
  good();  // it is played on what is there
}

TEST_F(Replayed, ADeviceHasItsNumbers) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root makes devices";
  Synthetic trace(options_.log);
  Event make = Synthetic::make(trace.process(), Op::mknod, 0);
  make.path = trace.path("/null");
  make.mode = S_IFCHR | 0600;
  make.arg = makedev(1, 3);
  trace.call(make);
  trace.finish();
  good();
  struct stat s;
  ASSERT_EQ(::stat(dir_.at("into/null").c_str(), &s), 0);
  EXPECT_EQ(s.st_rdev, makedev(1, 3));
}

TEST_F(Replayed, ASocketsNameIsMadeAndFound) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  trace.file("/s", FileKind::absent);
  trace.file("/old", FileKind::socket);
  trace.on_path(thread, Op::bind, "/s");
  trace.on_path(thread, Op::bind, "/s", -EADDRINUSE);
  trace.on_path(thread, Op::bind, "/old", -EADDRINUSE);
  trace.on_path(thread, Op::bind, "/there", -EADDRINUSE);
  trace.on_path(thread, Op::bind, "/no/s", -ENOENT);
  trace.on_path(thread, Op::bind, "/again", -EINVAL);
  trace.on_path(thread, Op::unlink, "/old");
  trace.finish();
  good();
  EXPECT_TRUE(std::filesystem::is_socket(dir_.at("into/s")));
  EXPECT_FALSE(std::filesystem::exists(dir_.at("into/old")));
  EXPECT_TRUE(std::filesystem::exists(dir_.at("into/there")));
}

// Who made or removed a name may return later than another who found it so; results tell.
TEST_F(Replayed, OfCallsThatOverlapTheOneThatTheOtherFoundIsFirst) {
  Synthetic trace(options_.log);
  uint32_t slow = trace.process(), quick = trace.process(slow), third = trace.process(slow);
  auto at = [&](uint32_t thread, uint64_t ms) { trace.set_now(thread, Synthetic::kStart + ms * kMillisecond); };
  constexpr uint64_t kLong = 10 * kMillisecond;
  for (const char* name : {"/d", "/e"}) trace.file(name, FileKind::absent);
  trace.file("/gone", FileKind::file, 5);
  trace.file("/old", FileKind::directory);
  trace.file("/old/f", FileKind::file, 5);
  trace.on_path(slow, Op::mkdir, "/d", 0, 0, kLong);
  at(third, 1);
  trace.on_path(third, Op::mkdir, "/d/in", 0, 0, 8 * kMillisecond);
  at(quick, 2);
  trace.on_path(quick, Op::mkdir, "/d", -EEXIST);
  trace.open(quick, "/d/in/f", O_CREAT | O_WRONLY, 0600, 3);
  for (uint32_t thread : {slow, quick, third}) at(thread, 20);
  trace.on_path(slow, Op::unlink, "/gone", 0, 0, kLong);
  trace.on_path(quick, Op::stat, "/gone", -ENOENT);
  trace.on_path(third, Op::mkdir, "/gone");
  for (uint32_t thread : {slow, quick, third}) at(thread, 40);
  Event move = Synthetic::make(slow, Op::rename, 0);
  move.path = trace.path("/old");
  move.path2 = trace.path("/e");
  trace.call(move, 0, kLong);
  trace.on_path(quick, Op::stat, "/e/f");
  trace.on_path(third, Op::stat, "/old/f", -ENOENT);
  trace.finish();
  for (int i = 0; i < 5; ++i) {
    options_.into = dir_.at("into" + std::to_string(i));
    good();
    EXPECT_TRUE(there("into" + std::to_string(i) + "/d/in/f"));
  }
}

// What was moved to a name was found there, and removed, before the rename returned; what it had been nobody has seen.
TEST_F(Replayed, WhatARenameThatOverlapsBroughtIsNotThereFromTheStart) {
  for (bool another : {false, true}) {  // the file that was opened is not the one that was moved
    options_.log = dir_.at(another ? "log.another" : "log.moved");
    Synthetic trace(options_.log);
    uint32_t slow = trace.process(), quick = trace.process(slow);
    trace.file("/new", FileKind::file, 5);
    Event move = Synthetic::make(slow, Op::rename, 0);
    move.path = trace.path("/new");
    move.path2 = trace.path("/item");
    move.object = {7, 1, 0};
    trace.set_now(quick, trace.now(slow) + kMillisecond);
    trace.call(move, 0, 10 * kMillisecond);
    Event open = Synthetic::make(quick, Op::open, 3);
    open.path = trace.path("/item");
    open.object = {another ? 8u : 7u, 1, 0};
    open.fd2 = {3, 1};
    trace.call(open);
    trace.on_path(quick, Op::unlink, "/item");
    trace.finish();
    for (int i = 0; i < 3; ++i) {
      std::string into = (another ? "another" : "moved") + std::to_string(i);
      options_.into = dir_.at(into);
      good();
      EXPECT_EQ(there(into + "/item"), another);
    }
  }
}

// Who made a file longer, or shorter, may return later than another who met its new end.
TEST_F(Replayed, OfCallsThatOverlapTheOneWhoseSizeTheOtherMetIsFirst) {
  Synthetic trace(options_.log);
  uint32_t slow = trace.process(), quick = trace.process(slow);
  trace::FileState state;
  state.path = trace.path("/f");
  state.kind = FileKind::file;
  state.known = trace::Known::before;
  state.mode = 0600;
  state.object = {1, 1, 0};
  trace.file(state);
  auto call = [&](uint32_t thread, Op op, uint64_t offset, uint64_t length, int64_t result, uint64_t duration = 1000) {
    Event event = Synthetic::make(thread, op, result);
    event.object = state.object;
    event.fd = {3, 1};
    event.offset = offset;
    event.length = length;
    if (op == Op::lseek) event.flags = SEEK_END;
    trace.call(event, 0, duration);
  };
  for (uint32_t thread : {slow, quick}) {
    Event open = Synthetic::make(thread, Op::open, 3);
    open.path = state.path;
    open.object = state.object;
    open.flags = O_RDWR;
    open.fd2 = {3, 1};
    trace.call(open);
  }
  for (uint64_t i = 0; i < 500; ++i) call(slow, Op::pwrite, 0, 1, 1, 1000);
  trace.set_now(quick, trace.now(slow) + kMillisecond);
  call(slow, Op::pwrite, 0, 100, 100, 10 * kMillisecond);
  call(quick, Op::pread, 50, 50, 50);
  call(quick, Op::lseek, 0, 0, 100);
  for (uint64_t i = 0; i < 500; ++i) call(slow, Op::pwrite, 0, 1, 1, 1000);
  trace.set_now(quick, trace.now(slow) + kMillisecond);
  call(slow, Op::truncate, 0, 10, 0, 10 * kMillisecond);
  call(quick, Op::lseek, 0, 0, 10);
  call(quick, Op::pread, 0, 50, 10);
  trace.finish();
  good();
}

// A signal cut the recorded listing short, so that it came in more calls.
TEST_F(Replayed, AListingMayComeInFewerCallsButNotBeShorter) {
  for (const auto& [second, different] : {std::pair{48, 0u}, {4096, 1u}}) {
    options_.log = dir_.at("log" + std::to_string(second));
    options_.into = dir_.at("into" + std::to_string(second));
    Synthetic trace(options_.log);
    uint32_t thread = trace.process();
    trace.file("/d", FileKind::directory);
    trace.file("/d/f", FileKind::file, 5);
    trace::Descriptor fd = trace.open(thread, "/d", O_RDONLY | O_DIRECTORY, 0, 3);
    for (int64_t bytes : {24, second, 0}) trace.on_fd(thread, Op::getdents, fd, 0, 32768, bytes);
    trace.finish();
    Result<Fidelity> made = run();
    ASSERT_TRUE(made) << made.error().text();
    EXPECT_EQ(made->different, different) << text_of(*made);
  }
}

// Who still found a name may return later than the one that removed it.
TEST_F(Replayed, WhoStillFoundANameIsBeforeItsRemoval) {
  Synthetic trace(options_.log);
  uint32_t holder = trace.process(), second = trace.process(holder), third = trace.process(holder);
  auto at = [&](uint32_t thread, uint64_t ms) { trace.set_now(thread, Synthetic::kStart + ms * kMillisecond); };
  trace.file("/lock", FileKind::file, 5);
  trace.file("/dir", FileKind::directory);
  trace.file("/dir/f", FileKind::file, 5);
  trace.on_path(holder, Op::unlink, "/lock", 0, 0, 2 * kMillisecond);
  at(second, 1);
  Event taken = Synthetic::make(second, Op::open, -EEXIST);
  taken.path = trace.path("/lock");
  taken.flags = O_CREAT | O_EXCL | O_WRONLY;
  trace.call(taken, 0, 5 * kMillisecond);
  Event move = Synthetic::make(holder, Op::rename, 0);
  move.path = trace.path("/dir");
  move.path2 = trace.path("/moved");
  at(holder, 20);
  trace.call(move, 0, 2 * kMillisecond);
  at(third, 21);
  trace.on_path(third, Op::stat, "/dir/f", 0, 0, 5 * kMillisecond);
  trace.finish();
  for (int i = 0; i < 5; ++i) {
    options_.into = dir_.at("into" + std::to_string(i));
    good();
  }
}

// Only what is there can still be found: a path through a file is one that somebody makes later, where the file was.
TEST_F(Replayed, WhatLeadsThroughAFileWasNotStillFound) {
  Synthetic trace(options_.log);
  uint32_t maker = trace.process(), finder = trace.process(maker);
  trace.file("/f", FileKind::file, 5);
  trace.file("/y", FileKind::directory);
  trace.on_path(maker, Op::unlink, "/f", 0, 0, kMillisecond);
  trace.on_path(maker, Op::mkdir, "/f");
  trace.set_now(finder, Synthetic::kStart);
  trace.on_path(finder, Op::mkdir, "/f/../y", -EEXIST, 0, 5 * kMillisecond);
  trace.finish();
  for (int i = 0; i < 5; ++i) {
    options_.into = dir_.at("into" + std::to_string(i));
    good();
  }
}

// What was found may have come with a directory that was moved above it, or lie where a new symlink leads.
TEST_F(Replayed, WhatCameFromElsewhereWasNotStillFound) {
  for (const char* how : {"moved", "linked"}) {
    options_.log = dir_.at(std::string("log") + how);
    Synthetic trace(options_.log);
    uint32_t maker = trace.process(), finder = trace.process(maker);
    for (const char* name : {"/d", "/b"}) trace.file(name, FileKind::directory);
    trace.file("/b/f", FileKind::file, 5);
    trace.on_path(maker, Op::rmdir, "/d", 0, 0, kMillisecond);
    Event again = Synthetic::make(maker, how == std::string("moved") ? Op::rename : Op::symlink, 0);
    again.path = trace.path(again.op == Op::rename ? "/b" : "/d");
    again.path2 = again.op == Op::rename ? trace.path("/d") : trace.string(trace::StringKind::link_text, "b");
    trace.call(again);
    trace.set_now(finder, Synthetic::kStart);
    trace.on_path(finder, Op::mkdir, "/d/f", -EEXIST, 0, 5 * kMillisecond);
    trace.finish();
    for (int i = 0; i < 5; ++i) {
      options_.into = dir_.at(std::string("into") + how + std::to_string(i));
      good();
    }
  }
}

// Who found two names still found the one that goes only if the other is there by then.
TEST_F(Replayed, WhoFoundTwoNamesIsBehindTheMakerOfEither) {
  Synthetic trace(options_.log);
  uint32_t maker = trace.process(), finder = trace.process(maker);
  trace::FileState link;
  link.path = trace.path("/s");
  link.kind = FileKind::symlink;
  link.link_text = trace.string(trace::StringKind::link_text, "nowhere");
  link.known = trace::Known::before;
  trace.file(link);
  for (const char* name : {"/nowhere", "/d"}) trace.file(name, FileKind::absent);
  trace.on_path(maker, Op::unlink, "/s", 0, 0, kMillisecond);
  trace.open(maker, "/s", O_CREAT | O_WRONLY, 0600, 3);
  trace.on_path(maker, Op::mkdir, "/d");
  trace.set_now(finder, Synthetic::kStart);
  Event second = Synthetic::make(finder, Op::link, -EEXIST);
  second.path = link.path;
  second.path2 = trace.path("/d");
  trace.call(second, 0, 5 * kMillisecond);
  trace.finish();
  for (int i = 0; i < 5; ++i) {
    options_.into = dir_.at("into" + std::to_string(i));
    good();
  }
}

// Renaming a file to another name of itself takes nothing away that somebody could still have found.
TEST_F(Replayed, ARenameThatDoesNothingRemovesNothing) {
  struct Case {
    std::string from, to, found;
  };
  for (const Case& one : {Case{"/y", "/z", "/d/../y"}, Case{"/b", "/b", "/d/../b/f"}}) {
    options_.log = dir_.at("log" + one.from.substr(1));
    Synthetic trace(options_.log);
    uint32_t maker = trace.process(), finder = trace.process(maker);
    trace::FileState file;
    file.kind = FileKind::file;
    file.known = trace::Known::before;
    file.mode = 0600;
    file.nlink = 2;
    file.object = {1, 1, 0};
    for (const char* name : {"/y", "/z"}) {
      file.path = trace.path(name);
      trace.file(file);
    }
    trace.file("/b", FileKind::directory);
    trace.file("/b/f", FileKind::file, 5);
    Event move = Synthetic::make(maker, Op::rename, 0);
    move.path = trace.path(one.from);
    move.path2 = trace.path(one.to);
    trace.call(move, 0, kMillisecond);
    trace.on_path(maker, Op::mkdir, "/d");
    trace.set_now(finder, Synthetic::kStart);
    trace.on_path(finder, Op::mkdir, one.found, -EEXIST, 0, 5 * kMillisecond);
    trace.finish();
    for (int i = 0; i < 5; ++i) {
      options_.into = dir_.at("into" + one.from.substr(1) + std::to_string(i));
      good();
    }
  }
}

// Nothing says what was at the name before: who found it taken may return before the one that had just made it.
TEST_F(Replayed, WhoFindsANameTakenIsBehindItsMaker) {
  Synthetic trace(options_.log);
  uint32_t maker = trace.process(), finder = trace.process(maker);
  Event open = Synthetic::make(finder, Op::open, -EEXIST);
  open.path = trace.path("/lock");
  open.flags = O_CREAT | O_EXCL | O_WRONLY;
  trace.set_now(finder, Synthetic::kStart + kMillisecond);
  trace.call(open, 0, 3 * kMillisecond);
  trace.set_now(maker, Synthetic::kStart);
  open.thread = maker;
  open.result = 3;
  open.fd2 = {3, 1};
  trace.call(open, 0, 5 * kMillisecond);
  trace.finish();
  for (int i = 0; i < 5; ++i) {
    options_.into = dir_.at("into" + std::to_string(i));
    good();
  }
}

TEST_F(Replayed, EachLoopBeginsAnew) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  trace.file("/d", FileKind::absent);
  trace.on_path(thread, Op::mkdir, "/d");
  trace.finish();
  options_.loops = 3;
  good();
  EXPECT_EQ(loops_, 3);
}

TEST_F(Replayed, ADifferenceIsTold) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  trace.file("/f", FileKind::file, 1);
  trace.on_path(thread, Op::stat, "/f");
  trace.on_path(thread, Op::stat, "/g", -ENOTDIR);
  trace.finish();
  std::filesystem::create_directories(dir_.at("into"));
  options_.prepare = Prepare::no;
  Result<Fidelity> made = run();
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_EQ(made->different, 2u);
  ASSERT_EQ(made->differences.size(), 2u);
  EXPECT_EQ(made->differences[0].call, "stat /f");
  EXPECT_EQ(made->differences[0].replayed, -ENOENT);
  EXPECT_EQ(made->differences[1].recorded, -ENOTDIR);
}

TEST_F(Replayed, WhereNamesAreHashedTheTextOfASymlinkMayBeLonger) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  trace.fact("policy", "paths=hash");
  trace.symlink("/l", "0123456789abcdef");
  Event readlink = Synthetic::make(thread, Op::readlink, 3);
  readlink.path = trace.path("/l");
  readlink.length = 100;
  trace.call(readlink);
  trace.finish();
  good();
}

// Times are never shorter than asked for; how much longer they are is the machine's.
TEST_F(Replayed, TimesAndGapsAreKept) {
  {
    Synthetic trace(options_.log);
    uint32_t thread = trace.process();
    trace.file("/d", FileKind::directory);
    for (int i = 0; i < 5; ++i) trace.on_path(thread, Op::stat, "/d", 0, 20 * kMillisecond);
    trace.finish();
  }
  for (Mode mode : {Mode::timed, Mode::think, Mode::resource}) {
    options_.mode = mode;
    options_.into = dir_.at("into" + std::to_string(static_cast<int>(mode)));
    EXPECT_GE(good().replay_ns, 80 * kMillisecond);
  }
  options_.mode = Mode::timed;
  options_.scale = 2;
  options_.into = dir_.at("slow");
  EXPECT_GE(good().replay_ns, 160 * kMillisecond);
}

TEST_F(Replayed, WhatRecordingCostIsNotComputing) {
  Synthetic trace(options_.log);
  trace.fact("cost_ns", "300");
  uint32_t thread = trace.process();
  trace.on_path(thread, Op::stat, "/d", -ENOENT, 1000);
  trace.on_path(thread, Op::stat, "/d", -ENOENT, 1000);
  trace.on_path(thread, Op::stat, "/d", -ENOENT, 100);
  trace.finish();
  Plan made = plan(false);
  EXPECT_EQ(made.threads[0][1].gap_ns, 700u);
  EXPECT_EQ(made.threads[0][2].gap_ns, 0u);
}

TEST_F(Replayed, OneThreadWaitsForWhatAnotherMade) {
  Synthetic trace(options_.log);
  uint32_t first = trace.process();
  uint32_t second = trace.thread_of(first, first);
  Event made = Synthetic::make(first, Op::clone_thread, 77);
  made.arg = second;
  trace.call(made);
  trace.file("/d", FileKind::absent);
  trace.on_path(first, Op::mkdir, "/d", 0, 1000, 50 * kMillisecond);
  trace.set_now(second, trace.now(first));
  trace.on_path(second, Op::rmdir, "/d");
  trace.finish();
  options_.mode = Mode::afap;
  good();
  EXPECT_FALSE(there("into/d"));
}

TEST_F(Replayed, AStopLeavesAReport) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  trace.file("/d", FileKind::directory);
  trace.on_path(thread, Op::stat, "/d");
  trace.on_path(thread, Op::stat, "/d", 0, 600'000 * kMillisecond);
  trace.finish();
  options_.mode = Mode::timed;
  std::thread stopper([this] {
    while (!there("into/d")) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stop_ = true;
  });
  uint64_t begin = now_ns();
  Result<Fidelity> made = run();
  stopper.join();
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_TRUE(made->stopped);
  EXPECT_LT(made->reached, made->calls);
  EXPECT_LT(now_ns() - begin, 30'000 * kMillisecond);
}

// Two gaps of 60 ms, one in which the thread computed and one in which it waited: the CPU time of our process tells.
TEST_F(Replayed, ComputingIsComputedAndWaitingIsSlept) {
  for (bool computing : {true, false}) {
    options_.log = dir_.at(computing ? "computing" : "waiting");
    options_.into = options_.log + ".into";
    Synthetic trace(options_.log);
    uint32_t thread = trace.process();
    trace.on_path(thread, Op::mkdir, "/d");
    Event gap = Synthetic::make(thread, Op::compute, 0);
    gap.arg = computing ? 60 * kMillisecond : 0;
    trace.call(gap, 0, 60 * kMillisecond);
    trace.on_path(thread, Op::mkdir, "/e", 0, 0);
    trace.finish();
    options_.mode = Mode::think;
    uint64_t cpu = nanoseconds_of(CLOCK_PROCESS_CPUTIME_ID), wall = now_ns();
    good();
    cpu = nanoseconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    EXPECT_GE(now_ns() - wall, 59 * kMillisecond);
    if (computing)
      EXPECT_GE(cpu, 55 * kMillisecond);
    else
      EXPECT_LT(cpu, 40 * kMillisecond);
  }
}

// What it needs for the call behind comes when it has computed for most of the gap: it computes all the same.
TEST_F(Replayed, ComputingIsNotLeftOutForAWaitBehindIt) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process(), maker = trace.process();
  trace.file("/flag", FileKind::absent);
  Event sleep = Synthetic::make(maker, Op::poll, 0);
  sleep.mode = 1;
  trace.call(sleep, 0, 90 * kMillisecond);
  trace.on_path(maker, Op::mkdir, "/flag");
  trace.on_path(thread, Op::mkdir, "/d");
  Event gap = Synthetic::make(thread, Op::compute, 0);
  gap.arg = 100 * kMillisecond;
  trace.call(gap, 0, 100 * kMillisecond);
  trace.on_path(thread, Op::stat, "/flag", 0, 0);
  trace.finish();
  options_.mode = Mode::think;
  uint64_t cpu = nanoseconds_of(CLOCK_PROCESS_CPUTIME_ID);
  good();
  EXPECT_GE(nanoseconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu, 95 * kMillisecond);
}

TEST_F(Replayed, TimesMayBeBefore1970) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  for (const char* name : {"/by_name", "/by_descriptor"}) {
    trace.file(name, FileKind::file, 1);
    Event utimens = Synthetic::make(thread, Op::utimens, 0);
    utimens.arg = utimens.arg2 = static_cast<uint64_t>(-1'500'000'000);
    if (name == std::string("/by_name"))
      utimens.path = trace.path(name);
    else
      utimens.fd = trace.open(thread, name, O_RDONLY, 0, 3);
    trace.call(utimens);
  }
  trace.finish();
  good();
  for (const char* name : {"into/by_name", "into/by_descriptor"}) {
    struct stat s;
    ASSERT_EQ(::stat(dir_.at(name).c_str(), &s), 0);
    EXPECT_EQ(s.st_mtim.tv_sec, -2) << name;
    EXPECT_EQ(s.st_mtim.tv_nsec, 500'000'000) << name;
  }
}

TEST_F(Replayed, TheUmaskIsAsItWasAfterwards) {
  Synthetic trace(options_.log);
  write_file(trace, trace.process(), "/f", 5);
  trace.finish();
  mode_t before = ::umask(027);
  for (Mode mode : {Mode::afap, Mode::think}) {
    options_.mode = mode;
    options_.into = dir_.at("into" + std::to_string(loops_));
    good();
    EXPECT_EQ(::umask(027), 027u);
  }
  ::umask(before);
}

// Between two calls of a program that makes them one behind the other there is little but what the player takes, too:
// to keep the gaps takes less time than the gaps have, for a part of them is that.
TEST_F(Replayed, WhatPlayingCostsIsTakenOutOfGaps) {
  constexpr uint64_t kCalls = 20000, kGap = 400;
  uint64_t begin = now_ns(), end = begin;
  for (int look = 0; look < 10000; ++look) end = now_ns();
  if (end - begin > 10000 * kGap / 4) GTEST_SKIP() << "a clock that is read in less than a quarter of the gaps";
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  trace.file("/f", FileKind::file, 1);
  trace::Descriptor fd = trace.open(thread, "/f", O_RDONLY, 0, 3);
  for (uint64_t i = 0; i < kCalls; ++i) trace.on_fd(thread, Op::lseek, fd, 0, 0, 0, kGap, 100);
  trace.finish();
  auto quickest = [&](Mode mode) {
    uint64_t least = ~0ull;
    options_.mode = mode;
    for (int i = 0; i < 15; ++i) {
      options_.into = dir_.at("into" + std::to_string(loops_));
      least = std::min(least, good().replay_ns);
    }
    return least;
  };
  uint64_t without = quickest(Mode::afap), with = quickest(Mode::think);
  EXPECT_LT(with, without + kCalls * (kGap - 20));
}

// What the recorder did in gaps is no computing: of each of these gaps 1 ms is left.
TEST_F(Replayed, WhatTheRecorderCostIsTakenOutOfGaps) {
  Synthetic trace(options_.log);
  trace.fact("cost_ns", std::to_string(10 * kMillisecond));
  trace.fact("cost_ns.after.mkdir", std::to_string(25 * kMillisecond));
  trace.fact("cost_ns.before.rmdir", std::to_string(15 * kMillisecond));
  uint32_t thread = trace.process();
  trace.on_path(thread, Op::mkdir, "/d");
  for (int i = 0; i < 10; ++i) {
    trace.on_path(thread, Op::rmdir, "/d", 0, 41 * kMillisecond);
    trace.on_path(thread, Op::mkdir, "/d", 0, 11 * kMillisecond);
  }
  trace.finish();
  Plan made = plan(false);
  ASSERT_EQ(made.threads[0].size(), 21u);
  for (size_t i = 1; i < 21; ++i) EXPECT_EQ(made.threads[0][i].gap_ns, kMillisecond) << i;
}

// The other end of the fifo was never opened by anybody who was recorded.
TEST_F(Replayed, WhatWaitsInVainIsGivenUpAndNamed) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  trace.file("/p", FileKind::fifo);
  trace.open(thread, "/d/../p", O_RDONLY, 0, 3);
  trace.open(thread, "/p", O_RDONLY, 0, 4);
  trace.finish();
  options_.stall_s = 1;
  Result<Fidelity> made = run();
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_NE(made->stalled.find("thread"), std::string::npos) << made->stalled;
  EXPECT_LT(made->reached, 2u);
}

TEST_F(Replayed, TheRetraceIsTheSameTraceWithOtherTimes) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  write_file(trace, thread, "/a/f", 5000);
  trace.on_path(thread, Op::unlink, "/a/g", -ENOENT);
  trace.finish();
  options_.retrace = dir_.at("retrace");
  good();
  trace::Trace left = load(), right = take(trace::load(Env::posix(), options_.retrace));
  EXPECT_EQ(left.events.size(), right.events.size());
  RetraceDifferences differences = compare_traces(left, right);
  EXPECT_EQ(differences.calls, 4u);
  EXPECT_EQ(differences.different + differences.missing, 0u) << differences.first;
  right.events[3].result = 0;
  EXPECT_EQ(compare_traces(left, right).different, 1u);
  // And it can be replayed itself.
  options_.log = dir_.at("retrace");
  options_.into = dir_.at("again");
  options_.retrace.clear();
  good();
}

}  // namespace
}  // namespace reel::replay
