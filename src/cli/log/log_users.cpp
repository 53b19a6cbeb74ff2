// SPDX-License-Identifier: Apache-2.0
//
// The verbs about the users of a log: register, deregister, clear, users; texts as lctl prints
// them.
#include <cstdio>
#include <memory>

#include "base/env.h"
#include "cli/common/output.h"
#include "cli/log/log_place.h"
#include "cli/log/log_verbs.h"
#include "log/log.h"
#include "log/text/text.h"

namespace reel::cli {
namespace {

struct UserOptions {
  std::string log, stream, user, mask;
  uint64_t index = 0;
  bool only_id = false, json = false;
};

struct OpenUsers {
  LogPlace place;
  std::unique_ptr<log::Users> users;
};

Result<OpenUsers> open_users(const UserOptions& options) {
  TRY_ASSIGN(LogPlace place, find_log(options.log, options.stream));
  TRY_ASSIGN(std::unique_ptr<log::Users> users, log::Users::open(Env::posix(), place.dir, place.stream));
  return OpenUsers{std::move(place), std::move(users)};
}

Result<int> run_register(const UserOptions& options) {
  uint64_t mask = 0;
  if (!options.mask.empty()) {
    TRY_ASSIGN(mask, parse_mask(options.mask, kMaskDefaultLustre));
    mask |= mask_bit(RecordType::mark) | mask_bit(RecordType::gap);  // these two can not be masked off
  }
  TRY_ASSIGN(OpenUsers open, open_users(options));
  TRY_ASSIGN(log::User user, open.users->register_user(options.user, mask));
  Output output;
  output.text() = options.only_id ? user.full_name() + "\n"
                                  : open.place.stream + ": Registered changelog userid '" + user.full_name() + "'\n";
  TRY(output.flush());
  return kOk;
}

Result<int> run_deregister(const UserOptions& options) {
  TRY_ASSIGN(OpenUsers open, open_users(options));
  TRY_ASSIGN(log::User user, open.users->find(options.user));
  TRY(open.users->deregister(user.full_name()));
  Output output;
  output.text() = open.place.stream + ": Deregistered changelog user #" + std::to_string(user.id) + "\n";
  TRY(output.flush());
  return kOk;
}

Result<int> run_clear(const UserOptions& options) {
  TRY_ASSIGN(OpenUsers open, open_users(options));
  TRY(open.users->clear(options.user, options.index));
  return kOk;
}

void append_user_json(const log::User& user, uint64_t idle, std::string& out) {
  out += "{\"id\":" + std::to_string(user.id) + ",\"user\":";
  log::append_json_string(user.full_name(), out);
  out += ",\"cleared\":" + std::to_string(user.cleared) + ",\"idle_s\":" + std::to_string(idle) + ",\"mask\":";
  log::append_json_string(user.mask == 0 ? "" : format_mask(user.mask), out);
  out += "}";
}

Result<int> run_users(const UserOptions& options) {
  TRY_ASSIGN(OpenUsers open, open_users(options));
  TRY_ASSIGN(uint64_t current, log::current_index(Env::posix(), open.place.dir, open.place.stream));
  TRY_ASSIGN(std::vector<log::User> users, open.users->list());
  uint64_t now = Env::posix().realtime_ns() / 1'000'000'000u;
  Output output;
  std::string& out = output.text();
  out = options.json
            ? "{\"current_index\":" + std::to_string(current) + ",\"users\":["
            : "current_index: " + std::to_string(current) + "\nID                            index (idle) mask\n";
  const char* separator = "";
  for (const log::User& user : users) {
    uint64_t idle = now > user.last_clear_s ? now - user.last_clear_s : 0;
    if (options.json) {
      out += separator;
      append_user_json(user, idle, out);
      separator = ",";
      continue;
    }
    char line[96];
    std::snprintf(line, sizeof line, "%-24s %10llu (%llu)", user.full_name().c_str(),
                  static_cast<unsigned long long>(user.cleared), static_cast<unsigned long long>(idle));
    out += line + (user.mask == 0 ? std::string() : " mask=" + format_mask(user.mask)) + "\n";
  }
  if (options.json) out += "]}\n";
  TRY(output.flush());
  return kOk;
}

std::shared_ptr<UserOptions> add_common(CLI::App* verb) {
  auto options = std::make_shared<UserOptions>();
  verb->add_option("LOG", options->log, "log directory, or a state directory of reel")->required();
  verb->add_option("--stream", options->stream, "which stream, when there are several");
  return options;
}

}  // namespace

void define_user_verbs(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("register", "register a reader: records are kept until it has cleared them");
  auto options = add_common(verb);
  verb->add_option("--user,-u", options->user, "a name for it");
  verb->add_option("--mask,-m", options->mask, "record types it wants (default: DEFAULT)");
  verb->add_flag("-n", options->only_id, "print the id only");
  verb->callback([options, &exit_code] { exit_code = code_of(run_register(*options)); });

  verb = app.add_subcommand("deregister", "forget a reader; what only it still held back is deleted");
  options = add_common(verb);
  verb->add_option("USER", options->user, "cl1, cl1-name, 1 or name")->required();
  verb->callback([options, &exit_code] { exit_code = code_of(run_deregister(*options)); });

  verb = app.add_subcommand("clear", "a reader is done with the records up to an index");
  options = add_common(verb);
  verb->add_option("USER", options->user, "cl1, cl1-name, 1 or name")->required();
  verb->add_option("INDEX", options->index, "the last record it is done with")->required();
  verb->callback([options, &exit_code] { exit_code = code_of(run_clear(*options)); });

  verb = app.add_subcommand("users", "list the registered readers");
  options = add_common(verb);
  verb->add_flag("--json", options->json, "one JSON object");
  verb->callback([options, &exit_code] { exit_code = code_of(run_users(*options)); });
}

}  // namespace reel::cli
