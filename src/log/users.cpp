// SPDX-License-Identifier: Apache-2.0
//
// The users file of a stream: a few lines of text with a checksum, replaced as a whole under a
// lock, so that any number of processes can register and clear (docs/log-format.md, "Users").
#include "log/users.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "base/kill_point.h"
#include "log/block/format.h"
#include "log/log.h"
#include "log/tail.h"

namespace reel::log {
namespace {

constexpr std::string_view kFirstLine = "reel-users ";
constexpr size_t kMaxUserName = 15;

struct Table {
  uint32_t next_id = 1;
  uint64_t highest = 0;  // the highest index ever cleared
  std::vector<User> users;
};

std::string users_path(const std::string& dir, const std::string& stream) {
  return stream_dir(dir, stream) + "/users";
}

std::string hex(uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

std::string encode(const Table& table) {
  std::ostringstream out;
  out << kFirstLine << kVersion << "\nnext " << table.next_id << "\nhighest " << table.highest << "\n";
  for (const User& user : table.users) {
    out << "user " << user.id << " mask " << hex(user.mask) << " cleared " << user.cleared << " time "
        << user.last_clear_s << " name " << (user.name.empty() ? "-" : user.name) << "\n";
  }
  std::string text = out.str();
  return text + "sum " + hex(checksum(text.data(), text.size())) + "\n";
}

Result<Table> decode(const std::string& text, const std::string& path) {
  Error damaged(Code::corrupt, path +
                                   ": damaged. Nothing is deleted from the log until it is mended or removed; "
                                   "users then have to register again");
  size_t sum_at = text.rfind("sum ");
  if (!text.starts_with(kFirstLine) || sum_at == std::string::npos) return damaged;
  if (text.substr(sum_at) != "sum " + hex(checksum(text.data(), sum_at)) + "\n") return damaged;
  std::istringstream in(text.substr(kFirstLine.size(), sum_at - kFirstLine.size()));
  uint32_t version = 0;
  in >> version;
  if (version != kVersion)
    return Error(Code::newer, path + ": written by a newer reel (version " + std::to_string(version) + ")");
  Table table;
  std::string word, next, highest;
  in >> next >> table.next_id >> highest >> table.highest;
  while (in >> word) {
    User user;
    std::string mask, cleared, time, name;
    in >> user.id >> mask >> std::hex >> user.mask >> std::dec >> cleared >> user.cleared >> time >>
        user.last_clear_s >> name >> user.name;
    if (!in) return damaged;
    if (user.name == "-") user.name.clear();
    table.users.push_back(std::move(user));
  }
  return table;
}

Result<Table> load(Env& env, const std::string& dir, const std::string& stream) {
  std::string path = users_path(dir, stream);
  Result<std::string> text = read_file(env, path);
  if (text.is(Code::not_found)) return Table{};
  if (!text) return std::move(text).error();
  return decode(*text, path);
}

Result<std::unique_ptr<Lock>> lock_users(Env& env, const std::string& dir, const std::string& stream) {
  return env.lock(stream_dir(dir, stream) + "/users.lock", true);
}

// "cl3", "cl3-..." or "3": the id.
std::optional<uint32_t> id_in(std::string_view text, std::string_view& rest) {
  if (text.starts_with("cl")) text.remove_prefix(2);
  uint32_t id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc()) return std::nullopt;
  rest = text.substr(static_cast<size_t>(end - text.data()));
  return id;
}

Status check_name(const std::string& name) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  auto allowed = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_'; };
  if (name.size() > kMaxUserName || !letter(name[0]) || !std::all_of(name.begin(), name.end(), allowed)) {
    return Error(Code::invalid,
                 "user name '" + name + "': a letter, then letters, digits, '-', '_', at most 15 in all");
  }
  std::string_view rest;
  if (name.starts_with("cl") && id_in(name, rest) && (rest.empty() || rest[0] == '-'))
    return Error(Code::invalid, "user name '" + name + "' looks like a user id");
  return ok();
}

std::vector<User>::iterator find_in(Table& table, const std::string& text) {
  std::string_view rest;
  std::optional<uint32_t> id = id_in(text, rest);
  return std::find_if(table.users.begin(), table.users.end(), [&](const User& user) {
    if (text == user.full_name() || (!user.name.empty() && text == user.name)) return true;
    return id == user.id && rest.empty();
  });
}

class StreamUsers : public Users {
 public:
  StreamUsers(Env& env, const std::string& dir, const std::string& stream)
      : env_(env), dir_(dir), stream_(stream), tail_(env, dir, stream) {}

