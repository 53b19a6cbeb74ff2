// SPDX-License-Identifier: Apache-2.0
//
// The verbs of the log as a person runs them: output, exit codes, what goes where.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "log/log.h"
#include "support/files.h"

namespace {

namespace fs = std::filesystem;

const fs::path kCorpus = fs::path(REEL_SOURCE_DIR) / "tests/corpora/lustre";

using reel::test::slurp;

struct Outcome {
  int code = -1;  // exit code, or 128 + signal
  std::string out, err;
};

class LogCli : public ::testing::Test {
 protected:
  pid_t start(const std::vector<std::string>& arguments) {
    pid_t child = ::fork();
    if (child != 0) return child;
    std::vector<char*> argv = {const_cast<char*>("reel")};
    for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    int out = ::open((dir_ / "out").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    int err = ::open((dir_ / "err").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(out, 1);
    ::dup2(err, 2);
    ::execv(REEL_BINARY, argv.data());
    ::_exit(127);
  }
  Outcome finish(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), slurp(dir_ / "out"), slurp(dir_ / "err")};
  }
  Outcome reel(const std::vector<std::string>& arguments) { return finish(start(arguments)); }

  std::string log() const { return (dir_ / "log").string(); }
  // Imports the recording and gives its path without the suffix.
  std::string import() {
    std::string stem = (kCorpus / "full_2mdt/a_tour/mdt1").string();
    Outcome done = reel({"import", stem + ".nidbe.raw", log(), "--format", "lustre", "--stream", "lustre-MDT0001"});
    EXPECT_EQ(done.code, 0) << done.err;
    return stem;
  }

  reel::test::TempDir temp_;
  const fs::path dir_ = temp_.path();
};

TEST_F(LogCli, ImportedLogPrintsAsLfsDidAndExportsByteForByte) {
  std::string stem = import();
  EXPECT_EQ(reel({"log", log()}).out, slurp(stem + ".changelog.txt"));
  EXPECT_EQ(reel({"export", log(), "--format", "lfs"}).out, slurp(stem + ".changelog.txt"));
  EXPECT_EQ(reel({"export", log(), "--format", "lustre"}).out, slurp(stem + ".nidbe.raw"));
  // A state directory that holds the log will do as well.
  EXPECT_EQ(reel({"log", dir_.string()}).out, slurp(stem + ".changelog.txt"));
}

TEST_F(LogCli, TextAndJsonGoInAgain) {
  std::string stem = import();
  std::string text = slurp(stem + ".changelog.txt");
  std::string json = reel({"export", log(), "--format", "json"}).out;
  std::ofstream(dir_ / "json") << json;
  ASSERT_EQ(reel({"import", stem + ".changelog.txt", (dir_ / "text.log").string(), "--format", "lfs"}).code, 0);
  EXPECT_EQ(reel({"export", (dir_ / "text.log").string(), "--format", "lfs"}).out, text);
  ASSERT_EQ(reel({"import", (dir_ / "json").string(), (dir_ / "json.log").string(), "--format", "json"}).code, 0);
  EXPECT_EQ(reel({"export", (dir_ / "json.log").string(), "--format", "json"}).out, json);
  EXPECT_EQ(reel({"export", (dir_ / "json.log").string(), "--format", "lfs"}).out, text);
}

TEST_F(LogCli, ANameThatSplitsItsLineIsToldAndNothingIsTaken) {
  std::string text = slurp((kCorpus / "full_2mdt/a_tour/mdt1.changelog.txt").string());
  size_t second = text.find('\n') + 1;
  std::ofstream(dir_ / "split") << text.substr(0, second - 1) << "\nrest of the name\n" << text.substr(second);
  Outcome refused = reel({"import", (dir_ / "split").string(), log(), "--format", "lfs"});
  EXPECT_EQ(refused.code, 11);
  EXPECT_NE(refused.err.find("split, line 2: "), std::string::npos) << refused.err;
  EXPECT_FALSE(fs::exists(log()));
}

TEST_F(LogCli, StartEndAndMaskSelect) {
  import();
  Outcome some = reel({"log", log(), "5", "8"});
  EXPECT_EQ(std::count(some.out.begin(), some.out.end(), '\n'), 4);
  EXPECT_TRUE(some.out.starts_with("5 "));
  Outcome mkdirs = reel({"log", log(), "--mask", "mkdir"});
  std::istringstream lines(mkdirs.out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    EXPECT_NE(line.find(" 02MKDIR "), std::string::npos) << line;
  EXPECT_GT(count, 1);
  Outcome others = reel({"log", log(), "--mask", "-MKDIR"});
  EXPECT_EQ(others.out.find("MKDIR"), std::string::npos);
  EXPECT_FALSE(others.out.empty());
  EXPECT_EQ(reel({"log", log(), "1000000"}).out, "");
  EXPECT_EQ(reel({"log", log(), "1000000"}).code, 0);
}

TEST_F(LogCli, JsonIsOneObjectALine) {
  import();
  std::istringstream lines(reel({"log", log(), "--json"}).out);
  uint64_t index = 0;
  for (std::string line; std::getline(lines, line);) {
    auto json = nlohmann::json::parse(line);
    EXPECT_EQ(json["index"], ++index);
    EXPECT_TRUE(json.contains("target"));
  }
  EXPECT_EQ(index, 105u);
}

TEST_F(LogCli, UsersRegisterClearAndGo) {
  import();
  Outcome registered = reel({"register", log(), "--user", "backup", "--mask", "CREAT,UNLNK"});
  EXPECT_EQ(registered.out, "lustre-MDT0001: Registered changelog userid 'cl1-backup'\n");
  EXPECT_EQ(reel({"register", log(), "-n"}).out, "cl2\n");
  EXPECT_EQ(reel({"register", log(), "--user", "backup"}).code, 11);
  EXPECT_EQ(reel({"register", log(), "--mask", "NOSUCH"}).code, 1);
  std::string users = reel({"users", log()}).out;
  EXPECT_TRUE(
      users.starts_with("current_index: 105\nID                            index (idle) mask\n"
                        "cl1-backup                      105 ("))
      << users;
  EXPECT_NE(users.find(" mask=MARK,CREAT,UNLNK,GAP\n"), std::string::npos) << users;
  EXPECT_EQ(reel({"clear", log(), "cl1-backup", "0"}).code, 1);
  EXPECT_EQ(reel({"clear", log(), "cl1-backup", "106"}).code, 1);
  EXPECT_EQ(reel({"clear", log(), "cl1-backup", "3"}).code, 11);
  EXPECT_EQ(reel({"clear", log(), "cl1-backup", "105"}).code, 0);
  EXPECT_EQ(reel({"clear", log(), "cl7", "105"}).code, 11);
  EXPECT_EQ(reel({"deregister", log(), "backup"}).out, "lustre-MDT0001: Deregistered changelog user #1\n");
  EXPECT_EQ(reel({"deregister", log(), "backup"}).code, 11);
  auto json = nlohmann::json::parse(reel({"users", log(), "--json"}).out);
  EXPECT_EQ(json["current_index"], 105);
  EXPECT_EQ(json["users"].size(), 1u);
}

TEST_F(LogCli, MistakesAreToldOnStderrWithTheirExitCode) {
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{},
                                             {"nosuch"},
                                             {"log"},
                                             {"log", log(), "x"},
                                             {"import", "f", log()},
                                             {"export", log(), "--format", "nosuch"}}) {
    Outcome outcome = reel(wrong);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err, "");
  }
  EXPECT_EQ(reel({"log", log()}).code, 11);
  import();
  EXPECT_EQ(reel({"log", log(), "--stream", "nosuch"}).code, 11);
  std::string stem = (kCorpus / "full_2mdt/a_tour/mdt1").string();
  EXPECT_EQ(reel({"import", stem + ".raw", log(), "--format", "lustre", "--stream", "second"}).code, 0);
  Outcome several = reel({"log", log()});
  EXPECT_EQ(several.code, 1);
  EXPECT_NE(several.err.find("lustre-MDT0001, second"), std::string::npos) << several.err;
  EXPECT_TRUE(reel({"--version"}).out.starts_with("reel "));
  EXPECT_EQ(reel({"--help"}).code, 0);
}

