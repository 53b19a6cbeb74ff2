// SPDX-License-Identifier: Apache-2.0
//
// Importing strace's output: real outputs of Debian 12's strace, every cut of them, and what flipped
// bytes do. What must follow from each is in tests/corpora/strace/*.expected.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "support/files.h"
#include "trace/import/strace.h"
#include "trace/import/strace_names.h"
#include "trace/import/strace_text.h"

namespace reel::trace {
namespace {

// A trace in memory.
class MemoryWriter : public Writer {
 public:
  Status fact(std::string_view key, std::string_view value) override {
    trace.facts[std::string(key)] = value;
    return ok();
  }
  Result<StringId> string(StringKind kind, std::string_view bytes) override {
    auto [at, is_new] = numbers_.try_emplace({kind, std::string(bytes)}, trace.strings.size());
    if (is_new) trace.strings.emplace_back(bytes);
    return at->second;
  }
  Status thread(const Thread& thread) override {
    trace.threads.push_back(thread);
    return ok();
  }
  Status file(const FileState& state) override {
    trace.files.push_back(state);
    return ok();
  }
  Status event(const Event& event) override {
    trace.events.push_back(event);
    return ok();
  }
  Status loss(const Loss& loss) override {
    trace.losses.push_back(loss);
    return ok();
  }
  Status count(const Count&) override { return ok(); }
  Status flush() override { return ok(); }
  Status commit() override { return ok(); }
  uint64_t events() const override { return trace.events.size(); }
  uint64_t last_index() const override { return 0; }
  const Trace& told() const override { return trace; }

  Trace trace;