  Result<User> register_user(const std::string& name, uint64_t mask) override {
    if (!name.empty()) TRY(check_name(name));
    TRY_ASSIGN(std::unique_ptr<Lock> lock, lock_users(env_, dir_, stream_));
    TRY_ASSIGN(Table table, load(env_, dir_, stream_));
    for (const User& user : table.users)
      if (!name.empty() && user.name == name)
        return Error(Code::exists, "user " + user.full_name() + " is registered under this name already");
    TRY_ASSIGN(uint64_t last, tail_.last_index());
    User user;
    user.id = table.next_id++;
    user.name = name;
    user.mask = mask;
    user.cleared = last;
    user.last_clear_s = now();
    table.users.push_back(user);
    TRY(save(table));
    return user;
  }

  Status deregister(const std::string& text) override {
    TRY_ASSIGN(std::unique_ptr<Lock> lock, lock_users(env_, dir_, stream_));
    TRY_ASSIGN(Table table, load(env_, dir_, stream_));
    auto user = find_in(table, text);
    if (user == table.users.end()) return unknown(text);
    table.users.erase(user);
    TRY(save(table));
    return purge(table);
  }

  Result<User> find(const std::string& text) override {
    TRY_ASSIGN(Table table, load(env_, dir_, stream_));
    auto user = find_in(table, text);
    if (user == table.users.end()) return unknown(text);
    return *user;
  }

  Status clear(const std::string& text, uint64_t index) override {
    if (index == 0)
      return Error(Code::invalid,
                   "clear up to 0 would mean 'everything, even what is being written now'; name an index");
    TRY_ASSIGN(std::unique_ptr<Lock> lock, lock_users(env_, dir_, stream_));
    TRY_ASSIGN(Table table, load(env_, dir_, stream_));
    auto user = find_in(table, text);
    if (user == table.users.end()) return unknown(text);
    if (index < user->cleared) {
      return Error(Code::not_found, "user " + user->full_name() + " has cleared up to " +
                                        std::to_string(user->cleared) + " already, beyond " + std::to_string(index));
    }
    if (index > known_last_) {
      TRY_ASSIGN(known_last_, tail_.last_index());
      known_last_ = std::max(known_last_, table.highest);
    }
    if (index > known_last_) {
      return Error(Code::invalid,
                   "clear up to " + std::to_string(index) + ": the last record is " + std::to_string(known_last_));
    }
    user->cleared = index;
    user->last_clear_s = now();
    table.highest = std::max(table.highest, index);
    TRY(save(table));
    return purge(table);
  }

  Result<std::vector<User>> list() override {
    TRY_ASSIGN(Table table, load(env_, dir_, stream_));
    return std::move(table.users);
  }

  Status purge_now() {
    TRY_ASSIGN(std::unique_ptr<Lock> lock, lock_users(env_, dir_, stream_));
    TRY_ASSIGN(Table table, load(env_, dir_, stream_));
    return purge(table);
  }

 private:
  static Error unknown(const std::string& text) {
    return Error(Code::not_found, "user " + text + " is not registered ('reel users' lists those who are)");
  }
  uint64_t now() { return env_.realtime_ns() / 1'000'000'000u; }
  Status save(const Table& table) {
    kill_point("users.before");
    TRY(replace_file(env_, stream_dir(dir_, stream_), users_path(dir_, stream_), encode(table)));
    kill_point("users.after");
    return ok();
  }
  // With the lock held: a user who registers meanwhile starts behind everything that may go.
  Status purge(const Table& table) {
    if (table.users.empty()) return ok();
    auto least = std::min_element(table.users.begin(), table.users.end(),
                                  [](const User& a, const User& b) { return a.cleared < b.cleared; });
    return purge_segments(env_, dir_, stream_, least->cleared);
  }

  Env& env_;
  std::string dir_, stream_;
  Tail tail_;
  uint64_t known_last_ = 0;
};

}  // namespace

std::string User::full_name() const {
  return "cl" + std::to_string(id) + (name.empty() ? "" : "-" + name);
}

Result<uint64_t> highest_cleared(Env& env, const std::string& dir, const std::string& stream) {
  TRY_ASSIGN(Table table, load(env, dir, stream));
  uint64_t highest = table.highest;
  for (const User& user : table.users) highest = std::max(highest, user.cleared);
  return highest;
}

Status purge_cleared(Env& env, const std::string& dir, const std::string& stream) {
  return StreamUsers(env, dir, stream).purge_now();
}

Result<std::unique_ptr<Users>> Users::open(Env& env, const std::string& dir, const std::string& stream) {
  TRY(list_segments(env, dir, stream));  // not_found: no such stream
  return std::unique_ptr<Users>(std::make_unique<StreamUsers>(env, dir, stream));
}

Result<std::vector<std::string>> streams(Env& env, const std::string& dir) {
  TRY_ASSIGN(std::vector<std::string> entries, env.list_dir(dir));
  std::vector<std::string> names;
  for (const std::string& entry : entries)
    if (std::optional<std::string> name = stream_of_dir(entry)) names.push_back(*std::move(name));
  return names;
}

}  // namespace reel::log
