// SPDX-License-Identifier: Apache-2.0
//
// An encrypted recording: every verb takes it with its key, and says what is wrong without.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>

#include "base/env.h"
#include "log/block/cipher.h"
#include "recorded.h"

namespace reel::trace {
namespace {

class Encrypted : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(run_.dir.at("key")) << "thirty-two bytes of a good key..";
    std::ofstream(run_.dir.at("wrong")) << "another key of thirty-two bytes.";
    std::filesystem::create_directory(run_.work());
  }
  int reel(const std::string& arguments) {
    int code = shell("cd " + run_.work() + " && " REEL_BINARY " " + arguments + " > " + run_.dir.at("out") + " 2> " +
                     run_.dir.at("err"));
    out_ = test::slurp(run_.dir.at("out"));
    err_ = test::slurp(run_.dir.at("err"));
    return code;
  }
  std::string key() const { return " --key-file " + run_.dir.at("key"); }

  Recording run_;
  std::string out_, err_;
};

TEST_F(Encrypted, EveryVerbTakesItWithItsKey) {
  for (const char* via : {"preload", "ptrace"}) {
    SCOPED_TRACE(via);
    for (const char* gone : {"log", "into", "again", "copy"}) std::filesystem::remove_all(run_.dir.at(gone));
    ASSERT_EQ(reel("record --via " + std::string(via) + key() + " -o " + run_.log() + " -- " REEL_PROBE " basic"), 0)
        << err_;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(run_.log()))
      EXPECT_TRUE(entry.is_directory() || test::slurp(entry.path()).find("missing") == std::string::npos);
    const std::string log = " " + run_.log();
    for (const std::string& verb : {"log" + log, "report" + log, "export" + log + " --format strace"}) {
      EXPECT_EQ(reel(verb + key()), 0) << err_;
      EXPECT_NE(out_.find(verb.starts_with("report") ? "unlink" : "missing"), std::string::npos) << out_;
    }
    EXPECT_EQ(reel("replay" + log + key() + " --into " + run_.dir.at("into") + " --retrace " + run_.dir.at("again")), 0)
        << err_;
    EXPECT_EQ(reel("report " + run_.dir.at("again")), 11) << "what is made of it is encrypted, too";
    EXPECT_EQ(reel("report " + run_.dir.at("again") + key()), 0);
    EXPECT_EQ(reel("anonymize" + log + " " + run_.dir.at("copy") + key()), 0) << err_;
    EXPECT_EQ(reel("report " + run_.dir.at("copy")), 0) << "a copy that names nobody is not";

    for (const std::string& verb : {"log" + log, "report" + log, "export" + log + " --format csv",
                                    "replay" + log + " --into " + run_.dir.at("elsewhere")}) {
      EXPECT_EQ(reel(verb), 11);
      EXPECT_NE(err_.find("the log is encrypted; give its key with --key-file"), std::string::npos) << err_;
      EXPECT_EQ(reel(verb + " --key-file " + run_.dir.at("wrong")), 11);
      EXPECT_NE(err_.find("encrypted with another key"), std::string::npos) << err_;
    }
  }
}

TEST_F(Encrypted, CutOffItIsReadUpToTheCut) {
  ASSERT_EQ(reel("record --via ptrace" + key() + " -o " + run_.log() + " -- " REEL_PROBE " signals"), 0) << err_;
  LogKey log_key = *log::read_log_key(Env::posix(), run_.dir.at("key"));
  size_t whole = load(Env::posix(), run_.log(), &log_key)->events.size();
  std::string segment = run_.log() + "/trace.stream/00000000000000000001.seg";
  uintmax_t size = std::filesystem::file_size(segment);
  size_t before = whole;
  for (int part = 9; part > 0; --part) {
    std::filesystem::resize_file(segment, size * static_cast<uintmax_t>(part) / 10);
    Result<Trace> cut = load(Env::posix(), run_.log(), &log_key);
    ASSERT_TRUE(cut) << cut.error().text();
    EXPECT_LE(cut->events.size(), before);
    before = cut->events.size();
    EXPECT_TRUE(before == whole || !cut->incomplete().empty());
  }
  EXPECT_LT(before, whole);
}

TEST_F(Encrypted, AKilledRecordingIsRecoveredWithItsKey) {
  ASSERT_EQ(shell("cd " + run_.work() + " && exec " REEL_BINARY " record --via preload" + key() + " -o " + run_.log() +
                  " -- sh -c 'echo $$ > pidfile; exec sleep 30' 2> /dev/null & echo $! > " + run_.dir.at("pid")),
            0);
  int reel_pid = 0, program = 0;
  for (int i = 0; i < 1000 && program == 0; ++i, ::usleep(10'000)) std::ifstream(run_.work() + "/pidfile") >> program;
  std::ifstream(run_.dir.at("pid")) >> reel_pid;
  ASSERT_GT(reel_pid, 1);
  ASSERT_GT(program, 1);
  ::kill(reel_pid, SIGKILL);
  ::kill(program, SIGKILL);
  std::string note = test::slurp(run_.log() + "/recording");
  EXPECT_NE(note.find("rings /dev/shm/"), std::string::npos) << "never on a disk in clear: " << note;
  int code = 43;
  for (int i = 0; i < 1000 && code == 43; ++i, ::usleep(10'000)) code = reel("record --recover -o " + run_.log());
  EXPECT_EQ(code, 11) << "without the key";
  EXPECT_EQ(reel("record --recover -o " + run_.log() + key()), 0) << err_;
  EXPECT_EQ(reel("log " + run_.log() + key()), 0);
  EXPECT_NE(out_.find("pidfile"), std::string::npos);
}

}  // namespace
}  // namespace reel::trace
