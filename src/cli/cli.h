// SPDX-License-Identifier: Apache-2.0
//
// The command line: one file per verb. A verb adds its subcommand to the app; its callback sets
// `exit_code`. What a person asked for goes to stdout, everything else to stderr.
#pragma once

#include <CLI/CLI.hpp>

#include "reel/result.h"

namespace reel::replay {
class Team;
}

namespace reel::cli {

// Exit codes: rsync's where they exist.
inline constexpr int kOk = 0;
inline constexpr int kUsage = 1;
inline constexpr int kFileIo = 11;
inline constexpr int kSignal = 20;
inline constexpr int kPartial = 23;
inline constexpr int kSourceVanished = 24;
inline constexpr int kMaxDelete = 25;
inline constexpr int kTimeout = 30;
inline constexpr int kGap = 40;
inline constexpr int kDifferent = 41;
inline constexpr int kTrouble = 42;
inline constexpr int kBusy = 43;
inline constexpr int kWrongIdentity = 44;
inline constexpr int kNewerState = 45;

int run(int argc, char** argv);

int exit_code_of(Code code);
// Prints "reel: TEXT" to stderr and gives the exit code that fits the error.
int report(const Error& error);
// The exit code of a verb that gives one or fails; a failure is reported.
int code_of(const Result<int>& result);

void define_log_verbs(CLI::App& app, int& exit_code);  // log, register, deregister, clear, users, import, export
void define_mirror(CLI::App& app, int& exit_code);
void define_wait(CLI::App& app, int& exit_code);
void define_status(CLI::App& app, int& exit_code);
void define_verify(CLI::App& app, int& exit_code);
void define_anonymize(CLI::App& app, int& exit_code);
void define_merge(CLI::App& app, int& exit_code);
void define_report(CLI::App& app, int& exit_code);
void define_record(CLI::App& app, int& exit_code);
void define_replay(CLI::App& app, replay::Team& team, int& exit_code);
void define_fid_verbs(CLI::App& app, int& exit_code);  // path2fid, fid2path

}  // namespace reel::cli