 private:
  std::map<std::pair<StringKind, std::string>, StringId> numbers_;
};

std::string corpus(const std::string& name) {
  return std::string(REEL_SOURCE_DIR "/tests/corpora/strace/") + name;
}

// Names are printed so that a line is a line.
std::string shown(const std::string& bytes) {
  std::string out;
  for (char c : bytes) {
    if (c >= ' ' && c < 0x7f)
      out += c;
    else
      out += "\\" + std::to_string(static_cast<unsigned char>(c));
  }
  return out;
}

// A line a call: all that does not differ from one run to the next.
std::string lines_of(const Trace& trace) {
  std::ostringstream out;
  for (const auto& events : trace.by_thread()) {
    for (uint32_t i : events) {
      const Event& e = trace.events[i];
      out << e.thread << ' ' << op_name(e.op);
      if (e.fd.number != -1) out << " fd=" << e.fd.number << '.' << e.fd.generation;
      if (e.fd2.number != -1) out << " fd2=" << e.fd2.number << '.' << e.fd2.generation;
      if (e.path != 0) out << " '" << shown(trace.string(e.path)) << '\'';
      if (e.path2 != 0) out << " '" << shown(trace.string(e.path2)) << '\'';
      if (e.length != 0 || e.offset != 0) out << ' ' << e.offset << '+' << e.length;
      if (e.flags != 0 || e.mode != 0) out << std::hex << " fl=" << e.flags << " m=" << e.mode << std::dec;
      bool address = e.op == Op::mmap || e.op == Op::munmap || e.op == Op::msync;
      bool pid = e.op == Op::fork || e.op == Op::vfork || e.op == Op::clone_thread || e.op == Op::wait;
      if (!address && e.arg != 0) out << " a=" << e.arg;
      if (!address && !(pid && e.result > 0)) out << " =" << e.result;
      out << '\n';
    }
  }
  for (const FileState& file : trace.files)
    out << "before '" << shown(trace.string(file.path)) << "' " << static_cast<int>(file.kind) << ' '
        << static_cast<int>(file.known) << ' '
        << (file.kind == FileKind::symlink ? shown(trace.string(file.link_text)) : "") << '\n';
  return out.str();
}

Trace import_of(std::string_view text, StraceImported* imported = nullptr) {
  MemoryWriter writer;
  Result<StraceImported> result = import_strace(writer, text, {"/tmp/corpus"});
  EXPECT_TRUE(result) << (result ? "" : result.error().text());
  if (result && imported) *imported = *std::move(result);
  return std::move(writer.trace);
}

std::vector<std::string> corpora() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(corpus("")))
    if (entry.path().extension() == ".txt") names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(ImportStrace, RealOutputsGiveTheCallsThatWereMade) {
  ASSERT_GE(corpora().size(), 14u);
  for (const std::string& name : corpora()) {
    SCOPED_TRACE(name);
    StraceImported imported;
    std::string lines = lines_of(import_of(test::slurp(corpus(name + ".txt")), &imported));
    // REEL_REWRITE_EXPECTED=1 writes them anew, to be read before they are believed.
    if (::getenv("REEL_REWRITE_EXPECTED")) std::ofstream(corpus(name + ".expected")) << lines;
    EXPECT_EQ(lines, test::slurp(corpus(name + ".expected")));
    size_t abridged = name == "odd_yy" ? 1 : 0;  // strace -s 8 cuts the name of an attribute
    EXPECT_EQ(imported.problems.size(), abridged) << (imported.problems.empty() ? "" : imported.problems[0]);
  }
}

// However strace was told to print it.
TEST(ImportStrace, OneProgramInSeveralNotationsIsOneTrace) {
  std::string one = lines_of(import_of(test::slurp(corpus("basic.txt"))));
  for (const char* other : {"basic_alone", "basic_yy", "basic_hex", "basic_nanoseconds"})
    EXPECT_EQ(lines_of(import_of(test::slurp(corpus(std::string(other) + ".txt")))), one) << other;
  EXPECT_EQ(lines_of(import_of(test::slurp(corpus("odd_terminal.txt")))),
            lines_of(import_of(test::slurp(corpus("odd.txt")))));
  Trace alone = import_of(test::slurp(corpus("basic_alone.txt")));
  EXPECT_EQ(alone.threads[0].pid, 1) << "strace does not tell it";
  EXPECT_NE(one.find("rename fd=-100.0 fd2=-100.0 '/tmp/corpus/f' '/tmp/corpus/g'"), std::string::npos);
}

TEST(ImportStrace, TimesAreThoseOfTheLines) {
  Trace trace = import_of(
      "7 1700000000.000002 openat(AT_FDCWD</w>, \"f\", O_RDONLY) = 3</w/f> <0.000005>\n"
      "7 1700000000.000006 read(3</w/f>, \"a\", 4) = 1 <0.000001>\n"
      "7 1700000000.5 +++ exited with 0 +++\n");
  ASSERT_GE(trace.events.size(), 2u);
  EXPECT_EQ(trace.events[0].enter_ns, 1'700'000'000'000'002'000u);
  EXPECT_EQ(trace.events[0].duration_ns, 5000u);
  EXPECT_EQ(trace.events[1].enter_ns, trace.events[0].exit_ns()) << "a thread makes one call after the other";
  EXPECT_EQ(trace.facts["exit"], "0");
  EXPECT_EQ(trace.facts["cwd"], "/w");
  EXPECT_EQ(trace.threads[0].uid, ~0u) << "strace does not tell it";
}

TEST(ImportStrace, WhatIsNotUnderstoodIsToldWithItsLine) {
  StraceImported imported;
  Trace trace = import_of(
      "7 1700000000.0 close(3) = 0 <0.000001>\n"
      "garbage of the program\n"
      "7 1700000001.0 openat(AT_FDCWD, \"f\", O_NEWFLAG) = 3 <0.000001>\n"
      "7 1700000002.0 <... read resumed>\"\", 4) = 0 <0.000001>\n"
      "7 1700000003.0 close(4) = -1 EUNHEARDOF (What) <0.000001>\n"
      "7 1700000004.0 read(3, <unfinished ...>\n",
      &imported);
  EXPECT_EQ(imported.calls, 1u);
  ASSERT_EQ(imported.problems.size(), 5u);
  EXPECT_EQ(imported.problems[0], "line 2: no time of -ttt before the call");
  EXPECT_EQ(imported.problems[1], "line 3: openat: argument 3 has no known value");
  EXPECT_EQ(imported.problems[2].substr(0, 7), "line 4:");
  EXPECT_EQ(imported.problems[3], "line 5: the result of close");
  EXPECT_EQ(imported.problems[4], "line 6: the call read has no end in the file");
  ASSERT_EQ(trace.losses.size(), 1u);
  EXPECT_EQ(trace.losses[0].events, 5u);
}

TEST(ImportStrace, WhatIsNoStraceIsRefused) {
  MemoryWriter writer;
  for (const char* text : {"", "\n\n", "hello\n", "openat(AT_FDCWD, \"f\", O_RDONLY) = 3\n", "12:00:00 close(3) = 0\n"})
    EXPECT_TRUE(import_strace(writer, text, {}).is(Code::corrupt)) << text;
}

// That a name leads elsewhere is some symlink's doing; not that of what is known to be none.
TEST(ImportStrace, OfTheNamesThatMayBeTheSymlinkItIsOneThatCanBe) {
  auto links_of = [](const std::string& first) {
    Trace trace = import_of(first +
                            "7 10.2 openat(AT_FDCWD</>, \"/a/b/f\", O_RDONLY) = 3</x/y/f> <0.000100>\n"
                            "7 10.3 close(3</x/y/f>) = 0 <0.000100>\n7 10.4 +++ exited with 0 +++\n");
    std::map<std::string, std::string> links;
    for (const FileState& file : trace.files)
      if (file.kind == FileKind::symlink) links[trace.string(file.path)] = trace.string(file.link_text);
    return links;
  };
  using Links = std::map<std::string, std::string>;
  EXPECT_EQ(links_of(""), (Links{{"/a/b", "/x/y"}}));
  EXPECT_EQ(links_of("7 10.1 readlink(\"/a/b\", 0x7ffc, 1023) = -1 EINVAL (Invalid argument) <0.000010>\n"),
            (Links{{"/a/b/f", "/x/y/f"}}));
  EXPECT_EQ(links_of("7 10.1 lstat(\"/a/b\", {st_mode=S_IFDIR|0755, st_size=4096, ...}) = 0 <0.000010>\n"),
            (Links{{"/a/b/f", "/x/y/f"}}));
}

TEST(ImportStrace, ACutFileGivesThePartBeforeTheCut) {
  for (const char* name : {"basic", "odd_terminal"}) {
    std::string text = test::slurp(corpus(std::string(name) + ".txt"));
    size_t most = import_of(text).events.size();
    for (size_t size = 0; size < text.size(); ++size) {
      MemoryWriter writer;
      Result<StraceImported> result = import_strace(writer, std::string_view(text).substr(0, size), {});
      if (!result) {
        EXPECT_TRUE(result.is(Code::corrupt));
        continue;
      }
      EXPECT_LE(writer.trace.events.size(), most + 1) << size;  // the end of a process that had not ended
      EXPECT_EQ(result->problems.empty(), writer.trace.losses.empty());
    }
  }
}

TEST(ImportStrace, DamagedBytesAreNoCrash) {
  auto seed = std::random_device()();
  std::mt19937 random(seed);
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (const std::string& name : corpora()) {
    const std::string text = test::slurp(corpus(name + ".txt"));
    for (int round = 0; round < 150; ++round) {
      std::string bad = text;
      for (int i = 0, flips = 1 + static_cast<int>(random() % 20); i < flips; ++i) {
        size_t at = random() % bad.size();
        static const char kSharp[] = "\"\\<>()[]{},=|\n 0-/~*";
        if (random() % 2 == 0)
          bad[at] = static_cast<char>(random());
        else
          bad[at] = kSharp[random() % (sizeof kSharp - 1)];
      }
      MemoryWriter writer;
      Result<StraceImported> result = import_strace(writer, bad, {});
      ASSERT_TRUE(result || result.is(Code::corrupt)) << result.error().text();
      for (const Event& event : writer.trace.events) ASSERT_LE(event.thread, writer.trace.threads.size());
    }
  }
}

TEST(ImportStrace, NumbersAreTheKernels) {
  EXPECT_EQ(strace_number("O_RDWR|O_CREAT|O_EXCL"), 0302u);
  EXPECT_EQ(strace_number("S_IFREG|0644"), 0100644u);
  EXPECT_EQ(strace_number("makedev(0x8, 0x1)"), 0x801u);
  EXPECT_EQ(strace_number("-1"), ~0ull);
  EXPECT_EQ(strace_number("BTRFS_IOC_CLONE or FICLONE"), 0x40049409u);
  EXPECT_FALSE(strace_number("O_RDWR|O_UNHEARD"));
  EXPECT_FALSE(strace_number(""));
  EXPECT_FALSE(strace_number("0x"));
  EXPECT_EQ(strace_errno("ENOENT"), 2);
  EXPECT_EQ(strace_errno("ERESTARTSYS"), 512);
  EXPECT_EQ(strace_signal("SIGKILL"), 9);
  EXPECT_EQ(strace_signal("SIGRT_1"), 33);
}

TEST(ImportStrace, NotationIsRead) {
  std::vector<StraceField> arguments;
  size_t at = 0;
  std::string text =
      R"(3</a\74b\76>(deleted), "x\x41\102\n\""..., [{iov_base="1", iov_len=2}, ...], {a=1, ...} => {b=2}, ~[RT_1], 5<TCP:[1.2.3.4:5->6.7.8.9:10]>, /* c */ 7) = 0)";
  ASSERT_TRUE(parse_strace_arguments(text, at, arguments));
  EXPECT_EQ(text.substr(at), " = 0");
  ASSERT_EQ(arguments.size(), 7u);
  EXPECT_EQ(arguments[0].value.number, 3u);
  EXPECT_EQ(arguments[0].value.leads, "/a<b>");
  EXPECT_TRUE(arguments[0].value.deleted);
  EXPECT_EQ(arguments[1].value.text, "xAB\n\"");
  EXPECT_TRUE(arguments[1].value.abridged);
  EXPECT_TRUE(arguments[2].value.abridged);
  EXPECT_EQ(arguments[2].value.items[0].value.field("iov_len")->number, 2u);
  EXPECT_EQ(arguments[3].value.field("a")->number, 1u);
  EXPECT_EQ(arguments[5].value.leads, "TCP:[1.2.3.4:5->6.7.8.9:10]");
  EXPECT_EQ(arguments[6].value.number, 7u);
}

}  // namespace
}  // namespace reel::trace
