// SPDX-License-Identifier: Apache-2.0
//
// Traces through the log and back, and docs/trace-format.md against the code.
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <regex>
#include <sstream>

#include "log/log.h"
#include "support/files.h"
#include "synthetic.h"
#include "trace/records.h"

namespace reel::trace {
namespace {

uint64_t seed() {
  const char* text = ::getenv("REEL_SEED");
  uint64_t value = text ? std::strtoull(text, nullptr, 10) : 20261124;
  std::printf("seed %llu (set REEL_SEED for another)\n", static_cast<unsigned long long>(value));
  return value;
}

constexpr Op kSomeOps[] = {Op::open,   Op::close, Op::read, Op::pwrite,  Op::stat,
                           Op::rename, Op::mmap,  Op::fork, Op::compute, Op::utimens};

Event random_event(std::mt19937_64& random, uint64_t& now) {
  auto chance = [&](unsigned one_in) { return random() % one_in == 0; };
  Event event;
  event.op = kSomeOps[random() % std::size(kSomeOps)];
  event.thread = static_cast<uint32_t>(1 + random() % 3);
  now += random() % 100'000;
  event.enter_ns = now;
  event.duration_ns = random() % 50'000;
  event.result = chance(5) ? -static_cast<int64_t>(random() % 130) : static_cast<int64_t>(random() % 100'000);
  if (!chance(3)) event.object = {random() % 1000, static_cast<uint32_t>(random() % 4), chance(9) ? 1u : 0u};
  if (chance(7)) event.object2 = {random() % 1000, 1, 0};
  if (!chance(3)) event.fd = {static_cast<int32_t>(random() % 20) - 1, static_cast<uint32_t>(random() % 9)};
  if (chance(6)) event.fd2 = {kAtCwd, 0};
  if (chance(2)) event.path = static_cast<StringId>(random() % 500);
  if (chance(5)) event.path2 = static_cast<StringId>(random());
  if (chance(3)) event.relative = static_cast<uint32_t>(random() % 50);
  if (chance(9)) event.relative2 = static_cast<uint32_t>(random());
  if (chance(2)) event.offset = chance(9) ? random() : random() % 1'000'000;
  if (chance(2)) event.length = chance(9) ? random() : 4096;
  if (chance(3)) event.flags = chance(9) ? random() : 0x241;
  if (chance(4)) event.mode = chance(9) ? random() : 0644;
  if (chance(4)) event.arg = random();
  if (chance(4)) event.arg2 = random();
  return event;
}

void expect_same(const Event& a, const Event& b) {
  auto all = [](const Event& e) {
    std::ostringstream out;
    out << int(e.op) << ' ' << e.thread << ' ' << e.enter_ns << ' ' << e.duration_ns << ' ' << e.result << ' '
        << to_string(e.object) << to_string(e.object2) << e.fd.number << '.' << e.fd.generation << ' ' << e.fd2.number
        << '.' << e.fd2.generation << ' ' << e.path << ' ' << e.path2 << ' ' << e.relative << ' ' << e.relative2 << ' '
        << e.offset << ' ' << e.length << ' ' << e.flags << ' ' << e.mode << ' ' << e.arg << ' ' << e.arg2;
    return out.str();
  };
  EXPECT_EQ(all(a), all(b));
}

TEST(TraceFormat, EventsComeBackAsTheyWere) {
  std::mt19937_64 random(seed());
  test::TempDir dir;
  std::vector<Event> events;
  {
    Synthetic trace(dir.at("t"));
    for (uint32_t i = 0; i < 3; ++i) trace.process();
    uint64_t now = Synthetic::kStart;
    for (int i = 0; i < 20'000; ++i) {
      events.push_back(random_event(random, now));
      ASSERT_TRUE(trace.writer().event(events.back()));
    }
    trace.finish();
  }
  Result<Trace> back = load(Env::posix(), dir.at("t"));
  ASSERT_TRUE(back) << back.error().text();
  ASSERT_EQ(back->events.size(), events.size());
  for (size_t i = 0; i < events.size() && !HasFailure(); ++i) expect_same(events[i], back->events[i]);
  EXPECT_TRUE(back->incomplete().empty());
}

TEST(TraceFormat, EverythingElseComesBackToo) {
  test::TempDir dir;
  const std::string odd("/a\n\xff\0b", 6);
  {
    Synthetic trace(dir.at("t"));
    uint32_t first = trace.process();
    trace.thread_of(first, first);
    FileState state;
    state.path = trace.path(odd);
    state.link_text = trace.string(StringKind::link_text, odd);
    state.object = {7, 1, 2};
    state.kind = FileKind::symlink;
    state.known = Known::after;
    state.content = Content::random;
    state.mode = 0751;
    state.uid = 4000000000u;
    state.gid = 12;
    state.size = 1ull << 40;
    state.allocated = 4096;
    state.nlink = 3;
    state.rdev = 0x801;
    trace.file(state);
    ASSERT_TRUE(trace.writer().loss({Synthetic::kStart + 5, 2, 17, "the disk was full"}));
    ASSERT_TRUE(trace.writer().count(
        {1, Op::pread, state.path, state.link_text, 9, 2, 4096, 777, 3, {{512, 3}, {1ull << 63, 1}}}));
    ASSERT_TRUE(trace.writer().fact("blind", "static programs"));
    ASSERT_TRUE(trace.writer().flush());  // and no end
  }
  Result<Trace> back = load(Env::posix(), dir.at("t"));
  ASSERT_TRUE(back) << back.error().text();
  ASSERT_EQ(back->files.size(), 1u);
  const FileState& state = back->files[0];
  EXPECT_EQ(back->string(state.path), odd);
  EXPECT_EQ(back->string(state.link_text), odd);
  EXPECT_NE(state.path, state.link_text) << "strings of two kinds are two strings";
  EXPECT_EQ(state.object, (Fid{7, 1, 2}));
  EXPECT_EQ(state.kind, FileKind::symlink);
  EXPECT_EQ(state.known, Known::after);
  EXPECT_EQ(state.content, Content::random);
  EXPECT_EQ(state.mode, 0751u);
  EXPECT_EQ(state.uid, 4000000000u);
  EXPECT_EQ(state.gid, 12u);
  EXPECT_EQ(state.size, 1ull << 40);
  EXPECT_EQ(state.allocated, 4096u);
  EXPECT_EQ(state.nlink, 3u);
  EXPECT_EQ(state.rdev, 0x801u);
  ASSERT_EQ(back->threads.size(), 2u);
  EXPECT_EQ(back->threads[1].process, 1u);
  EXPECT_EQ(back->threads[1].parent, 1u);
  ASSERT_EQ(back->losses.size(), 1u);
  EXPECT_EQ(back->losses[0].events, 17u);
  EXPECT_EQ(back->losses[0].thread, 2u);
  EXPECT_EQ(back->losses[0].time_ns, Synthetic::kStart + 5);
  ASSERT_EQ(back->counts.size(), 1u);
  EXPECT_EQ(back->counts[0].op, Op::pread);
  EXPECT_EQ(back->counts[0].calls, 9u);
  EXPECT_EQ(back->counts[0].failed, 2u);
  EXPECT_EQ(back->counts[0].bytes, 4096u);
  EXPECT_EQ(back->counts[0].time_ns, 777u);
  EXPECT_EQ(back->counts[0].path, state.path);
  EXPECT_EQ(back->counts[0].program, state.link_text);
  EXPECT_EQ(back->counts[0].small, 3u);
  EXPECT_EQ(back->counts[0].sizes, (std::map<uint64_t, uint64_t>{{512, 3}, {1ull << 63, 1}}));
  EXPECT_EQ(back->incomplete().size(), 3u) << "blind, cut off, and one loss";
}

TEST(TraceFormat, AContinuedTraceKeepsItsStrings) {
  test::TempDir dir;
  StringId before = 0, after = 0, fresh = 0;
  {
    Synthetic trace(dir.at("t"));
    before = trace.path("/a");
    trace.path("/b");
    trace.finish();
  }
  {
    Synthetic trace(dir.at("t"));
    after = trace.path("/a");
    fresh = trace.path("/c");
    trace.finish();
  }
  EXPECT_EQ(before, after);
  EXPECT_EQ(fresh, 3u);
  EXPECT_EQ(load(Env::posix(), dir.at("t"))->string(fresh), "/c");
}

TEST(TraceFormat, AChangelogIsNoTraceAndNoTraceGoesIntoOne) {
  test::TempDir dir;
  {
    auto log = log::Writer::open(Env::posix(), dir.at("log"), "mdt0");
    ASSERT_TRUE(log) << log.error().text();
    Record record;
    ASSERT_TRUE((*log)->append(record));
    Event event;
    event.op = Op::read;
    EXPECT_TRUE((*log)->append(record_of(event)).is(Code::invalid));
    ASSERT_TRUE((*log)->commit());
  }
  EXPECT_TRUE(Writer::open(Env::posix(), dir.at("log")).is(Code::invalid));
  EXPECT_TRUE(load(Env::posix(), dir.at("log")).is(Code::not_found));
}

// A long row of ordinary reads is what most traces are.
TEST(TraceFormat, AnEventCostsLessThanEightBytes) {
  test::TempDir dir;
  std::mt19937_64 random(seed());
  constexpr int kEvents = 200'000;
  {
    Synthetic trace(dir.at("t"));
    uint32_t thread = trace.process();
    Descriptor fd = trace.open(thread, "/data", 0, 0, 3);
    for (int i = 0; i < kEvents; ++i)
      trace.on_fd(thread, Op::pread, fd, (random() % 16384) * 4096, 4096, 4096, 300 + random() % 400,
                  600 + random() % 900);
    trace.finish();
  }
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir.at("t")))
    if (entry.is_regular_file()) bytes += entry.file_size();
  EXPECT_LE(static_cast<double>(bytes) / kEvents, 8.0);
}

TEST(TraceFormat, TheDocumentListsEveryCallWithItsNumberAndType) {
  std::ifstream file(std::string(REEL_SOURCE_DIR) + "/docs/trace-format.md");
  ASSERT_TRUE(file);
  std::string line;
  bool calls = false;
  std::map<std::string, int> numbers;
  while (std::getline(file, line)) {
    if (line.starts_with("## ")) calls = line == "## Calls";
    static const std::regex row(R"(^\| ([a-z_0-9, ]+) \| ([0-9–, ]+) \| ([A-Z, ]+) \|.*)");
    std::smatch match;
    if (!calls || !std::regex_match(line, match, row)) continue;
    std::vector<std::string> names, types;
    auto split = [](const std::string& text) {
      std::vector<std::string> parts;
      std::istringstream in(text);
      for (std::string part; std::getline(in, part, ',');) {
        part.erase(0, part.find_first_not_of(' '));
        parts.push_back(part);
      }
      return parts;
    };
    names = split(match[1]);
    types = split(match[3]);
    std::string given = match[2];
    size_t dash = given.find("–");
    std::vector<std::string> given_numbers = split(given);
    if (dash != std::string::npos) {
      given_numbers.clear();
      for (int n = std::stoi(given); n <= std::stoi(given.substr(dash + 3)); ++n)
        given_numbers.push_back(std::to_string(n));
    }
    ASSERT_EQ(names.size(), given_numbers.size()) << line;
    for (size_t i = 0; i < names.size(); ++i) {
      Op op = op_of_name(names[i]);
      numbers[names[i]] = std::stoi(given_numbers[i]);
      EXPECT_EQ(static_cast<int>(op), std::stoi(given_numbers[i])) << names[i];
      std::string type(type_name(type_of(op)).value_or("?"));
      EXPECT_NE(std::find(types.begin(), types.end(), type), types.end()) << names[i] << " is " << type;
    }
  }
  int known = 0;
  for (int op = 1; op < 256; ++op) {
    const char* name = op_name(static_cast<Op>(op));
    if (!name) continue;
    ++known;
    EXPECT_EQ(numbers.count(name), 1u) << name << " is not in the document";
  }
  EXPECT_GT(known, 60);
}

}  // namespace
}  // namespace reel::trace
