// SPDX-License-Identifier: Apache-2.0
#include "model_mdt/model_log.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "log/text/lustre_wire.h"

namespace reel::model {

LogUser ModelLog::register_user(const std::string& name, std::optional<uint64_t> mask) {
  if (state_.users.empty()) state_.epoch = clock_.tick();  // logging is turned on
  LogUser user;
  user.id = ++state_.last_id;
  user.name = name;
  user.mask = mask;
  user.endrec = state_.index;
  user.last_clear_ns = clock_.tick();
  state_.users.push_back(user);
  return user;
}

bool ModelLog::deregister(uint32_t id) {
  auto user = std::find_if(state_.users.begin(), state_.users.end(), [&](const LogUser& u) { return u.id == id; });
  if (user == state_.users.end()) return false;
  state_.users.erase(user);
  uint64_t lowest = state_.index;
  for (const LogUser& u : state_.users) lowest = std::min(lowest, u.endrec);
  purge(lowest);
  return true;
}

size_t ModelLog::collect_garbage(uint64_t idle_ns) {
  std::vector<uint32_t> idle;
  for (const LogUser& u : state_.users)
    if (clock_.ns - u.last_clear_ns > idle_ns) idle.push_back(u.id);
  for (uint32_t id : idle) deregister(id);
  return idle.size();
}

void ModelLog::wipe() {
  state_.entries.clear();
  state_.users.clear();
  state_.index = 0;
}

// Every purge begins a new epoch, whether anything goes or not (mdd_changelog_llog_cancel).
void ModelLog::purge(uint64_t to) {
  state_.epoch = clock_.tick();
  while (!state_.entries.empty() && state_.entries.front()->index <= to) state_.entries.pop_front();
}

int ModelLog::clear(uint32_t id, uint64_t index) {
  if (index > state_.index) return EINVAL;
  if (index == 0) index = state_.index;
  LogUser* mine = nullptr;
  uint64_t lowest = index;
  for (LogUser& u : state_.users) {
    if (u.id == id)
      mine = &u;
    else
      lowest = std::min(lowest, u.endrec);
  }
  if (!mine || mine->endrec > index) return ENOENT;
  mine->endrec = index;
  mine->last_clear_ns = clock_.tick();
  purge(lowest);
  return 0;
}

uint64_t ModelLog::effective_mask() const {
  bool minimal = state_.server_mask == mask_bit(RecordType::mark);
  uint64_t mask = state_.server_mask;
  for (const LogUser& u : state_.users) mask |= u.mask ? *u.mask : minimal ? kMaskDefaultLustre : 0;
  return mask & ~forgotten_;
}

bool ModelLog::logs(RecordType type) const {
  return !state_.users.empty() && audit_ && (effective_mask() & mask_bit(type)) != 0;
}

void ModelLog::append(Record record) {
  auto entry = std::make_shared<Entry>();
  entry->index = record.index = ++state_.index;
  uint64_t now = clock_.tick();
  record.time = pack_time(now / 1'000'000'000, static_cast<uint32_t>(now % 1'000'000'000));
  entry->written = !hold_;
  entry->lost = lose_;
  hold_ = lose_ = false;
  if (!log::encode_lustre(record, entry->raw)) std::abort();
  state_.entries.push_back(entry);
  state_.history.push_back(entry);
}

void ModelLog::write_held() {
  for (EntryPtr& entry : state_.entries) {
    if (entry->written) continue;
    auto written = std::make_shared<Entry>(*entry);
    written->written = true;
    entry = written;
  }
}

std::vector<EntryPtr> ModelLog::crash(bool undo) {
  std::vector<EntryPtr> gone;
  for (const EntryPtr& entry : state_.history)
    if (entry->index > committed_.index) gone.push_back(entry);
  uint32_t newest = 0;
  for (const LogUser& u : committed_.users) newest = std::max(newest, u.id);
  state_ = committed_;
  state_.last_id = newest;  // ids of users that are gone are given again
  state_.epoch = clock_.tick();
  ++incarnation_;
  evicted_ = undo ? 1 : 0;
  committed_ = state_;
  return gone;
}

}  // namespace reel::model