TEST_F(LogCli, ACutOffImportTakesNothing) {
  std::string raw = slurp(kCorpus / "full_2mdt/a_tour/mdt1.raw");
  std::ofstream(dir_ / "cut.raw", std::ios::binary) << raw.substr(0, raw.size() - 5);
  Outcome outcome = reel({"import", (dir_ / "cut.raw").string(), log(), "--format", "lustre"});
  EXPECT_EQ(outcome.code, 11);
  EXPECT_NE(outcome.err.find("cut off"), std::string::npos) << outcome.err;
  EXPECT_FALSE(fs::exists(log()));
}

TEST_F(LogCli, DamageIsToldAndTheRestPrinted) {
  std::string stem = import();
  fs::path segment = fs::path(log()) / "lustre-MDT0001.stream/00000000000000000001.seg";
  {
    auto writer = reel::log::Writer::open(reel::Env::posix(), log(), "lustre-MDT0001");
    ASSERT_TRUE(writer);
    reel::Record record;
    ASSERT_TRUE((*writer)->append(record));
    ASSERT_TRUE((*writer)->commit());
  }
  std::string bytes = slurp(segment);
  bytes[300] = static_cast<char>(bytes[300] ^ 1);
  std::ofstream(segment, std::ios::binary | std::ios::trunc) << bytes;
  Outcome outcome = reel({"log", log()});
  EXPECT_EQ(outcome.code, 11);
  EXPECT_NE(outcome.err.find("records from 1 to 105 are lost"), std::string::npos) << outcome.err;
  EXPECT_TRUE(outcome.out.starts_with("106 00MARK ")) << outcome.out;
}

TEST_F(LogCli, FollowPrintsWhatComesAndEndsOnCtrlC) {
  auto writer = reel::log::Writer::open(reel::Env::posix(), log(), "local");
  ASSERT_TRUE(writer);
  pid_t child = start({"log", log(), "--follow"});
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (int i = 1; i <= 3; ++i) {
    reel::Record record;
    ASSERT_TRUE((*writer)->append(record));
    ASSERT_TRUE((*writer)->flush());
    std::string wanted = "\n" + std::to_string(i) + " 00MARK";
    while (("\n" + slurp(dir_ / "out")).find(wanted) == std::string::npos) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "record " << i << " was not printed";
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  ::kill(child, SIGINT);
  EXPECT_EQ(finish(child).code, 0);
}

TEST_F(LogCli, AClosedPipeEndsItQuietly) {
  import();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGPIPE, SIG_IGN);
    int err = ::open((dir_ / "err").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(ends[1], 1);
    ::dup2(err, 2);
    ::execl(REEL_BINARY, "reel", "log", log().c_str(), nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  Outcome outcome = finish(child);
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.err, "");
}

}  // namespace
